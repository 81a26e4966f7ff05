//! Rows of `users` and `logins`.

use diesel::prelude::*;

use super::unreadable;
use crate::db::schema::{logins, users};
use crate::db::{LoginRecord, StoreError, UserRecord, UserRole, UserStatus};
use crate::ids::{LoginId, UserId};

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
