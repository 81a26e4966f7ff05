//! A person's list of rooms, with what is unread in each: no actix, no I/O.
//!
//! Unread is two subtractions from the mark, never a counter (`docs/PROTOCOL.md`, rule 10).

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::actors::registry::{Change, Known};
use crate::db::{Mark, Membership, RoomKind};
use crate::ids::{RoomId, UserId};
use crate::protocol::{Entry, RoomSummary};

/// Most rooms in one list.
const MAX_LISTED: usize = 200;

/// The rooms that one person is a member of.
#[derive(Debug, Default)]
pub struct Rooms(HashMap<RoomId, Mine>);

/// One of them.
#[derive(Debug)]
struct Mine {
    membership: Membership,
    /// For a `dm`: what the other person is called.
    peer_name: Option<String>,
    /// Their own messages since the membership was read.
    own_since: i64,
    /// Messages since then that call them by name.
    mentions_since: i64,
    /// Of all mentions, those that they have seen.
    mentions_seen: i64,
}

/// A list of rooms for a `welcome`.
#[derive(Debug, Default)]
pub struct Listing {
    /// The rooms, newest change first.
    pub rooms: Vec<RoomSummary>,
    /// Are there more than the list holds?
    pub more: bool,
    /// Where a later list goes on.
    pub cursor: i64,
    /// Unread messages in all rooms.
    pub unread: i64,
}

impl Mine {
    fn new(membership: Membership, peer_name: Option<String>) -> Self {
        let all_seen = membership.member.mark.read >= membership.room.head;
        Self {
            // They were counted from the mark in the database, which may be an older one.
            mentions_seen: if all_seen { membership.mentions } else { 0 },
            membership,
            peer_name,
            own_since: 0,
            mentions_since: 0,
        }
    }

    fn unread(&self) -> i64 {
        let Membership { room, member, .. } = &self.membership;
        let by_others =
            (room.messages - member.mark.n) - (member.sent + self.own_since - member.mark.own);
        by_others.max(0)
    }

    fn mentions(&self) -> i64 {
        let unseen = self.all_mentions() - self.mentions_seen;
        // Each is one of the unread messages.
        unseen.min(self.unread()).max(0)
    }

    fn all_mentions(&self) -> i64 {
        self.membership.mentions + self.mentions_since
    }

    fn name(&self) -> &str {
        match (&self.membership.room.kind, &self.peer_name) {
            (RoomKind::Dm, Some(name)) => name,
            _ => &self.membership.room.name,
        }
    }

    fn known(&self) -> Known {
        let room = &self.membership.room;
        Known {
            room: room.id,
            head: room.head,
            messages: room.messages,
        }
    }

    fn summary(&self, viewer: UserId) -> RoomSummary {
        let Membership {
            room, member, last, ..
        } = &self.membership;
        RoomSummary {
            room: room.id,
            name: self.name().to_owned(),
            kind: room.kind.as_str().to_owned(),
            epoch: room.epoch.clone(),
            head: room.head,
            read: member.mark.read,
            unread: self.unread(),
            mentions: self.mentions(),
            last: last
                .as_ref()
                .and_then(|event| last_json(event.clone(), viewer)),
        }
    }
}

fn last_json(event: crate::protocol::Event, viewer: UserId) -> Option<Box<RawValue>> {
    Entry::new(event)
        .ok()
        .map(|entry| entry.json_for(viewer).to_owned())
}

impl Rooms {
    /// The list as it was just read. Marks that are newer here than there stay.
    pub fn replace(&mut self, memberships: Vec<Membership>, names: &HashMap<UserId, String>) {
        let mut before = std::mem::take(&mut self.0);
        for mut membership in memberships {
            let room = membership.room.id;
            if let Some(mine) = before.remove(&room) {
                keep_newer_mark(&mut membership, mine.membership.member.mark);
            }
            let peer_name = membership.peer.and_then(|peer| names.get(&peer).cloned());
            self.0.insert(room, Mine::new(membership, peer_name));
        }
    }

