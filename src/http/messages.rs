//! Messages and the raw log of a room, and how far one has read.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::error::Result;
use super::rooms::asker;
use crate::actors::Services;
use crate::actors::room::{self, Asker, Outgoing, Span};
use crate::db::{Range, Select};
use crate::error::{Error, Result as Answer};
use crate::identity::Identity;
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::{ClientId, Durability, ErrorCode, MessageBody, page_size};

/// Names the message for ever, so that a repeat is known.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Most people that one message may call by name.
const MAX_MENTIONS: usize = 100;

/// Which part of the log: the newest, or one of the three.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// The newest ones before this place.
    before: Option<i64>,
    /// The oldest ones after this place.
    after: Option<i64>,
    /// Both sides of this place.
    around: Option<i64>,
    /// At most so many, 1 to 200; 50 if it is left out.
    limit: Option<usize>,
}

/// A message to be written: the fields of `publish`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    body: MessageBody,
    /// A UUIDv7 or ULID; the header `Idempotency-Key` says the same.
    #[schema(value_type = Option<String>)]
    client_id: Option<ClientId>,
    /// The message that it answers.
    #[schema(value_type = Option<i64>)]
    reply_to: Option<Seq>,
    /// The message whose thread it belongs to.
    #[schema(value_type = Option<i64>)]
    thread: Option<Seq>,
    /// Whom it calls by name.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    mentions: Vec<UserId>,
    /// `log` or `db`; the same on a node without Redis.
    #[schema(value_type = Option<String>)]
    ack: Option<Durability>,
}

/// Where a message stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Published {
    #[schema(value_type = String)]
    room: RoomId,
    #[schema(value_type = String)]
    client_id: ClientId,
    #[schema(value_type = i64)]
    seq: Seq,
    #[schema(value_type = String)]
    epoch: Epoch,
    at: i64,
    #[schema(value_type = String)]
    durability: Durability,
    /// It had been written before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// A page of a room's log, ascending.
#[derive(Serialize, ToSchema)]
pub(super) struct Events<'a> {
    /// As inside a `batch` (`docs/PROTOCOL.md`).
    #[schema(value_type = Vec<Object>)]
    events: Vec<&'a RawValue>,
    /// Are there more in the direction that was asked for?
    more: bool,
    #[schema(value_type = String)]
    epoch: Epoch,
}

/// How many messages there are.
#[derive(Serialize, ToSchema)]
pub(super) struct Count {
    count: i64,
}

/// How far somebody has read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    /// Everything up to here.
    seq: i64,
}

/// What is left to read.
#[derive(Serialize, ToSchema)]
pub(super) struct Unread {
    /// Messages of others behind the mark.
    unread: i64,
    /// The mark.
    #[schema(value_type = i64)]
    read: Seq,
}

/// Messages: the newest, or those beside a place.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages", tag = "messages",
    params(("room" = String, Path), Which), responses((status = 200, body = Events<'_>)))]
pub(super) async fn list(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
    which: web::Query<Which>,
) -> Result {
    page(&services, asker(&who), *room, &which, Select::Messages).await
}

/// The raw log: everything that happened in the room.
#[utoipa::path(get, path = "/v1/rooms/{room}/events", tag = "messages",
    params(("room" = String, Path), Which), responses((status = 200, body = Events<'_>)))]
pub(super) async fn events(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
    which: web::Query<Which>,
) -> Result {
    page(&services, asker(&who), *room, &which, Select::All).await
}

/// How many messages the room has.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages/count", tag = "messages",
    params(("room" = String, Path)), responses((status = 200, body = Count)))]
pub(super) async fn count(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
) -> Result {
    let described = describe_member(&services, asker(&who), *room).await?;
    let count = described.record.messages;
    Ok(HttpResponse::Ok().json(Count { count }))
}

/// Writes a message. The same `client_id` again answers what it answered first.
#[utoipa::path(post, path = "/v1/rooms/{room}/messages", tag = "messages",
    params(("room" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Publish, responses((status = 200, body = Published)))]
pub(super) async fn publish(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
    request: HttpRequest,
    form: web::Json<Publish>,
) -> Result {
    let form = form.into_inner();
    let client_id = client_id(&request, form.client_id)?;
    if form.mentions.len() > MAX_MENTIONS {
        return Err(Error::bad_field("a message mentions at most 100 people").into());
    }
    let body = form.body.checked()?;
    let body = serde_json::to_string(&body).map_err(|_| Error::internal())?;
    services.rates.publish.check(&who.user)?;
    let message = Outgoing {
        client_id,
        body: body.into(),
        reply_to: form.reply_to.map(seq).transpose()?,
        thread: form.thread.map(seq).transpose()?,
        mentions: form.mentions,
    };
    let asker = asker(&who);
    let publish = |reply_to| room::Command::Publish {
        asker,
        message,
        reply_to,
    };
    let acked = services.room(*room).ask(publish).await?;
    let durability = services
        .durability_of(form.ack, *room, acked.place.seq)
        .await?;
    Ok(HttpResponse::Ok().json(Published {
        room: *room,
        client_id: acked.client_id,
        seq: acked.place.seq,
        epoch: acked.epoch,
        at: acked.place.at,
        durability,
        duplicate: acked.duplicate,
    }))
}

/// Moves my mark forward; it never goes back.
#[utoipa::path(put, path = "/v1/rooms/{room}/read", tag = "messages",
    params(("room" = String, Path)), request_body = Read,
    responses((status = 200, body = Unread)))]
