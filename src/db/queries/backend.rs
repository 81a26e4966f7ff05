//! [`Store`] on a pool of connections: borrows one, asks one query file.

use std::sync::Arc;

use diesel::r2d2::{ConnectionManager, PooledConnection};

use super::{Conn, append, events, lives, logins, rooms, settings, users, write_back};
use crate::db::lock::Holder;
use crate::db::{
    Append, Appended, LoadedRoom, LoginRecord, Mark, MemberRecord, Membership, NewRoom, Placed,
    Range, RoomRecord, Rotation, SeedRecord, Select, SettingsRecord, Store, StoreError, UserPatch,
    UserRecord, WriteError, Written,
};
use crate::ids::{Epoch, LoginId, RoomId, Seq, UserId};
use crate::protocol::{ClientId, Event, Place};

type Manager = ConnectionManager<Conn>;
/// Connections of this kind, lent one at a time.
pub(crate) type Pool = diesel::r2d2::Pool<Manager>;

/// One database.
pub(crate) struct Backend {
    /// For questions.
    pub readers: Pool,
    /// For changes. SQLite has one writer, whatever we ask for.
    pub writers: Pool,
    /// That nobody writes who must not: see [`Holder`].
    pub holder: Holder,
}

impl Backend {
    fn read<T>(
        &self,
        ask: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        ask(&mut *borrow(&self.readers)?)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        change(&mut *borrow(&self.writers)?)
    }
}

