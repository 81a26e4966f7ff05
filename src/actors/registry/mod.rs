//! The cluster registry: appends to the log, hears the doorbells, knows who is where.
//! Owns: the [`Broker`], the [`Interest`] of this node, addresses of loaded rooms and users.
//! Takes: `Append` `RoomUp` `RoomDown` (room), `Watch` `Unwatch` `Quiet` `Leave`
//! `SetPresence` (user), `Ring` (broker), `Revoke` (http), `Observe`.
//! Sends: `room::Deliver` `room::SetPresence`, `user::News` `user::Command`.
//! Full mailbox: appends are refused with `overloaded`, rings are lost and heads compared.
//! Knows no room rules. Restart: there is none; the node ends with it.

mod broker;
mod interest;
mod local;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

pub use self::broker::{Broker, Ring};
pub use self::interest::{Change, Heard, Interest, Known};
pub use self::local::LocalBroker;
use super::room::{self, Room};
use super::user::{self, User};
use super::{Reply, context};
use crate::db::{self, Appended};
use crate::ids::{LoginId, RoomId, Seq, UserId};
use crate::protocol::{Event, MAX_EVENTS, MemberChange, Presence};

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
}

/// Drafts for a room's log (see [`Broker::append`]).
#[derive(Message)]
#[rtype(result = "()")]
pub struct Append {
    /// What is to be appended.
    pub append: db::Append,
    /// Told what became of it.
    pub reply_to: Reply<Appended>,
}

/// What stands in a room's log behind a place.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Read {
    /// Which room.
    pub room: RoomId,
    /// Behind which place.
    pub after: Seq,
    /// At most so many events.
    pub limit: usize,
    /// Told the events, ascending.
    pub reply_to: Reply<Vec<Event>>,
}

/// A room's actor runs on this node from now on; answers who of its members is here.
#[derive(Message)]
#[rtype(result = "Vec<(UserId, Presence)>")]
pub struct RoomUp {
    /// The room and what it has loaded.
    pub known: Known,
    /// Where it is.
    pub address: Addr<Room>,
}

/// A room's actor stops.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoomDown(pub RoomId);

/// A connected person is a member of these rooms. Answers with those that have moved on
/// since they were read: look again.
#[derive(Message)]
#[rtype(result = "Vec<RoomId>")]
pub struct Watch {
    /// Who.
    pub user: UserId,
    /// Where they are.
    pub address: Addr<User>,
    /// Their rooms, as they know them.
    pub rooms: Vec<Known>,
}

/// A connected person is no longer a member of this room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unwatch {
    /// Who.
    pub user: UserId,
    /// Of which room.
    pub room: RoomId,
}

/// Do all of somebody's sessions look at this room, so that their inbox can be quiet?
#[derive(Message)]
#[rtype(result = "()")]
pub struct Quiet {
    /// Who.
    pub user: UserId,
    /// Which room.
    pub room: RoomId,
    /// Whether.
    pub quiet: bool,
}

/// How somebody wants to be seen; `Offline` when their last session here has gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetPresence {
    /// Who.
    pub user: UserId,
    /// How.
    pub presence: Presence,
    /// In their own words.
    pub text: Option<String>,
}

/// Somebody has no session on this node any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub UserId);

/// Somebody's tokens are worth nothing any more: their sockets close with 4403.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Revoke {
    /// Whose.
    pub user: UserId,
    /// Only those of this login; `None` for all.
    pub login: Option<LoginId>,
    /// But not those of this one.
    pub except: Option<LoginId>,
}

/// What is the matter with a person's account, for all of their devices.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Notify {
    /// Whose.
    pub user: UserId,
    /// The frame, as JSON.
    pub frame: String,
}

impl Registry {
    /// Starts the registry on the current thread. The broker is made with the place that
    /// wants to hear its rings.
    pub fn start_here(broker: impl FnOnce(Recipient<Ring>) -> Arc<dyn Broker>) -> Addr<Self> {
        let ctx = context(MAILBOX);
        let broker = broker(ctx.address().recipient());
        ctx.run(Self {
            broker,
            interest: Interest::default(),
            rooms: HashMap::new(),
            users: HashMap::new(),
        })
    }

    /// New events of a room: counted, handed to the room, and members told of changes.
    fn hear(&mut self, room: RoomId, events: Vec<Event>, ctx: &mut Context<Self>) {
        match self.interest.hear(room, &events) {
            Heard::Counted => {}
            Heard::Unwanted => return,
            Heard::Hole(after) => return self.refill(room, after, ctx),
        }
        for event in events
            .iter()
            .filter(|event| event.draft.kind.changes_membership())
        {
            self.tell_member(event);
        }
        if let Some(loaded) = self.rooms.get(&room)
            && loaded.try_send(room::Deliver(events)).is_err()
        {
            // It finds the hole itself, by `seq` or when heads are compared.
            log::debug!("room={room} is busy, a ring was lost");
        }
    }

    /// Somebody who is connected here joined, left or was removed.
    fn tell_member(&self, event: &Event) {
        let Ok(change) = serde_json::from_str::<MemberChange>(&event.draft.body) else {
            return;
        };
        if let Some(user) = self.users.get(&change.user) {
            let by = event.draft.from;
            let command = user::Command::MembershipChanged {
                room: event.room,
                by,
            };
            tell(user, user::News::Command(command));
        }
    }

    /// Reads what was missed and hears it as if it had rung.
    fn refill(&mut self, room: RoomId, after: Seq, ctx: &mut Context<Self>) {
        let reading = self.broker.read(room, after, MAX_EVENTS);
        ctx.spawn(
            reading
                .into_actor(self)
                .map(move |missed, registry, ctx| match missed {
                    Ok(events) if events.is_empty() => {}
                    Ok(events) => registry.hear(room, events, ctx),
                    Err(error) => {
                        log::debug!("room={room} seq={after} could not be read on: {error}")
                    }
                }),
        );
    }

