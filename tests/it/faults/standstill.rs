//! A node stands still between any two steps, and when it wakes the world is another one: F4, F5,
//! F6 and F8 at every point.

use rand::RngExt;

use super::points::{APPEND, FLUSH, Point, REBUILDING, ROOMS, Way, die_unwritten};
use super::trial::{Trial, is_long, try_fault};
use crate::support::{Setup, eventually, seconds};

/// What happens to the others while the node stands still.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    RedisRestarts,
    RedisIsEmptied,
    PostgresIsAway,
}

const ALL: [Meanwhile; 4] = [
    Meanwhile::Nothing,
    Meanwhile::RedisRestarts,
    Meanwhile::RedisIsEmptied,
    Meanwhile::PostgresIsAway,
];

/// What a cluster has to bear: a dead node, and a Redis that has lost everything at the same time,
/// are more than one failure.
fn can_be_borne(point: &Point, meanwhile: Meanwhile) -> bool {
    point.by != Way::Death || meanwhile != Meanwhile::RedisIsEmptied
}

/// Every point with everything that may happen meanwhile; `POINT=…` chooses one of them.
fn all() -> Vec<(&'static Point, Meanwhile)> {
    let chosen = std::env::var("POINT").ok();
    let points = [&APPEND[..], &FLUSH, &ROOMS, &REBUILDING];
    let points = points.into_iter().flatten();
    let pairs = points.flat_map(|point| ALL.map(|meanwhile| (point, meanwhile)));
    pairs
        .filter(|(point, meanwhile)| can_be_borne(point, *meanwhile))
        .filter(|(point, _)| chosen.as_ref().is_none_or(|chosen| chosen == point.name))
        .collect()
}

/// Starts a node again, in peace and with these fail points, and sends people there.
async fn arm(trial: &mut Trial, number: usize, points: &str) {
    let node = &mut trial.cluster.nodes[number];
    let status = node.terminate().await;
    assert!(status.success(), "SIGTERM ends with {status}");
    node.set("FAILPOINTS", points);
    node.relaunch();
    match points {
        "" => node.listening().await,
        _ => node.listening_or_gone().await,
    }
    for person in trial.load.not_at(number) {
        if trial.random.random_bool(0.5) {
            trial.load.people[person].drop_out();
        }
    }
}

/// Waits for one of the victims to stand still at the point.
async fn until_stopped(trial: &mut Trial, point: &Point, victims: &[usize]) {
    let mut looks = 0;
    eventually(point.name, seconds(60), async || {
        looks += 1;
        // The one that did it was perhaps the third.
        if point.by == Way::Rebuilding && looks % 500 == 0 {
            trial.cluster.redis.restart().await;
        }
        let nodes = &trial.cluster.nodes;
        let stopped = victims.iter().any(|node| nodes[*node].is_stopped());
        stopped.then_some(())
    })
    .await;
}

/// What happens meanwhile, for shorter or longer than a lease lasts. Who rebuilds an emptied Redis
/// waits for a node that hangs, but no longer than that: what only such a node has is late then, and
/// other events have its numbers until it wakes (`docs/CLUSTER.md`, "What is not covered").
async fn happen(trial: &mut Trial, meanwhile: Meanwhile) {
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::RedisRestarts => trial.cluster.redis.restart().await,
        Meanwhile::RedisIsEmptied => trial.cluster.redis.restart_empty().await,
        Meanwhile::PostgresIsAway => trial.cluster.postgres().kill(),
    }
    let longest = match meanwhile {
        Meanwhile::RedisIsEmptied => 2,
        _ => 9,
    };
    let still = trial.random.random_range(0..=longest);
    trial.endure(still, still).await;
}

/// Has a node stand still at the point while something happens, wakes it, and sees the chat go on.
async fn stand_still_at(trial: &mut Trial, point: &Point, meanwhile: Meanwhile) {
    let spared = trial.any_node();
    let victims = point.victims(spared);
    for victim in &victims {
        arm(trial, *victim, &point.setting("stop")).await;
    }
    match point.by {
        Way::Load => {}
        Way::Death => die_unwritten(trial, spared).await,
        Way::Rebuilding => trial.cluster.redis.restart().await,
    }
    until_stopped(trial, point, &victims).await;
    happen(trial, meanwhile).await;
    let goal = trial.load.count() + if is_long() { 2000 } else { 60 };
    let mut is_away = meanwhile == Meanwhile::PostgresIsAway;
    eventually("the chat goes on", seconds(60), async || {
        // The other one comes to the point later, or never.
        let stopped = trial.cluster.nodes.iter().filter(|node| node.is_stopped());
        stopped.for_each(|node| node.go_on());
        if std::mem::take(&mut is_away) {
            trial.cluster.postgres().restart().await;
        }
        (trial.load.count() >= goal).then_some(())
    })
    .await;
    if point.by == Way::Death {
        trial.cluster.nodes[spared].restart().await;
    }
    for victim in victims {
        arm(trial, victim, "").await;
    }
}

#[test]
fn a_node_stands_still_between_two_steps() {
    try_fault(
        "standstill::a_node_stands_still_between_two_steps",
        async |seed| {
            assert!(fail::has_failpoints(), "run with --features failpoints");
            let setup = Setup {
                own_postgres: true,
                settings: &[("MADANG_DRAIN_SECONDS", "2")],
                ..Setup::default()
            };
            let mut trial = Trial::start(seed, setup).await;
            let mut pairs = all();
            if !is_long() {
                let chosen = [0; 2].map(|_| trial.random.random_range(0..pairs.len()));
                pairs = chosen.map(|number| pairs[number]).into();
            }
            for (point, meanwhile) in pairs {
                println!("POINT={} meanwhile: {meanwhile:?}", point.name);
                stand_still_at(&mut trial, point, meanwhile).await;
            }
            trial.judge().await;
        },
    );
}
