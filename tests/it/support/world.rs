//! One test's world: a database, a folder, a seed; and the list of backends it runs on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use super::{Postgres, Redis, TestNode};

/// What a node stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// One file, local broker.
    Sqlite,
    /// A database server, local broker.
    Postgres,
    /// A database server and Redis: a cluster, if of one node.
    Redis,
}

/// What every scenario runs on: each broker and each database once.
const EVERYDAY: [Backend; 2] = [Backend::Sqlite, Backend::Redis];
/// What scenarios run on that are about losing nothing.
const ALL: [Backend; 3] = [Backend::Sqlite, Backend::Postgres, Backend::Redis];

/// Everything that one run of a scenario needs, gone afterwards.
pub struct World {
    /// Every random choice of the scenario comes from here; `SEED=…` replays it.
    pub random: StdRng,
    settings: BTreeMap<String, String>,
    folder: TempDir,
    /// The log of a world that has a cluster; it goes with the world.
    redis: Option<Redis>,
}

/// Runs the scenario on every backend, one after the other; `BACKEND=…` chooses one.
pub fn on_every_backend<S>(scenario: S)
where
    S: AsyncFn(World),
{
    on_each(&EVERYDAY, scenario);
}

/// The same on every pair of a broker and a database that there is.
pub fn on_every_pair<S>(scenario: S)
where
    S: AsyncFn(World),
{
    on_each(&ALL, scenario);
}

fn on_each<S>(backends: &[Backend], scenario: S)
where
    S: AsyncFn(World),
{
    let chosen = chosen_backend();
    for backend in chosen.as_ref().map_or(backends, std::slice::from_ref) {
        println!("on {backend:?}");
        in_a_runtime(async || scenario(World::new(*backend).await).await);
    }
}

fn chosen_backend() -> Option<Backend> {
    let name = std::env::var("BACKEND").ok()?;
    Some(match name.as_str() {
        "sqlite" => Backend::Sqlite,
        "postgres" => Backend::Postgres,
        "redis" => Backend::Redis,
        _ => panic!("BACKEND={name} is none of sqlite, postgres, redis"),
    })
}

/// Runs one scenario that makes its own world.
pub fn in_a_runtime(scenario: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(scenario());
}

/// How often to try: `ROUNDS=…`, or what an everyday run can afford.
pub fn rounds(everyday: usize) -> usize {
    from_environment("ROUNDS").unwrap_or(everyday)
}

/// The seed of this run: `SEED=…`, or any.
pub fn seed() -> u64 {
    from_environment("SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32)) as u64
}

impl World {
    /// A world on this backend, with limits that do not get in a load's way.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::at("sqlite://madang.db", seed()),
            Backend::Postgres => Self::at(&Postgres::shared().await.database().await, seed()),
            Backend::Redis => {
                let database = Postgres::shared().await.database().await;
                let mut world = Self::at(&database, seed());
                let redis = Redis::start().await;
                world.set("REDIS_URL", &redis.url());
                world.redis = Some(redis);
                world
            }
        }
    }

    /// A world at this database, for instance one that the test may kill.
    pub fn at(database: &str, seed: u64) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("madang-test-")
            .tempdir()
            .expect("a temporary folder");
        println!("SEED={seed}");
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            settings: BTreeMap::new(),
            folder,
            redis: None,
        };
        world.set("MADANG_LISTEN", "127.0.0.1:0");
        world.set("MADANG_AUTO_PROVISION", "true");
        world.set("MADANG_GUESTS", "true");
        world.set("RUST_LOG", "info");
        world.set("DATABASE_URL", database);
        for limit in LIMITS {
            world.set(&format!("MADANG_LIMIT_{limit}"), "0");
        }
        world
    }

    /// One more setting for the nodes that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.into(), value.into());
    }

    /// Are its nodes those of a cluster, be it a cluster of one?
    pub fn is_cluster(&self) -> bool {
        self.redis.is_some()
    }

    /// What a message is acknowledged with here when nobody asks for more.
    pub fn durability(&self) -> &'static str {
        if self.is_cluster() { "log" } else { "db" }
    }

    /// The address of its database, if that is a server that a test can ask, too.
    pub fn database(&self) -> Option<&str> {
        let address = self.settings.get("DATABASE_URL")?.as_str();
        address.starts_with("postgres://").then_some(address)
    }

    /// Starts a node here.
    pub async fn start(&self) -> TestNode {
        TestNode::start(self.folder.path(), self.settings.clone()).await
    }

    /// A folder of its own and the settings for one node of several, with what differs.
    pub fn place_of(&self, name: &str) -> (PathBuf, BTreeMap<String, String>) {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder in our own folder");
        let mut settings = self.settings.clone();
        settings.insert("MADANG_NODE_ID".into(), name.into());
        (folder, settings)
    }
}

/// What follows `MADANG_LIMIT_`, and would otherwise refuse a test's load.
const LIMITS: [&str; 12] = [
    "CONNECTIONS",
    "CONNECTIONS_PER_ADDRESS",
    "CONNECTIONS_PER_USER",
    "SIGNUPS_PER_MINUTE",
    "SIGNIN_FAILURES_PER_MINUTE",
    "SIGNIN_FAILURES_PER_ADDRESS_PER_MINUTE",
    "JOINS_PER_SECOND",
    "PUBLISH_PER_SECOND",
    "ROOM_PUBLISH_PER_SECOND",
    "FRAMES_PER_SECOND",
    "READS_PER_SECOND",
    "IN_FLIGHT",
];

fn from_environment(name: &str) -> Option<usize> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number")),
    )
}
