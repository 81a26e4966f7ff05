//! Logins and their refresh tokens.

use diesel::prelude::*;

use super::users::number_change;
use super::{Conn, write};
use crate::db::models::LoginRow;
use crate::db::schema::{logins, refresh_tokens as tokens};
use crate::db::{LoginRecord, Rotation, StoreError};
use crate::ids::{LoginId, UserId};

/// See [`crate::db::Store::create_login`].
pub(crate) fn create_login(
    conn: &mut Conn,
    login: &LoginRecord,
    token_hash: &str,
) -> Result<(), StoreError> {
    write(conn, |conn| {
        diesel::insert_into(logins::table)
            .values(&LoginRow::from(login))
            .execute(conn)?;
        insert_token(conn, token_hash, login.id, login.expires_at)
    })
}

/// See [`crate::db::Store::rotate_login`].
pub(crate) fn rotate_login(
    conn: &mut Conn,
    token_hash: &str,
    next_hash: &str,
    now: i64,
    expires_at: i64,
) -> Result<Rotation, StoreError> {
    write(conn, |conn| {
        let Some(login) = lock_login_of(conn, token_hash)? else {
            return Ok(Rotation::Unknown);
        };
        let (used_at, token_expires_at): (Option<i64>, i64) = tokens::table
            .find(token_hash)
            .select((tokens::used_at, tokens::expires_at))
            .first(conn)?;
        if used_at.is_some() {
            delete_login(conn, login.id)?;
            number_change(conn, login.user)?;
            return Ok(Rotation::Reused(login));
        }
        if token_expires_at <= now {
            return Ok(Rotation::Unknown);
        }
        diesel::update(tokens::table.find(token_hash))
            .set(tokens::used_at.eq(now))
            .execute(conn)?;
        insert_token(conn, next_hash, login.id, expires_at)?;
        diesel::update(logins::table.find(login.id.raw()))
            .set((logins::used_at.eq(now), logins::expires_at.eq(expires_at)))
            .execute(conn)?;
        Ok(Rotation::Renewed(LoginRecord {
            used_at: now,
            expires_at,
            ..login
        }))
    })
}

fn insert_token(
    conn: &mut Conn,
    hash: &str,
    login: LoginId,
    expires_at: i64,
) -> Result<(), StoreError> {
    diesel::insert_into(tokens::table)
        .values((
            tokens::hash.eq(hash),
            tokens::login.eq(login.raw()),
            tokens::expires_at.eq(expires_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// The login that a token belongs to.
fn login_of(conn: &mut Conn, token_hash: &str) -> QueryResult<Option<LoginRecord>> {
    let row: Option<LoginRow> = tokens::table
        .find(token_hash)
        .inner_join(logins::table)
        .select(LoginRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(LoginRecord::from))
}

/// The same, kept from changing until the transaction ends; `None` when it is gone.
///
/// Always the login before its tokens, as deleting it does: then nobody waits in a circle.
fn lock_login_of(conn: &mut Conn, token_hash: &str) -> QueryResult<Option<LoginRecord>> {
    let Some(login) = login_of(conn, token_hash)? else {
        return Ok(None);
    };
    let locked = diesel::update(logins::table.find(login.id.raw()))
        .set(logins::used_at.eq(logins::used_at))
        .execute(conn)?;
    Ok((locked == 1).then_some(login))
}

/// Its tokens go with it.
fn delete_login(conn: &mut Conn, login: LoginId) -> QueryResult<usize> {
    diesel::delete(logins::table.find(login.raw())).execute(conn)
}

/// See [`crate::db::Store::logins`].
pub(crate) fn logins(conn: &mut Conn, user: UserId) -> Result<Vec<LoginRecord>, StoreError> {
    let rows = logins::table
        .filter(logins::user_id.eq(user.raw()))
        .order((logins::used_at.desc(), logins::id))
        .select(LoginRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(LoginRecord::from).collect())
}

/// See [`crate::db::Store::end_logins`].
pub(crate) fn end_logins(
    conn: &mut Conn,
    user: UserId,
    login: Option<LoginId>,
) -> Result<Vec<LoginRecord>, StoreError> {
    write(conn, |conn| {
        let mut ended = logins(conn, user)?;
        ended.retain(|record| login.is_none_or(|login| login == record.id));
        for record in &ended {
            delete_login(conn, record.id)?;
        }
        if !ended.is_empty() {
            number_change(conn, user)?;
        }
        Ok(ended)
    })
}

/// See [`crate::db::Store::end_login_of`].
pub(crate) fn end_login_of(
    conn: &mut Conn,
    token_hash: &str,
) -> Result<Option<LoginRecord>, StoreError> {
    write(conn, |conn| {
        let Some(login) = login_of(conn, token_hash)? else {
            return Ok(None);
        };
        delete_login(conn, login.id)?;
        number_change(conn, login.user)?;
        Ok(Some(login))
    })
}

/// See [`crate::db::Store::existing_logins`].
pub(crate) fn existing(conn: &mut Conn, wanted: &[LoginId]) -> Result<Vec<LoginId>, StoreError> {
    let mut found = Vec::with_capacity(wanted.len());
    for some in wanted.chunks(super::users::IDS_PER_STATEMENT) {
        let ids: Vec<i64> = logins::table
            .filter(logins::id.eq_any(some.iter().map(|login| login.raw())))
            .select(logins::id)
            .load(conn)?;
        found.extend(ids.into_iter().map(LoginId::from_raw));
    }
    Ok(found)
}

/// See [`crate::db::Store::sweep_logins`].
pub(crate) fn sweep_logins(conn: &mut Conn, now: i64) -> Result<usize, StoreError> {
    write(conn, |conn| {
        let logins =
            diesel::delete(logins::table.filter(logins::expires_at.lt(now))).execute(conn)?;
        let tokens =
            diesel::delete(tokens::table.filter(tokens::expires_at.lt(now))).execute(conn)?;
        Ok(logins + tokens)
    })
}
