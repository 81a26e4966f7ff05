//! Leases: which nodes there are, and how each is doing.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use redis::{Client, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reply::texts;
use super::{Inner, RedisBroker, RedisError, keys};
use crate::clock::now_ms;
use crate::error::Result;
use crate::protocol::Presence;
use crate::protocol::envelope::{self, Envelope, Payload, PresenceChange};

/// How long a node counts as alive that does not say so again.
pub(super) const LEASE: Duration = Duration::from_secs(6);

/// Who a node is to other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName {
    /// `MADANG_NODE_ID`.
    pub id: String,
    /// One start of the node; a later one sorts behind an earlier one.
    pub generation: String,
}

impl NodeName {
    /// This start of the node with this id.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            generation: Uuid::now_v7().simple().to_string(),
        }
    }
}

/// What a node says of itself, every two seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id.
    pub id: String,
    /// Which start of it. (The lease's script looks for this field.)
    pub generation: String,
    /// Where it listens.
    pub address: String,
    /// Which program it runs.
    pub version: String,
    /// The newest envelopes that it understands.
    pub protocol: u8,
    /// When it started, Unix milliseconds.
    pub started_at: i64,
    /// How much it has to do.
    #[serde(flatten)]
    pub load: Load,
}

impl Lease {
    /// Of a node that starts now and listens at this address.
    pub fn new(name: NodeName, address: String) -> Self {
        Self {
            id: name.id,
            generation: name.generation,
            address,
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            started_at: now_ms(),
            load: Load::default(),
        }
    }
}

/// How much a node has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Connected sockets.
    pub sessions: usize,
    /// People with a socket there.
    pub users: usize,
    /// Rooms in memory.
    pub rooms: usize,
    /// Events that it has appended and that are not in the database.
    pub backlog: usize,
    /// How long the oldest of them has waited, milliseconds.
    pub oldest_unflushed_ms: u64,
    /// Does it send its people elsewhere?
    pub draining: bool,
    /// Which version of the settings it has.
    pub settings_version: i64,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actors::registry) enum Kept {
    /// It went on.
    Yes,
    /// There was none: this node is new, or was away.
    New,
    /// A later start has the same id: this one must end.
    Taken,
}

/// Other nodes, as their leases were read.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Those that had a lease when that was last looked at.
    present: Vec<String>,
    /// When each was last seen to have one. A Redis that was emptied has none, and its nodes
    /// are there all the same.
    seen: HashMap<String, Instant>,
}

impl Others {
    fn note(&mut self, ids: Vec<String>, now: Instant) {
        let seen = ids.iter().map(|id| (id.clone(), now));
        self.seen.extend(seen);
        self.seen.retain(|_, at| now.duration_since(*at) < LEASE);
        self.present = ids;
    }

    /// How many have a lease.
    pub(super) fn count(&self) -> usize {
        self.present.len()
    }

    /// Whom a rebuilding of Redis has to wait for.
    pub(super) fn recent(&self, now: Instant) -> Vec<String> {
        let recent = self.seen.iter();
        let recent = recent.filter(|(_, at)| now.duration_since(**at) < LEASE);
        recent.map(|(id, _)| id.clone()).collect()
    }
}

impl RedisBroker {
    /// Says that this node lives. The lease ends by itself in six seconds.
    pub(in crate::actors::registry) async fn keep_lease(&self, lease: &Lease) -> Result<Kept> {
        let inner = &self.0;
        let text = serde_json::to_string(lease).map_err(|_| crate::error::Error::internal())?;
        let of_lease = [
            keys::lease(&lease.id),
            keys::NODES.to_owned(),
            keys::users(&lease.id),
        ];
        let mut call = inner.life().lease.call(&of_lease);
        call.arg(&lease.id)
            .arg(&lease.generation)
            .arg(text)
            .arg(LEASE.as_millis() as u64);
        let answer = inner.link.run(&call).await;
        let answer = answer.map_err(|fault| inner.refused(&fault))?;
        Ok(match redis::from_redis_value::<String>(answer).as_deref() {
            Ok("KEPT") => Kept::Yes,
            Ok("TAKEN") => Kept::Taken,
            _ => Kept::New,
        })
    }

    /// Gives the lease up: nobody waits for this node any more. One that a later start of
    /// the node has taken over is left alone.
    pub async fn give_up_lease(&self) {
        let (node, link) = (&self.0.node, &self.0.link);
        let mut get = redis::cmd("GET");
        get.arg(keys::lease(&node.id));
        let lease = link.run(&get).await.ok().and_then(read_lease);
        if lease.is_none_or(|lease| lease.generation != node.generation) {
            return;
        }
        let mut forget = redis::cmd("UNLINK");
        forget.arg(keys::lease(&node.id)).arg(keys::users(&node.id));
        let mut leave = redis::cmd("SREM");
        leave.arg(keys::NODES).arg(&node.id);
        if let Err(fault) = link.run_all(vec![forget, leave]).await {
            log::warn!("the lease was not given up, it ends by itself: {fault:?}");
        }
    }

