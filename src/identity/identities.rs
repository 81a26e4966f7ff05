//! From a token to a person, with what is known about them close at hand.

use std::num::NonZeroUsize;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::names::displayable;
use super::tokens::is_revoked;
use super::{Claims, Passwords, Tokens};
use crate::clock::now_ms;
use crate::db::{Db, StoreError, UserRecord, UserRole, UserStatus};
use crate::error::{Error, Result};
use crate::ids::{LoginId, UserId};
use crate::protocol::ErrorCode;

/// Accounts, and logins, that are remembered.
const REMEMBERED: usize = 100_000;

/// Who is behind a token that holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Their account.
    pub user: UserId,
    /// What others call them.
    pub name: Arc<str>,
    /// What they may do.
    pub role: UserRole,
    /// The login that the token belongs to, if it was issued at a sign-in here.
    pub login: Option<LoginId>,
    /// When the token was issued, Unix milliseconds.
    pub issued_at: Option<i64>,
    /// Until when it holds, Unix milliseconds.
    pub expires_at: i64,
}

/// Checks tokens against accounts and logins.
pub struct Identities {
    db: Db,
    tokens: Tokens,
    passwords: Passwords,
    /// Unknown people with a good token become users.
    auto_provision: bool,
    /// Whom a `sub` means; never changes.
    users: Cache<Arc<str>, UserId>,
    /// What their accounts say; forgotten when they change.
    accounts: Cache<UserId, Account>,
    /// Logins that exist; forgotten when they end.
    logins: Cache<LoginId, ()>,
}

/// The part of an account that decides whether a token is accepted.
#[derive(Debug, Clone)]
struct Account {
    name: Arc<str>,
    role: UserRole,
    status: UserStatus,
    revoked_before: i64,
}

impl Identities {
    /// Accounts of this database, tokens of this key.
    pub fn new(db: Db, tokens: Tokens, auto_provision: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            db,
            tokens,
            passwords: Passwords::new(cores),
            auto_provision,
            users: Cache::new(REMEMBERED),
            accounts: Cache::new(REMEMBERED),
            logins: Cache::new(REMEMBERED),
        }
    }

    /// Signs and reads tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Hashes and compares passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// Who is behind this token, now.
    pub async fn verify(&self, token: &str) -> Result<Identity> {
        let claims = self.tokens.read(token)?;
        let user = self.user(&claims).await?;
        let account = self.account(user).await?;
        if account.status != UserStatus::Active {
            return Err(revoked("the account is no longer in use"));
        }
        let login = claims.login();
        match login {
            // A login ends together with its tokens, so it is asked instead of the time.
            Some(login) => self.check_login(login).await?,
            None if is_revoked(claims.issued_at(), account.revoked_before) => {
                return Err(signed_out());
            }
            None => {}
        }
        Ok(Identity {
            user,
            role: role_of(&claims, account.role),
            name: account.name,
            login,
            issued_at: claims.issued_at(),
            expires_at: claims.expires_at(),
        })
    }

    /// An account has changed: the next token is checked against the database.
    pub fn forget(&self, user: UserId) {
        self.accounts.remove(&user);
    }

    /// A login has ended.
    pub fn forget_login(&self, login: LoginId) {
        self.logins.remove(&login);
    }

    pub(crate) fn forget_all_logins(&self) {
        self.logins.clear();
    }

    /// Another node may have changed anything: everything is asked of the database again.
    pub fn forget_everything(&self) {
        self.accounts.clear();
        self.logins.clear();
    }

    /// Is a sign-in still good whose token was verified before?
    ///
    /// # Errors
    /// `revoked` when it is not; `unavailable` when that cannot be known now.
    pub async fn recheck(
        &self,
        user: UserId,
        login: Option<LoginId>,
        issued_at: Option<i64>,
    ) -> Result<()> {
        let account = self.account(user).await?;
        if account.status != UserStatus::Active {
            return Err(revoked("the account is no longer in use"));
        }
        match login {
            Some(login) => self.check_login(login).await,
            None if is_revoked(issued_at, account.revoked_before) => Err(signed_out()),
            None => Ok(()),
        }
    }

    /// The account that a token means, made if it may be.
    async fn user(&self, claims: &Claims) -> Result<UserId> {
        let sub: Arc<str> = claims.sub.as_str().into();
        let find = async {
            match self.db.account_by_sub(sub.clone()).await? {
                Some(user) => Ok(user.id),
                None if self.auto_provision => self.provision(newcomer(claims)).await,
                None => Err(nobody()),
            }
        };
        self.users.get_or_insert_async(&sub, find).await
    }

    /// Makes an account for somebody who had none a moment ago.
    async fn provision(&self, new: UserRecord) -> Result<UserId> {
        let user = self
            .db
            .run(move |store| match store.create_user(&new) {
                Ok(()) => Ok(Some(new.id)),
                // Somebody else has just brought the same person.
                Err(StoreError::Taken(_)) => Ok(store.user_by_sub(&new.sub)?.map(|user| user.id)),
                Err(cause) => Err(cause),
            })
            .await?;
        user.ok_or_else(nobody)
    }

    async fn account(&self, user: UserId) -> Result<Account> {
        let read = async {
            let record = self.db.account(user).await?;
            record
                .map(Account::from)
                .ok_or_else(|| revoked("the account is gone"))
        };
        self.accounts.get_or_insert_async(&user, read).await
    }

    async fn check_login(&self, login: LoginId) -> Result<()> {
        let read = async {
            let exists = self.db.has_login(login).await?;
            exists.then_some(()).ok_or_else(signed_out)
        };
        self.logins.get_or_insert_async(&login, read).await
    }
}

impl From<UserRecord> for Account {
    fn from(record: UserRecord) -> Self {
        Self {
            name: record.name.into(),
            role: record.role,
            status: record.status,
            revoked_before: record.revoked_before,
        }
    }
}

/// Whoever has the key may make an admin for as long as the token holds.
fn role_of(claims: &Claims, role: UserRole) -> UserRole {
    if claims.role.as_deref() == Some("admin") {
        UserRole::Admin
    } else {
        role
    }
}

/// The account of a person whom another service vouches for.
fn newcomer(claims: &Claims) -> UserRecord {
    let names = [claims.name.as_deref().unwrap_or_default(), &claims.sub, "?"];
    let name = names
        .map(displayable)
        .into_iter()
        .find(|name| !name.is_empty());
    UserRecord {
        id: UserId::random(),
        sub: claims.sub.clone(),
        username: None,
        password_hash: None,
        name: name.unwrap_or_default(),
        role: role_of(claims, UserRole::User),
        status: UserStatus::Active,
        revoked_before: 0,
        version: 1,
        created_at: now_ms(),
    }
}

fn nobody() -> Error {
    Error::new(
        ErrorCode::TokenInvalid,
        "nobody here is meant by this token",
    )
}

fn revoked(message: &str) -> Error {
    Error::new(ErrorCode::Revoked, message)
}

fn signed_out() -> Error {
    revoked("the token was signed out; sign in again")
}