    /// One room as it was just read. True when its mentions have to be counted again: the
    /// database did not have the newest mark yet.
    pub fn put(&mut self, mut membership: Membership, peer_name: Option<String>) -> bool {
        let (room, read) = (membership.room.id, membership.member.mark.read);
        if let Some(mine) = self.0.get(&room) {
            keep_newer_mark(&mut membership, mine.membership.member.mark);
        }
        let is_early = membership.member.mark.read > read;
        let mine = Mine::new(membership, peer_name);
        let recount = is_early && mine.mentions() > 0;
        self.0.insert(room, mine);
        recount
    }

    /// They are not a member any more.
    pub fn remove(&mut self, room: RoomId) {
        self.0.remove(&room);
    }

    /// Which rooms.
    pub fn ids(&self) -> impl Iterator<Item = RoomId> + '_ {
        self.0.keys().copied()
    }

    /// What a room is called.
    pub fn name(&self, room: RoomId) -> Option<&str> {
        self.0.get(&room).map(Mine::name)
    }

    /// How far each room was when it was read.
    pub fn known(&self) -> Vec<Known> {
        self.0.values().map(Mine::known).collect()
    }

    /// How far one room was when it was read.
    pub fn known_of(&self, room: RoomId) -> Vec<Known> {
        self.0.get(&room).map(Mine::known).into_iter().collect()
    }

    /// The state of a room as a change, for telling what is unread there.
    pub fn as_change(&self, room: RoomId) -> Option<Change> {
        let mine = self.0.get(&room)?;
        let (own, mentions) = (mine.own_since, mine.mentions_since);
        let Membership { room, last, .. } = &mine.membership;
        Some(Change {
            room: room.id,
            head: room.head,
            messages: room.messages,
            own,
            mentions,
            last: last.clone(),
        })
    }

    /// What has happened in a room since it was read. True when mentions have to be counted
    /// again: some of those that are new were seen before they were heard of.
    pub fn change(&mut self, change: &Change) -> bool {
        let Some(mine) = self.0.get_mut(&change.room) else {
            return false;
        };
        let Membership { room, member, .. } = &mut mine.membership;
        let (read, heard) = (member.mark.read, room.head);
        let is_mentioned = change.mentions > mine.mentions_since;
        (room.head, room.messages) = (change.head, change.messages);
        (mine.own_since, mine.mentions_since) = (change.own, change.mentions);
        if change.last.is_some() {
            mine.membership.last.clone_from(&change.last);
        }
        if read >= change.head {
            mine.mentions_seen = mine.all_mentions();
        }
        is_mentioned && heard < read && read < change.head
    }

    /// They have read on. `Some(true)`: mentions have to be counted again, as only some are
    /// seen now. `None`: nothing has changed.
    pub fn mark(&mut self, room: RoomId, mark: Mark) -> Option<bool> {
        let mine = self.0.get_mut(&room)?;
        let before = &mut mine.membership.member.mark;
        if mark.read <= before.read {
            return None;
        }
        *before = mark;
        let all_seen = mark.read >= mine.membership.room.head;
        if all_seen {
            mine.mentions_seen = mine.all_mentions();
        }
        Some(!all_seen && mine.mentions() > 0)
    }

    /// Unread messages, and those of them that call the person by name.
    pub fn unread(&self, room: RoomId) -> Option<(i64, i64)> {
        self.0
            .get(&room)
            .map(|mine| (mine.unread(), mine.mentions()))
    }

    /// Unread messages in all rooms.
    pub fn total(&self) -> i64 {
        self.0.values().map(Mine::unread).sum()
    }

    /// The newest rooms, or those that have changed since an earlier list.
    pub fn list(&self, viewer: UserId, since: Option<i64>) -> Listing {
        let changed = |mine: &&Mine| mine.membership.room.changed_at >= since.unwrap_or(i64::MIN);
        let mut rooms: Vec<_> = self.0.values().filter(changed).collect();
        rooms.sort_by_key(|mine| std::cmp::Reverse(mine.membership.room.changed_at));
        let cursor = rooms.first().map(|mine| mine.membership.room.changed_at);
        Listing {
            more: rooms.len() > MAX_LISTED,
            cursor: cursor.or(since).unwrap_or(0),
            unread: self.total(),
            rooms: rooms
                .iter()
                .take(MAX_LISTED)
                .map(|mine| mine.summary(viewer))
                .collect(),
        }
    }
}

fn keep_newer_mark(membership: &mut Membership, mark: Mark) {
    if mark.read > membership.member.mark.read {
        membership.member.mark = mark;
    }
}
