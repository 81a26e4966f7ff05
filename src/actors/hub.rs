//! One per worker thread: hands a room's frames to that thread's sessions, watches slow ones.
//! Owns: the [`Lanes`] of its thread (shared with the sessions there), who is subscribed to what.
//! Takes: `Subscribe` `Unsubscribe` `Deliver` `Ephemeral` (room), `Tell` `Close` (user), `Observe`.
//! Sends: `room::Command::HubEmpty`, `session::Due`.
//! Full mailbox: the room keeps its place and tries again; ephemerals are dropped.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::lane::{Full, Lane};
use super::room::Command;
use super::session::{Due, Session};
use super::socket::Socket;
use super::{Services, context, user, wire};
use crate::ids::{Epoch, RoomId, Seq, SessionId, UserId};
use crate::protocol::{CloseCode, Gap, GapReason, ServerFrame};

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
    /// To tell rooms that nobody listens here any more.
    services: Arc<Services>,
}

/// The sockets of one worker thread, shared between its hub and its sessions.
#[derive(Clone, Default)]
pub struct Lanes(Rc<RefCell<HashMap<SessionId, Connection>>>);

/// What a hub knows of one socket.
struct Connection {
    lane: Rc<Lane>,
    socket: Socket,
    session: Addr<Session>,
    rooms: HashSet<RoomId>,
}

/// Everybody on this thread who hears one room.
struct Audience {
    listeners: Vec<Listener>,
    epoch: Epoch,
    /// The newest event that was handed over.
    head: Seq,
    /// Subscriptions ever made; tells the room whether "empty" is still true.
    subscribed: u64,
}

struct Listener {
    session: SessionId,
    user: UserId,
    lane: Rc<Lane>,
    /// The newest event that is in the lane, or was in the snapshot.
    after: Seq,
}

/// Who subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// Which person.
    pub user: UserId,
    /// Over which socket.
    pub session: SessionId,
    /// On which worker thread.
    pub worker: usize,
}

/// Begins a subscription: first these frames, then every event behind `head`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub who: Subscriber,
    /// The life of the log that `head` belongs to.
    pub epoch: Epoch,
    /// What the frames contain.
    pub head: Seq,
    /// A snapshot, or the end of a replay; encoded.
    pub frames: Bytes,
    /// Told when the frames are in the lane; dropped when the session is gone.
    pub done: oneshot::Sender<()>,
}

/// Ends a subscription; nothing of the room follows.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unsubscribe {
    /// Which room.
    pub room: RoomId,
    /// Whose.
    pub session: SessionId,
    /// Told when it is done.
    pub done: oneshot::Sender<()>,
}

/// New events of a room, for everybody on this thread who hears it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver(pub Arc<Delivery>);

/// What a room hands over: encoded once, shared by all.
#[derive(Debug)]
pub struct Delivery {
    /// Which room.
    pub room: RoomId,
    /// Which life of its log.
    pub epoch: Epoch,
    /// The events, ascending, without holes.
    pub events: Vec<Encoded>,
    /// All of `events` as others see them, in one piece.
    pub joined: Bytes,
}

/// One event as a frame.
#[derive(Debug)]
pub struct Encoded {
    /// Its number.
    pub seq: Seq,
    /// Who sent it.
    pub from: UserId,
    /// As everybody else sees it.
    pub plain: Bytes,
    /// As its sender sees it.
    pub own: Bytes,
    /// Whose last event of this room it is.
    pub removes: Option<UserId>,
}

/// The room has moved on further than it can still hand over: its listeners here are told
/// the gap, and subscribe again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lost {
    /// Which room.
    pub room: RoomId,
    /// Its newest event.
    pub head: Seq,
}

/// Something about a room that may be lost.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct Ephemeral {
    /// Which room.
    pub room: RoomId,
    /// The frames, encoded.
    pub frames: Bytes,
    /// Who need not be told.
    pub except: Option<UserId>,
}

