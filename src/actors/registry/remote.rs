//! What the registry is told from outside this node, and what it does then.

use std::time::Instant;

use actix::prelude::*;

use super::Registry;
use super::cluster::Order;
use super::redis::Lease;
use crate::actors::persistence::write_back::Landed;
use crate::actors::{room, send_always, user};
use crate::db::Mark;
use crate::ids::{Epoch, RoomId, UserId};
use crate::protocol::doorbell::Ephemeral;
use crate::protocol::envelope::{Envelope, Payload, PresenceChange};

/// A room's log is over: another epoch begins.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct EpochEnded {
    /// Which room.
    pub room: RoomId,
    /// Which epoch is over.
    pub epoch: Epoch,
}

/// Something that may be lost has happened in a room.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct EphemeralReceived {
    /// In which room.
    pub room: RoomId,
    /// What.
    pub ephemeral: Ephemeral,
}

/// An envelope from another node, or from a command.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct FromNode(pub Envelope);

/// The nodes that have a lease, as just read.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Alive(pub Vec<Lease>);

/// Our lease had ended: everybody takes our people for gone, and we may have missed things.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct WasAway;

/// What rooms know may be wrong: this node slept while Redis was rebuilt.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct ForgetRooms;

/// What the registry knows of other nodes, and they of this one; for the lease and metrics.
#[derive(Message, Debug)]
#[rtype(result = "Holds")]
pub struct Observe;

/// The answer to [`Observe`].
#[derive(MessageResponse, Debug, Default, Clone, Copy)]
pub struct Holds {
    /// People with a socket on another node.
    pub people_elsewhere: usize,
    /// The newest envelope about our people that the others were sent.
    pub told: u64,
    /// Envelopes that were dropped because their sender has no lease.
    pub strangers: u64,
}

/// Is this person connected here, and to which other nodes? For those who run the system.
#[derive(Message, Debug)]
#[rtype(result = "(bool, Vec<String>)")]
pub struct WhereIs(pub UserId);

impl Handler<Landed> for Registry {
    type Result = ();

    fn handle(&mut self, Landed { events }: Landed, _: &mut Context<Self>) {
        for event in &events {
            if event.draft.kind.changes_membership() {
                self.membership_landed(event);
            }
        }
    }
}

impl Handler<EpochEnded> for Registry {
    type Result = ();

    fn handle(&mut self, EpochEnded { room, epoch }: EpochEnded, _: &mut Context<Self>) {
        if let Some(address) = self.rooms.get(&room) {
            // A room that is too busy to hear it finds out by the next event's epoch.
            let _ = address.try_send(room::EpochEnded { epoch });
        }
        for user in self.interest.restart(room) {
            self.tell_membership(user, room, user);
        }
    }
}

impl Handler<ForgetRooms> for Registry {
    type Result = ();

    fn handle(&mut self, _: ForgetRooms, _: &mut Context<Self>) {
        for room in self.rooms.values() {
            send_always(room, room::Restart);
        }
    }
}

impl Handler<EphemeralReceived> for Registry {
    type Result = ();

    fn handle(
        &mut self,
        EphemeralReceived { room, ephemeral }: EphemeralReceived,
        _: &mut Context<Self>,
    ) {
        if let Some(address) = self.rooms.get(&room) {
            // It may be lost: that is what ephemeral means.
            let _ = address.try_send(room::EphemeralReceived(ephemeral));
        }
    }
}

impl Handler<FromNode> for Registry {
    type Result = ();

    fn handle(&mut self, FromNode(envelope): FromNode, ctx: &mut Context<Self>) {
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        if cluster.broker.is_this_node(&envelope.node) {
            return;
        }
        if let Some(envelope) = cluster.admit(envelope) {
            self.act_on(&envelope, ctx);
        }
    }
}

impl Registry {
    /// Does what a node says that has a lease.
    fn act_on(&mut self, envelope: &Envelope, ctx: &mut Context<Self>) {
        let node = envelope.node.clone();
        match &envelope.payload {
            Payload::People { number, changes } => {
                self.hear_people(envelope, *number, changes, ctx)
            }
            Payload::MembershipChanged { user, room, by } => {
                self.tell_membership(*user, *room, *by);
            }
            Payload::Revoke {
                user,
                login,
                except,
            } => {
                let (login, except) = (*login, *except);
                self.forget_identity(*user);
                self.tell_user(*user, user::Command::Revoke { login, except });
            }
            Payload::AccountChanged { user } => self.recheck(*user),
            Payload::Notify { user, frame } => {
                let frame = frame.clone();
                self.forget_identity(*user);
                self.tell_user(*user, user::Command::Notify { frame });
            }
            Payload::Marked {
                user,
                room,
                read,
                n,
                own,
            } => {
                let mark = Mark {
                    read: *read,
                    n: *n,
                    own: *own,
                };
                self.tell_user(*user, user::Command::Marked { room: *room, mark });
            }
            Payload::Settings { version } => self.order(Order::Settings(*version)),
            Payload::SettingsRefused { version, reason } => self.order(Order::SettingsRefused {
                node,
                version: *version,
                reason: reason.clone(),
            }),
            Payload::Drain => self.order(Order::Drain),
            // The broker acts on it.
            Payload::Life { .. } => {}
        }
    }

