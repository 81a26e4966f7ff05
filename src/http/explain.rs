//! Why somebody sees what they see: where a room stands, a person in it, and one event. Says
//! nothing of what was written.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::Result;
use crate::actors::Services;
use crate::actors::registry::{Broker, WhereIs};
use crate::db::{Membership, Range, RoomKind, Select};
use crate::error::Error;
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::Event;

/// Whom and what it is about.
#[derive(Deserialize, IntoParams)]
pub(super) struct About {
    /// A person, by id.
    #[param(value_type = Option<String>)]
    user: Option<UserId>,
    /// A number in the room's log.
    seq: Option<i64>,
}

/// What this node finds out.
#[derive(Serialize, ToSchema)]
pub(super) struct Explained {
    kind: RoomKind,
    closed: bool,
    members: i64,
    #[schema(value_type = String)]
    epoch: Epoch,
    /// The newest event in the database.
    #[schema(value_type = i64)]
    head_in_database: Seq,
    /// The newest event in the log: the same on a node that is alone.
    #[schema(value_type = i64)]
    head_in_log: Seq,
    /// The newest event that took a right away.
    #[schema(value_type = i64)]
    rights: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<ExplainedUser>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<ExplainedEvent>,
}

/// A person in the room, as the database knows them.
#[derive(Serialize, ToSchema)]
pub(super) struct ExplainedUser {
    #[schema(value_type = String)]
    user: UserId,
    /// `null`: not a member.
    role: Option<&'static str>,
    /// Their newest join.
    #[schema(value_type = Option<i64>)]
    joined: Option<Seq>,
    /// Everything up to here has been read.
    #[schema(value_type = Option<i64>)]
    read: Option<Seq>,
    /// The nodes that they are connected to.
    nodes: Vec<String>,
}

/// An event of the room.
#[derive(Serialize, ToSchema)]
pub(super) struct ExplainedEvent {
    seq: i64,
    /// `database`, `log` (not in the database yet), or `null`: there is none.
    stands_in: Option<&'static str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    from: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
}

/// Where a room stands, and a person and an event in it.
#[utoipa::path(get, path = "/v1/admin/rooms/{room}/explain", tag = "admin",
    params(("room" = String, Path), About), responses((status = 200, body = Explained)))]
pub(super) async fn explain(
    services: web::Data<Services>,
    room: web::Path<RoomId>,
    about: web::Query<About>,
) -> Result {
    let room = *room;
    let record = services.db.run(move |store| store.room(room)).await?;
    let record = record.ok_or_else(Error::room_not_found)?;
    let head_in_log = match &services.cluster {
        None => record.head,
        Some(cluster) => {
            let heads = cluster.broker.heads(vec![room]).await?;
            heads.first().map_or(record.head, |head| head.head)
        }
    };
    let user = match about.user {
        Some(user) => Some(explain_user(&services, room, user).await?),
        None => None,
    };
    let event = match about.seq {
        Some(seq) => Some(explain_event(&services, room, seq).await?),
        None => None,
    };
    Ok(HttpResponse::Ok().json(Explained {
        kind: record.kind,
        closed: record.closed,
        members: record.members,
        epoch: record.epoch,
        head_in_database: record.head,
        head_in_log,
        rights: record.rights,
        user,
        event,
    }))
}

async fn explain_user(services: &Services, room: RoomId, user: UserId) -> Result<ExplainedUser> {
    let ask = move |store: &dyn crate::db::Store| store.membership(user, room);
    let member = services.db.run(ask).await?;
    let member = member.map(|Membership { member, .. }| member);
    let nodes = services.registry.send(WhereIs(user)).await;
    let (here, mut nodes) = nodes.map_err(|_| Error::unavailable())?;
    if here {
        nodes.push(services.itself.id.clone());
    }
    nodes.sort_unstable();
    Ok(ExplainedUser {
        user,
        role: member
            .as_ref()
            .and_then(|member| member.role.map(|role| role.as_str())),
        joined: member.as_ref().map(|member| member.joined),
        read: member.as_ref().map(|member| member.mark.read),
        nodes,
    })
}

async fn explain_event(services: &Services, room: RoomId, seq: i64) -> Result<ExplainedEvent> {
    let before = Seq(seq.saturating_sub(1));
    let is_it = |event: &Event| event.seq() == Seq(seq);
    let ask = move |store: &dyn crate::db::Store| {
        store.events(room, Range::After(before), Seq::ZERO, Select::All, 1)
    };
    let stored = services.db.run(ask).await?;
    let mut found = stored.into_iter().find(is_it);
    let mut stands_in = found.as_ref().map(|_| "database");
    if let (None, Some(cluster)) = (&found, &services.cluster) {
        let read = cluster.broker.read(room, before, 1).await?;
        found = read.into_iter().find(is_it);
        stands_in = found.as_ref().map(|_| "log");
    }
    Ok(ExplainedEvent {
        seq,
        stands_in,
        kind: found
            .as_ref()
            .map(|event| event.draft.kind.as_str().to_owned()),
        from: found.as_ref().map(|event| event.draft.from),
        at: found.as_ref().map(|event| event.place.at),
    })
}
