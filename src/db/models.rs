//! Rows as the tables have them, and how they become what the program knows.

use diesel::prelude::*;
use serde::Serialize;

use super::placing::Standing;
use super::plan::{NewEvent, RoomFold};
use super::schema::{events, logins, members, rooms, users};
use super::{
    LoginRecord, Mark, MemberRecord, Role, RoomKind, RoomRecord, StoreError, UserRecord, UserRole,
    UserStatus,
};
use crate::ids::{Epoch, LoginId, RoomId, Seq, UserId};
use crate::protocol::{ClientId, Draft, Event, Place};

/// A row that no version of this program has written.
fn unreadable(what: &str, word: &str) -> StoreError {
    StoreError::Refused(format!("a row holds {word:?}, which is not a {what}"))
}

/// The LIKE pattern (escaped by a backslash) for what contains `text`, in lower case.
pub(super) fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// A row of `events`, read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct EventRow {
    room: i64,
    seq: i64,
    n: i64,
    kind: String,
    sender: i64,
    client_id: String,
    target: Option<i64>,
    reply_to: Option<i64>,
    thread: Option<i64>,
    mentions: Option<String>,
    at: i64,
    body: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let kind = row.kind.parse();
        Ok(Event {
            room: RoomId::from_raw(row.room),
            place: Place {
                seq: Seq(row.seq),
                n: row.n,
                at: row.at,
            },
            draft: Draft {
                kind: kind.map_err(|_| unreadable("kind of event", &row.kind))?,
                from: UserId::from_raw(row.sender),
                client_id: ClientId::from_stored(row.client_id),
                target: row.target.map(Seq),
                reply_to: row.reply_to.map(Seq),
                thread: row.thread.map(Seq),
                mentions: row.mentions.map_or(Ok(Vec::new()), |list| {
                    serde_json::from_str(&list).map_err(|_| unreadable("list of people", &list))
                })?,
                body: row.body.into(),
            },
        })
    }
}

/// A row of `events`, to be written.
#[derive(Debug, Insertable, Serialize)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub struct NewEventRow<'a> {
    /// Whose log.
    pub room: i64,
    /// Its place.
    pub seq: i64,
    /// How many messages there are with it.
    pub n: i64,
    /// What it is.
    pub kind: &'a str,
    /// Who did it.
    pub sender: i64,
    /// Its name for ever.
    pub client_id: &'a str,
    /// What it is about.
    pub target: Option<i64>,
    /// What it answers.
    pub reply_to: Option<i64>,
    /// What it belongs to.
    pub thread: Option<i64>,
    /// Whom it calls, as a JSON list of ids.
    pub mentions: Option<String>,
    /// When.
    pub at: i64,
    /// What it says.
    pub body: &'a str,
    /// What tells a repeat.
    pub digest: i64,
}

impl<'a> From<&NewEvent<'a>> for NewEventRow<'a> {
    fn from(event: &NewEvent<'a>) -> Self {
        let draft = event.checked.draft;
        Self {
            room: event.room.raw(),
            seq: event.place.seq.0,
            n: event.place.n,
            kind: draft.kind.as_str(),
            sender: draft.from.raw(),
            client_id: draft.client_id.as_str(),
            target: draft.target.map(|seq| seq.0),
            reply_to: draft.reply_to.map(|seq| seq.0),
            thread: draft.thread.map(|seq| seq.0),
            // A list of ids always has a JSON form.
            mentions: (!draft.mentions.is_empty())
                .then(|| serde_json::to_string(&draft.mentions).unwrap_or_default()),
            at: event.place.at,
            body: &draft.body,
            digest: event.checked.digest,
        }
    }
}

/// What tells whether an event is the one that somebody repeats, and where it stands.
#[derive(Debug, QueryableByName)]
#[diesel(table_name = events)]
pub(crate) struct TakenRow {
    room: i64,
    sender: i64,
    client_id: String,
    seq: i64,
    n: i64,
    at: i64,
    digest: i64,
}

impl TakenRow {
    /// See [`NewEvent::raw_key`].
    pub(crate) fn raw_key(&self) -> (i64, i64, &str) {
        (self.room, self.sender, &self.client_id)
    }

    /// Its digest and its place.
    pub(crate) fn taken(&self) -> (i64, Place) {
        let place = Place {
            seq: Seq(self.seq),
            n: self.n,
            at: self.at,
        };
        (self.digest, place)
    }
}

/// What tells one event at a place from another.
#[derive(Debug, QueryableByName)]
#[diesel(table_name = events)]
pub(crate) struct StandingRow {
    room: i64,
    seq: i64,
    kind: String,
    sender: i64,
    client_id: String,
}

impl From<StandingRow> for ((RoomId, Seq), Standing) {
    fn from(row: StandingRow) -> Self {
        let standing = Standing {
            sender: UserId::from_raw(row.sender),
            client_id: row.client_id,
            kind: row.kind,
        };
        ((RoomId::from_raw(row.room), Seq(row.seq)), standing)
    }
}

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

/// A row of `users`.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct UserRow {
    id: i64,
    sub: String,
    username: Option<String>,
    username_key: Option<String>,
    password_hash: Option<String>,
    name: String,
    name_key: String,
    role: String,
    status: String,
    revoked_before: i64,
    version: i64,
    created_at: i64,
}

impl From<&UserRecord> for UserRow {
    fn from(user: &UserRecord) -> Self {
        Self {
            id: user.id.raw(),
            sub: user.sub.clone(),
            username: user.username.clone(),
            username_key: user.username.as_deref().map(str::to_lowercase),
            password_hash: user.password_hash.clone(),
            name: user.name.clone(),
            name_key: user.name.to_lowercase(),
            role: user.role.as_str().to_owned(),
            status: user.status.as_str().to_owned(),
            revoked_before: user.revoked_before,
            version: user.version,
            created_at: user.created_at,
        }
    }
}

impl TryFrom<UserRow> for UserRecord {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        Ok(UserRecord {
            id: UserId::from_raw(row.id),
            sub: row.sub,
            username: row.username,
            password_hash: row.password_hash,
            name: row.name,
            role: UserRole::parse(&row.role).ok_or_else(|| unreadable("role", &row.role))?,
            status: UserStatus::parse(&row.status)
                .ok_or_else(|| unreadable("status", &row.status))?,
            revoked_before: row.revoked_before,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

/// A row of `logins`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = logins, treat_none_as_default_value = false)]
pub struct LoginRow {
    id: i64,
    user_id: i64,
    device: String,
    created_at: i64,
    used_at: i64,
    expires_at: i64,
}

impl From<&LoginRecord> for LoginRow {
    fn from(login: &LoginRecord) -> Self {
        Self {
            id: login.id.raw(),
            user_id: login.user.raw(),
            device: login.device.clone(),
            created_at: login.created_at,
            used_at: login.used_at,
            expires_at: login.expires_at,
        }
    }
}

impl From<LoginRow> for LoginRecord {
    fn from(row: LoginRow) -> Self {
        LoginRecord {
            id: LoginId::from_raw(row.id),
            user: UserId::from_raw(row.user_id),
            device: row.device,
            created_at: row.created_at,
            used_at: row.used_at,
            expires_at: row.expires_at,
        }
    }
}
