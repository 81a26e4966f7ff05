//! One fault in the middle of a load, with one seed or several, and how to try it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::load::{Judged, Load, Size};
use crate::support::{Cluster, Setup, in_a_runtime, seconds, seed};

/// Messages before the fault, and again after it, in an everyday run.
const WARM_UP: u64 = 120;
/// The same in a long one.
const LONG_WARM_UP: u64 = 3000;
/// Seeds of one fault in a long run.
const SEEDS: usize = 3;

/// So long in an everyday run, and so long in a long one; seconds.
pub fn for_seconds(everyday: u64, long: u64) -> Duration {
    seconds(if is_long() { long } else { everyday })
}

/// Is this the long form (`FAULTS=long`), as `make faults` runs it?
pub fn is_long() -> bool {
    std::env::var("FAULTS").is_ok_and(|form| form == "long")
}

/// A cluster of three nodes under load.
pub struct Trial {
    pub cluster: Cluster,
    pub load: Load,
    pub random: StdRng,
}

impl Trial {
    /// A cluster like this, and the load of this run.
    pub async fn start(seed: u64, setup: Setup<'_>) -> Self {
        Self::on(Cluster::with(seed, setup).await, seed).await
    }

    /// A load on this cluster, which has begun.
    pub async fn on(cluster: Cluster, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let load = Load::start(cluster.doors(), Size::of_this_run(), &mut random).await;
        let trial = Self {
            cluster,
            load,
            random,
        };
        trial.goes_on().await;
        trial
    }

    /// Waits until the chat has gone on for a while.
    pub async fn goes_on(&self) {
        let many = if is_long() { LONG_WARM_UP } else { WARM_UP };
        self.load.after_acks(many).await;
    }

    /// Lets a fault last.
    pub async fn endure(&self, everyday: u64, long: u64) {
        tokio::time::sleep(for_seconds(everyday, long)).await;
    }

    /// Any of the nodes.
    pub fn any_node(&mut self) -> usize {
        self.random.random_range(0..self.cluster.nodes.len())
    }

    /// Goes on for a while, ends and judges.
    pub async fn judge(self) -> Judged {
        self.goes_on().await;
        let Self { cluster, load, .. } = self;
        load.judge(Some(cluster.database())).await
    }
}

/// Tries one fault: with `SEED=…`, with any, or in the long form with several. `test` is its name
/// below `faults`, for the line that says how to try it again.
pub fn try_fault(test: &str, fault: impl AsyncFn(u64)) {
    let given = std::env::var("SEED").is_ok();
    let count = if is_long() && !given { SEEDS } else { 1 };
    let mut failed = Vec::new();
    for _ in 0..count {
        let seed = seed();
        let attempt = || in_a_runtime(async || fault(seed).await);
        // One seed that fails does not keep the others from being tried.
        if catch_unwind(AssertUnwindSafe(attempt)).is_err() {
            failed.push(seed);
        }
    }
    let (form, profile) = match is_long() {
        true => ("FAULTS=long ", "--profile faults "),
        false => ("", ""),
    };
    for seed in &failed {
        println!(
            "again: SEED={seed} {form}cargo test {profile}--features failpoints --test it -- \
             --exact faults::{test} --nocapture"
        );
    }
    assert!(failed.is_empty(), "{test} failed with seeds {failed:?}");
}
