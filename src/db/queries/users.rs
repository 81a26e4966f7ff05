//! Accounts.

use std::sync::Arc;

use diesel::prelude::*;

use super::matching::containing;
use super::{Conn, write};
use crate::db::models::UserRow;
use crate::db::schema::{logins, members, user_revisions, users};
use crate::db::{StoreError, UserPatch, UserRecord, UserRole, UserStatus};
use crate::ids::UserId;

/// Most ids in one statement.
pub(super) const IDS_PER_STATEMENT: usize = 1000;
/// The only row of the counter of changes.
const ONLY: i64 = 1;

/// See [`crate::db::Store::create_user`].
pub(crate) fn create_user(conn: &mut Conn, user: &UserRecord) -> Result<(), StoreError> {
    write(conn, |conn| {
        let row = UserRow::from(user);
        let created = diesel::insert_into(users::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(conn)?;
        if created == 1 {
            return Ok(());
        }
        Err(StoreError::Taken(
            if user_by_sub(conn, &user.sub)?.is_some() {
                "sub"
            } else {
                "username"
            },
        ))
    })
}

/// See [`crate::db::Store::user`].
pub(crate) fn user(conn: &mut Conn, user: UserId) -> Result<Option<UserRecord>, StoreError> {
    let row = users::table
        .find(user.raw())
        .select(UserRow::as_select())
        .first(conn)
        .optional()?;
    row.map(UserRecord::try_from).transpose()
}

/// See [`crate::db::Store::users`].
pub(crate) fn users(conn: &mut Conn, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(IDS_PER_STATEMENT) {
        let rows = users::table
            .filter(users::id.eq_any(some.iter().map(|id| id.raw())))
            .select(UserRow::as_select())
            .load(conn)?;
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}

/// See [`crate::db::Store::user_by_sub`].
pub(crate) fn user_by_sub(conn: &mut Conn, sub: &str) -> Result<Option<UserRecord>, StoreError> {
    let row = users::table
        .filter(users::sub.eq(sub))
        .select(UserRow::as_select())
        .first(conn)
        .optional()?;
    row.map(UserRecord::try_from).transpose()
}

/// See [`crate::db::Store::users_by_sub`].
pub(crate) fn users_by_sub(
    conn: &mut Conn,
    subs: &[Arc<str>],
) -> Result<Vec<UserRecord>, StoreError> {
    let mut found = Vec::with_capacity(subs.len());
    for some in subs.chunks(IDS_PER_STATEMENT) {
        let rows = users::table
            .filter(users::sub.eq_any(some.iter().map(|sub| &**sub)))
            .select(UserRow::as_select())
            .load(conn)?;
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}

/// See [`crate::db::Store::user_by_username`].
pub(crate) fn user_by_username(
    conn: &mut Conn,
    name: &str,
) -> Result<Option<UserRecord>, StoreError> {
    let row = users::table
        .filter(users::username_key.eq(name.to_lowercase()))
        .select(UserRow::as_select())
        .first(conn)
        .optional()?;
    row.map(UserRecord::try_from).transpose()
}

/// See [`crate::db::Store::search_users`].
pub(crate) fn search_users(
    conn: &mut Conn,
    query: &str,
    limit: usize,
) -> Result<Vec<UserRecord>, StoreError> {
    let pattern = containing(query);
    let by_name = users::name_key.like(pattern.clone()).escape('\\');
    let by_username = users::username_key.like(pattern).escape('\\');
    let rows = users::table
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .filter(users::role.ne(UserRole::Guest.as_str()))
        .filter(by_name.nullable().or(by_username))
        .order((users::name_key, users::id))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(UserRow::as_select())
        .load(conn)?;
    rows.into_iter().map(UserRecord::try_from).collect()
}

/// See [`crate::db::Store::update_user`].
pub(crate) fn update_user(
    conn: &mut Conn,
    user: UserId,
    patch: &UserPatch,
) -> Result<UserRecord, StoreError> {
    write(conn, |conn| {
        let current = begin_change(conn, user)?;
        if patch
            .if_version
            .is_some_and(|seen| seen + 1 != current.version)
        {
            return Err(StoreError::Gone);
        }
        let changed = UserRecord {
            name: patch.name.clone().unwrap_or(current.name),
            password_hash: patch.password_hash.clone().or(current.password_hash),
            status: patch.status.unwrap_or(current.status),
            revoked_before: patch
                .revoked_before
                .unwrap_or(0)
                .max(current.revoked_before),
            ..current
        };
        save_user(conn, &changed)?;
        number_change(conn, user)?;
        Ok(changed)
    })
}

/// See [`crate::db::Store::resign_user`].
pub(crate) fn resign_user(conn: &mut Conn, user: UserId, now: i64) -> Result<(), StoreError> {
    write(conn, |conn| {
        // Logins before accounts, as everywhere: then nobody waits in a circle.
        diesel::delete(logins::table.filter(logins::user_id.eq(user.raw()))).execute(conn)?;
        let current = begin_change(conn, user)?;
        save_user(
            conn,
            &UserRecord {
                username: None,
                password_hash: None,
                name: String::new(),
                status: UserStatus::Resigned,
                revoked_before: current.revoked_before.max(now),
                ..current
            },
        )?;
        number_change(conn, user)
    })
}

/// See [`crate::db::Store::resigned_members`].
pub(crate) fn resigned_members(conn: &mut Conn, limit: usize) -> Result<Vec<UserId>, StoreError> {
    let rooms = members::table
        .filter(members::user_id.eq(users::id))
        .filter(members::role.is_not_null());
    let ids: Vec<i64> = users::table
        .filter(users::status.eq(UserStatus::Resigned.as_str()))
        .filter(diesel::dsl::exists(rooms))
        .order(users::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(users::id)
        .load(conn)?;
    Ok(ids.into_iter().map(UserId::from_raw).collect())
}

/// See [`crate::db::Store::user_revision`].
pub(crate) fn user_revision(conn: &mut Conn) -> Result<i64, StoreError> {
    let newest = user_revisions::table.find(ONLY);
    Ok(newest.select(user_revisions::newest).first(conn)?)
}

/// See [`crate::db::Store::users_changed`].
pub(crate) fn users_changed(
    conn: &mut Conn,
    after: i64,
    limit: usize,
) -> Result<Vec<(UserId, i64)>, StoreError> {
    let rows: Vec<(i64, i64)> = users::table
        .filter(users::revision.gt(after))
        .order(users::revision)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((users::id, users::revision))
        .load(conn)?;
    let with_id = |(user, revision)| (UserId::from_raw(user), revision);
    Ok(rows.into_iter().map(with_id).collect())
}

/// Gives a change of an account, or the end of a login, its number.
///
/// The account's row is held first and the counter's last, and both until the commit: so
/// numbers are committed in their order.
pub(super) fn number_change(conn: &mut Conn, user: UserId) -> Result<(), StoreError> {
    let account = users::table.find(user.raw());
    diesel::update(account)
        .set(users::revision.eq(users::revision))
        .execute(conn)?;
    diesel::update(user_revisions::table.find(ONLY))
        .set(user_revisions::newest.eq(user_revisions::newest + 1))
        .execute(conn)?;
    let newest = user_revision(conn)?;
    diesel::update(account)
        .set(users::revision.eq(newest))
        .execute(conn)?;
    Ok(())
}

/// Counts the version up, which also keeps others from changing the account until the
/// transaction ends, and reads it.
fn begin_change(conn: &mut Conn, id: UserId) -> Result<UserRecord, StoreError> {
    diesel::update(users::table.find(id.raw()))
        .set(users::version.eq(users::version + 1))
        .execute(conn)?;
    user(conn, id)?.ok_or(StoreError::Gone)
}

fn save_user(conn: &mut Conn, user: &UserRecord) -> QueryResult<()> {
    diesel::update(users::table.find(user.id.raw()))
        .set(&UserRow::from(user))
        .execute(conn)
        .map(drop)
}
