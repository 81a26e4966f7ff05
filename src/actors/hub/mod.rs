//! One per worker thread: hands a room's frames to that thread's sessions, watches slow ones.
//! Owns: the [`Lanes`] of its thread (shared with the sessions there), who is subscribed to what.
//! Takes: `Subscribe` `Unsubscribe` `Deliver` `Lost` `IsHeard` `Ephemeral` (room), `Tell` `Close` `FindDevices`
//! (user), `Drain` `TellAll` (node), `Observe`.
//! Sends: `room::Command::HubEmpty`, `session::Due`.
//! Full mailbox: the room keeps its place and tries again; ephemerals are dropped.

mod audience;
mod lagging;
mod lanes;
mod leaving;
mod message;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use self::audience::{Audience, Listener};
pub use self::lanes::{Lanes, SignIn};
use self::leaving::Leaving;
pub use self::message::*;
use super::room::Command;
use super::{Services, context, user};
use crate::error::Error;
use crate::ids::{RoomId, SessionId, UserId};

/// Hand-overs that may wait for one worker thread.
const MAILBOX: usize = 4096;
/// How often lanes are looked over. Deadlines of sessions are kept to this precision.
const TICK: Duration = Duration::from_millis(250);

/// The hub of one worker thread.
pub struct Hub {
    /// Which worker thread this is.
    worker: usize,
    /// The sockets of this thread.
    lanes: Lanes,
    /// Who hears which room.
    rooms: HashMap<RoomId, Audience>,
    /// Whose turn to go it is, once the node stops.
    leaving: Option<Leaving>,
    /// To tell rooms that nobody listens here any more.
    services: Arc<Services>,
}

impl Hub {
    /// Starts the hub of the current thread.
    pub fn start_here(worker: usize, lanes: Lanes, services: Arc<Services>) -> Addr<Self> {
        let hub = Self {
            worker,
            lanes,
            rooms: HashMap::new(),
            leaving: None,
            services,
        };
        context(MAILBOX).run(hub)
    }

    /// Takes a listener out. The room is told when it was the last one.
    fn remove(&mut self, room: RoomId, session: SessionId) {
        if let Some(connection) = self.lanes.change().get_mut(&session) {
            connection.rooms.remove(&room);
        }
        if let Some(audience) = self.rooms.get_mut(&room) {
            let mut gone = audience
                .listeners
                .extract_if(.., |other| other.session == session);
            if let Some(listener) = gone.next() {
                tell_looking(&self.services, listener.user, session, room, false);
            }
        }
        self.tidy(room);
    }

    fn tidy(&mut self, room: RoomId) {
        let Some(audience) = self
            .rooms
            .get(&room)
            .filter(|rest| rest.listeners.is_empty())
        else {
            return;
        };
        let (incarnation, subscribed) = (audience.incarnation, audience.subscribed);
        self.rooms.remove(&room);
        self.tell_empty(room, incarnation, subscribed);
    }

    fn tell_empty(&self, room: RoomId, incarnation: u64, subscribed: u64) {
        self.services.room(room).tell(Command::HubEmpty {
            worker: self.worker,
            incarnation,
            subscribed,
        });
    }

    /// Whose last event this was hears nothing more of the room.
    fn evict(&mut self, room: RoomId, user: UserId) {
        let Some(audience) = self.rooms.get_mut(&room) else {
            return;
        };
        let mut lanes = self.lanes.change();
        audience.listeners.retain(|listener| {
            let stays = listener.user != user;
            if !stays {
                if let Some(connection) = lanes.get_mut(&listener.session) {
                    connection.rooms.remove(&room);
                }
                tell_looking(&self.services, user, listener.session, room, false);
            }
            stays
        });
        drop(lanes);
        self.tidy(room);
    }

    /// Sends away whose turn it is.
    fn send_away(&mut self) {
        if let Some(leaving) = &mut self.leaving {
            leaving.take_turns(&self.lanes, Instant::now());
        }
    }

    fn forget(&mut self, session: SessionId) {
        // A session that failed has not signed out itself.
        self.lanes.sign_out(session, &self.services);
        let Some(connection) = self.lanes.change().remove(&session) else {
            return;
        };
        connection.lane.end();
        for room in connection.rooms {
            self.remove(room, session);
        }
    }
}

/// A person's inbox is quiet about rooms that all of their sessions look at.
fn tell_looking(
    services: &Services,
    user: UserId,
    session: SessionId,
    room: RoomId,
    subscribed: bool,
) {
    services.user(user).tell(user::Command::Looking {
        session,
        room,
        subscribed,
    });
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, |hub, _| {
            let limit = hub.services.config.tuning.stall_cut;
            for session in hub.lanes.look_over(limit) {
                hub.forget(session);
            }
            hub.send_away();
        });
    }
}

