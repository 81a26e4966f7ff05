//! Rooms: making, finding, changing, joining and leaving them.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Problem, Result};
use super::list::List;
use super::room_view::{RoomView, mine, open};
use crate::actors::Services;
use crate::actors::room::{self, Asker, RoomChange};
use crate::clock::now_ms;
use crate::db::{NewRoom, Role, RoomKind, UserRole, UserStatus};
use crate::error::{Error, Result as Answer};
use crate::identity::Identity;
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::{check_text, page_size};

/// Longest title of a room, bytes.
const MAX_NAME_BYTES: usize = 256;
/// Longest topic of a room, bytes.
const MAX_TOPIC_BYTES: usize = 1024;
/// Largest limit of members.
const MAX_CAPACITY: i64 = 1_000_000;
/// Longest text to search for, bytes.
const MAX_QUERY_BYTES: usize = 100;

/// A room to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Make {
    /// Its title.
    name: String,
    kind: MakeKind,
    /// What it is about.
    topic: Option<String>,
    /// Most members; no limit if it is left out.
    capacity: Option<i64>,
}

/// Kinds of rooms that can be made by name.
#[derive(Deserialize, Clone, Copy, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MakeKind {
    /// By invitation.
    Group,
    /// Anyone may join and write.
    Open,
    /// Anyone may join; owner and moderators write.
    Broadcast,
}

impl From<MakeKind> for RoomKind {
    fn from(kind: MakeKind) -> Self {
        match kind {
            MakeKind::Group => RoomKind::Group,
            MakeKind::Open => RoomKind::Open,
            MakeKind::Broadcast => RoomKind::Broadcast,
        }
    }
}

/// The other person of a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Direct {
    #[schema(value_type = String)]
    user: UserId,
}

/// What changes in a room.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// The new title.
    name: Option<String>,
    /// The new topic; empty for none.
    topic: Option<String>,
    /// The new limit of members; 0 for none. Who is in stays in.
    capacity: Option<i64>,
}

/// Which rooms are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// `mine`, newest change first, or `open`: those that anyone may join, by name.
    #[serde(default)]
    #[param(inline)]
    scope: Scope,
    /// A part of the name.
    q: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// At most so many, 1 to 200; 50 if it is left out.
    limit: Option<usize>,
}

/// Whose rooms.
#[derive(Deserialize, Default, Clone, Copy, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// Those that I am in.
    #[default]
    Mine,
    /// Those that anyone may join.
    Open,
}

/// What came of a join.
#[derive(Serialize, ToSchema)]
pub(super) struct Joined {
    /// `joined` or `already`.
    result: &'static str,
    #[schema(value_type = String)]
    room: RoomId,
    /// The join in the room's log.
    #[schema(value_type = i64)]
    seq: Seq,
    #[schema(value_type = String)]
    epoch: Epoch,
}

impl Joined {
    pub(super) fn of(room: RoomId, joined: room::Joined) -> Self {
        Self {
            result: if joined.already { "already" } else { "joined" },
            room,
            seq: joined.seq,
            epoch: joined.epoch,
        }
    }
}

/// Makes a room; its maker owns it and is in it.
#[utoipa::path(post, path = "/v1/rooms", tag = "rooms", request_body = Make,
    responses((status = 201, body = RoomView)))]
pub(super) async fn make(
    services: web::Data<Services>,
    who: Identity,
    form: web::Json<Make>,
) -> Result {
    let form = form.into_inner();
    let change = checked(RoomChange {
        kind: Some(form.kind.into()),
        name: Some(form.name),
        topic: form.topic,
        capacity: form.capacity,
        closed: None,
    })?;
    services.rates.joins.check(&who.user)?;
    let new = NewRoom {
        id: RoomId::random(),
        kind: form.kind.into(),
        pair: None,
        created_at: now_ms(),
    };
    let members = vec![(who.user, Role::Owner)];
    let room = services.found(new, who.user, change, members).await?;
    let view = RoomView::of(&services, room, asker(&who)).await?;
    Ok(HttpResponse::Created().json(view))
}

/// The conversation with somebody; there is one for every two people.
#[utoipa::path(post, path = "/v1/rooms/dm", tag = "rooms", request_body = Direct,
    responses((status = 201, body = RoomView)))]
pub(super) async fn direct(
    services: web::Data<Services>,
    who: Identity,
    form: web::Json<Direct>,
) -> Result {
    let other = form.user;
    if other == who.user {
        return Err(Error::bad_field("user is somebody else").into());
    }
    require_account(&services, other).await?;
    services.rates.joins.check(&who.user)?;
    let new = NewRoom {
        id: RoomId::random(),
        kind: RoomKind::Dm,
        pair: Some((who.user.min(other), who.user.max(other))),
        created_at: now_ms(),
    };
    let change = RoomChange {
        kind: Some(RoomKind::Dm),
        ..RoomChange::default()
    };
    let members = vec![(who.user, Role::Member), (other, Role::Member)];
    let room = services.found(new, who.user, change, members).await?;
    let view = RoomView::of(&services, room, asker(&who)).await?;
    Ok(HttpResponse::Created().json(view))
}

