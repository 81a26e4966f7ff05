//! Rooms as REST shows them, alone and in lists.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::list::List;
use crate::actors::Services;
use crate::actors::room::{self, Asker};
use crate::db::{Mark, Membership, RoomKind, RoomList, RoomRecord, UserRole};
use crate::error::{Error, Result};
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::{Entry, Event};

/// A room, with the asker's own standing if they are in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Room)]
pub(super) struct RoomView {
    #[schema(value_type = String)]
    room: RoomId,
    /// Its title; for a `dm` the other person's name.
    name: String,
    kind: RoomKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// Most members, if there is a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<i64>,
    /// How many members it has.
    members: i64,
    #[schema(value_type = String)]
    epoch: Epoch,
    /// The newest event.
    #[schema(value_type = i64)]
    head: Seq,
    created_at: i64,
    changed_at: i64,
    /// The other person of a `dm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    peer: Option<UserId>,
    /// How many members are connected; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<usize>,
    #[serde(flatten)]
    mine: Option<Standing>,
}

/// The asker's own standing in a room.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Standing {
    /// `member`, `moderator` or `owner`.
    role: &'static str,
    /// Everything up to here has been read.
    #[schema(value_type = i64)]
    read: Seq,
    /// Messages of others behind it.
    unread: i64,
    /// Those of them that call the asker by name; in lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    mentions: Option<i64>,
    /// The newest message, as in a `snapshot`; in lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    last: Option<Box<RawValue>>,
}

impl RoomView {
    /// What the room itself says.
    pub(super) async fn of(services: &Services, room: RoomId, asker: Asker) -> Result<Self> {
        let describe = |reply_to| room::Command::Describe { asker, reply_to };
        let described = services.room(room).ask(describe).await?;
        let mut view = Self::from(described.record);
        view.online = Some(described.online);
        view.peer = described.peer;
        view.mine = described.role.map(|role| Standing {
            role: role.as_str(),
            read: described.read,
            unread: described.unread,
            mentions: None,
            last: None,
        });
        if let Some(peer) = described.peer {
            let found = services.db.run(move |store| store.user(peer)).await?;
            view.name = found.map(|user| user.name).unwrap_or_default();
        }
        Ok(view)
    }

    /// Messages of others behind the asker's mark.
    pub(super) fn unread(&self) -> i64 {
        self.mine.as_ref().map_or(0, |mine| mine.unread)
    }

    fn of_membership(membership: Membership, names: &HashMap<UserId, String>) -> Self {
        let Membership {
            room,
            member,
            mentions,
            last,
            peer,
        } = membership;
        let unread = unread(&room, member.sent, member.mark);
        let mut view = Self::from(room);
        view.peer = peer;
        if let Some(name) = peer.and_then(|peer| names.get(&peer)) {
            view.name.clone_from(name);
        }
        view.mine = member.role.map(|role| Standing {
            role: role.as_str(),
            read: member.mark.read,
            unread,
            mentions: Some(mentions),
            last: last.and_then(|event| shown(event, member.user)),
        });
        view
    }
}

impl From<RoomRecord> for RoomView {
    fn from(room: RoomRecord) -> Self {
        Self {
            room: room.id,
            name: room.name,
            kind: room.kind,
            topic: room.topic,
            capacity: room.capacity,
            members: room.members,
            epoch: room.epoch,
            head: room.head,
            created_at: room.created_at,
            changed_at: room.changed_at,
            peer: None,
            online: None,
            mine: None,
        }
    }
}

/// Messages of others behind a mark: two subtractions, never a counter.
fn unread(room: &RoomRecord, sent: i64, mark: Mark) -> i64 {
    ((room.messages - mark.n) - (sent - mark.own)).max(0)
}

fn shown(event: Event, viewer: UserId) -> Option<Box<RawValue>> {
    let entry = Entry::new(event);
    let entry = entry.inspect_err(|cause| log::error!("an event cannot be read: {cause}"));
    entry.ok().map(|entry| entry.json_for(viewer).to_owned())
}

/// Every room that a person is in, newest change first.
pub(super) async fn all_mine(services: &Services, user: UserId) -> Result<Vec<RoomView>> {
    let RoomList { memberships, names } = services.db.rooms_of(user).await?;
    let view = |membership| RoomView::of_membership(membership, &names);
    let mut rooms: Vec<RoomView> = memberships.into_iter().map(view).collect();
    rooms.sort_by_key(|room| Reverse(Behind::of(room)));
    Ok(rooms)
}

/// A page of a person's own rooms, newest change first.
pub(super) async fn mine(
    services: &Services,
    user: UserId,
    query: &str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<List<RoomView>> {
    let after = cursor.map(Behind::parse).transpose()?;
    let wanted = query.to_lowercase();
    let mut items = all_mine(services, user).await?;
    items.retain(|room| {
        after.is_none_or(|after| Behind::of(room) < after)
            && room.name.to_lowercase().contains(&wanted)
    });
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let cursor = last.map(|room| format!("{}.{}", room.changed_at, room.room));
    Ok(List { items, cursor })
}

/// A place in the list of a person's rooms: when it changed, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Behind(i64, RoomId);

impl Behind {
    fn of(room: &RoomView) -> Self {
        Self(room.changed_at, room.room)
    }

    fn parse(cursor: &str) -> Result<Self> {
        let parsed = cursor
            .split_once('.')
            .and_then(|(at, room)| Some(Self(at.parse().ok()?, room.parse().ok()?)));
        parsed.ok_or_else(wrong_cursor)
    }
}

/// A page of the rooms that the asker may join, by name.
pub(super) async fn open(
    services: &Services,
    asker: Asker,
    query: String,
    cursor: Option<&str>,
    limit: usize,
) -> Result<List<RoomView>> {
    let after = cursor.map(parse_name_cursor).transpose()?;
    let mut rooms = services
        .db
        .run(move |store| {
            let after = after.as_ref().map(|(name, room)| (name.as_str(), *room));
            store.open_rooms(&query, after, limit + 1)
        })
        .await?;
    let more = rooms.len() > limit;
    rooms.truncate(limit);
    let last = rooms.last().filter(|_| more);
    let cursor = last.map(|room| format!("{}.{}", room.id, room.name));
    let visible = |room: &RoomRecord| asker.role != UserRole::Guest || room.kind == RoomKind::Open;
    let items = rooms.into_iter().filter(visible).map(RoomView::from);
    Ok(List {
        items: items.collect(),
        cursor,
    })
}

fn parse_name_cursor(cursor: &str) -> Result<(String, RoomId)> {
    let parsed = cursor
        .split_once('.')
        .and_then(|(room, name)| Some((name.to_owned(), room.parse().ok()?)));
    parsed.ok_or_else(wrong_cursor)
}

fn wrong_cursor() -> Error {
    Error::bad_field("cursor is one that a page before ended with")
}
