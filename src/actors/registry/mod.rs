//! The cluster registry: appends to the log, hears the doorbells, knows who is where.
//! Owns: the [`Broker`], the [`Interest`] of this node, addresses of loaded rooms and users,
//! and in a cluster what the other nodes have told.
//! Takes: `Append` `Read` `Page` `WhenFlushed` `RoomUp` `RoomDown` `GetPresent` `SendEphemeral`
//! `Marked` (room), `Watch` `Unwatch` `Quiet` `Leave` `SetPresence` (user), `Ring` `EpochEnded`
//! `EphemeralReceived` `FromNode` (broker), `Landed` (write-back), `Alive` `WasAway` (heartbeat), `AccountsChanged`,
//! `Revoke` `Notify` `AccountChanged` (http).
//! Sends: `room::Deliver` `room::SetPresence`, `user::News` `user::Command`, envelopes.
//! Full mailbox: appends are refused with `overloaded`, rings are lost and heads compared.
//! Knows no room rules. Restart: there is none; the node ends with it.

mod accounts;
mod broker;
mod cluster;
mod comparing;
mod connected;
mod heartbeat;
mod interest;
mod local;
mod message;
mod people;
mod recent;
pub mod redis;
mod remote;
mod rereading;
mod senders;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::mpsc;

pub use self::accounts::{AccountChanged, AccountsChanged, watch_accounts};
pub use self::broker::{Broker, Head, PageOf, Ring};
use self::cluster::Cluster;
pub use self::cluster::Order;
use self::comparing::Comparing;
pub use self::heartbeat::{keep_lease, lease_of};
pub use self::interest::{Change, Heard, Interest, Known};
pub use self::local::LocalBroker;
pub use self::message::*;
use self::redis::RedisBroker;
pub use self::remote::{
    Alive, EphemeralReceived, EpochEnded, ForgetRooms, FromNode, Holds, Observe, WasAway, WhereIs,
};
use super::room::{self, Room};
use super::user::{self, User};
use super::{Pending, Reply, context};
use crate::db;
use crate::identity::Identities;
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::envelope::Payload;
use crate::protocol::{Event, MAX_EVENTS, Presence};

/// Messages that may wait for the registry.
const MAILBOX: usize = 65_536;
/// How often people are told of rooms that they do not look at.
const NEWS_INTERVAL: Duration = Duration::from_millis(250);
/// How often the heads of all rooms are compared with the log: a lost last ring is found.
const COMPARE_INTERVAL: Duration = Duration::from_secs(2);

/// The registry of this node.
pub struct Registry {
    broker: Arc<dyn Broker>,
    interest: Interest,
    /// Rooms whose actor runs on this node.
    rooms: HashMap<RoomId, Addr<Room>>,
    /// Users who are connected to this node.
    users: HashMap<UserId, Addr<User>>,
    /// Rooms whose log is being read on.
    refilling: HashSet<RoomId>,
    /// Loaded rooms that were too busy to hear of new events.
    behind: HashSet<RoomId>,
    /// People whose rooms have to be read again.
    to_reread: BTreeSet<UserId>,
    /// Whose turn it is to be compared with the log.
    comparing: Comparing,
    /// The other nodes; `None` when there are none.
    cluster: Option<Cluster>,
}

impl Registry {
    /// Starts the registry of a node that is alone, on the current thread. The broker is
    /// made with the place that wants to hear its rings.
    pub fn start_alone(broker: impl FnOnce(Recipient<Ring>) -> Arc<dyn Broker>) -> Addr<Self> {
        let ctx = context(MAILBOX);
        let broker = broker(ctx.address().recipient());
        ctx.run(Self::new(broker, None))
    }

    /// Starts the registry of a node of a cluster, on the current thread. Orders for the
    /// whole node go where `orders` leads.
    pub fn start_together(
        broker: RedisBroker,
        orders: mpsc::Sender<Order>,
        identities: Arc<Identities>,
    ) -> Addr<Self> {
        let cluster = Cluster::new(broker.clone(), orders, identities);
        context(MAILBOX).run(Self::new(Arc::new(broker), Some(cluster)))
    }

    fn new(broker: Arc<dyn Broker>, cluster: Option<Cluster>) -> Self {
        Self {
            broker,
            interest: Interest::default(),
            rooms: HashMap::new(),
            users: HashMap::new(),
            refilling: HashSet::new(),
            behind: HashSet::new(),
            to_reread: BTreeSet::new(),
            comparing: Comparing::default(),
            cluster,
        }
    }

    /// New events of a room: counted, handed to the room, and members told of changes.
    fn hear(
        &mut self,
        room: RoomId,
        epoch: Option<Epoch>,
        events: Vec<Event>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(over) = self.interest.epoch_over(room, epoch.clone()) {
            ctx.notify(EpochEnded { room, epoch: over });
        }
        match self.interest.hear(room, &events) {
            Heard::Counted => {}
            Heard::Unwanted => return,
            Heard::Hole(after) => return self.refill(room, after, ctx),
        }
        if self.cluster.is_none() {
            // In a cluster they are told when it is in the database, which they read.
            let changes = events
                .iter()
                .filter(|event| event.draft.kind.changes_membership());
            changes.for_each(|event| self.membership_landed(event));
        }
        if let Some(loaded) = self.rooms.get(&room)
            && loaded.try_send(room::Deliver { epoch, events }).is_err()
        {
            // What was counted here is not asked of the log again: the room has to be told.
            log::debug!("room={room} is busy, a ring was lost");
            self.behind.insert(room);
        }
    }

