//! People whose rooms have to be read again, as somebody may have said something of them that
//! was lost: a few at a time, so that the database is not asked by everybody at once.

use std::collections::BTreeSet;
use std::time::Duration;

use actix::prelude::*;

use super::{Registry, tell, user};
use crate::ids::{RoomId, UserId};

/// Most people who are told so each time that people are told news.
const AT_ONCE: usize = 50;
/// How long after the end of an absence every node knows again who is connected here: they
/// look at leases every two seconds, and then ask.
const KNOWN_AGAIN: Duration = Duration::from_secs(6);

impl Registry {
    /// Anything may have been lost: the rooms of everybody here are read again.
    pub(super) fn reread_everybody(&mut self) {
        self.to_reread.extend(self.users.keys());
    }

    /// Until the others know again who is here, they tell us nothing of these people.
    pub(super) fn reread_when_known_again(&self, ctx: &mut Context<Self>) {
        ctx.run_later(KNOWN_AGAIN, |registry, _| registry.reread_everybody());
    }

    /// Tells the next of them; who is too busy to hear it is told the next time.
    pub(super) fn reread_some(&mut self) {
        let next: BTreeSet<_> = self.to_reread.iter().copied().take(AT_ONCE).collect();
        for user in next {
            let told = self.users.get(&user).map(|address| {
                address.try_send(user::News::Command(user::Command::ReadRoomsAgain))
            });
            if !matches!(told, Some(Err(SendError::Full(_)))) {
                self.to_reread.remove(&user);
            }
        }
    }

    /// Somebody here joined a room, left it, or was removed.
    pub(super) fn tell_membership(&mut self, user: UserId, room: RoomId, by: UserId) {
        let Some(address) = self.users.get(&user) else {
            return;
        };
        let command = user::Command::MembershipChanged { room, by };
        if !tell(address, user::News::Command(command)) {
            self.to_reread.insert(user);
        }
    }
}
