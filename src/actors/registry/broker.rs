//! What the registry asks of the log, whatever it is kept in.
//!
//! # The contract
//!
//! **Atomic**: [`Broker::append`] is one step. Either every draft of it has its fate and the
//! new ones stand behind the head without a hole, or nothing has happened. Two appends to
//! one room never interleave. A repeated `(room, sender, client_id)` gets the first one's
//! place, for ever. An append whose basis is older than the room's newest restricting event
//! (for a `join`: the newest change of membership) is refused, with what it had not seen.
//!
//! Only where the database cannot be asked whether it knows a draft is there a third way: all
//! drafts of its sender are left out of the append, with `Fate::Unknown`.
//!
//! **Durable**: what was answered `Done` survives the death of any one process.
//!
//! **In order**: rings of one room come in the order of `seq`, each event at least once.
//!
//! **May be lost**: any ring, when the receiver's mailbox is full or its connection was cut.
//! The receiver finds the hole by `seq`, or by comparing [`Broker::heads`], and reads.
//!
//! **Unknown**: after `unavailable` nobody knows whether the append took place; repeating it
//! is safe.

use actix::prelude::*;

use crate::actors::Pending;
use crate::db::{Append, Appended, Range, Select};
use crate::ids::{Epoch, RoomId, Seq};
use crate::protocol::Event;
use crate::protocol::doorbell::Ephemeral;

/// The log of every room, and the doorbells. See the module for what it promises.
pub trait Broker: Send + Sync {
    /// Appends drafts to a room's log in one step.
    ///
    /// # Errors
    /// `unavailable`: out of reach, outcome unknown. `overloaded`: the backlog is full,
    /// nothing has happened.
    fn append(&self, append: Append) -> Pending<Appended>;

    /// Events behind `after`, ascending, at most `limit`; the log first, then the database.
    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>>;

    /// A page of history: a range of the log, ascending, at most `limit`, nothing below
    /// `floor` (inclusive); the log first, then the database for what lies below it.
    fn page(&self, page: PageOf) -> Pending<Vec<Event>>;

    /// The newest place of each of these rooms; rooms that do not exist are left out.
    fn heads(&self, rooms: Vec<RoomId>) -> Pending<Vec<Head>>;

    /// May a ring have been lost since this was last asked? Then heads are to be compared.
    fn may_have_missed(&self) -> bool;

    /// From now on, rings of this room are wanted; answers when they come for sure.
    fn subscribe(&self, room: RoomId) -> Pending<()>;

    /// Rings of this room are no longer wanted; one more may still come.
    fn unsubscribe(&self, room: RoomId);

    /// Answers when everything up to this place is in the database.
    fn when_flushed(&self, room: RoomId, seq: Seq) -> Pending<()>;

    /// Tells other nodes that listen to this room of something that may be lost.
    fn pass(&self, room: RoomId, epoch: &Epoch, ephemeral: &Ephemeral);
}

/// How far a room's log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which room.
    pub room: RoomId,
    /// In which life of its log; `None` where that was not looked up.
    pub epoch: Option<Epoch>,
    /// Its newest place.
    pub head: Seq,
}

impl Head {
    /// A head as the database tells it.
    pub(super) fn in_database((room, head): (RoomId, Seq)) -> Self {
        Self {
            room,
            epoch: None,
            head,
        }
    }
}

/// A part of a room's history.
#[derive(Debug, Clone, Copy)]
pub struct PageOf {
    /// Which room.
    pub room: RoomId,
    /// Which side of which place.
    pub range: Range,
    /// Nothing below this.
    pub floor: Seq,
    /// Which events.
    pub select: Select,
    /// Most events.
    pub limit: usize,
}

/// The doorbell of a room: these events are in its log now.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Ring {
    /// Which room.
    pub room: RoomId,
    /// In which life of the room's log, where that can change.
    pub epoch: Option<Epoch>,
    /// What is new, ascending.
    pub events: Vec<Event>,
}
