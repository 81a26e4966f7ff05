//! Nodes that die, hang, and are told to go: F1 to F4.

use super::trial::{Trial, is_long, try_fault};
use crate::support::{Setup, eventually, seconds};

#[test]
fn f1_a_node_is_killed() {
    try_fault("nodes::f1_a_node_is_killed", async |seed| {
        let mut trial = Trial::start(seed, Setup::default()).await;
        let victim = trial.any_node();
        let spared = trial.load.not_at(victim);
        trial.cluster.nodes[victim].kill();
        trial.load.all_elsewhere(victim, seconds(5)).await;
        trial.goes_on().await;
        for person in spared.into_iter().map(|person| &trial.load.people[person]) {
            let noticed = (person.moves(), person.refusals());
            assert_eq!(noticed, (0, [].into()), "who was elsewhere did not notice");
        }
        trial.cluster.nodes[victim].restart().await;
        let judged = trial.judge().await;
        assert_eq!((judged.gaps_for("lag"), judged.gaps_for("epoch")), (0, 0));
    });
}

#[test]
fn f1_two_nodes_are_killed_within_a_second() {
    try_fault(
        "nodes::f1_two_nodes_are_killed_within_a_second",
        async |seed| {
            let mut trial = Trial::start(seed, Setup::default()).await;
            let last = trial.any_node();
            let (first, second) = ((last + 1) % 3, (last + 2) % 3);
            trial.cluster.nodes[first].kill();
            trial.load.after_acks(5).await;
            trial.cluster.nodes[second].kill();
            trial.load.all_elsewhere(first, seconds(5)).await;
            trial.load.all_elsewhere(second, seconds(5)).await;
            trial.goes_on().await;
            for node in [first, second] {
                trial.cluster.nodes[node].restart().await;
            }
            trial.judge().await;
        },
    );
}

#[test]
fn f2_all_nodes_are_killed() {
    try_fault("nodes::f2_all_nodes_are_killed", async |seed| {
        let mut trial = Trial::start(seed, Setup::default()).await;
        for node in &mut trial.cluster.nodes {
            node.kill();
        }
        trial.cluster.restart_all().await;
        trial.load.all_connected(seconds(10)).await;
        trial.judge().await;
    });
}

#[test]
fn f3_the_nodes_are_stopped_one_after_the_other() {
    try_fault(
        "nodes::f3_the_nodes_are_stopped_one_after_the_other",
        async |seed| {
            let drain = if is_long() { "30" } else { "4" };
            let setup = Setup {
                settings: &[("MADANG_DRAIN_SECONDS", drain)],
                ..Setup::default()
            };
            let mut trial = Trial::start(seed, setup).await;
            for node in 0..3 {
                let status = trial.cluster.nodes[node].terminate().await;
                assert!(status.success(), "SIGTERM ends with {status}");
                trial.cluster.nodes[node].restart().await;
                trial.load.after_acks(50).await;
            }
            let judged = trial.judge().await;
            assert_eq!((judged.gaps_for("lag"), judged.gaps_for("epoch")), (0, 0));
        },
    );
}

#[test]
fn f4_a_node_hangs_and_goes_on() {
    try_fault("nodes::f4_a_node_hangs_and_goes_on", async |seed| {
        let mut trial = Trial::start(seed, Setup::default()).await;
        let victim = trial.any_node();
        trial.cluster.nodes[victim].pause();
        // Longer than its lease lasts.
        trial.endure(9, 15).await;
        let lease = format!("madang:node:n{victim}");
        let leases = trial.cluster.redis.keys(&lease);
        assert_eq!(leases, Vec::<String>::new(), "who hangs has no lease");
        trial.goes_on().await;
        trial.cluster.nodes[victim].go_on();
        eventually("it has a lease again", seconds(10), async || {
            (trial.cluster.redis.keys(&lease).len() == 1).then_some(())
        })
        .await;
        trial.judge().await;
    });
}