/// A frame for one session.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tell {
    /// Which.
    pub session: SessionId,
    /// The frame, encoded.
    pub frame: Bytes,
    /// May it be lost when the socket is slow?
    pub ephemeral: bool,
}

/// The end of one session.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close {
    /// Which.
    pub session: SessionId,
    /// A last frame.
    pub farewell: Option<Bytes>,
    /// Why.
    pub code: CloseCode,
}

/// The end of every session of this thread: the node stops.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseAll {
    /// Why.
    pub code: CloseCode,
}

/// What a hub holds; for metrics and tests.
#[derive(Message)]
#[rtype(result = "Holds")]
pub struct Observe;

/// The answer to [`Observe`].
#[derive(Debug, Default, Clone, Copy, MessageResponse)]
pub struct Holds {
    /// Sockets on this thread.
    pub sessions: usize,
    /// Subscriptions on this thread.
    pub subscriptions: usize,
}

impl Lanes {
    /// Adds a socket.
    pub fn add(&self, session: SessionId, lane: Rc<Lane>, socket: Socket, address: Addr<Session>) {
        let connection = Connection {
            lane,
            socket,
            session: address,
            rooms: HashSet::new(),
        };
        self.0.borrow_mut().insert(session, connection);
    }

    fn lane(&self, session: SessionId) -> Option<Rc<Lane>> {
        self.0
            .borrow()
            .get(&session)
            .map(|connection| connection.lane.clone())
    }
}

impl Hub {
    /// Starts the hub of the current thread.
    pub fn start_here(worker: usize, lanes: Lanes, services: Arc<Services>) -> Addr<Self> {
        let hub = Self {
            worker,
            lanes,
            rooms: HashMap::new(),
            services,
        };
        context(MAILBOX).run(hub)
    }

