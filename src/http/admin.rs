//! What only those who run the system may do.

use actix_web::{HttpResponse, web};

use super::error::Result;
use super::revoke::revoke;
use crate::actors::{Services, registry, send_always};
use crate::identity::Identity;
use crate::ids::UserId;

/// Stops an account: its tokens are refused and its connections closed.
#[utoipa::path(post, path = "/v1/admin/users/{id}/suspend", tag = "admin",
    params(("id" = String, Path)), responses((status = 204, description = "Stopped")))]
pub(super) async fn suspend(
    services: web::Data<Services>,
    who: Identity,
    user: web::Path<UserId>,
) -> Result {
    services.identities.suspend(*user).await?;
    log::info!("user={} suspended by admin={}", *user, who.user);
    revoke(&services, *user, None, None);
    Ok(HttpResponse::NoContent().finish())
}

/// Lets a stopped account be used again.
#[utoipa::path(delete, path = "/v1/admin/users/{id}/suspend", tag = "admin",
    params(("id" = String, Path)), responses((status = 204, description = "Free again")))]
pub(super) async fn lift(
    services: web::Data<Services>,
    who: Identity,
    user: web::Path<UserId>,
) -> Result {
    services.identities.lift(*user).await?;
    log::info!("user={} freed by admin={}", *user, who.user);
    // It must not be lost, and there is one for each request.
    send_always(&services.registry, registry::AccountChanged(*user));
    Ok(HttpResponse::NoContent().finish())
}
