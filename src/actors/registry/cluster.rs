//! The registry's other half: what other nodes say, and what they are told.
//!
//! A node that is alone has none of this.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::mpsc;

use super::people::{People, Told, together};
use super::recent::{Change, RecentMemberships};
use super::redis::{CONSOLE, RedisBroker};
use super::senders::Senders;
use super::{Registry, tell};
use crate::actors::{room, user};
use crate::failpoint;
use crate::identity::Identities;
use crate::ids::UserId;
use crate::protocol::envelope::{Envelope, Payload, PresenceChange};
use crate::protocol::{Event, Presence};

/// Who came and went is told so often.
const PEOPLE_INTERVAL: Duration = Duration::from_millis(100);
/// Most people in one envelope.
const PEOPLE_AT_ONCE: usize = 500;

/// What a node of a cluster knows of the others.
pub(super) struct Cluster {
    pub(super) broker: RedisBroker,
    pub(super) people: People,
    /// Memberships that changed a moment ago.
    recent: RecentMemberships,
    /// Whose envelopes count.
    pub(super) senders: Senders,
    /// Are the leases being read before their time?
    looking: bool,
    /// What the others have not been told of our people yet.
    pub(super) untold: HashMap<UserId, PresenceChange>,
    /// Envelopes about our people that were sent.
    pub(super) number: u64,
    /// The newest of them that Redis has taken; it stands in the lease.
    pub(super) told: u64,
    /// Is one on its way?
    pub(super) telling: bool,
    /// Orders that concern the whole node.
    pub(super) orders: mpsc::Sender<Order>,
    /// Who a token stands for: what it remembers is forgotten when another node changed it.
    pub(super) identities: Arc<Identities>,
}

/// What another node, or a person who runs the system, wants of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Send everybody elsewhere, and end.
    Drain,
    /// Take this version of the settings, or say why not.
    Settings(i64),
    /// Read the settings again: there may be a newer version.
    ReloadSettings,
    /// A node could not apply this version of the settings.
    SettingsRefused {
        /// Which node.
        node: String,
        /// Which version.
        version: i64,
        /// Why.
        reason: String,
    },
}

impl Cluster {
    pub(super) fn new(
        broker: RedisBroker,
        orders: mpsc::Sender<Order>,
        identities: Arc<Identities>,
    ) -> Self {
        Self {
            broker,
            people: People::default(),
            recent: RecentMemberships::default(),
            senders: Senders::default(),
            looking: false,
            untold: HashMap::new(),
            number: 0,
            told: 0,
            telling: false,
            orders,
            identities,
        }
    }

    pub(super) fn presence(&self, user: UserId) -> Option<Presence> {
        self.people.presence(user)
    }

    /// Somebody here came, went, or changed: the others are told soon.
    pub(super) fn note(&mut self, came: PresenceChange) {
        match self.untold.get_mut(&came.user) {
            Some(before) => {
                let mut rooms = std::mem::take(&mut before.rooms);
                rooms.extend(came.rooms.iter().copied());
                rooms.sort_unstable();
                rooms.dedup();
                *before = PresenceChange { rooms, ..came };
            }
            None => drop(self.untold.insert(came.user, came)),
        }
    }

    /// Gives an envelope back that is to be acted on now.
    pub(super) fn admit(&mut self, envelope: Envelope) -> Option<Envelope> {
        if envelope.node != CONSOLE {
            return self.senders.admit(envelope, Instant::now());
        }
        // A command has no lease. It may tell a node to drain, and has to name the very start
        // of it, which it has read in that node's lease.
        let is_meant = envelope.generation == self.broker.generation();
        if is_meant && envelope.payload == Payload::Drain {
            return Some(envelope);
        }
        self.senders.refuse(&envelope);
        None
    }

    /// Sends to the other nodes that somebody is connected to.
    fn send_to_nodes_of(&self, user: UserId, payload: &Payload) {
        for node in self.people.nodes_of(user) {
            self.send_to(node, payload.clone());
        }
    }

    fn send_to(&self, node: &str, payload: Payload) {
        let (broker, node) = (self.broker.clone(), node.to_owned());
        actix::spawn(async move {
            if let Err(error) = broker.send(Some(&node), payload).await {
                log::debug!("node={node} was not told something: {error}");
            }
        });
    }

    /// These people have come to a node: what happened to their memberships just before this
    /// node knew of it is told there.
    fn tell_recent(&mut self, node: &str, arrived: &HashSet<UserId>) {
        let changes = self
            .recent
            .of(|user| arrived.contains(&user), Instant::now());
        let changes: Vec<_> = changes.copied().collect();
        for Change { user, room, by, .. } in changes {
            self.send_to(node, Payload::MembershipChanged { user, room, by });
        }
    }

    fn send_to_all(&self, payload: Payload) {
        let broker = self.broker.clone();
        actix::spawn(async move {
            if let Err(error) = broker.send(None, payload).await {
                log::warn!(
                    "the other nodes were not told something: {error}; the database tells them"
                );
            }
        });
    }
}

impl Registry {
    /// What a node of a cluster does again and again.
    pub(super) fn keep_in_touch(&self, ctx: &mut Context<Self>) {
        if self.cluster.is_some() {
            ctx.run_interval(PEOPLE_INTERVAL, |registry, ctx| {
                registry.tell_people(ctx);
                registry.recheck_after_cut(ctx);
                registry.look_for_strangers(ctx);
            });
        }
    }

