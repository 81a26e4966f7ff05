//! Leases: which nodes there are, and how each is doing.

use std::time::{Duration, Instant};

use redis::Value;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::link::Fault;
use super::{Inner, RedisBroker, keys, reply, scripts, values};
use crate::clock::now_ms;
use crate::error::Result;
use crate::locks;
use crate::protocol::Presence;
use crate::protocol::envelope::{self, Payload, PresenceChange};

/// How long a node counts as alive that does not say so again.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// How long it can be read that a node has ended in order.
const ENDED: Duration = Duration::from_secs(60);

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

/// What a node says of itself, every two seconds; also what REST and commands show of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Node)]
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
    /// The newest envelope about its people that it has sent.
    #[serde(default)]
    pub told: u64,
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
            protocol: envelope::VERSION,
            started_at: now_ms(),
            told: 0,
            load: Load::default(),
        }
    }
}

/// How much a node has to do.
///
/// A node of another version may say less of itself, and lives all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
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
        let mut call = scripts::lease().call(&of_lease);
        call.arg(&lease.id)
            .arg(&lease.generation)
            .arg(text)
            .arg(LEASE.as_millis() as u64);
        inner.ask(&call, reply::kept).await
    }

    /// Gives the lease up, and says that this node has ended in order: nobody waits for it any
    /// more. A lease that a later start of the node has taken over is left alone.
    pub async fn give_up_lease(&self) {
        let (node, link) = (&self.0.node, &self.0.link);
        let mut get = redis::cmd("GET");
        get.arg(keys::lease(&node.id));
        match link.run(&get).await.and_then(read_lease) {
            Ok(Some(lease)) if lease.generation == node.generation => {}
            Ok(_) => return,
            Err(fault) => return log::warn!("the lease was not given up: {fault:?}"),
        }
        let mut forget = redis::cmd("UNLINK");
        forget.arg(keys::lease(&node.id)).arg(keys::users(&node.id));
        let mut leave = redis::cmd("SREM");
        leave.arg(keys::NODES).arg(&node.id);
        // First: whoever sees that the lease is gone looks whether this was said.
        let mut end = redis::cmd("SET");
        end.arg(keys::ended(&node.id)).arg(&node.generation);
        end.arg("PX").arg(ENDED.as_millis() as u64);
        if let Err(fault) = link.run_all(vec![end, forget, leave]).await {
            log::warn!("the lease was not given up, it ends by itself: {fault:?}");
        }
    }

    /// Every node with a lease.
    pub async fn nodes(&self) -> Result<Vec<Lease>> {
        let inner = &self.0;
        let mut members = redis::cmd("SMEMBERS");
        members.arg(keys::NODES);
        let ids = inner.ask(&members, values::texts).await?;
        let looks = ids.iter().map(|id| {
            let mut get = redis::cmd("GET");
            get.arg(keys::lease(id));
            get
        });
        let answers = inner.link.run_all(looks.collect()).await;
        let answers = answers.map_err(|fault| inner.refused(&fault))?;
        let (mut read, mut gone) = (Vec::new(), Vec::new());
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer.and_then(read_lease) {
                Ok(Some(lease)) => read.push((id, Some(lease))),
                Ok(None) => gone.push(id),
                Err(fault) => {
                    log::warn!("node={id} its lease cannot be read, the node is kept: {fault:?}");
                    read.push((id, None));
                }
            }
        }
        inner.sweep_nodes(gone).await;
        Ok(inner.note_nodes(read))
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
        // What could not be noted is not told either: it would count as known. Without memory
        // Redis refuses the notes, and would publish.
        inner.ask_all(commands, values::ignored).await?;
        inner.send(None, Payload::People { number, changes }).await
    }

    /// Everybody who is connected to a node, and how many of its envelopes that counts in.
    pub(in crate::actors::registry) async fn people_of(
        &self,
        node: &str,
    ) -> Result<(u64, Vec<PresenceChange>)> {
        let inner = &self.0;
        let mut get = redis::cmd("HGETALL");
        get.arg(keys::users(node));
        let fields = inner.ask(&get, values::fields).await?;
        let people = People::read(fields).map_err(|fault| inner.refused(&fault))?;
        Ok((people.number, people.changes))
    }

    /// Forgets everybody that an earlier start of this node may have left, before the first
    /// of this one.
    pub(in crate::actors::registry) async fn forget_people(&self) -> Result<()> {
        let inner = &self.0;
        let mut forget = redis::cmd("UNLINK");
        forget.arg(keys::users(&inner.node.id));
        inner.ask(&forget, values::ignored).await
    }
}

impl Inner {
    fn note_nodes(&self, read: Vec<(String, Option<Lease>)>) -> Vec<Lease> {
        let mut others = locks::write(&self.others);
        let others = others.get_or_insert_default();
        others.note(&self.node.id, read, Instant::now())
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

/// A node's lease; `None` only when there is none.
pub(super) fn read_lease(answer: Value) -> Result<Option<Lease>, Fault> {
    let Some(text) = values::text(answer)? else {
        return Ok(None);
    };
    let lease = serde_json::from_str(&text);
    let lease = lease.map_err(|error| Fault::Malformed(format!("a lease: {error}")))?;
    Ok(Some(lease))
}

/// Who is connected to a node.
#[derive(Debug, Default, PartialEq)]
struct People {
    /// How many of the node's envelopes that counts in.
    number: u64,
    changes: Vec<PresenceChange>,
}

impl People {
    fn read(fields: Vec<(String, String)>) -> Result<Self, Fault> {
        let unreadable = || values::unexpected("people of a node");
        let mut people = Self::default();
        for (field, value) in fields {
            if field == "number" {
                people.number = value.parse().map_err(|_| unreadable())?;
                continue;
            }
            let (presence, text): (Presence, _) =
                serde_json::from_str(&value).map_err(|_| unreadable())?;
            people.changes.push(PresenceChange {
                user: field.parse().map_err(|_| unreadable())?,
                presence: Some(presence),
                text,
                rooms: Vec::new(),
            });
        }
        Ok(people)
    }
}

/// How somebody wants to be seen, as one value.
fn seen(presence: Presence, text: Option<&str>) -> String {
    serde_json::json!([presence, text]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lease_that_is_not_there_is_over() {
        let told = |text: &str| read_lease(Value::BulkString(text.as_bytes().to_vec()));
        assert_eq!(read_lease(Value::Nil), Ok(None));
        assert!(matches!(told("{}"), Err(Fault::Malformed(_))));
        assert!(matches!(
            read_lease(Value::Int(1)),
            Err(Fault::Malformed(_))
        ));
        // Of another version: some words of its load are missing, others are new.
        let text = serde_json::json!({
            "id": "a", "generation": "g", "address": "h:1", "version": "9", "protocol": 2,
            "started_at": 1, "sessions": 3, "news": true,
        });
        let lease = told(&text.to_string()).unwrap().unwrap();
        assert_eq!((lease.load.sessions, lease.load.backlog), (3, 0));
    }

    #[test]
    fn people_who_cannot_be_read_are_not_nobody() {
        let user = crate::ids::UserId::from_raw(7).to_string();
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let people = People::read(vec![
            field("number", "4"),
            field(&user, &seen(Presence::Online, None)),
        ]);
        let people = people.unwrap();
        assert_eq!((people.number, people.changes.len()), (4, 1));
        for wrong in [
            field("number", "x"),
            field(&user, "[]"),
            field("x", "[\"online\",null]"),
        ] {
            assert!(People::read(vec![wrong.clone()]).is_err(), "{wrong:?}");
        }
    }
}
