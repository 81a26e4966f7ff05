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
use crate::db::{Append, Appended};
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

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

    /// The newest place of each of these rooms; rooms that do not exist are left out.
    fn heads(&self, rooms: Vec<RoomId>) -> Pending<Vec<(RoomId, Seq)>>;

    /// May a ring have been lost since this was last asked? Then heads are to be compared.
    fn may_have_missed(&self) -> bool;

    /// From now on, rings of this room are wanted.
    fn subscribe(&self, room: RoomId);

    /// Rings of this room are no longer wanted; one more may still come.
    fn unsubscribe(&self, room: RoomId);
}

/// The doorbell of a room: these events are in its log now.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Ring {
    /// Which room.
    pub room: RoomId,
    /// What is new, ascending.
    pub events: Vec<Event>,
}