impl Handler<Subscribe> for Hub {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, _: &mut Context<Self>) {
        let Subscribe {
            room,
            incarnation,
            who,
            epoch,
            head,
            frames,
            done,
        } = subscribe;
        let heard = self.rooms.get(&room);
        if heard.is_some_and(|audience| audience.incarnation != incarnation) {
            // They hear a start of the room that is gone, and were not told.
            self.lose(room, head);
        }
        let mut lanes = self.lanes.change();
        let connection = lanes.get_mut(&who.session);
        let audience = self.rooms.entry(room).or_insert_with(|| Audience {
            listeners: Vec::new(),
            epoch: epoch.clone(),
            head,
            incarnation,
            subscribed: 0,
        });
        audience.subscribed += 1;
        audience.epoch = epoch;
        if connection.as_ref().is_some_and(|it| it.lane.is_full()) {
            // Nothing changes; whoever asked may have gone meanwhile.
            let _ = done.send(Err(Error::too_many_in_flight()));
            drop(lanes);
            return self.tidy(room);
        }
        audience
            .listeners
            .retain(|listener| listener.session != who.session);
        if let Some(connection) = connection.filter(|connection| !connection.lane.is_closed()) {
            connection.rooms.insert(room);
            connection.lane.reply(frames);
            let lane = connection.lane.clone();
            let Subscriber { user, session, .. } = who;
            audience.listeners.push(Listener {
                session,
                user,
                lane,
                after: head,
            });
            tell_looking(&self.services, user, session, room, true);
            // Whoever asked may have gone meanwhile.
            let _ = done.send(Ok(()));
        }
        drop(lanes);
        self.tidy(room);
    }
}

impl Handler<Unsubscribe> for Hub {
    type Result = ();

    fn handle(&mut self, unsubscribe: Unsubscribe, _: &mut Context<Self>) {
        self.remove(unsubscribe.room, unsubscribe.session);
        // Whoever asked may have gone meanwhile.
        let _ = unsubscribe.done.send(());
    }
}

impl Handler<Deliver> for Hub {
    type Result = ();

    fn handle(&mut self, Deliver(delivery): Deliver, _: &mut Context<Self>) {
        let Some(audience) = self.rooms.get_mut(&delivery.room) else {
            return;
        };
        let mut full = Vec::new();
        for listener in &mut audience.listeners {
            if listener.take(&delivery).is_err() {
                full.push(listener.session);
            }
        }
        audience.head = delivery
            .events
            .last()
            .map_or(audience.head, |event| event.seq);
        audience.epoch = delivery.epoch.clone();
        for session in full {
            self.make_way(session, &delivery);
        }
        for user in delivery.events.iter().filter_map(|event| event.removes) {
            self.evict(delivery.room, user);
        }
    }
}

impl Handler<Lost> for Hub {
    type Result = ();

    fn handle(&mut self, Lost { room, head }: Lost, _: &mut Context<Self>) {
        self.lose(room, head);
    }
}

impl Handler<IsHeard> for Hub {
    type Result = ();

    fn handle(&mut self, asked: IsHeard, _: &mut Context<Self>) {
        if !self.rooms.contains_key(&asked.room) {
            self.tell_empty(asked.room, asked.incarnation, asked.subscribed);
        }
    }
}

impl Handler<Ephemeral> for Hub {
    type Result = ();

    fn handle(&mut self, news: Ephemeral, _: &mut Context<Self>) {
        let Some(audience) = self.rooms.get(&news.room) else {
            return;
        };
        for listener in &audience.listeners {
            if Some(listener.user) != news.except {
                listener.lane.ephemeral(news.frames.clone());
            }
        }
    }
}

impl Handler<Tell> for Hub {
    type Result = ();

    fn handle(
        &mut self,
        Tell {
            session,
            frame,
            ephemeral,
        }: Tell,
        _: &mut Context<Self>,
    ) {
        match self.lanes.lane(session) {
            Some(lane) if ephemeral => lane.ephemeral(frame),
            Some(lane) => lane.reply(frame),
            None => {}
        }
    }
}

impl Handler<TellAll> for Hub {
    type Result = ();

    fn handle(&mut self, TellAll { frame }: TellAll, _: &mut Context<Self>) {
        for connection in self.lanes.look().values() {
            if connection.sign_in.is_some() {
                connection.lane.reply(frame.clone());
            }
        }
    }
}

impl Handler<Close> for Hub {
    type Result = ();

    fn handle(&mut self, close: Close, _: &mut Context<Self>) {
        let Some(lane) = self.lanes.lane(close.session) else {
            return;
        };
        if let Some(frame) = close.farewell {
            lane.reply(frame);
        }
        Lanes::close(&lane, close.code);
    }
}

impl Handler<Drain> for Hub {
    type Result = ();

    fn handle(&mut self, Drain { moves }: Drain, _: &mut Context<Self>) {
        self.leaving = Some(Leaving::plan(moves, &self.lanes, Instant::now()));
        self.send_away();
    }
}

impl Handler<FindDevices> for Hub {
    type Result = Vec<Device>;

    fn handle(&mut self, FindDevices(user): FindDevices, _: &mut Context<Self>) -> Vec<Device> {
        let lanes = self.lanes.look();
        let found = lanes.iter().filter_map(|(session, connection)| {
            let sign_in = connection.sign_in.filter(|sign_in| sign_in.user == user)?;
            Some(Device {
                session: *session,
                worker: self.worker,
                sign_in,
                subscribed: connection.rooms.clone(),
            })
        });
        found.collect()
    }
}

impl Handler<Observe> for Hub {
    type Result = Holds;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Holds {
        Holds {
            sessions: self.lanes.look().len(),
            subscriptions: self
                .rooms
                .values()
                .map(|audience| audience.listeners.len())
                .sum(),
        }
    }
}
