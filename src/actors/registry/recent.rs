//! Memberships that came into the database a moment ago. No actix, no I/O.
//!
//! Who has just connected to another node may have read their rooms before such a change, and
//! this node may hear where they are only after it: then that node is told once more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::{RoomId, UserId};

/// A node that cannot say for so long who is connected to it was cut off, and reads again.
const KEPT: Duration = Duration::from_secs(10);
/// Most changes that are kept.
const MOST: usize = 10_000;

/// What this node has told of memberships, for those who connect meanwhile.
#[derive(Debug, Default)]
pub(super) struct RecentMemberships(VecDeque<Change>);

/// Somebody joined a room, left it, or was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// When it landed.
    at: Instant,
    /// Whose membership.
    pub(super) user: UserId,
    /// Of which room.
    pub(super) room: RoomId,
    /// Who did it.
    pub(super) by: UserId,
}

impl RecentMemberships {
    /// This has just landed.
    pub(super) fn keep(&mut self, user: UserId, room: RoomId, by: UserId, now: Instant) {
        self.forget_old(now);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        let at = now;
        self.0.push_back(Change { at, user, room, by });
    }

    /// What has landed of these people.
    pub(super) fn of(
        &mut self,
        concerns: impl Fn(UserId) -> bool,
        now: Instant,
    ) -> impl Iterator<Item = &Change> {
        self.forget_old(now);
        self.0.iter().filter(move |change| concerns(change.user))
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |change: &Change| now.duration_since(change.at) > KEPT;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId::from_raw(1);
    const BOB: UserId = UserId::from_raw(2);

    fn rooms_of(recent: &mut RecentMemberships, user: UserId, now: Instant) -> Vec<i64> {
        let changes = recent.of(|other| other == user, now);
        changes.map(|change| change.room.raw()).collect()
    }

    #[test]
    fn it_knows_for_a_moment_what_has_landed_of_somebody() {
        let (mut recent, start) = (RecentMemberships::default(), Instant::now());
        recent.keep(ANN, RoomId::from_raw(7), BOB, start);
        recent.keep(BOB, RoomId::from_raw(7), BOB, start);
        let later = start + KEPT / 2;
        recent.keep(ANN, RoomId::from_raw(8), ANN, later);
        assert_eq!(rooms_of(&mut recent, ANN, later), [7, 8]);
        assert_eq!(rooms_of(&mut recent, ANN, later + KEPT), [8]);
        assert!(rooms_of(&mut recent, BOB, later + KEPT).is_empty());
    }

    #[test]
    fn it_keeps_no_more_than_so_many() {
        let (mut recent, now) = (RecentMemberships::default(), Instant::now());
        for room in 0..=MOST {
            recent.keep(ANN, RoomId::from_raw(room as i64), BOB, now);
        }
        let rooms = rooms_of(&mut recent, ANN, now);
        assert_eq!((rooms.len(), rooms.first()), (MOST, Some(&1)));
    }
}
