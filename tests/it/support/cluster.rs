//! Several real nodes on one Redis and one Postgres, each of which a test may hurt.

use super::proxy::Proxy;
use super::{Doors, Postgres, Redis, TestNode, World};

/// A running cluster.
pub struct Cluster {
    pub nodes: Vec<TestNode>,
    pub redis: Redis,
    /// The settings of the nodes to come, the folder, and the random choices of the test.
    pub world: World,
    /// The server, when it is this cluster's own.
    postgres: Option<Postgres>,
    database: String,
    doors: Doors,
}

/// The wires between one node and what it stands on.
pub struct Wires {
    pub redis: Proxy,
    pub postgres: Proxy,
}

/// What a cluster is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    pub nodes: usize,
    /// Does it get a Postgres that may be hurt, or a database on the one that tests share?
    pub own_postgres: bool,
    /// Settings of all nodes.
    pub settings: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            nodes: 3,
            own_postgres: false,
            settings: &[],
        }
    }
}

impl Cluster {
    /// So many nodes, a Redis of their own, and a database on the server that tests share.
    pub async fn start(nodes: usize, seed: u64) -> Self {
        let setup = Setup {
            nodes,
            ..Setup::default()
        };
        Self::with(seed, setup).await
    }

    /// A cluster like this.
    pub async fn with(seed: u64, setup: Setup<'_>) -> Self {
        let postgres = match setup.own_postgres {
            true => Some(Postgres::start().await),
            false => None,
        };
        let database = match &postgres {
            Some(own) => own.database().await,
            None => Postgres::shared().await.database().await,
        };
        let redis = Redis::start().await;
        let mut world = World::at(&database, seed);
        world.set("REDIS_URL", &redis.url());
        for (name, value) in setup.settings {
            world.set(name, value);
        }
        let mut cluster = Self {
            nodes: Vec::new(),
            redis,
            world,
            postgres,
            database,
            doors: Doors::default(),
        };
        for _ in 0..setup.nodes {
            cluster.add().await;
        }
        cluster
    }

    /// One node more; gives its place.
    pub async fn add(&mut self) -> usize {
        self.add_with(&[]).await
    }

    /// One node more, with settings that the others do not have.
    pub async fn add_with(&mut self, settings: &[(&str, &str)]) -> usize {
        let mut node = self.launch(settings);
        node.listening().await;
        self.doors.open(&node.address);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A node that is not waited for and that no client is sent to.
    pub fn launch(&self, settings: &[(&str, &str)]) -> TestNode {
        let name = format!("n{}", self.nodes.len());
        let (folder, mut all) = self.world.place_of(&name);
        let own = settings.iter();
        all.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        TestNode::launch(&folder, all)
    }

    /// One node more, whose ways to Redis and to Postgres can be cut.
    pub async fn add_wired(&mut self) -> (usize, Wires) {
        let server = address_in(&self.database);
        let wires = Wires {
            redis: Proxy::to(&self.redis.address()).await,
            postgres: Proxy::to(&server).await,
        };
        let redis = format!("redis://{}", wires.redis.address());
        let database = self.database.replace(&server, wires.postgres.address());
        let settings = [("REDIS_URL", &*redis), ("DATABASE_URL", &*database)];
        (self.add_with(&settings).await, wires)
    }

    /// Starts all nodes again, all at the same time.
    pub async fn restart_all(&mut self) {
        self.nodes.iter_mut().for_each(TestNode::relaunch);
        for node in &mut self.nodes {
            node.listening().await;
        }
    }

    /// Where clients knock.
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// The Postgres of this cluster alone.
    pub fn postgres(&mut self) -> &mut Postgres {
        let own = self.postgres.as_mut();
        own.expect("a cluster that was started alone")
    }

    /// Where its tables are.
    pub fn database(&self) -> &str {
        &self.database
    }
}

/// `HOST:PORT` of a database's URL.
fn address_in(url: &str) -> String {
    let (_, rest) = url.split_once('@').expect("a URL with a user");
    let (address, _) = rest.split_once('/').expect("a URL with a database");
    address.to_owned()
}
