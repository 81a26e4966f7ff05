//! What a command sees that is no node itself: who lives, and where somebody is.

use std::time::Duration;

use redis::{Client, Value};

use super::nodes::{LEASE, Lease, read_lease};
use super::{RedisError, keys};
use crate::ids::UserId;

/// A node as it was last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it said.
    pub lease: Lease,
    /// How long ago that was; a node says so every two seconds.
    pub age: Duration,
}

/// Every node with a lease, by id.
pub async fn list_nodes(client: &Client) -> Result<Vec<Seen>, RedisError> {
    let mut connection = super::check::connect(client).await?;
    let refused = |error| RedisError::unreachable(client, &error);
    let mut ids: Vec<String> = redis::cmd("SMEMBERS")
        .arg(keys::NODES)
        .query_async(&mut connection)
        .await
        .map_err(refused)?;
    ids.sort();
    let mut nodes = Vec::new();
    for id in ids {
        let key = keys::lease(&id);
        let (lease, left_ms): (Value, i64) = redis::pipe()
            .cmd("GET")
            .arg(&key)
            .cmd("PTTL")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .map_err(refused)?;
        let left = Duration::from_millis(left_ms.max(0).unsigned_abs());
        let age = LEASE.saturating_sub(left);
        match read_lease(lease) {
            Ok(lease) => nodes.extend(lease.map(|lease| Seen { lease, age })),
            Err(fault) => log::warn!("node={id} its lease cannot be read: {fault:?}"),
        }
    }
    Ok(nodes)
}

/// Is this person connected to this node?
pub async fn is_on(client: &Client, node: &str, user: UserId) -> Result<bool, RedisError> {
    let mut connection = super::check::connect(client).await?;
    redis::cmd("HEXISTS")
        .arg(keys::users(node))
        .arg(user.to_string())
        .query_async(&mut connection)
        .await
        .map_err(|error| RedisError::unreachable(client, &error))
}
