//! Rooms, and who stands how in them.

use std::collections::HashMap;

use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::Event;

/// What kind of room it is; decides who may join, read and write.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Two people.
    Dm,
    /// By invitation, or added by a moderator; reads from the newest own join.
    Group,
    /// Anyone may join, and reads from the first event.
    Open,
    /// Joined and read like `Open`; owner and moderators write.
    Broadcast,
}

impl RoomKind {
    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            RoomKind::Dm => "dm",
            RoomKind::Group => "group",
            RoomKind::Open => "open",
            RoomKind::Broadcast => "broadcast",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Dm, Self::Group, Self::Open, Self::Broadcast]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// May somebody who is not in it know that it exists?
    pub const fn is_public(self) -> bool {
        matches!(self, RoomKind::Open | RoomKind::Broadcast)
    }
}

/// A member's standing in a room. The order is the order of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Also adds and removes members.
    Moderator,
    /// Also changes and deletes the room.
    Owner,
}

impl Role {
    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Moderator => "moderator",
            Role::Owner => "owner",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Role::Member, Role::Moderator, Role::Owner]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// A room as its row says: what the fold of its log has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomRecord {
    /// Which room.
    pub id: RoomId,
    /// What kind it is; never changes.
    pub kind: RoomKind,
    /// Its title; empty for a `dm`.
    pub name: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Most members, if there is a limit.
    pub capacity: Option<i64>,
    /// Which life its log is in.
    pub epoch: Epoch,
    /// The newest event.
    pub head: Seq,
    /// How many messages it has.
    pub messages: i64,
    /// The newest message, `Seq::ZERO` when there is none.
    pub last_message: Seq,
    /// The newest event that took a right away ([`crate::protocol::EventKind::restricts`]).
    pub rights: Seq,
    /// The newest event that changed who is a member.
    pub membership: Seq,
    /// How many members it has.
    pub members: i64,
    /// Deleted: nobody joins, reads or writes any more.
    pub closed: bool,
    /// When it was made, Unix milliseconds.
    pub created_at: i64,
    /// When the newest event was written, Unix milliseconds.
    pub changed_at: i64,
}

/// A room to be made. Its first events follow through the log.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// Its id, chosen by the caller so that a repeat makes no second room.
    pub id: RoomId,
    /// What kind it is.
    pub kind: RoomKind,
    /// For a `dm`: the two people, the smaller id first; at most one room per pair.
    pub pair: Option<(UserId, UserId)>,
    /// When, Unix milliseconds.
    pub created_at: i64,
}

/// How far somebody has read. Unread is two subtractions from it, never a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Everything up to here has been seen.
    pub read: Seq,
    /// Messages in the room up to `read`.
    pub n: i64,
    /// The reader's own messages up to `read`.
    pub own: i64,
}

/// Somebody's standing in a room, as the newest membership event left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// Who.
    pub user: UserId,
    /// Their role; `None` when they are no longer in the room.
    pub role: Option<Role>,
    /// The event that made this row so; the newest wins.
    pub seq: Seq,
    /// Their newest join.
    pub joined: Seq,
    /// Messages that they have written in this room.
    pub sent: i64,
    /// How far they have read.
    pub mark: Mark,
    /// Until when they may not write, Unix milliseconds.
    pub muted_until: Option<i64>,
}

/// A room with all it takes to serve it, read in one transaction.
#[derive(Debug, Clone)]
pub struct LoadedRoom {
    /// Its row.
    pub room: RoomRecord,
    /// Everybody who is, or ever was, a member.
    pub members: Vec<MemberRecord>,
    /// The newest events, ascending, up to `room.head`.
    pub recent: Vec<Event>,
}

/// Everything that the list of somebody's rooms is made of.
#[derive(Debug, Clone, Default)]
pub struct RoomList {
    /// The rooms, newest change first.
    pub memberships: Vec<Membership>,
    /// What the other people of their `dm`s are called.
    pub names: HashMap<UserId, String>,
}

/// One of a person's rooms with their own standing in it.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The room.
    pub room: RoomRecord,
    /// Their standing.
    pub member: MemberRecord,
    /// Messages behind their mark that call them by name (counted up to 1,000).
    pub mentions: i64,
    /// The newest message, if they may read it (a `group` is read from one's own join on).
    pub last: Option<Event>,
    /// The other person of a `dm`.
    pub peer: Option<UserId>,
}
