//! The nodes of a cluster, for those who run it. A node that is alone is a cluster of one.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Problem, Result};
use super::list::List;
use crate::actors::registry::redis::Lease;
use crate::actors::registry::{Order, lease_of};
use crate::actors::{Cluster, Services};
use crate::error::Error;
use crate::identity::Identity;
use crate::protocol::envelope::Payload;

/// A node, as it said of itself at most two seconds ago.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeView {
    id: String,
    /// Which start of it.
    generation: String,
    /// Where it listens.
    address: String,
    /// Which program it runs.
    version: String,
    /// The newest envelopes that it understands.
    protocol: u8,
    /// Unix milliseconds.
    started_at: i64,
    /// Connected sockets.
    sessions: usize,
    /// People with a socket there.
    users: usize,
    /// Rooms in memory.
    rooms: usize,
    /// Events that are not in the database yet.
    backlog: usize,
    /// How long the oldest of them has waited.
    oldest_unflushed_ms: u64,
    /// Does it send its people elsewhere?
    draining: bool,
    /// Which version of the settings it has.
    settings_version: i64,
}

impl From<Lease> for NodeView {
    fn from(lease: Lease) -> Self {
        let load = lease.load;
        Self {
            id: lease.id,
            generation: lease.generation,
            address: lease.address,
            version: lease.version,
            protocol: lease.protocol,
            started_at: lease.started_at,
            sessions: load.sessions,
            users: load.users,
            rooms: load.rooms,
            backlog: load.backlog,
            oldest_unflushed_ms: load.oldest_unflushed_ms,
            draining: load.draining,
            settings_version: load.settings_version,
        }
    }
}

/// Every node that lives, by id.
#[utoipa::path(get, path = "/v1/admin/nodes", tag = "admin",
    responses((status = 200, body = List<NodeView>)))]
pub(super) async fn list(services: web::Data<Services>) -> Result {
    let mut leases = match &services.cluster {
        Some(cluster) => known(&services, cluster).await?,
        None => vec![lease_of(&services).await],
    };
    leases.sort_by(|one, other| one.id.cmp(&other.id));
    let items = leases.into_iter().map(NodeView::from).collect();
    Ok(HttpResponse::Ok().json(List::all(items)))
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
