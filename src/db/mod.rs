//! What lasts: accounts, rooms, members, marks and the event log, in SQLite or Postgres.
//!
//! [`Store`] is the whole of it for everybody else: blocking functions, one per question.
//! [`Db`] runs them on its own bounded threads. Below, the same query files are compiled
//! once per database (`docs/ARCHITECTURE.md`, "Two databases").

mod fault;
mod fold;
mod gathering;
mod handle;
mod lock;
mod migrations;
mod models;
mod open;
mod placing;
mod plan;
#[expect(
    clippy::duplicate_mod,
    reason = "the same queries, for another connection"
)]
mod postgres;
mod records;
mod schema;
mod shared;
#[expect(
    clippy::duplicate_mod,
    reason = "the same queries, for another connection"
)]
mod sqlite;

use std::sync::Arc;

pub use handle::{Counted, Db};
pub use open::{OpenError, OpenOptions, migrate};
pub use records::*;

use crate::ids::{Epoch, LoginId, RoomId, Seq, UserId};
use crate::protocol::{ClientId, Event, Place};

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

/// Why a write-back wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The life that it belongs to is over, or has not begun.
    #[error("another life of the hot log writes now: {current:?}")]
    Fenced {
        /// The present one.
        current: Option<String>,
    },
    /// The database did not do it; the outcome is unknown, a repeat is harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
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

    /// Writes events that have their places already, of many rooms in one transaction with
    /// everything that follows from them: the write-back of a hot log.
    ///
    /// Answers in the order of `batch`; a room in trouble keeps no other from being written.
    /// Idempotent: what stands already is compared by sender, `client_id` and kind, and not
    /// written again. An event whose id stands at another number, and one that the database
    /// refuses for good, is replaced by a `void` event ([`crate::protocol::Draft::stand_in`]);
    /// the refused one is kept in `dead_letters`.
    ///
    /// # Errors
    /// `Fenced` when `life` is not [`Store::life`], which is held until the commit: whoever
    /// was stopped in an old life never writes again. On `Store` repeat the same batch.
    fn write(&self, life: &str, batch: &[Placed]) -> Result<Vec<Written>, WriteError>;

    /// Where the events with these ids stand, with their digests; in the order of `ids`.
    fn find(
        &self,
        room: RoomId,
        ids: &[(UserId, ClientId)],
    ) -> Result<Vec<Option<(i64, Place)>>, StoreError>;

    /// What the hot log needs to take a room up; one row.
    fn seed_of(&self, room: RoomId) -> Result<Option<SeedRecord>, StoreError>;

    /// Gives a room's log a new life: positions of the old one mean nothing any more.
    fn renew_epoch(&self, room: RoomId) -> Result<Epoch, StoreError>;

    /// The present life of the hot log.
    fn life(&self) -> Result<Option<String>, StoreError>;

    /// Ends the life `old` and begins `new`, unless another has begun meanwhile. Waits for
    /// the writes of the old one that are under way. True also for a repeat.
    fn begin_life(&self, old: Option<&str>, new: &str) -> Result<bool, StoreError>;

    /// This node lives the life with this name from now on, and no other.
    fn enter_life(&self, name: &str);

    /// Does another node live it? Who does not leaves its end to those who do.
    fn is_lived(&self, name: &str) -> Result<bool, StoreError>;

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

    /// Every room that each of these people is in, newest change first.
    fn memberships_of(&self, users: &[UserId]) -> Result<Vec<Membership>, StoreError>;

    /// One of those.
    fn membership(&self, user: UserId, room: RoomId) -> Result<Option<Membership>, StoreError>;

    /// Every room that somebody is or was in, with their standing there, in the order of ids.
    fn standings(&self, user: UserId) -> Result<Vec<(RoomRecord, MemberRecord)>, StoreError>;

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

    /// Accounts by what tokens call them; unknown people are left out.
    fn users_by_sub(&self, subs: &[Arc<str>]) -> Result<Vec<UserRecord>, StoreError>;

    /// An account by what its owner signs in with (compared without regard to case).
    fn user_by_username(&self, username: &str) -> Result<Option<UserRecord>, StoreError>;

    /// Active accounts whose name or username contains `query`, by name, no guests.
    fn search_users(&self, query: &str, limit: usize) -> Result<Vec<UserRecord>, StoreError>;

    /// Changes an account and counts its version up.
    fn update_user(&self, user: UserId, patch: &UserPatch) -> Result<UserRecord, StoreError>;

    /// Makes a tombstone of an account: id, `sub` and status remain, its logins are gone.
    fn resign_user(&self, user: UserId, now: i64) -> Result<(), StoreError>;

    /// People whose account was given up and who are still a member of some room.
    fn resigned_members(&self, limit: usize) -> Result<Vec<UserId>, StoreError>;

    /// The number of the newest change of any account, or end of any login.
    fn user_revision(&self) -> Result<i64, StoreError>;

    /// Accounts that changed, or lost a login, after this number, each with its own, ascending.
    /// Nothing with a lower number shows up later.
    fn users_changed(&self, after: i64, limit: usize) -> Result<Vec<(UserId, i64)>, StoreError>;

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

    /// Those of these logins that still exist. (An access token names one.)
    fn existing_logins(&self, logins: &[LoginId]) -> Result<Vec<LoginId>, StoreError>;

    /// Removes logins and used refresh tokens that expired before `now`.
    fn sweep_logins(&self, now: i64) -> Result<usize, StoreError>;

    // -- settings --------------------------------------------------------------------

    /// The newest versions of what was set while nodes run, newest first.
    fn settings(&self, limit: usize) -> Result<Vec<SettingsRecord>, StoreError>;

    /// Adds a version; false when somebody else has taken its number.
    fn save_settings(&self, record: &SettingsRecord) -> Result<bool, StoreError>;
}
