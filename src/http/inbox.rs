//! What waits for a person, in all of their rooms.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Result;
use super::room_view::{RoomView, all_mine};
use crate::actors::Services;
use crate::identity::Identity;
use crate::protocol::MAX_EVENTS;

/// The newest rooms with what is unread in each.
#[derive(Serialize, ToSchema)]
pub(super) struct Inbox {
    /// At most 200.
    items: Vec<RoomView>,
    /// Unread messages in all rooms.
    unread: i64,
    /// Are there more rooms? `GET rooms` has them all.
    more: bool,
}

/// My newest rooms with what is unread in each.
#[utoipa::path(get, path = "/v1/me/inbox", tag = "me", responses((status = 200, body = Inbox)))]
pub(super) async fn get(services: web::Data<Services>, who: Identity) -> Result {
    let mut items = all_mine(&services, who.user).await?;
    let unread = items.iter().map(RoomView::unread).sum();
    let more = items.len() > MAX_EVENTS;
    items.truncate(MAX_EVENTS);
    Ok(HttpResponse::Ok().json(Inbox {
        items,
        unread,
        more,
    }))
}
