//! What a hub can be told or asked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::SignIn;
use crate::error::Result;
use crate::ids::{Epoch, RoomId, Seq, SessionId, UserId};
use crate::protocol::CloseCode;

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
    /// Which start of it.
    pub incarnation: u64,
    /// Who.
    pub who: Subscriber,
    /// The life of the log that `head` belongs to.
    pub epoch: Epoch,
    /// What the frames contain.
    pub head: Seq,
    /// A snapshot, or the end of a replay; encoded.
    pub frames: Bytes,
    /// Told when the frames are in the lane, or that it is full; dropped when the session is
    /// gone.
    pub done: oneshot::Sender<Result<()>>,
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

/// Does anybody on this thread hear the room? If not, the room is told again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct IsHeard {
    /// Which room.
    pub room: RoomId,
    /// Which start of it.
    pub incarnation: u64,
    /// Subscriptions that it has sent so far.
    pub subscribed: u64,
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

/// A frame for every session of this thread that is signed in.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellAll {
    /// The frame, encoded.
    pub frame: Bytes,
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

/// Every session of this thread has to go: the node stops. Repeating it replaces the plan.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Drain {
    /// How, if there is another node that they can move to; otherwise they are closed at once.
    pub moves: Option<Moves>,
}

/// How sessions are sent to another node, a few at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moves {
    /// Everybody has had their turn after this.
    pub spread: Duration,
    /// Who has not gone so long after their turn is closed.
    pub grace: Duration,
}

/// Which sockets of this thread are this person's? Asked by one who has forgotten them.
#[derive(Message)]
#[rtype(result = "Vec<Device>")]
pub struct FindDevices(pub UserId);

/// One of somebody's sockets.
#[derive(Debug)]
pub struct Device {
    /// Which.
    pub session: SessionId,
    /// On which worker thread.
    pub worker: usize,
    /// By what they are there.
    pub sign_in: SignIn,
    /// What it hears.
    pub subscribed: HashSet<RoomId>,
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
