//! Several nodes that act as one, on a Redis and a Postgres of their own.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Outcome;
use crate::node::{Database, Node};
use crate::redis::Redis;

/// A running cluster. The nodes go first, then what they stand on.
pub struct Cluster {
    /// The nodes, all with the same settings.
    pub nodes: Vec<Node>,
    /// Their Redis.
    pub redis: Redis,
    /// Their Postgres.
    pub database: Database,
}

impl Cluster {
    /// Starts so many nodes.
    pub fn start(nodes: usize, settings: &[(&str, String)]) -> Outcome<Self> {
        let (redis, database) = (Redis::start()?, Database::postgres()?);
        Ok(Self {
            nodes: start_nodes(nodes, &redis, &database, settings)?,
            redis,
            database,
        })
    }

    /// Ends the nodes and starts as many others in their place.
    pub fn start_anew(&mut self, settings: &[(&str, String)]) -> Outcome<()> {
        let count = self.nodes.len();
        self.nodes.clear();
        self.nodes = start_nodes(count, &self.redis, &self.database, settings)?;
        Ok(())
    }

    /// Where the nodes listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// Processor time of all nodes so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        self.nodes.iter().map(Node::cpu).sum()
    }

    /// One of the nodes' numbers, summed over all of them.
    pub fn metric(&self, name: &str) -> Outcome<f64> {
        self.nodes.iter().map(|node| node.metric(name)).sum()
    }
}

fn start_nodes(
    count: usize,
    redis: &Redis,
    database: &Database,
    settings: &[(&str, String)],
) -> Outcome<Vec<Node>> {
    let mut settings = settings.to_vec();
    settings.push(("REDIS_URL", redis.url()));
    let start = |_| Node::start_with(database, &settings);
    (0..count).map(start).collect()
}
