//! What a command sees and does that is no node itself: who lives, where somebody is, orders.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, Value};

use super::nodes::{LEASE, Lease, read_lease};
use super::{RedisError, keys};
use crate::ids::UserId;
use crate::protocol::envelope::{Envelope, Payload};

/// Whose name stands in the envelopes of commands; no node can be called so.
pub const CONSOLE: &str = "(console)";

/// A node as it was last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it said.
    pub lease: Lease,
    /// How long ago that was; a node says so every two seconds.
    pub age: Duration,
}

/// A cluster, looked at from outside.
pub struct Console {
    client: Client,
    connection: MultiplexedConnection,
}

impl Console {
    /// Looks at the cluster on the Redis at this URL.
    ///
    /// # Errors
    /// Says what is in the way, as [`super::open`] does.
    pub async fn open(url: &str) -> Result<Self, RedisError> {
        let client = super::open(url).await?;
        let connection = super::check::connect(&client).await?;
        Ok(Self { client, connection })
    }

    /// Every node with a lease, by id.
    pub async fn nodes(&mut self) -> Result<Vec<Seen>, RedisError> {
        let mut ids: Vec<String> = self.ask(redis::cmd("SMEMBERS").arg(keys::NODES)).await?;
        ids.sort();
        let mut nodes = Vec::new();
        for id in ids {
            let key = keys::lease(&id);
            let lease: Value = self.ask(redis::cmd("GET").arg(&key)).await?;
            let left_ms: i64 = self.ask(redis::cmd("PTTL").arg(&key)).await?;
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
    pub async fn is_on(&mut self, node: &str, user: UserId) -> Result<bool, RedisError> {
        let mut look = redis::cmd("HEXISTS");
        look.arg(keys::users(node)).arg(user.to_string());
        self.ask(&look).await
    }

    /// Has this very start of a node said that it ended in order?
    pub async fn has_ended(&mut self, lease: &Lease) -> Result<bool, RedisError> {
        let mut look = redis::cmd("GET");
        look.arg(keys::ended(&lease.id));
        let ended: Option<String> = self.ask(&look).await?;
        Ok(ended.as_ref() == Some(&lease.generation))
    }

    /// Sends an order to this very start of a node. False when nobody heard.
    pub async fn send(&mut self, to: &Lease, payload: Payload) -> Result<bool, RedisError> {
        let envelope = Envelope {
            node: CONSOLE.into(),
            generation: to.generation.clone(),
            payload,
        };
        let text = envelope.encode();
        let text = text.map_err(|error| RedisError::Order(error.to_string()))?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::node_channel(&to.id)).arg(text);
        let heard: i64 = self.ask(&publish).await?;
        Ok(heard > 0)
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        let answer = command.query_async(&mut self.connection).await;
        answer.map_err(|error| RedisError::of(&self.client, &error))
    }
}