    /// Reads what was missed and hears it as if it had rung; once at a time for each room.
    fn refill(&mut self, room: RoomId, after: Seq, ctx: &mut Context<Self>) {
        if !self.refilling.insert(room) {
            return;
        }
        let reading = self.broker.read(room, after, MAX_EVENTS);
        ctx.spawn(
            reading
                .into_actor(self)
                .map(move |missed, registry, ctx| match missed {
                    Ok(events) => registry.refilled(room, events, ctx),
                    Err(error) => {
                        registry.refilling.remove(&room);
                        log::debug!("room={room} seq={after} could not be read on: {error}");
                    }
                }),
        );
    }

    fn refilled(&mut self, room: RoomId, events: Vec<Event>, ctx: &mut Context<Self>) {
        self.refilling.remove(&room);
        let Some(last) = events.last().map(Event::seq) else {
            return;
        };
        let more = events.len() == MAX_EVENTS;
        self.hear(room, None, events, ctx);
        if more {
            self.refill(room, last, ctx);
        }
    }

    fn tell_news(&mut self) {
        for (user, loud, quiet) in self.interest.take_changes() {
            if let Some(address) = self.users.get(&user) {
                tell(address, user::News::Changes { loud, quiet });
            }
        }
    }

    /// Rooms that were too busy to hear of something are told to read on.
    fn tell_behind(&mut self) {
        let rooms = &self.rooms;
        self.behind.retain(|room| {
            let loaded = rooms.get(room);
            loaded
                .is_some_and(|room| matches!(room.try_send(room::ReadOn), Err(SendError::Full(_))))
        });
    }
}

/// Tells a user something; a full mailbox loses it, as news are absolute. False when it did.
fn tell(user: &Addr<User>, news: user::News) -> bool {
    let told = user.try_send(news).is_ok();
    if !told {
        log::debug!("a user is busy, news were lost");
    }
    told
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.keep_in_touch(ctx);
        ctx.run_interval(NEWS_INTERVAL, |registry, _| {
            registry.tell_news();
            registry.reread_some();
        });
        ctx.run_interval(COMPARE_INTERVAL, |registry, ctx| {
            registry.tell_behind();
            registry.compare_again(ctx);
        });
    }
}

/// Answers as soon as the broker has. A task of its own: an actor looks at all of its futures
/// whenever it wakes, and thousands of these may be waiting.
fn answer<T: 'static>(reply_to: Reply<T>, asked: Pending<T>) {
    actix::spawn(async move { reply_to.send(asked.await) });
}

impl Handler<Append> for Registry {
    type Result = ();

    fn handle(&mut self, Append { append, reply_to }: Append, _: &mut Context<Self>) {
        answer(reply_to, self.broker.append(append));
    }
}

impl Handler<Read> for Registry {
    type Result = ();

    fn handle(&mut self, read: Read, _: &mut Context<Self>) {
        let reading = self.broker.read(read.room, read.after, read.limit);
        answer(read.reply_to, reading);
    }
}

impl Handler<Ring> for Registry {
    type Result = ();

    fn handle(&mut self, ring: Ring, ctx: &mut Context<Self>) {
        self.hear(ring.room, ring.epoch, ring.events, ctx);
    }
}

impl Handler<Page> for Registry {
    type Result = ();

    fn handle(&mut self, Page { page, reply_to }: Page, _: &mut Context<Self>) {
        answer(reply_to, self.broker.page(page));
    }
}

impl Handler<WhenFlushed> for Registry {
    type Result = ();

    fn handle(&mut self, asked: WhenFlushed, _: &mut Context<Self>) {
        let flushed = self.broker.when_flushed(asked.room, asked.seq);
        answer(asked.reply_to, flushed);
    }
}

impl Handler<RoomUp> for Registry {
    type Result = ();

    fn handle(&mut self, up: RoomUp, _: &mut Context<Self>) {
        let room = up.known.room;
        self.rooms.insert(room, up.address);
        self.interest.load(up.known);
        answer(up.reply_to, self.broker.subscribe(room));
    }
}

impl Handler<GetPresent> for Registry {
    type Result = Vec<(UserId, Presence)>;

    fn handle(&mut self, asked: GetPresent, _: &mut Context<Self>) -> Self::Result {
        if self.cluster.is_none() {
            return self.interest.present(asked.room);
        }
        let members = asked.members.into_iter();
        members
            .map(|user| (user, self.presence_anywhere(user)))
            .filter(|(_, presence)| *presence != Presence::Offline)
            .collect()
    }
}

impl Handler<SendEphemeral> for Registry {
    type Result = ();

    fn handle(&mut self, pass: SendEphemeral, _: &mut Context<Self>) {
        self.broker.pass(pass.room, &pass.epoch, &pass.ephemeral);
    }
}

impl Handler<Marked> for Registry {
    type Result = ();

    fn handle(&mut self, Marked { user, room, mark }: Marked, _: &mut Context<Self>) {
        let db::Mark { read, n, own } = mark;
        self.send_to_nodes_of(
            user,
            &Payload::Marked {
                user,
                room,
                read,
                n,
                own,
            },
        );
    }
}

impl Handler<RoomDown> for Registry {
    type Result = ();

    fn handle(&mut self, RoomDown(room): RoomDown, _: &mut Context<Self>) {
        // Another may have been started for the same room meanwhile.
        if self
            .rooms
            .get(&room)
            .is_some_and(|address| address.connected())
        {
            return;
        }
        self.rooms.remove(&room);
        if self.interest.unload(room) {
            self.broker.unsubscribe(room);
        }
    }
}
