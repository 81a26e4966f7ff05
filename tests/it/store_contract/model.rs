//! A store in memory, as naive as can be: lists, and every number counted anew.

use std::collections::BTreeMap;

use madang::db::{Append, Appended, Basis, Fate, Mark, MemberRecord, Role};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{Draft, Event, EventKind, MemberChange, Place};

/// One room: its log, and its members by the newest event about each.
#[derive(Debug, Default)]
pub struct Room {
    pub log: Vec<Event>,
    pub members: BTreeMap<UserId, MemberRecord>,
    pub name: String,
    changed_at: i64,
}

#[derive(Debug, Default)]
pub struct Model {
    pub rooms: BTreeMap<RoomId, Room>,
}

impl Room {
    pub fn created(at: i64) -> Self {
        Self {
            changed_at: at,
            ..Self::default()
        }
    }

    pub fn newest(&self, of: impl Fn(&EventKind) -> bool) -> Seq {
        let newest = self.log.iter().rev().find(|event| of(&event.draft.kind));
        newest.map_or(Seq::ZERO, Event::seq)
    }

    pub fn messages(&self) -> i64 {
        let messages = self.log.iter().filter(|e| e.draft.kind.is_message());
        messages.count() as i64
    }

    /// What somebody has not read: what others wrote behind their mark.
    pub fn unread(&self, user: UserId, read: Seq) -> i64 {
        let unread = self.log.iter().filter(|event| {
            event.draft.kind.is_message() && event.draft.from != user && event.seq() > read
        });
        unread.count() as i64
    }

    /// A decision from before the newest `lag` events of each kind that matters.
    pub fn basis(&self, lag: i64) -> Basis {
        let before = |seq: Seq| Seq((seq.0 - lag).max(0));
        Basis {
            head: before(self.newest(|_| true)),
            rights: before(self.newest(EventKind::restricts)),
            membership: before(self.newest(EventKind::changes_membership)),
        }
    }

    fn stale(&self, append: &Append) -> bool {
        let joins = append.drafts.iter().any(|d| d.kind == EventKind::Join);
        let membership = self.newest(EventKind::changes_membership);
        append.basis.rights < self.newest(EventKind::restricts)
            || joins && append.basis.membership < membership
    }

    fn take(&mut self, room: RoomId, draft: &Draft, now: i64) -> Fate {
        let same = |event: &&Event| {
            event.draft.from == draft.from && event.draft.client_id == draft.client_id
        };
        if let Some(before) = self.log.iter().find(same) {
            return if before.draft == *draft {
                Fate::Duplicate(before.place)
            } else {
                Fate::Conflict
            };
        }
        if !self.readable(draft) {
            return Fate::Poison;
        }
        self.changed_at = self.changed_at.max(now);
        let place = Place {
            seq: Seq(self.log.len() as i64 + 1),
            n: self.messages() + i64::from(draft.kind.is_message()),
            at: self.changed_at,
        };
        self.log.push(Event {
            room,
            place,
            draft: draft.clone(),
        });
        self.fold(draft, place);
        Fate::New(place)
    }

    fn readable(&self, draft: &Draft) -> bool {
        match draft.kind {
            EventKind::Message | EventKind::React => true,
            EventKind::Room => serde_json::from_str::<serde_json::Value>(&draft.body).is_ok(),
            _ => serde_json::from_str::<MemberChange>(&draft.body).is_ok(),
        }
    }

    fn fold(&mut self, draft: &Draft, place: Place) {
        if draft.kind.is_message() {
            if let Some(member) = self.members.get_mut(&draft.from) {
                member.sent += 1;
            }
            return;
        }
        if draft.kind == EventKind::Room {
            let body: serde_json::Value = serde_json::from_str(&draft.body).unwrap();
            self.name = body["name"].as_str().unwrap().to_owned();
        }
        let Ok(change) = serde_json::from_str::<MemberChange>(&draft.body) else {
            return;
        };
        let role = change.role.as_deref().and_then(Role::parse);
        let known = self.members.get(&change.user).cloned();
        let mut member = match known {
            Some(member) => member,
            None if draft.kind == EventKind::Join => stranger(change.user),
            None => return,
        };
        match draft.kind {
            EventKind::Join => {
                member.role = Some(role.unwrap_or(Role::Member));
                member.joined = place.seq;
                member.mark = Mark {
                    read: place.seq,
                    n: place.n,
                    own: member.sent,
                };
            }
            EventKind::Leave | EventKind::Kick | EventKind::Ban => member.role = None,
            EventKind::Role if member.role.is_some() => member.role = role.or(member.role),
            EventKind::Mute => member.muted_until = change.until,
            _ => return,
        }
        member.seq = place.seq;
        self.members.insert(change.user, member);
    }
}

fn stranger(user: UserId) -> MemberRecord {
    MemberRecord {
        user,
        role: None,
        seq: Seq::ZERO,
        joined: Seq::ZERO,
        sent: 0,
        mark: Mark::default(),
        muted_until: None,
    }
}

impl Model {
    pub fn append(&mut self, batch: &[Append], now: i64) -> Vec<Appended> {
        let mut answers = Vec::new();
        for append in batch {
            answers.push(match self.rooms.get_mut(&append.room) {
                None => Some(Appended::NoRoom),
                Some(room) if room.stale(append) => None,
                Some(room) => {
                    let fates = append.drafts.iter();
                    let fates = fates.map(|draft| room.take(append.room, draft, now));
                    Some(Appended::Done(fates.collect()))
                }
            });
        }
        // What is stale is told everything, also what came later in the same batch.
        let whole = batch.iter().zip(answers);
        whole
            .map(|(append, answer)| answer.unwrap_or_else(|| self.newer(append)))
            .collect()
    }

    fn newer(&self, append: &Append) -> Appended {
        let log = &self.rooms[&append.room].log;
        let newer = log.iter().filter(|event| event.seq() > append.basis.head);
        Appended::Stale {
            newer: newer.take(200).cloned().collect(),
            head: Seq(log.len() as i64),
        }
    }
}
