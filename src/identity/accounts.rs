//! What changes in an account, and which tokens that ends.

use super::Identities;
use super::names::{check_name, check_password};
use crate::clock::now_ms;
use crate::db::{Store, StoreError, UserPatch, UserRecord, UserStatus};
use crate::error::{Error, Result};
use crate::ids::{LoginId, UserId};
use crate::limits::Rates;
use crate::protocol::ErrorCode;

/// A new password for an account.
#[derive(Debug)]
pub struct PasswordChange {
    /// The password until now.
    pub current: String,
    /// The one from now on.
    pub password: String,
    /// Only if the account is still in this version.
    pub if_version: Option<i64>,
}

impl Identities {
    /// Gives an account another name.
    pub async fn rename(
        &self,
        user: UserId,
        name: &str,
        if_version: Option<i64>,
    ) -> Result<UserRecord> {
        let patch = UserPatch {
            name: Some(check_name(name)?),
            if_version,
            ..UserPatch::default()
        };
        self.change(user, patch).await
    }

    /// Takes a new password, and ends every login but the one that asked. Wrong guesses of
    /// the current one count like those at the door.
    pub async fn change_password(
        &self,
        rates: &Rates,
        user: UserId,
        change: PasswordChange,
        keep: Option<LoginId>,
    ) -> Result<UserRecord> {
        check_password(&change.password)?;
        let record = self.db().run(move |store| store.user(user)).await?;
        let (username, hash) = record.map_or((None, None), |record| {
            (record.username, record.password_hash)
        });
        let key = username.map_or_else(|| user.to_string(), |name| name.to_lowercase());
        let attempt = rates.signins_by_account.begin(key).await?;
        if !self.passwords().matches(change.current, hash).await? {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "current_password is not the password of this account",
            ));
        }
        attempt.was_right().await;
        let patch = UserPatch {
            password_hash: Some(self.passwords().hash(change.password).await?),
            revoked_before: Some(now_ms()),
            if_version: change.if_version,
            ..UserPatch::default()
        };
        self.shut(user, keep, patch).await
    }

    /// Ends one login of a person; `false` when they have none like it.
    pub async fn end_login(&self, user: UserId, login: LoginId) -> Result<bool> {
        let ended = self
            .db()
            .run(move |store| store.end_logins(user, Some(login)))
            .await;
        self.forget_login(login);
        Ok(!ended?.is_empty())
    }

    /// Ends every login of a person and refuses every token issued before.
    pub async fn sign_out_everywhere(&self, user: UserId) -> Result<()> {
        let patch = UserPatch {
            revoked_before: Some(now_ms()),
            ..UserPatch::default()
        };
        self.shut(user, None, patch).await.map(drop)
    }

    /// Stops an account; nobody gets in with it any more.
    pub async fn suspend(&self, user: UserId) -> Result<()> {
        let patch = UserPatch {
            status: Some(UserStatus::Suspended),
            revoked_before: Some(now_ms()),
            ..UserPatch::default()
        };
        self.shut(user, None, patch).await.map(drop)
    }

    /// Lets a stopped account be used again. Its owner signs in anew.
    pub async fn lift(&self, user: UserId) -> Result<()> {
        let patch = UserPatch {
            status: Some(UserStatus::Active),
            ..UserPatch::default()
        };
        self.change(user, patch).await.map(drop)
    }

    /// Makes a tombstone of an account.
    pub async fn resign(&self, user: UserId) -> Result<()> {
        let resigned = self
            .db()
            .run(move |store| store.resign_user(user, now_ms()))
            .await;
        self.forget(user);
        resigned
    }

    async fn change(&self, user: UserId, patch: UserPatch) -> Result<UserRecord> {
        let changed = self
            .db()
            .run(move |store| update(store, user, &patch))
            .await;
        // Also when the outcome is unknown: what is forgotten is only read again.
        self.forget(user);
        changed?.ok_or_else(changed_meanwhile)
    }

    /// Changes an account and ends its logins, all but one.
    async fn shut(
        &self,
        user: UserId,
        keep: Option<LoginId>,
        patch: UserPatch,
    ) -> Result<UserRecord> {
        let shut = self
            .db()
            .run(move |store| {
                let Some(changed) = update(store, user, &patch)? else {
                    return Ok(None);
                };
                let mut ended = Vec::new();
                for login in store.logins(user)? {
                    if Some(login.id) != keep {
                        ended.extend(store.end_logins(user, Some(login.id))?);
                    }
                }
                Ok(Some((changed, ended)))
            })
            .await;
        self.forget(user);
        if shut.is_err() {
            // The outcome is unknown, and so is which logins are over.
            self.forget_all_logins();
        }
        let (changed, ended) = shut?.ok_or_else(changed_meanwhile)?;
        ended.iter().for_each(|login| self.forget_login(login.id));
        Ok(changed)
    }
}

/// `None` when there is no such account, or not in this version.
fn update(
    store: &dyn Store,
    user: UserId,
    patch: &UserPatch,
) -> Result<Option<UserRecord>, StoreError> {
    match store.update_user(user, patch) {
        Ok(changed) => Ok(Some(changed)),
        Err(StoreError::Gone) => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn changed_meanwhile() -> Error {
    Error::new(
        ErrorCode::Conflict,
        "the account has changed meanwhile; read it again",
    )
}