    fn tell_news(&mut self) {
        for (user, loud, quiet) in self.interest.take_changes() {
            if let Some(address) = self.users.get(&user) {
                tell(address, user::News::Changes { loud, quiet });
            }
        }
    }

    /// Asks the log how far these rooms are, and reads what was missed.
    fn compare_heads(&mut self, rooms: Vec<RoomId>, ctx: &mut Context<Self>) {
        if rooms.is_empty() {
            return;
        }
        let asking = self.broker.heads(rooms);
        ctx.spawn(asking.into_actor(self).map(|heads, registry, ctx| {
            for (room, head) in heads.unwrap_or_default() {
                if let Some(seen) = registry.interest.head(room).filter(|seen| *seen < head) {
                    registry.refill(room, seen, ctx);
                }
            }
        }));
    }

    fn tell_presence(
        &self,
        rooms: &[RoomId],
        user: UserId,
        presence: Presence,
        text: &Option<String>,
    ) {
        for room in rooms.iter().filter_map(|room| self.rooms.get(room)) {
            let news = room::SetPresence {
                user,
                presence,
                text: text.clone(),
            };
            // Presence may be lost under load; the next change or load puts it right.
            let _ = room.try_send(news);
        }
    }
}

/// Tells a user something; a full mailbox loses it, as news are absolute.
fn tell(user: &Addr<User>, news: user::News) {
    if user.try_send(news).is_err() {
        log::debug!("a user is busy, news were lost");
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(NEWS_INTERVAL, |registry, _| registry.tell_news());
        ctx.run_interval(COMPARE_INTERVAL, |registry, ctx| {
            if registry.broker.may_have_missed() {
                let rooms = registry.interest.rooms().collect();
                registry.compare_heads(rooms, ctx);
            }
        });
    }
}

impl Handler<Append> for Registry {
    type Result = ();

    fn handle(&mut self, Append { append, reply_to }: Append, ctx: &mut Context<Self>) {
        let appending = self.broker.append(append);
        ctx.spawn(async move { reply_to.send(appending.await) }.into_actor(self));
    }
}

impl Handler<Read> for Registry {
    type Result = ();

    fn handle(&mut self, read: Read, ctx: &mut Context<Self>) {
        let reading = self.broker.read(read.room, read.after, read.limit);
        ctx.spawn(async move { read.reply_to.send(reading.await) }.into_actor(self));
    }
}

impl Handler<Ring> for Registry {
    type Result = ();

    fn handle(&mut self, ring: Ring, ctx: &mut Context<Self>) {
        self.hear(ring.room, ring.events, ctx);
    }
}

impl Handler<RoomUp> for Registry {
    type Result = Vec<(UserId, Presence)>;

    fn handle(&mut self, up: RoomUp, _: &mut Context<Self>) -> Self::Result {
        let room = up.known.room;
        self.rooms.insert(room, up.address);
        self.interest.load(up.known);
        self.broker.subscribe(room);
        self.interest.present(room)
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

impl Handler<Watch> for Registry {
    type Result = Vec<RoomId>;

    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) -> Vec<RoomId> {
        let rooms = watch.rooms.iter().map(|known| known.room);
        let fresh: Vec<_> = rooms
            .filter(|room| self.interest.head(*room).is_none())
            .collect();
        for room in &fresh {
            self.broker.subscribe(*room);
        }
        self.users.insert(watch.user, watch.address);
        let stale = self.interest.watch(watch.user, &watch.rooms);
        let rooms: Vec<_> = watch.rooms.iter().map(|known| known.room).collect();
        let (presence, text) = self.interest.presence(watch.user);
        self.tell_presence(&rooms, watch.user, presence, &text);
        // What was appended between the reading and the subscription is found at once.
        self.compare_heads(fresh, ctx);
        stale
    }
}

impl Handler<Unwatch> for Registry {
    type Result = ();

    fn handle(&mut self, Unwatch { user, room }: Unwatch, _: &mut Context<Self>) {
        if self.interest.unwatch(user, room) {
            self.broker.unsubscribe(room);
        }
    }
}

impl Handler<Quiet> for Registry {
    type Result = ();

    fn handle(&mut self, Quiet { user, room, quiet }: Quiet, _: &mut Context<Self>) {
        self.interest.set_quiet(user, room, quiet);
    }
}

impl Handler<SetPresence> for Registry {
    type Result = ();

    fn handle(&mut self, set: SetPresence, _: &mut Context<Self>) {
        let rooms = self
            .interest
            .set_presence(set.user, set.presence, set.text.clone());
        self.tell_presence(&rooms, set.user, set.presence, &set.text);
    }
}

impl Handler<Leave> for Registry {
    type Result = ();

    fn handle(&mut self, Leave(user): Leave, _: &mut Context<Self>) {
        self.users.remove(&user);
        for room in self.interest.leave(user) {
            self.broker.unsubscribe(room);
        }
    }
}

impl Handler<Revoke> for Registry {
    type Result = ();

    fn handle(
        &mut self,
        Revoke {
            user,
            login,
            except,
        }: Revoke,
        _: &mut Context<Self>,
    ) {
        if let Some(address) = self.users.get(&user) {
            tell(
                address,
                user::News::Command(user::Command::Revoke { login, except }),
            );
        }
    }
}

impl Handler<Notify> for Registry {
    type Result = ();

    fn handle(&mut self, Notify { user, frame }: Notify, _: &mut Context<Self>) {
        if let Some(address) = self.users.get(&user) {
            tell(
                address,
                user::News::Command(user::Command::Notify { frame }),
            );
        }
    }
}
