//! What the store keeps, as the rest of the program sees it: no diesel types.

use std::collections::BTreeMap;

use crate::ids::{Epoch, LoginId, RoomId, Seq, UserId};
use crate::protocol::{Draft, Event, Place};

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
}

/// The events that drafts have become: those that are new in the log.
pub fn new_events(room: RoomId, drafts: Vec<Draft>, fates: &[Fate]) -> Vec<Event> {
    let placed = drafts.into_iter().zip(fates);
    let new = placed.filter_map(|(draft, fate)| match *fate {
        Fate::New(place) => Some(Event { room, place, draft }),
        Fate::Duplicate(_) | Fate::Conflict | Fate::Poison => None,
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

/// What a person may do on the whole system.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Tried it without an account: open rooms only.
    Guest,
    /// Anybody else.
    User,
    /// Runs the system.
    Admin,
}

impl UserRole {
    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            UserRole::Guest => "guest",
            UserRole::User => "user",
            UserRole::Admin => "admin",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Guest, Self::User, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Whether an account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserStatus {
    /// In use.
    Active,
    /// Stopped by an admin.
    Suspended,
    /// Given up by its owner; only the id remains.
    Resigned,
}

impl UserStatus {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            UserStatus::Active => "active",
            UserStatus::Suspended => "suspended",
            UserStatus::Resigned => "resigned",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Resigned]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRecord {
    /// Who.
    pub id: UserId,
    /// What tokens call them; for accounts made here, the id's own text.
    pub sub: String,
    /// What they sign in with; `None` for guests and for people of another service.
    pub username: Option<String>,
    /// argon2id, in PHC format.
    pub password_hash: Option<String>,
    /// What others see.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// Whether the account can be used.
    pub status: UserStatus,
    /// Tokens issued at or before this are refused, Unix milliseconds; 0 when there is none.
    pub revoked_before: i64,
    /// Counts changes, for `If-Match`.
    pub version: i64,
    /// When it was made, Unix milliseconds.
    pub created_at: i64,
}

/// What changes in an account; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    /// What others see.
    pub name: Option<String>,
    /// A new password, hashed.
    pub password_hash: Option<String>,
    /// Whether the account can be used.
    pub status: Option<UserStatus>,
    /// Tokens issued at or before this are refused; only moves forward.
    pub revoked_before: Option<i64>,
    /// Only when the account's version is still this.
    pub if_version: Option<i64>,
}

/// One sign-in on one device.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginRecord {
    /// Which.
    pub id: LoginId,
    /// Whose.
    pub user: UserId,
    /// The device's name or program, for the person's list.
    pub device: String,
    /// When it began, Unix milliseconds.
    pub created_at: i64,
    /// When its tokens were last renewed, Unix milliseconds.
    pub used_at: i64,
    /// When it ends if it is not renewed, Unix milliseconds.
    pub expires_at: i64,
}

/// What became of a refresh token that was presented.
#[derive(Debug, Clone, PartialEq)]
pub enum Rotation {
    /// It was the current one; the new hash has taken its place.
    Renewed(LoginRecord),
    /// It had been used before: somebody else has it. The whole login is gone now.
    Reused(LoginRecord),
    /// Nobody knows it, or it has expired.
    Unknown,
}

/// One version of what was set while nodes run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsRecord {
    /// Counts up from 1.
    pub version: i64,
    /// Who made it.
    pub changed_by: UserId,
    /// When, Unix milliseconds.
    pub at: i64,
    /// Every key that is set this way, with its value; not only what changed.
    pub values: BTreeMap<String, String>,
}
