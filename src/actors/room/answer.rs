//! What a room answers.

use std::sync::Arc;

use crate::actors::Placed;
use crate::db::Role;
use crate::ids::{Epoch, Seq, UserId};
use crate::protocol::{ClientId, Entry, MemberView, Place};

/// What became of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscribed {
    /// The socket hears the room.
    Live,
    /// The position is too far behind for one step: read the log up to the window first.
    Behind,
    /// The position cannot be resumed: not subscribed. Here is the `gap` frame, encoded.
    Gap(bytes::Bytes),
}

/// What became of a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Were they in already?
    pub already: bool,
    /// Their join in the log.
    pub seq: Seq,
    /// In which life of the log.
    pub epoch: Epoch,
}

impl Placed for Joined {
    fn seq(&self) -> Seq {
        self.seq
    }
}

impl Placed for Place {
    fn seq(&self) -> Seq {
        self.seq
    }
}

impl Placed for Seq {
    fn seq(&self) -> Seq {
        *self
    }
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Its place.
    pub place: Place,
    /// In which life of the log.
    pub epoch: Epoch,
    /// Was it there already?
    pub duplicate: bool,
    /// What the log holds; a repeat may have said it in other words.
    pub client_id: ClientId,
}

/// Where somebody's mark stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMark {
    /// Everything up to here has been seen.
    pub read: Seq,
    /// Messages of others behind it.
    pub unread: i64,
    /// The mark itself, for the database.
    pub mark: crate::db::Mark,
}

/// A page of the log.
#[derive(Debug)]
pub struct Page {
    /// In which life of the log.
    pub epoch: Epoch,
    /// The events, ascending.
    pub entries: Vec<Arc<Entry>>,
    /// Are there more in the direction that was asked for?
    pub more: bool,
}

/// A page of the members.
#[derive(Debug)]
pub struct MemberPage {
    /// The people, by id; their names are still to be looked up.
    pub members: Vec<MemberView>,
    /// Where the next page begins, if there is one.
    pub next: Option<UserId>,
}

/// A room as one member sees it.
#[derive(Debug, Clone)]
pub struct Description {
    /// What it is.
    pub record: crate::db::RoomRecord,
    /// The asker's role; `None` when they are not in it.
    pub role: Option<Role>,
    /// How far the asker has read.
    pub read: Seq,
    /// Messages of others behind it.
    pub unread: i64,
    /// How many members are connected.
    pub online: usize,
    /// The other person of a `dm`.
    pub peer: Option<UserId>,
}