/// My rooms, or those that anyone may join.
#[utoipa::path(get, path = "/v1/rooms", tag = "rooms", params(Which),
    responses((status = 200, body = List<RoomView>)))]
pub(super) async fn list(
    services: web::Data<Services>,
    who: Identity,
    which: web::Query<Which>,
) -> Result {
    let which = which.into_inner();
    let limit = page_size(which.limit)?;
    let query = which.q.unwrap_or_default();
    check_text(&query, "q", MAX_QUERY_BYTES)?;
    let cursor = which.cursor.as_deref();
    let page = match which.scope {
        Scope::Mine => mine(&services, who.user, &query, cursor, limit).await?,
        Scope::Open => open(&services, asker(&who), query, cursor, limit).await?,
    };
    Ok(HttpResponse::Ok().json(page))
}

/// What a room is, and where I stand in it.
#[utoipa::path(get, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    responses((status = 200, body = RoomView)))]
pub(super) async fn get(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
) -> Result {
    let view = RoomView::of(&services, *room, asker(&who)).await?;
    Ok(HttpResponse::Ok().json(view))
}

/// Changes title, topic or limit.
#[utoipa::path(patch, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    request_body = Change, responses((status = 200, body = RoomView)))]
pub(super) async fn change(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
    form: web::Json<Change>,
) -> Result {
    let form = form.into_inner();
    if form.name.is_none() && form.topic.is_none() && form.capacity.is_none() {
        return Err(Error::bad_field("name, topic or capacity is wanted").into());
    }
    let change = checked(RoomChange {
        name: form.name,
        topic: form.topic,
        capacity: form.capacity,
        ..RoomChange::default()
    })?;
    apply(&services, &who, *room, change).await?;
    let view = RoomView::of(&services, *room, asker(&who)).await?;
    Ok(HttpResponse::Ok().json(view))
}

/// Closes a room for ever.
#[utoipa::path(delete, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    responses((status = 204, description = "Closed")))]
pub(super) async fn close(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
) -> Result {
    let change = RoomChange {
        closed: Some(true),
        ..RoomChange::default()
    };
    apply(&services, &who, *room, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Becomes a member.
#[utoipa::path(post, path = "/v1/rooms/{room}/join", tag = "rooms", params(("room" = String, Path)),
    responses((status = 200, body = Joined), (status = 409, description = "The room is full")))]
pub(super) async fn join(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
) -> Result {
    services.rates.joins.check(&who.user)?;
    let asker = asker(&who);
    let join = |reply_to| room::Command::Join { asker, reply_to };
    let joined = services.commit(*room, join).await?;
    Ok(HttpResponse::Ok().json(Joined::of(*room, joined)))
}

/// Leaves.
#[utoipa::path(post, path = "/v1/rooms/{room}/leave", tag = "rooms",
    params(("room" = String, Path)), responses((status = 204, description = "Left")))]
pub(super) async fn leave(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
) -> Result {
    services.rates.joins.check(&who.user)?;
    let asker = asker(&who);
    let leave = |reply_to| room::Command::Leave { asker, reply_to };
    services.commit(*room, leave).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who asks a room something.
pub(super) fn asker(who: &Identity) -> Asker {
    Asker {
        user: who.user,
        role: who.role,
    }
}

/// Somebody who can be put into a room: an account in use, and not a guest's.
pub(super) async fn require_account(services: &Services, user: UserId) -> Result<()> {
    let record = services.db.run(move |store| store.user(user)).await?;
    let usable = record.is_some_and(|record| {
        record.status == UserStatus::Active && record.role != UserRole::Guest
    });
    if usable {
        Ok(())
    } else {
        Err(Problem::NotFound)
    }
}

async fn apply(
    services: &Services,
    who: &Identity,
    room: RoomId,
    change: RoomChange,
) -> Answer<()> {
    let asker = asker(who);
    let change = |reply_to| room::Command::Change {
        asker,
        change,
        reply_to,
    };
    services.commit(room, change).await.map(drop)
}

/// A change whose texts and numbers can be stored and shown.
fn checked(mut change: RoomChange) -> Answer<RoomChange> {
    if let Some(name) = &mut change.name {
        *name = name.trim().to_owned();
        check_text(name, "name", MAX_NAME_BYTES)?;
        if name.is_empty() {
            return Err(Error::bad_field("name is empty"));
        }
    }
    if let Some(topic) = &mut change.topic {
        *topic = topic.trim().to_owned();
        check_text(topic, "topic", MAX_TOPIC_BYTES)?;
    }
    let least = i64::from(change.kind.is_some());
    if change
        .capacity
        .is_some_and(|capacity| !(least..=MAX_CAPACITY).contains(&capacity))
    {
        let message = format!("capacity is between {least} and {MAX_CAPACITY}");
        return Err(Error::bad_field(message));
    }
    Ok(change)
}