    /// Another node has changed this account, or ended sign-ins.
    pub(super) fn forget_identity(&self, user: UserId) {
        if let Some(cluster) = &self.cluster {
            cluster.identities.forget(user);
            cluster.identities.forget_all_logins();
        }
    }

    pub(super) fn order(&self, order: Order) {
        if let Some(cluster) = &self.cluster
            && cluster.orders.try_send(order).is_err()
        {
            log::warn!("an order was not taken: too many wait already");
        }
    }
}

impl Handler<Alive> for Registry {
    type Result = ();

    fn handle(&mut self, Alive(leases): Alive, ctx: &mut Context<Self>) {
        self.hear_leases(leases, ctx);
    }
}

impl Registry {
    /// The leases were read before their time: what strangers said is settled by them.
    pub(super) fn hear_strangers(&mut self, leases: &[Lease], ctx: &mut Context<Self>) {
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        let names = leases.iter();
        let names = names.map(|lease| (lease.id.clone(), lease.generation.clone()));
        let admitted = cluster
            .senders
            .learn(&names.collect::<Vec<_>>(), Instant::now());
        for envelope in &admitted {
            self.act_on(envelope, ctx);
        }
    }

    /// The leases were read: who is new or has told more than was heard here is asked for all
    /// of their people, who has none any more is gone, and what strangers said is settled.
    pub(super) fn hear_leases(&mut self, leases: Vec<Lease>, ctx: &mut Context<Self>) {
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        let others = leases.iter();
        let others = others.filter(|lease| !cluster.broker.is_this_node(&lease.id));
        let name = |lease: &Lease| (lease.id.clone(), lease.generation.clone());
        let nodes: Vec<_> = others.clone().map(name).collect();
        let admitted = cluster.senders.renew(&nodes, Instant::now());
        let has_gone = cluster.people.keep(&nodes);
        for envelope in &admitted {
            self.act_on(envelope, ctx);
        }
        if has_gone {
            self.look_again();
        }
        let Some(cluster) = &self.cluster else { return };
        let people = &cluster.people;
        let knows = |lease: &Lease| people.knows(&lease.id, &lease.generation, lease.told);
        let others = leases.iter();
        let others = others.filter(|lease| !cluster.broker.is_this_node(&lease.id));
        let unknown: Vec<_> = others.filter(|lease| !knows(lease)).map(name).collect();
        for (node, generation) in unknown {
            self.ask_for_people(node, generation, ctx);
        }
    }
}

impl Handler<WasAway> for Registry {
    type Result = ();

    fn handle(&mut self, _: WasAway, ctx: &mut Context<Self>) {
        self.reread_when_known_again(ctx);
        let everybody: Vec<_> = self.interest.everybody().collect();
        let Some(cluster) = self.cluster.as_mut() else {
            return;
        };
        for (user, presence) in everybody {
            cluster.note(PresenceChange {
                user,
                presence: Some(presence),
                text: None,
                rooms: Vec::new(),
            });
        }
        // A number is left out, so that whoever remembers us asks for everybody.
        cluster.number += 1;
    }
}

impl Handler<WhereIs> for Registry {
    type Result = MessageResult<WhereIs>;

    fn handle(&mut self, WhereIs(user): WhereIs, _: &mut Context<Self>) -> Self::Result {
        let elsewhere = self.cluster.iter();
        let elsewhere = elsewhere.flat_map(|cluster| cluster.people.nodes_of(user));
        let elsewhere = elsewhere.map(str::to_owned).collect();
        MessageResult((self.users.contains_key(&user), elsewhere))
    }
}

impl Handler<Observe> for Registry {
    type Result = Holds;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Holds {
        let holds = self.cluster.as_ref().map(|cluster| Holds {
            people_elsewhere: cluster.people.count(),
            told: cluster.told,
            strangers: cluster.senders.refused(),
        });
        holds.unwrap_or_default()
    }
}
