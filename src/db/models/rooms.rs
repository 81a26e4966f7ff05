//! Rows of `rooms` and `members`.

use diesel::prelude::*;

use super::unreadable;
use crate::db::plan::RoomFold;
use crate::db::schema::{members, rooms};
use crate::db::{Mark, MemberRecord, Role, RoomKind, RoomRecord, StoreError};
use crate::ids::{Epoch, RoomId, Seq, UserId};

/// The numbers of a room that every append changes.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = rooms)]
pub struct FoldRow {
    id: i64,
    head: i64,
    messages: i64,
    last_message: i64,
    rights_seq: i64,
    membership_seq: i64,
    newest_id_at: i64,
    members: i64,
    changed_at: i64,
}

impl From<FoldRow> for (RoomId, RoomFold) {
    fn from(row: FoldRow) -> Self {
        let fold = RoomFold {
            head: Seq(row.head),
            messages: row.messages,
            last_message: Seq(row.last_message),
            rights: Seq(row.rights_seq),
            membership: Seq(row.membership_seq),
            newest_id_at: row.newest_id_at,
            members: row.members,
            changed_at: row.changed_at,
        };
        (RoomId::from_raw(row.id), fold)
    }
}

/// A row of `rooms`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = rooms, treat_none_as_default_value = false)]
pub struct RoomRow {
    /// Which.
    pub id: i64,
    /// See [`RoomKind`].
    pub kind: String,
    /// Of a `dm`: the smaller id of the two.
    pub pair_low: Option<i64>,
    /// Of a `dm`: the larger id of the two.
    pub pair_high: Option<i64>,
    /// Its title.
    pub name: String,
    /// Its title in lower case.
    pub name_key: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Most members.
    pub capacity: Option<i64>,
    /// Which life its log is in.
    pub epoch: String,
    /// See [`RoomFold`], also for the numbers below.
    pub head: i64,
    /// How many messages.
    pub messages: i64,
    /// The newest message.
    pub last_message: i64,
    /// The newest restriction.
    pub rights_seq: i64,
    /// The newest change of membership.
    pub membership_seq: i64,
    /// The newest time in a `client_id`.
    pub newest_id_at: i64,
    /// How many members.
    pub members: i64,
    /// Deleted.
    pub closed: bool,
    /// When it was made.
    pub created_at: i64,
    /// When the newest event was written.
    pub changed_at: i64,
}

impl RoomRow {
    /// The other person of a `dm`.
    pub fn peer_of(&self, user: UserId) -> Option<UserId> {
        let other = match (self.pair_low?, self.pair_high?) {
            (low, high) if low == user.raw() => high,
            (low, _) => low,
        };
        Some(UserId::from_raw(other))
    }
}

impl TryFrom<RoomRow> for RoomRecord {
    type Error = StoreError;

    fn try_from(row: RoomRow) -> Result<Self, StoreError> {
        Ok(RoomRecord {
            id: RoomId::from_raw(row.id),
            kind: RoomKind::parse(&row.kind)
                .ok_or_else(|| unreadable("kind of room", &row.kind))?,
            name: row.name,
            // Earlier versions wrote what takes a topic or a limit away as it was said.
            topic: row.topic.filter(|topic| !topic.is_empty()),
            capacity: row.capacity.filter(|capacity| *capacity > 0),
            epoch: Epoch::from(row.epoch),
            head: Seq(row.head),
            messages: row.messages,
            last_message: Seq(row.last_message),
            rights: Seq(row.rights_seq),
            membership: Seq(row.membership_seq),
            members: row.members,
            closed: row.closed,
            created_at: row.created_at,
            changed_at: row.changed_at,
        })
    }
}

/// A row of `members`.
#[derive(Debug, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = members, treat_none_as_default_value = false)]
pub struct MemberRow {
    room: i64,
    user_id: i64,
    role: Option<String>,
    seq: i64,
    joined_seq: i64,
    sent: i64,
    read_seq: i64,
    read_n: i64,
    read_own: i64,
    muted_until: Option<i64>,
}

impl MemberRow {
    /// The row for somebody's standing in a room.
    pub fn new(room: RoomId, member: &MemberRecord) -> Self {
        Self {
            room: room.raw(),
            user_id: member.user.raw(),
            role: member.role.map(|role| role.as_str().to_owned()),
            seq: member.seq.0,
            joined_seq: member.joined.0,
            sent: member.sent,
            read_seq: member.mark.read.0,
            read_n: member.mark.n,
            read_own: member.mark.own,
            muted_until: member.muted_until,
        }
    }

    /// Whose room it is about.
    pub fn room(&self) -> RoomId {
        RoomId::from_raw(self.room)
    }
}

impl TryFrom<MemberRow> for MemberRecord {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        let role = match row.role {
            Some(word) => Some(Role::parse(&word).ok_or_else(|| unreadable("role", &word))?),
            None => None,
        };
        Ok(MemberRecord {
            user: UserId::from_raw(row.user_id),
            role,
            seq: Seq(row.seq),
            joined: Seq(row.joined_seq),
            sent: row.sent,
            mark: Mark {
                read: Seq(row.read_seq),
                n: row.read_n,
                own: row.read_own,
            },
            muted_until: row.muted_until,
        })
    }
}
