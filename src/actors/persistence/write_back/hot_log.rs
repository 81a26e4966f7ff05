//! What the write-back needs of the log that stands in front of the database.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::Pending;
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// The hot log. Any error means that it is out of reach: the same is asked again later.
pub trait HotLog: Send + Sync {
    /// Events behind `after`, from the hot log only: dense from `after + 1`, at most `limit`;
    /// none when it begins later, or has nothing. Also when the log is fenced, and has to be
    /// rebuilt: what is still in it is looked for, before a missing number becomes `void`. An
    /// error says that nobody knows what it has.
    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>>;

    /// Moves `flushed` of these rooms forward; one answer for each, in order.
    fn flush(&self, rooms: Vec<(RoomId, Seq)>) -> Pending<Vec<Flushed>>;

    /// Dirty rooms whose `flushed` has not moved for so long.
    fn stuck(&self, older_than: Duration) -> Pending<Vec<RoomId>>;

    /// Gives the room a new epoch and appends these again, as after a conflict or by a node
    /// that comes late; their ids tell which of them are in the database already.
    fn append_again(&self, room: RoomId, events: Vec<Event>) -> Pending<()>;

    /// The database says that our life is over.
    fn fence(&self);

    /// The name of the life that this node takes part in.
    fn life(&self) -> Arc<str>;
}

/// What became of a room's `flushed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// It stands here now; the room is clean when both are equal.
    Moved {
        /// Everything up to here is in the database.
        flushed: Seq,
        /// The newest event.
        head: Seq,
    },
    /// The hot log does not have the room, or lives another life, or is behind the database.
    Gone,
}
