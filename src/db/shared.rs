//! What thousands ask at once who come back after an outage: who somebody is, and which rooms
//! are theirs. Each kind is one question for many.

use std::collections::HashMap;
use std::sync::Arc;

use super::gathering::Gathering;
use super::handle::{Db, Queue};
use super::{Membership, RoomList, Store, StoreError, UserRecord};
use crate::error::Result;
use crate::ids::{LoginId, UserId};

/// One gathering for each kind.
#[derive(Clone)]
pub(super) struct Shared {
    /// Accounts by id.
    accounts: Arc<Gathering<UserId, UserRecord>>,
    /// Accounts by what a token calls them.
    by_sub: Arc<Gathering<Arc<str>, UserRecord>>,
    /// Logins that exist.
    logins: Arc<Gathering<LoginId, ()>>,
    /// Lists of rooms.
    lists: Arc<Gathering<UserId, RoomList>>,
}

impl Shared {
    /// Nothing asked for yet.
    pub(super) fn new(queue: &Queue) -> Self {
        Self {
            accounts: Gathering::new(queue.clone(), accounts),
            by_sub: Gathering::new(queue.clone(), by_sub),
            logins: Gathering::new(queue.clone(), logins),
            lists: Gathering::new(queue.clone(), lists),
        }
    }
}

impl Db {
    /// [`Store::user`], together with whoever else is asked for.
    pub fn account(
        &self,
        user: UserId,
    ) -> impl Future<Output = Result<Option<UserRecord>>> + use<> {
        self.wait(self.shared.accounts.ask_for(user))
    }

    /// [`Store::user_by_sub`], together with whoever else is asked for.
    pub fn account_by_sub(
        &self,
        sub: Arc<str>,
    ) -> impl Future<Output = Result<Option<UserRecord>>> + use<> {
        self.wait(self.shared.by_sub.ask_for(sub))
    }

    /// [`Store::existing_logins`], for one of them, together with whoever else is asked for.
    pub fn has_login(&self, login: LoginId) -> impl Future<Output = Result<bool>> + use<> {
        let found = self.wait(self.shared.logins.ask_for(login));
        async move { Ok(found.await?.is_some()) }
    }

    /// Somebody's rooms, together with whoever else is asked for.
    pub fn rooms_of(&self, user: UserId) -> impl Future<Output = Result<RoomList>> + use<> {
        let found = self.wait(self.shared.lists.ask_for(user));
        async move { Ok(found.await?.unwrap_or_default()) }
    }
}

fn accounts(
    store: &dyn Store,
    users: &[UserId],
) -> Result<HashMap<UserId, UserRecord>, StoreError> {
    let found = store.users(users)?.into_iter();
    Ok(found.map(|user| (user.id, user)).collect())
}

fn by_sub(
    store: &dyn Store,
    subs: &[Arc<str>],
) -> Result<HashMap<Arc<str>, UserRecord>, StoreError> {
    let found = store.users_by_sub(subs)?.into_iter();
    Ok(found.map(|user| (user.sub.as_str().into(), user)).collect())
}

fn logins(store: &dyn Store, logins: &[LoginId]) -> Result<HashMap<LoginId, ()>, StoreError> {
    let found = store.existing_logins(logins)?.into_iter();
    Ok(found.map(|login| (login, ())).collect())
}

fn lists(store: &dyn Store, users: &[UserId]) -> Result<HashMap<UserId, RoomList>, StoreError> {
    let mut by_user: HashMap<UserId, Vec<Membership>> = HashMap::new();
    let mut peers = Vec::new();
    for membership in store.memberships_of(users)? {
        peers.extend(membership.peer);
        let of_user = by_user.entry(membership.member.user).or_default();
        of_user.push(membership);
    }
    peers.sort_unstable();
    peers.dedup();
    let peers = store.users(&peers)?.into_iter();
    let names: HashMap<UserId, String> = peers.map(|peer| (peer.id, peer.name)).collect();
    let lists = by_user.into_iter();
    Ok(lists
        .map(|(user, list)| (user, list_of(list, &names)))
        .collect())
}

fn list_of(memberships: Vec<Membership>, names: &HashMap<UserId, String>) -> RoomList {
    let peers = memberships.iter().filter_map(|room| room.peer);
    let named = |peer| Some((peer, names.get(&peer)?.clone()));
    RoomList {
        names: peers.filter_map(named).collect(),
        memberships,
    }
}