pub(super) async fn read(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
    form: web::Json<Read>,
) -> Result {
    let seq = seq(Seq(form.seq))?;
    let asker = asker(&who);
    let read = |reply_to| room::Command::Read {
        asker,
        seq,
        reply_to,
    };
    let mark = services.room(*room).ask(read).await?;
    // Marks are written a little later, many at a time; what one writes here, one reads.
    let saved = [(*room, who.user, mark.mark)];
    services
        .db
        .run(move |store| store.save_marks(&saved))
        .await?;
    Ok(HttpResponse::Ok().json(Unread {
        unread: mark.unread,
        read: mark.read,
    }))
}

/// What I have not read yet.
#[utoipa::path(get, path = "/v1/rooms/{room}/unread", tag = "messages",
    params(("room" = String, Path)), responses((status = 200, body = Unread)))]
pub(super) async fn unread(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
) -> Result {
    let described = describe_member(&services, asker(&who), *room).await?;
    Ok(HttpResponse::Ok().json(Unread {
        unread: described.unread,
        read: described.read,
    }))
}

async fn page(
    services: &Services,
    asker: Asker,
    room: RoomId,
    which: &Which,
    select: Select,
) -> Result {
    let limit = page_size(which.limit)?;
    let span = span(which)?;
    let get = |reply_to| room::Command::GetHistory {
        asker,
        span,
        select,
        limit,
        reply_to,
    };
    let page = services.room(room).ask(get).await?;
    Ok(HttpResponse::Ok().json(Events {
        events: page
            .entries
            .iter()
            .map(|entry| entry.json_for(asker.user))
            .collect(),
        more: page.more,
        epoch: page.epoch,
    }))
}

fn span(which: &Which) -> Answer<Span> {
    let place = |number| seq(Seq(number));
    match (which.before, which.after, which.around) {
        (None, None, None) => Ok(Span::Newest),
        (Some(before), None, None) => Ok(Span::Range(Range::Before(place(before)?))),
        (None, Some(after), None) => Ok(Span::Range(Range::After(place(after)?))),
        (None, None, Some(around)) => Ok(Span::Around(place(around)?)),
        _ => Err(Error::bad_field("give one of before, after and around")),
    }
}

/// A place that every JSON reader keeps exact.
fn seq(seq: Seq) -> Answer<Seq> {
    let exact = (0..=1 << 53).contains(&seq.0);
    exact
        .then_some(seq)
        .ok_or_else(|| Error::bad_field("a seq is between 0 and 2^53"))
}

async fn describe_member(
    services: &Services,
    asker: Asker,
    room: RoomId,
) -> Answer<room::Description> {
    let describe = |reply_to| room::Command::Describe { asker, reply_to };
    let described = services.room(room).ask(describe).await?;
    if described.role.is_none() {
        return Err(Error::new(ErrorCode::NotAMember, "join the room first"));
    }
    Ok(described)
}

/// The name of the message: from the header, from the body, or a new one.
fn client_id(request: &HttpRequest, in_body: Option<ClientId>) -> Answer<ClientId> {
    let Some(header) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Ok(in_body.unwrap_or_else(ClientId::generate));
    };
    let text = header.to_str().unwrap_or_default();
    // The draft of the standard writes it as a quoted string.
    let id = ClientId::parse(text.trim_matches('"')).ok_or_else(|| {
        Error::bad_field("Idempotency-Key is a lower-case UUIDv7 or an upper-case ULID")
    })?;
    if in_body.is_some_and(|in_body| in_body != id) {
        return Err(Error::bad_field("Idempotency-Key and client_id differ"));
    }
    Ok(id)
}
