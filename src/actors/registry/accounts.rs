//! Accounts that changed, as the database numbers them. Other nodes are told of a revocation
//! by an envelope, which takes no time and may be lost; this finds it in any case.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::{Registry, user};
use crate::actors::{Services, send_always};
use crate::db::StoreError;
use crate::ids::UserId;
use crate::protocol::envelope::Payload;

/// How often the database is asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// Most accounts in one answer.
const PAGE: usize = 1000;

/// Accounts that another node may have changed, or whose logins it may have ended.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum AccountsChanged {
    /// These.
    These(Vec<UserId>),
    /// Nobody knows which.
    Any,
}

/// An account has changed here: other nodes remember an old one.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct AccountChanged(pub UserId);

/// Looks again and again which accounts have changed, for ever.
pub async fn watch_accounts(services: Arc<Services>) {
    // `None` until the newest number is known.
    let mut seen: Option<i64> = None;
    let mut turns = tokio::time::interval(INTERVAL);
    loop {
        turns.tick().await;
        let asked = services.db.run(move |store| match seen {
            Some(after) => store.users_changed(after, PAGE).map(Found::of),
            None => Ok::<_, StoreError>(Found {
                newest: Some(store.user_revision()?),
                changed: AccountsChanged::Any,
            }),
        });
        match asked.await {
            Ok(found) => {
                if let Some(newest) = found.newest {
                    seen = Some(newest);
                    // The registry lives as long as the node.
                    let _ = services.registry.send(found.changed).await;
                }
            }
            Err(error) => log::debug!("changed accounts are not known: {error}"),
        }
    }
}

/// What one look has found.
struct Found {
    /// The newest number, if there is anything new.
    newest: Option<i64>,
    changed: AccountsChanged,
}

impl Found {
    fn of(changed: Vec<(UserId, i64)>) -> Self {
        Self {
            newest: changed.last().map(|(_, revision)| *revision),
            changed: AccountsChanged::These(changed.into_iter().map(|(user, _)| user).collect()),
        }
    }
}

impl Handler<AccountsChanged> for Registry {
    type Result = ();

    fn handle(&mut self, changed: AccountsChanged, _: &mut Context<Self>) {
        match changed {
            AccountsChanged::These(users) => {
                for user in users {
                    self.recheck(user);
                }
            }
            AccountsChanged::Any => self.recheck_everybody(),
        }
    }
}

impl Handler<AccountChanged> for Registry {
    type Result = ();

    fn handle(&mut self, AccountChanged(user): AccountChanged, _: &mut Context<Self>) {
        self.send_to_all(Payload::AccountChanged { user });
    }
}

impl Registry {
    /// Somebody's account has changed: it is read again, and so are their sign-ins.
    pub(super) fn recheck(&self, user: UserId) {
        self.forget_identity(user);
        if let Some(address) = self.users.get(&user) {
            // It must not be lost, and there is one for each change.
            send_always(address, user::News::Command(user::Command::Recheck));
        }
    }

    /// Anything may have changed: every sign-in here is looked at again.
    pub(super) fn recheck_everybody(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.identities.forget_everything();
        }
        for address in self.users.values() {
            send_always(address, user::News::Command(user::Command::Recheck));
        }
    }
}
