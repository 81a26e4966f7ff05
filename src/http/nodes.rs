//! The nodes of a cluster, for those who run it. A node that is alone is a cluster of one.

use actix_web::{HttpResponse, web};

use super::error::{Problem, Result};
use super::list::List;
use crate::actors::registry::redis::Lease;
use crate::actors::registry::{Order, lease_of};
use crate::actors::{Cluster, Services};
use crate::error::Error;
use crate::identity::Identity;
use crate::protocol::envelope::Payload;

/// Every node that lives, by id.
#[utoipa::path(get, path = "/v1/admin/nodes", tag = "admin",
    responses((status = 200, body = List<Lease>)))]
pub(super) async fn list(services: web::Data<Services>) -> Result {
    let mut leases = match &services.cluster {
        Some(cluster) => known(&services, cluster).await?,
        None => vec![lease_of(&services).await],
    };
    leases.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(HttpResponse::Ok().json(List::all(leases)))
}

/// Has a node send its people to others, and end when they have gone.
#[utoipa::path(post, path = "/v1/admin/nodes/{id}/drain", tag = "admin",
    params(("id" = String, Path)), responses((status = 204, description = "It has been told")))]
pub(super) async fn drain(
    services: web::Data<Services>,
    who: Identity,
    node: web::Path<String>,
) -> Result {
    if *node == services.itself.id {
        let told = services.orders.try_send(Order::Drain);
        told.map_err(|_| Error::unavailable())?;
    } else {
        let cluster = services.cluster.as_ref().ok_or(Problem::NotFound)?;
        let leases = cluster.broker.nodes().await?;
        if leases.iter().all(|lease| lease.id != *node) {
            return Err(Problem::NotFound);
        }
        cluster.broker.send(Some(&node), Payload::Drain).await?;
    }
    log::info!("node={} told to drain by admin={}", *node, who.user);
    Ok(HttpResponse::NoContent().finish())
}

/// The leases in Redis; what this node says of itself is newer.
async fn known(services: &Services, cluster: &Cluster) -> Result<Vec<Lease>> {
    let mut leases = cluster.broker.nodes().await?;
    leases.retain(|lease| lease.id != services.itself.id);
    leases.push(lease_of(services).await);
    Ok(leases)
}