    /// Tells the others who came, went and changed since the last time.
    fn tell_people(&mut self, ctx: &mut Context<Self>) {
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        if cluster.telling || cluster.untold.is_empty() {
            return;
        }
        let users: Vec<_> = cluster
            .untold
            .keys()
            .copied()
            .take(PEOPLE_AT_ONCE)
            .collect();
        let changes: Vec<_> = users
            .iter()
            .filter_map(|user| cluster.untold.remove(user))
            .collect();
        cluster.number += 1;
        cluster.telling = true;
        let (broker, number) = (cluster.broker.clone(), cluster.number);
        let telling = async move {
            let told = broker.tell_people(number, changes.clone()).await;
            (told, changes, number)
        };
        ctx.spawn(
            telling
                .into_actor(self)
                .map(|(told, changes, number), registry, _| {
                    let Some(cluster) = registry.cluster.as_mut() else {
                        return;
                    };
                    cluster.telling = false;
                    if told.is_ok() {
                        cluster.told = number;
                        return;
                    }
                    for came in changes {
                        // What has changed meanwhile is newer.
                        cluster.untold.entry(came.user).or_insert(came);
                    }
                }),
        );
    }

    /// What was said while a connection was away is lost: revocations and memberships stand in the
    /// database.
    fn recheck_after_cut(&mut self, ctx: &mut Context<Self>) {
        let cut = self
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster.broker.was_cut());
        if !cut {
            return;
        }
        self.recheck_everybody();
        self.reread_everybody();
        self.compare_all(ctx);
        self.order(Order::ReloadSettings);
    }

    /// Somebody whose lease is not known here has said something: have they one?
    fn look_for_strangers(&mut self, ctx: &mut Context<Self>) {
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        if cluster.looking || !cluster.senders.wants_look() {
            return;
        }
        cluster.looking = true;
        let broker = cluster.broker.clone();
        let reading = async move { broker.nodes().await };
        ctx.spawn(reading.into_actor(self).map(|leases, registry, ctx| {
            if let Some(cluster) = registry.cluster.as_mut() {
                cluster.looking = false;
            }
            // Otherwise the next regular look at leases settles it.
            if let Ok(leases) = leases {
                registry.hear_strangers(&leases, ctx);
            }
        }));
    }

    /// How somebody can be reached, on any node.
    pub(super) fn presence_anywhere(&self, user: UserId) -> Presence {
        let (here, _) = self.interest.presence(user);
        let elsewhere = self
            .cluster
            .as_ref()
            .and_then(|cluster| cluster.presence(user));
        together(here, elsewhere)
    }

    /// Sends to the nodes that somebody is connected to, this one left out.
    pub(super) fn send_to_nodes_of(&self, user: UserId, payload: &Payload) {
        if let Some(cluster) = &self.cluster {
            cluster.send_to_nodes_of(user, payload);
        }
    }

    /// Sends to all other nodes.
    pub(super) fn send_to_all(&self, payload: Payload) {
        if let Some(cluster) = &self.cluster {
            cluster.send_to_all(payload);
        }
    }

    pub(super) fn hear_people(
        &mut self,
        from: &Envelope,
        number: u64,
        changes: &[PresenceChange],
        ctx: &mut Context<Self>,
    ) {
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        if failpoint::loses("registry::people") {
            return;
        }
        let (node, generation) = (&from.node, &from.generation);
        let arrived = cluster.people.arrived(node, generation, changes);
        match cluster.people.hear(node, generation, number, changes) {
            Told::Known => {}
            Told::Hole => self.ask_for_people(node.clone(), generation.clone(), ctx),
            Told::Taken => {
                cluster.tell_recent(node, &arrived);
                for came in changes {
                    let presence = self.presence_anywhere(came.user);
                    self.tell_presence(&came.rooms, came.user, presence, &came.text);
                }
            }
        }
    }

    /// Reads who is connected to a node, as something that it told was missed.
    pub(super) fn ask_for_people(
        &mut self,
        node: String,
        generation: String,
        ctx: &mut Context<Self>,
    ) {
        let Some(cluster) = &self.cluster else { return };
        let broker = cluster.broker.clone();
        let asking = async move {
            let people = broker.people_of(&node).await;
            (node, generation, people)
        };
        ctx.spawn(
            asking
                .into_actor(self)
                .map(|(node, generation, people), registry, _| {
                    let Some(cluster) = registry.cluster.as_mut() else {
                        return;
                    };
                    match people {
                        Ok((number, everybody)) => {
                            let people = &cluster.people;
                            let arrived = people.arrived(&node, &generation, &everybody);
                            cluster
                                .people
                                .replace(&node, &generation, number, &everybody);
                            cluster.tell_recent(&node, &arrived);
                            registry.look_again();
                        }
                        // The next lease, or the next thing it tells, tries again.
                        Err(error) => log::debug!("node={node} its people are not known: {error}"),
                    }
                }),
        );
    }

    /// Many people may have come or gone at once: rooms look who is there.
    pub(super) fn look_again(&self) {
        for room in self.rooms.values() {
            // A busy room looks the next time.
            let _ = room.try_send(room::LookWhoIsThere);
        }
    }

    pub(super) fn tell_user(&self, user: UserId, command: user::Command) {
        if let Some(address) = self.users.get(&user) {
            tell(address, user::News::Command(command));
        }
    }

    /// Everybody whose membership changed is told, wherever they are.
    pub(super) fn membership_landed(&mut self, event: &Event) {
        let Some(change) = event.draft.member_change() else {
            return;
        };
        let (user, room, by) = (change.user, event.room, event.draft.from);
        self.tell_membership(user, room, by);
        if let Some(cluster) = &mut self.cluster {
            cluster.recent.keep(user, room, by, Instant::now());
            cluster.send_to_nodes_of(user, &Payload::MembershipChanged { user, room, by });
        }
    }
}