fn borrow(pool: &Pool) -> Result<PooledConnection<Manager>, StoreError> {
    pool.get()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

impl Store for Backend {
    fn append(&self, batch: &[Append], now: i64) -> Result<Vec<Appended>, StoreError> {
        self.holder.check()?;
        self.change(|conn| append::append(conn, batch, now))
    }

    fn write(&self, life: &str, batch: &[Placed]) -> Result<Vec<Written>, WriteError> {
        self.holder.check()?;
        write_back::write_back(&mut *borrow(&self.writers)?, life, batch)
    }

    fn find(
        &self,
        room: RoomId,
        ids: &[(UserId, ClientId)],
    ) -> Result<Vec<Option<(i64, Place)>>, StoreError> {
        self.read(|conn| events::find(conn, room, ids))
    }

    fn seed_of(&self, room: RoomId) -> Result<Option<SeedRecord>, StoreError> {
        self.read(|conn| rooms::seed_of(conn, room))
    }

    fn renew_epoch(&self, room: RoomId) -> Result<Epoch, StoreError> {
        self.change(|conn| rooms::renew_epoch(conn, room))
    }

    fn life(&self) -> Result<Option<String>, StoreError> {
        self.read(lives::life)
    }

    fn begin_life(&self, old: Option<&str>, new: &str) -> Result<bool, StoreError> {
        self.change(|conn| lives::begin_life(conn, old, new))
    }

    fn enter_life(&self, name: &str) {
        self.holder.enter_life(name);
    }

    fn is_lived(&self, name: &str) -> Result<bool, StoreError> {
        self.holder.is_lived(name)
    }

    fn events(
        &self,
        room: RoomId,
        range: Range,
        floor: Seq,
        select: Select,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        self.read(|conn| events::events(conn, room, range, floor, select, limit))
    }

    fn mark_at(&self, room: RoomId, user: UserId, seq: Seq) -> Result<Mark, StoreError> {
        self.read(|conn| events::mark_at(conn, room, user, seq))
    }

    fn save_marks(&self, marks: &[(RoomId, UserId, Mark)]) -> Result<(), StoreError> {
        self.change(|conn| events::save_marks(conn, marks))
    }

    fn create_room(&self, room: &NewRoom) -> Result<RoomRecord, StoreError> {
        self.change(|conn| rooms::create_room(conn, room))
    }

    fn room(&self, room: RoomId) -> Result<Option<RoomRecord>, StoreError> {
        self.read(|conn| rooms::room(conn, room))
    }

    fn heads(&self, wanted: &[RoomId]) -> Result<Vec<(RoomId, Seq)>, StoreError> {
        self.read(|conn| rooms::heads(conn, wanted))
    }

    fn load_room(&self, room: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        self.read(|conn| rooms::load_room(conn, room, recent))
    }

    fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        self.read(|conn| rooms::memberships(conn, user))
    }

    fn memberships_of(&self, users: &[UserId]) -> Result<Vec<Membership>, StoreError> {
        self.read(|conn| rooms::memberships_of(conn, users))
    }

    fn membership(&self, user: UserId, room: RoomId) -> Result<Option<Membership>, StoreError> {
        self.read(|conn| rooms::membership(conn, user, room))
    }

    fn standings(&self, user: UserId) -> Result<Vec<(RoomRecord, MemberRecord)>, StoreError> {
        self.read(|conn| rooms::standings(conn, user))
    }

    fn open_rooms(
        &self,
        query: &str,
        after: Option<(&str, RoomId)>,
        limit: usize,
    ) -> Result<Vec<RoomRecord>, StoreError> {
        self.read(|conn| rooms::open_rooms(conn, query, after, limit))
    }

    fn create_user(&self, user: &UserRecord) -> Result<(), StoreError> {
        self.change(|conn| users::create_user(conn, user))
    }

    fn user(&self, user: UserId) -> Result<Option<UserRecord>, StoreError> {
        self.read(|conn| users::user(conn, user))
    }

    fn users(&self, users: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|conn| users::users(conn, users))
    }

    fn user_by_sub(&self, sub: &str) -> Result<Option<UserRecord>, StoreError> {
        self.read(|conn| users::user_by_sub(conn, sub))
    }

    fn users_by_sub(&self, subs: &[Arc<str>]) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|conn| users::users_by_sub(conn, subs))
    }

    fn user_by_username(&self, username: &str) -> Result<Option<UserRecord>, StoreError> {
        self.read(|conn| users::user_by_username(conn, username))
    }

    fn search_users(&self, query: &str, limit: usize) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|conn| users::search_users(conn, query, limit))
    }

    fn update_user(&self, user: UserId, patch: &UserPatch) -> Result<UserRecord, StoreError> {
        self.change(|conn| users::update_user(conn, user, patch))
    }

    fn resign_user(&self, user: UserId, now: i64) -> Result<(), StoreError> {
        self.change(|conn| users::resign_user(conn, user, now))
    }

    fn resigned_members(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read(|conn| users::resigned_members(conn, limit))
    }

    fn user_revision(&self) -> Result<i64, StoreError> {
        self.read(users::user_revision)
    }

    fn users_changed(&self, after: i64, limit: usize) -> Result<Vec<(UserId, i64)>, StoreError> {
        self.read(|conn| users::users_changed(conn, after, limit))
    }

    fn create_login(&self, login: &LoginRecord, token_hash: &str) -> Result<(), StoreError> {
        self.change(|conn| logins::create_login(conn, login, token_hash))
    }

    fn rotate_login(
        &self,
        token_hash: &str,
        next_hash: &str,
        now: i64,
        expires_at: i64,
    ) -> Result<Rotation, StoreError> {
        self.change(|conn| logins::rotate_login(conn, token_hash, next_hash, now, expires_at))
    }

    fn logins(&self, user: UserId) -> Result<Vec<LoginRecord>, StoreError> {
        self.read(|conn| logins::logins(conn, user))
    }

    fn end_logins(
        &self,
        user: UserId,
        login: Option<LoginId>,
    ) -> Result<Vec<LoginRecord>, StoreError> {
        self.change(|conn| logins::end_logins(conn, user, login))
    }

    fn end_login_of(&self, token_hash: &str) -> Result<Option<LoginRecord>, StoreError> {
        self.change(|conn| logins::end_login_of(conn, token_hash))
    }

    fn existing_logins(&self, logins: &[LoginId]) -> Result<Vec<LoginId>, StoreError> {
        self.read(|conn| logins::existing(conn, logins))
    }

    fn sweep_logins(&self, now: i64) -> Result<usize, StoreError> {
        self.change(|conn| logins::sweep_logins(conn, now))
    }

    fn settings(&self, limit: usize) -> Result<Vec<SettingsRecord>, StoreError> {
        self.read(|conn| settings::settings(conn, limit))
    }

    fn save_settings(&self, record: &SettingsRecord) -> Result<bool, StoreError> {
        self.change(|conn| settings::save_settings(conn, record))
    }
}
