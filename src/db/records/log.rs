//! The log: what is asked of it, what is appended to it, and what became of that.

use crate::ids::{Epoch, RoomId, Seq};
use crate::protocol::{Draft, Event, Place};

/// A range of a room's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The newest ones before this place (exclusive).
    Before(Seq),
    /// The oldest ones after this place (exclusive).
    After(Seq),
}

/// Which events of a range are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The raw log.
    All,
    /// Messages only.
    Messages,
}

/// Drafts for one room, appended in one atomic step (`actors::registry::Broker`).
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose log.
    pub room: RoomId,
    /// What the room knew when it decided.
    pub basis: Basis,
    /// What is to be appended, in order; 1 to 64, at most one change of membership.
    pub drafts: Vec<Draft>,
}

/// What a room knew when it decided that drafts are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The newest event it had applied.
    pub head: Seq,
    /// The newest restricting event it had applied.
    pub rights: Seq,
    /// The newest change of membership it had applied; checked when a draft is a `join`.
    pub membership: Seq,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, PartialEq)]
pub enum Appended {
    /// The fate of each draft, in order.
    Done(Vec<Fate>),
    /// The log knows newer rights than the room did. Nothing was appended; here is what
    /// the room had not seen (at most 200 events; read on if `head` is further).
    Stale {
        /// Events after `basis.head`, ascending.
        newer: Vec<Event>,
        /// The newest event of the room.
        head: Seq,
    },
    /// There is no such room.
    NoRoom,
}

/// What became of one draft.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// It has this place now.
    New(Place),
    /// The same draft had this place already; nothing was appended.
    Duplicate(Place),
    /// Another draft has the same `client_id`; nothing was appended.
    Conflict,
    /// The database refuses its content for good; nothing was appended.
    Poison,
    /// The database cannot be asked whether it had a place already; nothing was appended now.
    Unknown,
}

/// The events that drafts have become: those that are new in the log.
pub fn new_events(room: RoomId, drafts: Vec<Draft>, fates: &[Fate]) -> Vec<Event> {
    let placed = drafts.into_iter().zip(fates);
    let new = placed.filter_map(|(draft, fate)| match *fate {
        Fate::New(place) => Some(Event { room, place, draft }),
        Fate::Duplicate(_) | Fate::Conflict | Fate::Poison | Fate::Unknown => None,
    });
    new.collect()
}

/// Events of one room that have their places already, ascending and dense.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Whose log.
    pub room: RoomId,
    /// What is to stand there; what lies beyond a gap is left out.
    pub events: Vec<Event>,
}

/// What became of a [`Placed`].
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// All of it stands in the database.
    Done {
        /// The newest event of the room there, which may be further than asked.
        head: Seq,
        /// Those that this call wrote, as they stand there, in order.
        new: Vec<Event>,
        /// Which of those are placeholders of events that the database refuses for good.
        poisoned: Vec<Seq>,
    },
    /// The first event lies beyond `head + 1`: bring what lies between.
    Behind {
        /// The newest event of the room in the database.
        head: Seq,
    },
    /// Another event (other sender, `client_id` or kind) already stands at one of the
    /// numbers, or that number is missing below the head. Nothing of this was written.
    Conflict {
        /// Which number.
        at: Seq,
        /// The newest event of the room in the database.
        head: Seq,
    },
    /// There is no such room.
    NoRoom,
}

/// What the hot log needs to know to take a room up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRecord {
    /// Which life the room's log is in.
    pub epoch: Epoch,
    /// The newest event.
    pub head: Seq,
    /// How many messages it has: `n` of the newest event.
    pub messages: i64,
    /// When the newest event was written, Unix milliseconds.
    pub changed_at: i64,
    /// The newest time that a `client_id` in it carries, Unix milliseconds.
    pub newest_id_at: i64,
    /// The newest event that took a right away.
    pub rights: Seq,
    /// The newest event that changed who is a member.
    pub membership: Seq,
}
