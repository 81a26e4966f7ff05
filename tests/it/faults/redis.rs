//! A Redis that dies, comes back with less, is full, or is silent: F5 to F7.

use super::trial::{Trial, try_fault};
use crate::support::{Cluster, Redis, Setup, eventually, in_a_runtime, seconds};

/// A Postgres of its own, so that much can be unflushed.
const ALONE: Setup<'static> = Setup {
    nodes: 3,
    own_postgres: true,
    settings: &[],
};

/// Waits until every node has its lease again.
async fn registry_is_whole(cluster: &Cluster) {
    eventually("the registry is whole", seconds(10), async || {
        let leases = (0..3).map(|node| cluster.redis.keys(&format!("madang:node:n{node}")));
        (leases.map(|lease| lease.len()).sum::<usize>() == 3).then_some(())
    })
    .await;
}

#[test]
fn f5_redis_is_killed_and_comes_back() {
    try_fault("redis::f5_redis_is_killed_and_comes_back", async |seed| {
        let mut trial = Trial::start(seed, Setup::default()).await;
        trial.cluster.redis.kill();
        trial.load.until_refused_with("unavailable").await;
        trial.endure(1, 10).await;
        trial.cluster.redis.restart().await;
        registry_is_whole(&trial.cluster).await;
        trial.judge().await;
    });
}

#[test]
fn f5_redis_hangs_and_goes_on() {
    try_fault("redis::f5_redis_hangs_and_goes_on", async |seed| {
        let trial = Trial::start(seed, Setup::default()).await;
        trial.cluster.redis.pause();
        trial.load.until_refused_with("unavailable").await;
        trial.endure(2, 15).await;
        trial.cluster.redis.go_on();
        registry_is_whole(&trial.cluster).await;
        trial.judge().await;
    });
}

/// Keeps the database away while so many more messages are acknowledged: they stand in Redis and
/// in the memory of nodes alone.
async fn pile_up(trial: &mut Trial) {
    trial.cluster.postgres().kill();
    trial.goes_on().await;
}

#[test]
fn f6_redis_comes_back_empty() {
    try_fault("redis::f6_redis_comes_back_empty", async |seed| {
        let mut trial = Trial::start(seed, ALONE).await;
        pile_up(&mut trial).await;
        trial.cluster.redis.restart_empty().await;
        trial.cluster.postgres().restart().await;
        registry_is_whole(&trial.cluster).await;
        let judged = trial.judge().await;
        println!("{} numbers are void", judged.events_of("void"));
        assert_eq!(judged.gaps_for("epoch"), 0, "every node knew what was lost");
    });
}

#[test]
fn f6_redis_comes_back_without_the_last_seconds() {
    try_fault(
        "redis::f6_redis_comes_back_without_the_last_seconds",
        async |seed| {
            let mut trial = Trial::start(seed, ALONE).await;
            let mark = trial.cluster.redis.mark();
            pile_up(&mut trial).await;
            trial.cluster.redis.restart_at(mark).await;
            trial.cluster.postgres().restart().await;
            registry_is_whole(&trial.cluster).await;
            let judged = trial.judge().await;
            println!("{} numbers are void", judged.events_of("void"));
        },
    );
}

#[test]
fn f6_a_replica_that_lagged_takes_over() {
    try_fault("redis::f6_a_replica_that_lagged_takes_over", async |seed| {
        let mut trial = Trial::start(seed, ALONE).await;
        let replica = trial.cluster.redis.replica().await;
        pile_up(&mut trial).await;
        trial.cluster.redis.fail_over(replica);
        trial.cluster.postgres().restart().await;
        registry_is_whole(&trial.cluster).await;
        let judged = trial.judge().await;
        println!("{} numbers are void", judged.events_of("void"));
    });
}

#[test]
fn f6_a_node_sleeps_while_redis_is_rebuilt() {
    try_fault(
        "redis::f6_a_node_sleeps_while_redis_is_rebuilt",
        async |seed| {
            let mut trial = Trial::start(seed, Setup::default()).await;
            let sleeper = trial.any_node();
            trial.cluster.nodes[sleeper].pause();
            trial.cluster.redis.restart_empty().await;
            trial.goes_on().await;
            trial.cluster.nodes[sleeper].go_on();
            registry_is_whole(&trial.cluster).await;
            let judged = trial.judge().await;
            println!(
                "{} numbers are void, {} rooms were told of a new epoch",
                judged.events_of("void"),
                judged.gaps_for("epoch")
            );
        },
    );
}

