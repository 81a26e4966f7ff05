//! What the write-back can be told and asked.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use crate::actors::Reply;
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// This node has appended these: their reservations belong to the write-back now.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Appended {
    /// Whose log.
    pub room: RoomId,
    /// What is new in it, ascending.
    pub events: Vec<Event>,
    /// Was the room clean before? Then this node writes it until it is clean again.
    pub became_dirty: bool,
}

/// Another node has appended these. Kept while there is room: the writer need not read
/// them, and a rebuilding may need them.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Heard {
    /// Whose log.
    pub room: RoomId,
    /// What is new in it, ascending.
    pub events: Vec<Event>,
}

/// These were found in a log that is about to be rebuilt: like [`Heard`], but never
/// forgotten, because there will be no log to read them from. A [`Salvage`] must follow.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Survived {
    /// Whose log.
    pub room: RoomId,
    /// What stands in it above the database's head, ascending.
    pub events: Vec<Event>,
}

/// A ring says that the database has a room's events up to here.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct FlushedTo {
    /// Which room.
    pub room: RoomId,
    /// Up to here.
    pub seq: Seq,
}

/// Somebody waits until a place is in the database; `unavailable` when that takes too long.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct WhenFlushed {
    /// Which room.
    pub room: RoomId,
    /// Which place.
    pub seq: Seq,
    /// Told when it is there.
    pub reply_to: Reply<()>,
}

/// Write these rooms until they are clean, whoever appended.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Adopt {
    /// Which rooms.
    pub rooms: Vec<RoomId>,
}

/// A life of the hot log is over: bring everything that is held into the database, under
/// that life's name, and forget it. If the database is in another life already, what is
/// held is appended again instead.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Salvage {
    /// The life that is over.
    pub life: Arc<str>,
    /// Told when all of it is done, however long the database is away.
    pub reply_to: Reply<Salvaged>,
}

/// What a [`Salvage`] came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Salvaged {
    /// Events that it wrote, the fillers among them.
    pub rows: usize,
    /// Numbers that nobody had an event for, and that are `void` now.
    pub voids: usize,
    /// Events that are to be appended again.
    pub again: usize,
    /// Events of rooms that the database does not know.
    pub lost: usize,
}

/// The node stops: write everything that it appended, and its rooms until they are clean.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Flush {
    /// Told when nothing is left.
    pub reply_to: Reply<()>,
}

/// What the write-back holds; for metrics and tests.
#[derive(Message, Debug)]
#[rtype(result = "Holds")]
pub struct Observe;

/// The answer to [`Observe`].
#[derive(Debug, Default, Clone, Copy, PartialEq, MessageResponse)]
pub struct Holds {
    /// Places that are reserved: events of this node that are not in the database yet, large
    /// ones counted for each begun KiB.
    pub backlog: usize,
    /// How long the oldest of them has waited.
    pub oldest_unflushed: Duration,
    /// What has happened since the start.
    pub counts: Counts,
}

/// The upper bounds of [`Counts::rows`]; what is beyond the last is counted beyond.
pub const ROW_BUCKETS: [usize; 4] = [1, 10, 100, 500];

/// What has happened since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Writes that were confirmed.
    pub batches: u64,
    /// Rows that they wrote.
    pub rows_total: u64,
    /// How many of them wrote up to so many rows: one bucket for each of [`ROW_BUCKETS`],
    /// none counted twice, and one for what is beyond.
    pub rows: [u64; ROW_BUCKETS.len() + 1],
    /// Writes that failed and were repeated.
    pub retries: u64,
    /// Events that the database refused for good.
    pub poisoned: u64,
    /// Times that another event already stood at a number.
    pub conflicts: u64,
    /// Events that were acknowledged and are nowhere now, as their room is not.
    pub lost: u64,
    /// Rooms taken over from a writer that had stopped.
    pub swept: u64,
}

impl Counts {
    /// A write of so many rows is confirmed.
    pub(super) fn batch(&mut self, rows: usize) {
        self.batches += 1;
        self.rows_total += rows as u64;
        let bucket = ROW_BUCKETS.iter().position(|most| rows <= *most);
        self.rows[bucket.unwrap_or(ROW_BUCKETS.len())] += 1;
    }
}

/// Rows that were really written, in the order of each room: what is routed to people, and
/// what causes pushes.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Landed {
    /// As they stand in the database.
    pub events: Vec<Event>,
}
