//! Who is in a room.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::body::optional;
use super::error::Result;
use super::list::List;
use super::rooms::{asker, require_account};
use crate::actors::Services;
use crate::actors::room;
use crate::db::Role;
use crate::error::Error;
use crate::identity::Identity;
use crate::ids::{RoomId, UserId};
use crate::protocol::{MemberView, page_size};

/// Which page of the members.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Where the page before ended.
    cursor: Option<String>,
    /// At most so many, 1 to 200; 50 if it is left out.
    limit: Option<usize>,
}

/// How somebody is to be in the room.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    /// `member` or `moderator`; the owner decides. Left out, it stays as it is.
    role: Option<String>,
}

/// A page of the members, with who is online.
#[utoipa::path(get, path = "/v1/rooms/{room}/members", tag = "rooms",
    params(("room" = String, Path), Which), responses((status = 200, body = List<MemberView>)))]
pub(super) async fn list(
    services: web::Data<Services>,
    who: Identity,
    room: web::Path<RoomId>,
    which: web::Query<Which>,
) -> Result {
    let limit = page_size(which.limit)?;
    let after = which.cursor.as_deref().map(str::parse).transpose();
    let after =
        after.map_err(|_| Error::bad_field("cursor is one that a page before ended with"))?;
    let asker = asker(&who);
    let get = |reply_to| room::Command::GetMembers {
        asker,
        after,
        limit,
        reply_to,
    };
    let mut page = services.room(*room).ask(get).await?;
    let ids: Vec<UserId> = page.members.iter().map(|member| member.user).collect();
    let people = services.db.run(move |store| store.users(&ids)).await?;
    for member in &mut page.members {
        if let Some(person) = people.iter().find(|person| person.id == member.user) {
            member.name.clone_from(&person.name);
        }
    }
    Ok(HttpResponse::Ok().json(List {
        items: page.members,
        cursor: page.next.map(|user| user.to_string()),
    }))
}

/// Puts somebody into the room, or gives them a role in it.
#[utoipa::path(put, path = "/v1/rooms/{room}/members/{user}", tag = "rooms",
    params(("room" = String, Path), ("user" = String, Path)), request_body = Option<Standing>,
    responses((status = 204, description = "They are")))]
pub(super) async fn put(
    services: web::Data<Services>,
    who: Identity,
    path: web::Path<(RoomId, UserId)>,
    body: web::Bytes,
) -> Result {
    let (room, user) = path.into_inner();
    let standing: Standing = optional(&body)?;
    let role = match standing.role.as_deref() {
        None => None,
        Some("member") => Some(Role::Member),
        Some("moderator") => Some(Role::Moderator),
        Some(_) => return Err(Error::bad_field("role is member or moderator").into()),
    };
    services.rates.joins.check(&who.user)?;
    let asker = asker(&who);
    let add = |reply_to| room::Command::Add {
        asker,
        user,
        reply_to,
    };
    require_account(&services, user).await?;
    services.commit(room, add).await?;
    if let Some(role) = role {
        let set_role = |reply_to| room::Command::SetRole {
            asker,
            user,
            role,
            reply_to,
        };
        services.commit(room, set_role).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Removes somebody; oneself is leaving.
#[utoipa::path(delete, path = "/v1/rooms/{room}/members/{user}", tag = "rooms",
    params(("room" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "They are out")))]
pub(super) async fn remove(
    services: web::Data<Services>,
    who: Identity,
    path: web::Path<(RoomId, UserId)>,
) -> Result {
    let (room, user) = path.into_inner();
    services.rates.joins.check(&who.user)?;
    let asker = asker(&who);
    let remove = |reply_to| {
        if user == asker.user {
            room::Command::Leave { asker, reply_to }
        } else {
            room::Command::Kick {
                asker,
                user,
                reply_to,
            }
        }
    };
    services.commit(room, remove).await?;
    Ok(HttpResponse::NoContent().finish())
}
