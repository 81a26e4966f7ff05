//! One node among healthy ones that loses Redis but not Postgres, or the other way round.

use super::trial::{Trial, try_fault};
use crate::support::{Cluster, Setup, Wires, eventually, seconds};

/// Two healthy nodes, and one whose wires can be cut, under load.
async fn start(seed: u64) -> (Trial, usize, Wires) {
    let two = Setup {
        nodes: 2,
        ..Setup::default()
    };
    let mut cluster = Cluster::with(seed, two).await;
    let (node, wires) = cluster.add_wired().await;
    (Trial::on(cluster, seed).await, node, wires)
}

/// Waits until somebody at the node has been refused, or has gone elsewhere.
async fn until_noticed(trial: &Trial, node: usize) {
    let elsewhere = trial.load.not_at(node).len();
    eventually("the people of the node notice", seconds(20), async || {
        let refused = trial.load.refused_with("unavailable") > 0;
        (refused || trial.load.not_at(node).len() > elsewhere).then_some(())
    })
    .await;
}

#[test]
fn a_node_loses_redis_alone() {
    try_fault("wires::a_node_loses_redis_alone", async |seed| {
        let (trial, node, wires) = start(seed).await;
        wires.redis.cut();
        until_noticed(&trial, node).await;
        // Longer than its lease lasts.
        trial.endure(8, 15).await;
        wires.redis.mend();
        trial.judge().await;
    });
}

#[test]
fn a_node_hears_nothing_from_redis() {
    try_fault("wires::a_node_hears_nothing_from_redis", async |seed| {
        let (trial, node, wires) = start(seed).await;
        wires.redis.silence();
        until_noticed(&trial, node).await;
        trial.endure(8, 15).await;
        wires.redis.mend();
        trial.judge().await;
    });
}

#[test]
fn a_node_loses_postgres_alone() {
    try_fault("wires::a_node_loses_postgres_alone", async |seed| {
        let (trial, _, wires) = start(seed).await;
        wires.postgres.cut();
        // The chat goes on: the others write what it cannot.
        trial.goes_on().await;
        trial.endure(8, 15).await;
        wires.postgres.mend();
        trial.judge().await;
    });
}

#[test]
fn a_node_hears_nothing_from_postgres() {
    try_fault("wires::a_node_hears_nothing_from_postgres", async |seed| {
        let (trial, _, wires) = start(seed).await;
        wires.postgres.silence();
        trial.goes_on().await;
        trial.endure(8, 15).await;
        wires.postgres.mend();
        trial.judge().await;
    });
}
