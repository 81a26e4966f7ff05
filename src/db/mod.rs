//! What lasts: accounts, rooms, members, marks and the event log, in SQLite or Postgres.
//!
//! [`Store`] is the whole of it for everybody else: blocking functions, one per question.
//! [`Db`] runs them on its own bounded threads. Below, the same query files are compiled
//! once per database (`docs/ARCHITECTURE.md`, "Two databases").

mod fault;
mod fold;
mod handle;
mod lock;
mod migrations;
mod models;
mod open;
mod plan;
#[expect(
    clippy::duplicate_mod,
    reason = "the same queries, for another connection"
)]
mod postgres;
mod records;
mod schema;
#[expect(
    clippy::duplicate_mod,
    reason = "the same queries, for another connection"
)]
mod sqlite;

pub use handle::Db;
pub use open::{OpenError, OpenOptions, migrate};
pub use records::*;

use crate::ids::{LoginId, RoomId, Seq, UserId};
use crate::protocol::Event;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is out of reach, busy past its deadline, or shutting down. For a write
    /// the outcome is unknown.
    #[error("the database is out of reach: {0}")]
    Unavailable(String),
    /// A name, pair or id that has to be unique is taken; says which.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// The row is not there, or has changed meanwhile (`UserPatch::if_version`).
    #[error("no such row, or it has changed meanwhile")]
    Gone,
    /// The database refuses the statement for good (SQLSTATE classes 22 and 23), or a row
    /// holds what this program cannot read.
    #[error("the database refused: {0}")]
    Refused(String),
}

/// Everything that the program asks of a database. Blocking: call it through [`Db`].
pub trait Store: Send + Sync {
    // -- the log ---------------------------------------------------------------------

    /// Appends to many rooms in one transaction, as the local broker's log: gives each new
    /// draft the next `seq`, folds it into rooms, members and mentions, and commits.
    ///
    /// Answers in the order of `batch`. A repeated `(room, sender, client_id)`, also within
    /// the batch, is `Duplicate` or `Conflict` (by [`crate::protocol::Draft::digest`]). A
    /// draft that the database refuses, or whose body does not say what its kind has to say,
    /// is `Poison` and takes nobody with it. What is `Stale` is told everything up to the end
    /// of this batch. On `Err` nothing is known: repeat the same batch.
    fn append(&self, batch: &[Append], now: i64) -> Result<Vec<Appended>, StoreError>;

    /// A range of a room's log, ascending, at most `limit`, nothing below `floor` (inclusive).
    fn events(
        &self,
        room: RoomId,
        range: Range,
        floor: Seq,
        select: Select,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError>;

    /// What a [`Mark`] at `seq` is: how many messages the room has up to it, and how many of
    /// this person's own. Beyond the head it is the head; `Gone` when there is no such room.
    fn mark_at(&self, room: RoomId, user: UserId, seq: Seq) -> Result<Mark, StoreError>;

    /// Moves marks forward; one that is behind the row's own changes nothing.
    fn save_marks(&self, marks: &[(RoomId, UserId, Mark)]) -> Result<(), StoreError>;

    /// The newest place of each of these rooms; unknown rooms are left out.
    fn heads(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, Seq)>, StoreError>;

    // -- rooms -----------------------------------------------------------------------

    /// Makes the row of a room (head 0, a new epoch), or finds the one that the same id or
    /// the same pair already has.
    fn create_room(&self, room: &NewRoom) -> Result<RoomRecord, StoreError>;

    /// A room's row.
    fn room(&self, room: RoomId) -> Result<Option<RoomRecord>, StoreError>;

    /// A room with members and its `recent` newest events, in one read transaction.
    fn load_room(&self, room: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError>;

    /// Every room that this person is in, newest change first.
    fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;

    /// One of those.
    fn membership(&self, user: UserId, room: RoomId) -> Result<Option<Membership>, StoreError>;

    /// Public rooms whose name contains `query`, by name, behind `after` (name and id).
    fn open_rooms(
        &self,
        query: &str,
        after: Option<(&str, RoomId)>,
        limit: usize,
    ) -> Result<Vec<RoomRecord>, StoreError>;

    // -- people ----------------------------------------------------------------------

    /// Makes an account; `Taken("username")` or `Taken("sub")` when there is one already.
    fn create_user(&self, user: &UserRecord) -> Result<(), StoreError>;

    /// An account by id.
    fn user(&self, user: UserId) -> Result<Option<UserRecord>, StoreError>;

    /// Accounts by id, for their names; unknown ids are left out.
    fn users(&self, users: &[UserId]) -> Result<Vec<UserRecord>, StoreError>;

    /// An account by what a token calls it.
    fn user_by_sub(&self, sub: &str) -> Result<Option<UserRecord>, StoreError>;

    /// An account by what its owner signs in with (compared without regard to case).
    fn user_by_username(&self, username: &str) -> Result<Option<UserRecord>, StoreError>;

    /// Active accounts whose name or username contains `query`, by name, no guests.
    fn search_users(&self, query: &str, limit: usize) -> Result<Vec<UserRecord>, StoreError>;

    /// Changes an account and counts its version up.
    fn update_user(&self, user: UserId, patch: &UserPatch) -> Result<UserRecord, StoreError>;

    /// Makes a tombstone of an account: id, `sub` and status remain, its logins are gone.
    fn resign_user(&self, user: UserId, now: i64) -> Result<(), StoreError>;

    // -- logins ----------------------------------------------------------------------

    /// Begins a login with the hash of its first refresh token.
    fn create_login(&self, login: &LoginRecord, token_hash: &str) -> Result<(), StoreError>;

    /// Exchanges a refresh token, by hash, for the next one. Of several at once one wins,
    /// the next is `Reused` and ends the login, the others are `Unknown` by then.
    fn rotate_login(
        &self,
        token_hash: &str,
        next_hash: &str,
        now: i64,
        expires_at: i64,
    ) -> Result<Rotation, StoreError>;

    /// A person's logins, newest use first.
    fn logins(&self, user: UserId) -> Result<Vec<LoginRecord>, StoreError>;

    /// Ends one login of this person, or all; the ended ones come back.
    fn end_logins(
        &self,
        user: UserId,
        login: Option<LoginId>,
    ) -> Result<Vec<LoginRecord>, StoreError>;

    /// Ends the login that a refresh token belongs to, by hash.
    fn end_login_of(&self, token_hash: &str) -> Result<Option<LoginRecord>, StoreError>;

    /// Does this login still exist? (An access token names it.)
    fn has_login(&self, login: LoginId) -> Result<bool, StoreError>;

    /// Removes logins and used refresh tokens that expired before `now`.
    fn sweep_logins(&self, now: i64) -> Result<usize, StoreError>;
}
