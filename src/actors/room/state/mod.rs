//! The rules of a room: who is in it, who may do what, how far everybody has read.
//!
//! A fold of the room's log; decides and never acts. No actix, no I/O.

mod fold;
mod marks;
mod rights;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use self::tests::room_of;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::window::Window;
use crate::db::{Basis, LoadedRoom, MemberRecord, Role, RoomKind, RoomRecord, UserRole};
use crate::ids::{Seq, UserId};
use crate::protocol::Entry;

/// Rooms with more members get receipts and presence in sums, not by name.
pub const SMALL_ROOM: usize = 100;

/// Who asks, and what they are on the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Which person.
    pub user: UserId,
    /// Guests see open rooms only.
    pub role: UserRole,
}

/// Everything that a room is, up to its head.
#[derive(Debug)]
pub struct RoomState {
    record: RoomRecord,
    members: BTreeMap<UserId, MemberRecord>,
    /// How many of `members` are in the room.
    present: usize,
    window: Window,
}

/// What applying an event has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whose last event of the room it was.
    pub removed: Option<UserId>,
    /// Who is a member from now on.
    pub joined: Option<UserId>,
}

/// The fields of a `room` event: what has changed.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct RoomChange {
    /// Only in a room's first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RoomKind>,
    /// The new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new topic; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The new limit of members; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// Deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
}

impl RoomState {
    /// A room as it was read from the database.
    pub fn load(loaded: LoadedRoom) -> serde_json::Result<Self> {
        let mut window = Window::default();
        for event in loaded.recent {
            window.push(Arc::new(Entry::new(event)?));
        }
        let members: BTreeMap<_, _> = loaded
            .members
            .into_iter()
            .map(|member| (member.user, member))
            .collect();
        let present = members
            .values()
            .filter(|member| member.role.is_some())
            .count();
        Ok(Self {
            record: loaded.room,
            members,
            present,
            window,
        })
    }

    /// What the room is called and how far it is.
    pub fn record(&self) -> &RoomRecord {
        &self.record
    }

    /// The newest events.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The newest event.
    pub fn head(&self) -> Seq {
        self.record.head
    }

    /// What decisions rest on, for the append.
    pub fn basis(&self) -> Basis {
        let RoomRecord {
            head,
            rights,
            membership,
            ..
        } = self.record;
        Basis {
            head,
            rights,
            membership,
        }
    }

    /// How many people are in the room.
    pub fn member_count(&self) -> usize {
        self.present
    }

    /// Everybody who is in the room.
    pub fn members(&self) -> impl Iterator<Item = (&MemberRecord, Role)> {
        self.members
            .values()
            .filter_map(|member| member.role.map(|role| (member, role)))
    }

    /// Those behind a place in the order of ids.
    pub fn members_from(&self, from: Bound<UserId>) -> impl Iterator<Item = (&MemberRecord, Role)> {
        let members = self.members.range((from, Bound::Unbounded));
        members.filter_map(|(_, member)| member.role.map(|role| (member, role)))
    }

    /// Somebody's standing, if they are in the room.
    pub fn member(&self, user: UserId) -> Option<(&MemberRecord, Role)> {
        let member = self.members.get(&user)?;
        member.role.map(|role| (member, role))
    }
}