#[test]
fn f6_redis_is_emptied_while_all_nodes_stand_still() {
    try_fault(
        "redis::f6_redis_is_emptied_while_all_nodes_stand_still",
        async |seed| {
            let mut trial = Trial::start(seed, Setup::default()).await;
            trial.cluster.nodes.iter().for_each(|node| node.pause());
            trial.cluster.redis.restart_empty().await;
            trial.endure(7, 12).await;
            trial.cluster.nodes.iter().for_each(|node| node.go_on());
            registry_is_whole(&trial.cluster).await;
            trial.judge().await;
        },
    );
}

#[test]
fn f7_the_doorbells_are_cut_in_a_burst() {
    try_fault("redis::f7_the_doorbells_are_cut_in_a_burst", async |seed| {
        let trial = Trial::start(seed, Setup::default()).await;
        let mut cut = 0;
        for _ in 0..10 {
            cut += trial.cluster.redis.cut_doorbells();
            trial.load.after_acks(20).await;
        }
        assert!(cut >= 3, "{cut} doorbells were cut");
        let judged = trial.judge().await;
        assert_eq!((judged.gaps_for("lag"), judged.gaps_for("epoch")), (0, 0));
    });
}

#[test]
fn f7_a_last_ring_is_lost() {
    try_fault("redis::f7_a_last_ring_is_lost", async |seed| {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let one = Setup {
            nodes: 1,
            ..Setup::default()
        };
        let mut cluster = Cluster::with(seed, one).await;
        let deaf = [("FAILPOINTS", "redis::ring=return(lose)")];
        let deaf = cluster.add_with(&deaf).await;
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        let mut bob = cluster.nodes[deaf].connect("bob").await;
        bob.subscribe(&room).await;
        for number in 0..5 {
            // Nothing follows in this room, so that no later event shows that one is missing.
            let sent = ann.publish(&room, &format!("alone {number}")).await;
            bob.catch_up(&room, sent.seq).await;
        }
        let rings = async |node: usize| cluster.nodes[node].metric("madang_doorbells_total").await;
        eventually("they have rung", seconds(10), async || {
            (rings(0).await >= 5.0).then_some(())
        })
        .await;
        assert_eq!(rings(deaf).await, 0.0, "where he is, nothing was heard");
    });
}

#[test]
fn f7_every_third_ring_is_lost() {
    try_fault("redis::f7_every_third_ring_is_lost", async |seed| {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let setup = Setup {
            settings: &[("FAILPOINTS", "redis::ring=33%return(lose)")],
            ..Setup::default()
        };
        let trial = Trial::start(seed, setup).await;
        let judged = trial.judge().await;
        assert_eq!((judged.gaps_for("lag"), judged.gaps_for("epoch")), (0, 0));
    });
}

#[test]
fn redis_is_full() {
    try_fault("redis::redis_is_full", async |seed| {
        let trial = Trial::start(seed, Setup::default()).await;
        trial.cluster.redis.set("maxmemory", "1");
        trial.load.until_refused_with("overloaded").await;
        trial.endure(2, 10).await;
        trial.cluster.redis.set("maxmemory", "0");
        let judged = trial.judge().await;
        assert_eq!((judged.gaps_for("lag"), judged.gaps_for("epoch")), (0, 0));
    });
}

#[test]
fn a_node_with_another_redis_leaves_the_cluster_alone() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(2, 6).await;
        let room = cluster.nodes[0].room("ann", &[]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        let other = Redis::start().await;
        let mut mistaken = cluster.launch(&[("REDIS_URL", &other.url())]);
        eventually("it says what is wrong", seconds(60), async || {
            let log = mistaken.log();
            log.contains("is REDIS_URL the same").then_some(())
        })
        .await;
        let sent = ann.publish(&room, "undisturbed").await;
        for node in &mut cluster.nodes {
            let rebuilt = node.metric("madang_redis_rebuildings_total").await;
            assert_eq!(rebuilt, 0.0, "the life was taken");
            assert!(node.terminate().await.success());
        }
        // Where nobody else lives it is right: the cluster has moved to another Redis.
        mistaken.listening().await;
        let mut ann = mistaken.connect("ann").await;
        assert_eq!(ann.subscribe(&room).await["head"], sent.seq);
    });
}
