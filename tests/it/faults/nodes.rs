//! Nodes that die, hang, and are told to go: F1 to F4.

use super::trial::{Trial, is_long, try_fault};
use crate::support::{Cluster, Setup, eventually, seconds};

/// Messages of one person that may be under way at the same moment; a node that waits for a dead
/// one's lease to end refuses many more.
const FEW: u64 = 10;

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
            let (moves, refusals) = (person.moves(), person.refusals());
            assert_eq!(moves, 0, "who was elsewhere stays where they are");
            // Refused are at most the few that were under way while a slow machine stood still.
            let refused: u64 = refusals.values().sum();
            assert!(refused <= FEW, "who was elsewhere noticed: {refusals:?}");
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
        eventually("who hangs has no lease", seconds(10), async || {
            trial.cluster.redis.keys(&lease).is_empty().then_some(())
        })
        .await;
        trial.goes_on().await;
        trial.cluster.nodes[victim].go_on();
        eventually("it has a lease again", seconds(10), async || {
            (trial.cluster.redis.keys(&lease).len() == 1).then_some(())
        })
        .await;
        trial.judge().await;
    });
}

/// Makes a node's scripts those of another version.
const OTHER: &str = "redis::same_scripts=return(lose)";

/// The life that Redis is in.
fn life(cluster: &Cluster) -> String {
    let mut get = redis::cmd("GET");
    get.arg("madang:{b0}:life");
    cluster.redis.ask(&get)
}

/// How many texts of one script Redis knows, the marker among them.
fn scripts(cluster: &Cluster) -> usize {
    let mut info = redis::cmd("INFO");
    let info: String = cluster.redis.ask(info.arg("memory"));
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("number_of_cached_scripts:"));
    let number = line.and_then(|line| line.trim_end().parse().ok());
    number.expect("a number of scripts")
}

/// Something is appended by each node.
async fn all_append(cluster: &Cluster, room: &str) {
    let mut last = 0;
    for (number, node) in cluster.nodes.iter().enumerate() {
        let mut ann = node.connect("ann").await;
        last = ann.publish(room, &format!("from {number}")).await.seq;
    }
    for node in &cluster.nodes {
        let mut ann = node.connect("ann").await;
        ann.subscribe(room).await;
        ann.catch_up(room, last).await;
    }
}

/// Every node has seen so many lives begin after its first.
async fn lives_seen(cluster: &Cluster, wanted: &[f64]) {
    for (node, wanted) in cluster.nodes.iter().zip(wanted) {
        let seen = node.metric("madang_redis_rebuildings_total").await;
        assert_eq!(seen, *wanted, "lives that {} has seen begin", node.url());
    }
}

#[test]
fn a_rolling_upgrade_with_other_scripts_ends_no_life() {
    let name = "nodes::a_rolling_upgrade_with_other_scripts_ends_no_life";
    try_fault(name, async |seed| {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let settings = &[("MADANG_DRAIN_SECONDS", "4")];
        let setup = Setup {
            settings,
            ..Setup::default()
        };
        let mut trial = Trial::start(seed, setup).await;
        let room = trial.cluster.nodes[0].room("ann", &[]).await;
        let first = life(&trial.cluster);
        for number in 0..2 {
            let before = scripts(&trial.cluster);
            let node = &mut trial.cluster.nodes[number];
            assert!(node.terminate().await.success());
            node.set("FAILPOINTS", OTHER);
            node.restart().await;
            trial.load.after_acks(50).await;
            all_append(&trial.cluster, &room).await;
            assert_eq!(life(&trial.cluster), first, "the life goes on");
            lives_seen(&trial.cluster, &[0.0; 3]).await;
            let more = scripts(&trial.cluster) - before;
            assert_eq!(
                more > 0,
                number == 0,
                "{more} scripts more for node {number}"
            );
        }
        // Whoever leads, each node knows the one new life.
        trial.cluster.redis.restart().await;
        let changed = async || (life(&trial.cluster) != first).then(|| life(&trial.cluster));
        let second = eventually("the life after the restart", seconds(20), changed).await;
        trial.goes_on().await;
        all_append(&trial.cluster, &room).await;
        assert_eq!(life(&trial.cluster), second, "one new life");
        lives_seen(&trial.cluster, &[1.0; 3]).await;
        let last = &mut trial.cluster.nodes[2];
        assert!(last.terminate().await.success());
        last.set("FAILPOINTS", OTHER);
        last.restart().await;
        all_append(&trial.cluster, &room).await;
        assert_eq!(life(&trial.cluster), second, "the upgrade ends no life");
        lives_seen(&trial.cluster, &[1.0, 1.0, 0.0]).await;
        let judged = trial.judge().await;
        assert_eq!((judged.gaps_for("lag"), judged.gaps_for("epoch")), (0, 0));
    });
}
