//! Signing up, in and out: accounts with passwords, guests, and their refresh tokens.

use sha2::{Digest, Sha256};

use super::names::{self, check_name, check_password, check_username};
use super::{Claims, Identities};
use crate::clock::now_ms;
use crate::db::{LoginRecord, Rotation, StoreError, UserRecord, UserRole, UserStatus};
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::ids::{LoginId, UserId};
use crate::limits::{Address, Rates};
use crate::protocol::ErrorCode;

/// How long an access token holds, seconds.
const ACCESS_SECONDS: i64 = 15 * 60;
/// How long a refresh token holds, milliseconds.
const REFRESH_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Longest description of a device, bytes.
const MAX_DEVICE_BYTES: usize = 200;

/// What somebody has in their hands after signing in.
#[derive(Debug)]
pub struct Pass {
    /// Opens everything for a while.
    pub access_token: String,
    /// Good for the next pass, once.
    pub refresh_token: String,
    /// How long the access token holds, seconds.
    pub expires_in: i64,
    /// Whose it is.
    pub user: UserRecord,
}

/// What became of a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// Here is the next pass.
    Renewed(Box<Pass>),
    /// It had been used before, so one of the two who have it stole it: the login is over.
    Reused(LoginRecord),
}

impl Identities {
    /// Makes an account with a password, and signs it in.
    pub async fn sign_up(
        &self,
        username: String,
        password: String,
        name: Option<&str>,
        device: &str,
    ) -> Result<Pass> {
        check_username(&username)?;
        check_password(&password)?;
        let name = check_name(name.unwrap_or(&username))?;
        let mut user = fresh_account(name, UserRole::User);
        user.password_hash = Some(self.passwords().hash(password).await?);
        user.username = Some(username);
        self.admit(user, device).await
    }

    /// Makes an account that only a name belongs to, and signs it in.
    pub async fn guest(&self, name: &str, device: &str) -> Result<Pass> {
        let user = fresh_account(check_name(name)?, UserRole::Guest);
        self.admit(user, device).await
    }

    /// Signs in with a password. Wrong ones are counted by account and by address.
    pub async fn sign_in(
        &self,
        rates: &Rates,
        address: Address,
        username: String,
        password: String,
        device: &str,
    ) -> Result<Pass> {
        let impossible =
            !names::is_username_sized(&username) || password.len() > names::MAX_PASSWORD_BYTES;
        if impossible || username.contains('\0') {
            return Err(wrong_password());
        }
        let by_address = rates.signins_by_address.begin(address).await?;
        let account = username.to_lowercase();
        let by_account = rates.signins_by_account.begin(account).await?;
        let user = self
            .db()
            .run(move |store| store.user_by_username(&username))
            .await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let right = self.passwords().matches(password, hash).await?;
        let user = user.filter(|_| right).ok_or_else(wrong_password)?;
        by_address.was_right().await;
        by_account.was_right().await;
        refuse_unless_active(&user)?;
        self.begin_login(user, device).await
    }

    /// Exchanges a refresh token for the next pass.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Refreshed> {
        let hash = hash_of(refresh_token);
        let next = Secret256::random();
        let next_hash = hash_of(&next.0);
        let now = now_ms();
        let outcome = self
            .db()
            .run(move |store| {
                let rotation = store.rotate_login(&hash, &next_hash, now, now + REFRESH_MS)?;
                let user = match &rotation {
                    Rotation::Renewed(login) => store.user(login.user)?,
                    Rotation::Reused(_) | Rotation::Unknown => None,
                };
                Ok((rotation, user))
            })
            .await?;
        match outcome {
            (Rotation::Renewed(login), Some(user)) => {
                refuse_unless_active(&user)?;
                let pass = self.pass(user, login.id, next)?;
                Ok(Refreshed::Renewed(pass.into()))
            }
            (Rotation::Reused(login), _) => {
                log::warn!(
                    "user={} login={} refresh token used twice",
                    login.user,
                    login.id
                );
                self.forget_login(login.id);
                Ok(Refreshed::Reused(login))
            }
            (Rotation::Renewed(_) | Rotation::Unknown, _) => Err(Error::new(
                ErrorCode::TokenInvalid,
                "the refresh token is unknown or has run out; sign in again",
            )),
        }
    }

    /// Ends the login that a refresh token belongs to.
    pub async fn end_login_of(&self, refresh_token: &str) -> Result<Option<LoginRecord>> {
        let hash = hash_of(refresh_token);
        let ended = self
            .db()
            .run(move |store| store.end_login_of(&hash))
            .await?;
        if let Some(login) = &ended {
            self.forget_login(login.id);
        }
        Ok(ended)
    }

    async fn admit(&self, user: UserRecord, device: &str) -> Result<Pass> {
        let new = user.clone();
        let taken = self
            .db()
            .run(move |store| match store.create_user(&new) {
                Ok(()) => Ok(None),
                Err(StoreError::Taken(what)) => Ok(Some(what)),
                Err(cause) => Err(cause),
            })
            .await?;
        match taken {
            None => self.begin_login(user, device).await,
            Some(what) => Err(Error::new(
                ErrorCode::Conflict,
                format!("this {what} is taken; choose another"),
            )),
        }
    }

    async fn begin_login(&self, user: UserRecord, device: &str) -> Result<Pass> {
        let now = now_ms();
        let (device, _) = device.split_at(device.floor_char_boundary(MAX_DEVICE_BYTES));
        let login = LoginRecord {
            id: LoginId::random(),
            user: user.id,
            device: device.replace(char::is_control, ""),
            created_at: now,
            used_at: now,
            expires_at: now + REFRESH_MS,
        };
        let refresh_token = Secret256::random();
        let hash = hash_of(&refresh_token.0);
        let id = login.id;
        self.db()
            .run(move |store| store.create_login(&login, &hash))
            .await?;
        self.pass(user, id, refresh_token)
    }

    fn pass(&self, user: UserRecord, login: LoginId, refresh: Secret256) -> Result<Pass> {
        let claims = Claims {
            sid: Some(login.to_string()),
            ..Claims::new(&user.sub, ACCESS_SECONDS)
        };
        Ok(Pass {
            access_token: self.tokens().issue(&claims)?,
            refresh_token: refresh.0,
            expires_in: ACCESS_SECONDS,
            user,
        })
    }
}

/// 256 bits that nobody can guess, as hex.
struct Secret256(String);

impl Secret256 {
    fn random() -> Self {
        Self(hex(&rand::random::<[u8; 32]>()))
    }
}

/// What is kept of a refresh token. It is random, so a plain hash is enough.
fn hash_of(refresh_token: &str) -> String {
    hex(&Sha256::digest(refresh_token.as_bytes()))
}

fn fresh_account(name: String, role: UserRole) -> UserRecord {
    let id = UserId::random();
    UserRecord {
        id,
        sub: id.to_string(),
        username: None,
        password_hash: None,
        name,
        role,
        status: UserStatus::Active,
        revoked_before: 0,
        version: 1,
        created_at: now_ms(),
    }
}

fn refuse_unless_active(user: &UserRecord) -> Result<()> {
    match user.status {
        UserStatus::Active => Ok(()),
        UserStatus::Suspended | UserStatus::Resigned => Err(Error::new(
            ErrorCode::Revoked,
            "the account is no longer in use",
        )),
    }
}

fn wrong_password() -> Error {
    Error::new(ErrorCode::Unauthenticated, "username or password is wrong")
}
