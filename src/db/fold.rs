//! How members change by what was appended: pure, and the same for both databases.

use std::collections::{BTreeMap, HashMap};

use super::plan::{Effect, NewEvent};
use super::{Mark, MemberRecord, Role};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{EventKind, MemberChange, Place};

/// One person in one room.
pub(super) type MemberKey = (RoomId, UserId);

/// The people whose standing these events change: their rows have to be read first.
pub(super) fn changed_members(rows: &[NewEvent<'_>]) -> Vec<MemberKey> {
    let mut keys: Vec<_> = rows
        .iter()
        .filter_map(|row| match &row.checked.effect {
            Effect::Member(change, _) => Some((row.room, change.user)),
            _ => None,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What a batch does to members.
#[derive(Debug, Default)]
pub(super) struct MemberFold {
    /// Rows whose standing changed, whole.
    pub members: HashMap<MemberKey, MemberRecord>,
    /// Everybody else who wrote, and how many messages.
    pub sent: BTreeMap<MemberKey, i64>,
    /// By how much each room has grown or shrunk.
    pub growth: BTreeMap<RoomId, i64>,
    /// Who was called by name where.
    pub mentions: Vec<(UserId, RoomId, Seq)>,
}

impl MemberFold {
    /// Folds new events over the rows that they change.
    pub(super) fn new(
        changed: &[MemberKey],
        before: Vec<(RoomId, MemberRecord)>,
        rows: &[NewEvent<'_>],
    ) -> Self {
        let mut fold = Self {
            members: before
                .into_iter()
                .map(|(room, member)| ((room, member.user), member))
                .collect(),
            ..Self::default()
        };
        for row in rows {
            let draft = row.checked.draft;
            if draft.kind.is_message() {
                fold.message(changed, (row.room, draft.from));
                let named = draft.mentions.iter();
                fold.mentions
                    .extend(named.map(|user| (*user, row.room, row.place.seq)));
            }
            if let Effect::Member(change, role) = &row.checked.effect {
                fold.member(row.room, &draft.kind, change, *role, row.place);
            }
        }
        fold.mentions.sort_unstable();
        fold.mentions.dedup();
        fold
    }

    fn message(&mut self, changed: &[MemberKey], key: MemberKey) {
        if changed.binary_search(&key).is_err() {
            *self.sent.entry(key).or_default() += 1;
        } else if let Some(member) = self.members.get_mut(&key) {
            member.sent += 1;
        }
    }

    fn member(
        &mut self,
        room: RoomId,
        kind: &EventKind,
        change: &MemberChange,
        role: Option<Role>,
        place: Place,
    ) {
        let key = (room, change.user);
        let was_in = self.members.get(&key).is_some_and(|m| m.role.is_some());
        if *kind == EventKind::Join {
            let member = self
                .members
                .entry(key)
                .or_insert_with(|| MemberRecord::stranger(change.user));
            member.join(role.unwrap_or(Role::Member), place);
        } else if let Some(member) = self.members.get_mut(&key) {
            member.change(kind, change, role, place.seq);
        }
        let is_in = self.members.get(&key).is_some_and(|m| m.role.is_some());
        *self.growth.entry(room).or_default() += i64::from(is_in) - i64::from(was_in);
    }
}

impl MemberRecord {
    /// Somebody who has not been here before.
    fn stranger(user: UserId) -> Self {
        Self {
            user,
            role: None,
            seq: Seq::ZERO,
            joined: Seq::ZERO,
            sent: 0,
            mark: Mark::default(),
            muted_until: None,
        }
    }

    /// They came, or came again: what was before their join counts as read. A mute stays,
    /// so that leaving is no way around it.
    fn join(&mut self, role: Role, place: Place) {
        self.role = Some(role);
        self.seq = place.seq;
        self.joined = place.seq;
        self.mark = Mark {
            read: place.seq,
            n: place.n,
            own: self.sent,
        };
    }

    /// Their standing changed in another way.
    fn change(&mut self, kind: &EventKind, change: &MemberChange, role: Option<Role>, seq: Seq) {
        match kind {
            EventKind::Leave | EventKind::Kick | EventKind::Ban => self.role = None,
            EventKind::Role if self.role.is_some() => self.role = role.or(self.role),
            EventKind::Mute => self.muted_until = change.until,
            _ => return,
        }
        self.seq = seq;
    }
}