    /// Every node with a lease.
    pub async fn nodes(&self) -> Result<Vec<Lease>> {
        let inner = &self.0;
        let mut members = redis::cmd("SMEMBERS");
        members.arg(keys::NODES);
        let ids = inner.link.run(&members).await.and_then(texts);
        let ids = ids.map_err(|fault| inner.refused(&fault))?;
        let looks = ids.iter().map(|id| {
            let mut get = redis::cmd("GET");
            get.arg(keys::lease(id));
            get
        });
        let answers = inner.link.run_all(looks.collect()).await;
        let answers = answers.map_err(|fault| inner.refused(&fault))?;
        let (mut leases, mut gone) = (Vec::new(), Vec::new());
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer.ok().and_then(read_lease) {
                Some(lease) => leases.push(lease),
                None => gone.push(id),
            }
        }
        inner.note_nodes(&leases);
        inner.sweep_nodes(gone).await;
        Ok(leases)
    }

    /// Notes who came to this node, went or changed, for everybody, and tells the others.
    pub(in crate::actors::registry) async fn tell_people(
        &self,
        number: u64,
        changes: Vec<PresenceChange>,
    ) -> Result<()> {
        let inner = &self.0;
        let users = keys::users(&inner.node.id);
        let mut commands = Vec::new();
        for came in &changes {
            let mut command = redis::cmd(if came.presence.is_some() {
                "HSET"
            } else {
                "HDEL"
            });
            command.arg(&users).arg(came.user.to_string());
            if let Some(presence) = came.presence {
                command.arg(seen(presence, came.text.as_deref()));
            }
            commands.push(command);
        }
        let mut expire = redis::cmd("PEXPIRE");
        expire.arg(&users).arg(LEASE.as_millis() as u64);
        let mut note = redis::cmd("HSET");
        note.arg(&users).arg("number").arg(number);
        commands.extend([note, expire]);
        let envelope = Envelope {
            node: inner.node.id.clone(),
            generation: inner.node.generation.clone(),
            payload: Payload::People { number, changes },
        };
        let text = envelope
            .encode()
            .map_err(|_| crate::error::Error::internal())?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::ALL).arg(text);
        commands.push(publish);
        let sent = inner.link.run_all(commands).await;
        sent.map(drop).map_err(|fault| inner.refused(&fault))
    }

    /// Everybody who is connected to a node, and how many of its envelopes that counts in.
    pub(in crate::actors::registry) async fn people_of(
        &self,
        node: &str,
    ) -> Result<(u64, Vec<PresenceChange>)> {
        let inner = &self.0;
        let mut get = redis::cmd("HGETALL");
        get.arg(keys::users(node));
        let answer = inner.link.run(&get).await;
        let answer = answer.map_err(|fault| inner.refused(&fault))?;
        let fields: Vec<(String, String)> = redis::from_redis_value(answer).unwrap_or_default();
        let mut number = 0;
        let mut people = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            if field == "number" {
                number = value.parse().unwrap_or_default();
            } else if let (Ok(user), Some((presence, text))) = (field.parse(), read_seen(&value)) {
                people.push(PresenceChange {
                    user,
                    presence: Some(presence),
                    text,
                    rooms: Vec::new(),
                });
            }
        }
        Ok((number, people))
    }

    /// Forgets everybody that an earlier start of this node may have left, before the first
    /// of this one.
    pub(in crate::actors::registry) async fn forget_people(&self) -> Result<()> {
        let inner = &self.0;
        let mut forget = redis::cmd("UNLINK");
        forget.arg(keys::users(&inner.node.id));
        let forgotten = inner.link.run(&forget).await;
        forgotten.map(drop).map_err(|fault| inner.refused(&fault))
    }
}

impl Inner {
    fn note_nodes(&self, leases: &[Lease]) {
        let ids = leases.iter().map(|lease| lease.id.clone());
        let ids = ids.filter(|id| *id != self.node.id).collect();
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        others.get_or_insert_default().note(ids, Instant::now());
    }

    /// Nodes whose lease has ended are forgotten.
    async fn sweep_nodes(&self, gone: Vec<String>) {
        if gone.is_empty() {
            return;
        }
        let mut sweep = redis::cmd("SREM");
        sweep.arg(keys::NODES).arg(&gone);
        if self.link.run(&sweep).await.is_ok() {
            log::info!("nodes whose lease has ended: {}", gone.join(" "));
        }
    }
}

pub(super) fn read_lease(answer: Value) -> Option<Lease> {
    let text: Option<String> = redis::from_redis_value(answer).ok()?;
    serde_json::from_str(&text?).ok()
}

/// How somebody wants to be seen, as one value.
fn seen(presence: Presence, text: Option<&str>) -> String {
    serde_json::json!([presence, text]).to_string()
}

fn read_seen(value: &str) -> Option<(Presence, Option<String>)> {
    serde_json::from_str(value).ok()
}

/// Sends an order to a node, for a command that is no node itself. False when nobody heard.
pub async fn order(client: &Client, node: &str, payload: Payload) -> Result<bool, RedisError> {
    let mut connection = super::check::connect(client).await?;
    let refused = |error| RedisError::unreachable(client, &error);
    let envelope = Envelope {
        node: "command".into(),
        generation: String::new(),
        payload,
    };
    let text = envelope.encode().unwrap_or_default();
    let heard: i64 = redis::cmd("PUBLISH")
        .arg(keys::node_channel(node))
        .arg(text)
        .query_async(&mut connection)
        .await
        .map_err(refused)?;
    Ok(heard > 0)
}

/// The newest envelopes that this program understands.
pub const PROTOCOL: u8 = envelope::VERSION;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_lease_was_lost_with_redis_is_still_waited_for() {
        let (mut others, start) = (Others::default(), Instant::now());
        others.note(vec!["a".into(), "b".into()], start);
        let later = start + LEASE / 2;
        others.note(vec!["b".into()], later);
        let mut waited_for = others.recent(later);
        waited_for.sort();
        assert_eq!(
            (others.count(), waited_for),
            (1, vec!["a".into(), "b".into()])
        );
        let last = start + LEASE;
        assert_eq!(others.recent(last), ["b"]);
        others.note(Vec::new(), later + LEASE);
        assert!(others.seen.is_empty());
    }
}
