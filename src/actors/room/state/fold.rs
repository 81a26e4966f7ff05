//! What each event changes: the room is the fold of its log.

use std::sync::Arc;

use super::{Applied, RoomChange, RoomState};
use crate::db::{Mark, MemberRecord, Role};
use crate::ids::{Seq, UserId};
use crate::protocol::{Entry, Event, EventKind};

impl RoomState {
    /// Takes in the next event. The caller has made sure that it is the next.
    pub fn apply(&mut self, entry: Arc<Entry>) -> Applied {
        let event = &entry.event;
        let kind = &event.draft.kind;
        self.record.head = event.seq();
        self.record.messages = event.place.n;
        self.record.changed_at = event.place.at;
        if kind.restricts() {
            self.record.rights = event.seq();
        }
        if kind.changes_membership() {
            self.record.membership = event.seq();
        }
        let applied = match kind {
            EventKind::Message => self.count_message(event),
            EventKind::Room => self.apply_change(event),
            _ => self.apply_to_member(event),
        };
        self.window.push(entry);
        applied
    }

    fn count_message(&mut self, event: &Event) -> Applied {
        self.record.last_message = event.seq();
        if let Some(sender) = self.members.get_mut(&event.draft.from) {
            sender.sent += 1;
        }
        Applied::default()
    }

    fn apply_change(&mut self, event: &Event) -> Applied {
        if let Ok(change) = serde_json::from_str::<RoomChange>(&event.draft.body) {
            let record = &mut self.record;
            record.name = change.name.unwrap_or(std::mem::take(&mut record.name));
            if let Some(topic) = change.topic {
                record.topic = (!topic.is_empty()).then_some(topic);
            }
            if let Some(capacity) = change.capacity {
                record.capacity = (capacity > 0).then_some(capacity);
            }
            record.closed = change.closed.unwrap_or(record.closed);
        }
        Applied::default()
    }

    fn apply_to_member(&mut self, event: &Event) -> Applied {
        let Some(change) = event.draft.member_change() else {
            return Applied::default();
        };
        let user = change.user;
        match event.draft.kind {
            EventKind::Join => {
                let role = change
                    .role
                    .as_deref()
                    .and_then(Role::parse)
                    .unwrap_or(Role::Member);
                self.enter(user, role, event);
                return Applied {
                    joined: Some(user),
                    removed: None,
                };
            }
            EventKind::Leave | EventKind::Kick | EventKind::Ban => {
                self.exit(user, event.seq());
                return Applied {
                    joined: None,
                    removed: Some(user),
                };
            }
            EventKind::Role => {
                if let Some(member) = self.members.get_mut(&user).filter(|who| who.role.is_some()) {
                    member.role = change.role.as_deref().and_then(Role::parse).or(member.role);
                    member.seq = event.seq();
                }
            }
            EventKind::Mute => {
                if let Some(member) = self.members.get_mut(&user) {
                    member.muted_until = change.until;
                    member.seq = event.seq();
                }
            }
            _ => {}
        }
        Applied::default()
    }

    fn enter(&mut self, user: UserId, role: Role, event: &Event) {
        let seq = event.seq();
        let before = self.members.get(&user);
        let sent = before.map_or(0, |member| member.sent);
        self.present += usize::from(before.is_none_or(|member| member.role.is_none()));
        let mark = Mark {
            read: seq,
            n: event.place.n,
            own: sent,
        };
        let muted_until = before.and_then(|member| member.muted_until);
        let role = Some(role);
        self.members.insert(
            user,
            MemberRecord {
                user,
                role,
                seq,
                joined: seq,
                sent,
                mark,
                muted_until,
            },
        );
        self.record.members = self.present as i64;
    }

    fn exit(&mut self, user: UserId, seq: Seq) {
        if let Some(member) = self.members.get_mut(&user) {
            self.present -= usize::from(member.role.is_some());
            member.role = None;
            member.seq = seq;
        }
        self.record.members = self.present as i64;
    }
}
