//! Accounts and sign-ins.

use crate::ids::{LoginId, UserId};

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
