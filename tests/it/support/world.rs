//! One test's world: a database, a folder, a seed; and the list of backends it runs on.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use super::{Postgres, TestNode};

/// What a node stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// One file, local broker.
    Sqlite,
    /// A database server, local broker.
    Postgres,
}

/// Everything that one run of a scenario needs, gone afterwards.
pub struct World {
    /// Every random choice of the scenario comes from here; `SEED=…` replays it.
    pub random: StdRng,
    settings: BTreeMap<String, String>,
    folder: TempDir,
}

/// Runs the scenario on every backend, one after the other.
pub fn on_every_backend<S>(scenario: S)
where
    S: AsyncFn(World),
{
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        in_a_runtime(async || scenario(World::new(backend).await).await);
    }
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

impl World {
    /// A world on this backend, with limits that do not get in a load's way.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::at("sqlite://madang.db"),
            Backend::Postgres => Self::at(&Postgres::shared().await.database().await),
        }
    }

    /// A world at this database, for instance one that the test may kill.
    pub fn at(database: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("madang-test-")
            .tempdir()
            .expect("a temporary folder");
        let seed = from_environment("SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32));
        println!("SEED={seed}");
        let mut world = Self {
            random: StdRng::seed_from_u64(seed as u64),
            settings: BTreeMap::new(),
            folder,
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

    /// Starts a node here.
    pub async fn start(&self) -> TestNode {
        TestNode::start(self.folder.path(), self.settings.clone()).await
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