    /// Takes a listener out. The room is told when it was the last one.
    fn remove(&mut self, room: RoomId, session: SessionId) {
        if let Some(connection) = self.lanes.0.borrow_mut().get_mut(&session) {
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
        let subscribed = audience.subscribed;
        self.rooms.remove(&room);
        self.services.room(room).tell(Command::HubEmpty {
            worker: self.worker,
            subscribed,
        });
    }

    /// The socket could not take what is due: its busiest rooms go, until this one fits.
    fn make_way(&mut self, session: SessionId, delivery: &Delivery) {
        let Some(lane) = self.lanes.lane(session) else {
            return;
        };
        loop {
            let busiest = lane.busiest_room().unwrap_or(delivery.room);
            self.drop_for_lag(session, &lane, busiest);
            let Some(audience) = self.rooms.get_mut(&delivery.room) else {
                return;
            };
            let mut listeners = audience.listeners.iter_mut();
            let listener = listeners.find(|listener| listener.session == session);
            if listener.is_none_or(|listener| listener.take(delivery).is_ok()) {
                return;
            }
        }
    }

    /// Ends a subscription of a socket that does not keep up, and says what it will not get.
    fn drop_for_lag(&mut self, session: SessionId, lane: &Lane, room: RoomId) {
        let unsent = lane.drop_room(room);
        let Some(audience) = self.rooms.get(&room) else {
            return;
        };
        let Some(listener) = audience
            .listeners
            .iter()
            .find(|other| other.session == session)
        else {
            return;
        };
        let from = unsent.unwrap_or(listener.after.next());
        let gap = Gap {
            room,
            epoch: &audience.epoch,
            from,
            to: audience.head,
            reason: GapReason::Lag,
        };
        lane.reply(wire::text(&ServerFrame::Gap(gap).to_json()));
        log::debug!("session={session} room={room} lags, dropped from seq={from}");
        self.remove(room, session);
    }

    /// Whose last event this was hears nothing more of the room.
    fn evict(&mut self, room: RoomId, user: UserId) {
        let Some(audience) = self.rooms.get_mut(&room) else {
            return;
        };
        let mut lanes = self.lanes.0.borrow_mut();
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

    /// Calls sessions whose time has come and cuts those whose sockets are stuck.
    fn look_over(&mut self) {
        let now = Instant::now();
        let patience = self.services.config.tuning.stall_cut;
        let mut gone = Vec::new();
        for (id, connection) in self.lanes.0.borrow().iter() {
            if !connection.session.connected() {
                gone.push(*id);
            } else if connection.lane.is_stuck(now, patience) {
                log::info!("session={id} took nothing for {patience:?}, cut");
                connection.socket.cut();
                connection.lane.end();
            } else if connection.lane.take_due(now) && connection.session.try_send(Due).is_err() {
                // The session's mailbox is full: it is called at the next tick.
                connection.lane.call_at(Some(now));
            }
        }
        for session in gone {
            self.forget(session);
        }
    }

    fn forget(&mut self, session: SessionId) {
        let Some(connection) = self.lanes.0.borrow_mut().remove(&session) else {
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
        ctx.run_interval(TICK, |hub, _| hub.look_over());
    }
}

impl Handler<Subscribe> for Hub {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, _: &mut Context<Self>) {
        let Subscribe {
            room,
            who,
            epoch,
            head,
            frames,
            done,
        } = subscribe;
        let mut lanes = self.lanes.0.borrow_mut();
        let connection = lanes.get_mut(&who.session);
        let audience = self.rooms.entry(room).or_insert_with(|| Audience {
            listeners: Vec::new(),
            epoch: epoch.clone(),
            head,
            subscribed: 0,
        });
        audience.subscribed += 1;
        audience.epoch = epoch;
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
            let _ = done.send(());
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

impl Listener {
    /// Queues what is new to this listener: in one piece when it may be shared. After an
    /// error the same call goes on where it stopped.
    fn take(&mut self, delivery: &Delivery) -> Result<(), Full> {
        let (Some(first), Some(last)) = (delivery.events.first(), delivery.events.last()) else {
            return Ok(());
        };
        let mine = |event: &Encoded| event.from == self.user || event.removes == Some(self.user);
        if first.seq > self.after && !delivery.events.iter().any(mine) {
            self.lane
                .events(delivery.joined.clone(), delivery.room, first.seq)?;
            self.after = last.seq;
            return Ok(());
        }
        for event in &delivery.events {
            if event.seq <= self.after {
                continue;
            }
            let frame = if event.from == self.user {
                &event.own
            } else {
                &event.plain
            };
            self.lane.events(frame.clone(), delivery.room, event.seq)?;
            self.after = event.seq;
            if event.removes == Some(self.user) {
                break;
            }
        }
        Ok(())
    }
}

impl Handler<Lost> for Hub {
    type Result = ();

    fn handle(&mut self, Lost { room, head }: Lost, _: &mut Context<Self>) {
        let Some(audience) = self.rooms.get_mut(&room) else {
            return;
        };
        audience.head = head;
        let sessions: Vec<_> = audience.listeners.iter().map(|who| who.session).collect();
        for session in sessions {
            if let Some(lane) = self.lanes.lane(session) {
                self.drop_for_lag(session, &lane, room);
            }
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

impl Handler<Close> for Hub {
    type Result = ();

    fn handle(&mut self, close: Close, _: &mut Context<Self>) {
        let Some(lane) = self.lanes.lane(close.session) else {
            return;
        };
        if let Some(frame) = close.farewell {
            lane.reply(frame);
        }
        lane.close(wire::close(close.code));
        // The session sees that its lane is closed and lingers for the peer's close frame.
        lane.call_at(Some(Instant::now()));
    }
}

impl Handler<CloseAll> for Hub {
    type Result = ();

    fn handle(&mut self, CloseAll { code }: CloseAll, _: &mut Context<Self>) {
        for connection in self.lanes.0.borrow().values() {
            connection.lane.close(wire::close(code));
            connection.lane.call_at(Some(Instant::now()));
        }
    }
}

impl Handler<Observe> for Hub {
    type Result = Holds;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Holds {
        Holds {
            sessions: self.lanes.0.borrow().len(),
            subscriptions: self
                .rooms
                .values()
                .map(|audience| audience.listeners.len())
                .sum(),
        }
    }
}
