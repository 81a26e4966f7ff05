//! A node ends between any two steps of append, ring, flush, sweep, seed and rebuilding, in the
//! middle of a load.

use rand::RngExt;

use super::trial::{Trial, is_long, try_fault};
use crate::support::{Setup, eventually, seconds};

/// A place where a node is ended, and after how many times of being there.
pub struct Point {
    pub name: &'static str,
    pub after: usize,
    pub by: Way,
}

/// What makes a node come there.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    /// The load alone.
    Load,
    /// Another node's death, which leaves rooms unwritten.
    Death,
    /// A Redis that has started again, with its data: two failures at once must not be three.
    Rebuilding,
}

impl Point {
    /// The setting that has a node do this (`abort`, `stop`) there, once.
    pub fn setting(&self, word: &str) -> String {
        let Self { name, after, .. } = self;
        match after {
            0 => format!("{name}=1*return({word})"),
            after => format!("{name}={after}*off->1*return({word})"),
        }
    }

    /// The nodes that are to come there, when one is spared. What only one node does at a time is
    /// prepared on two of them.
    pub fn victims(&self, spared: usize) -> Vec<usize> {
        let others = [(spared + 1) % 3, (spared + 2) % 3];
        let count = if self.by == Way::Load { 1 } else { 2 };
        others[..count].into()
    }
}

const fn point(name: &'static str, after: usize, by: Way) -> Point {
    Point { name, after, by }
}

/// Before and after the one script that appends and rings.
pub const APPEND: [Point; 2] = [
    point("redis::before_append", 40, Way::Load),
    point("redis::after_append", 40, Way::Load),
];
/// Every step from the log to the database.
pub const FLUSH: [Point; 4] = [
    point("write_back::before_write", 10, Way::Load),
    point("write_back::after_write", 10, Way::Load),
    point("write_back::before_flush", 10, Way::Load),
    point("write_back::after_flush", 10, Way::Load),
];
/// A room that comes into Redis, and rooms that a dead node has left.
pub const ROOMS: [Point; 3] = [
    point("redis::before_seed", 2, Way::Rebuilding),
    point("redis::after_seed", 2, Way::Rebuilding),
    point("write_back::before_sweep", 0, Way::Death),
];
/// Every step of the rebuilding.
pub const REBUILDING: [Point; 7] = [
    point("redis::before_salvage", 0, Way::Rebuilding),
    point("write_back::before_salvage", 0, Way::Rebuilding),
    point("write_back::after_salvage", 0, Way::Rebuilding),
    point("redis::before_barrier", 0, Way::Rebuilding),
    point("redis::after_barrier", 0, Way::Rebuilding),
    point("redis::before_life", 0, Way::Rebuilding),
    point("redis::after_life", 0, Way::Rebuilding),
];

/// Tries the points one after the other on one cluster, which is judged in the end; `POINT=…`
/// chooses one.
async fn try_points(seed: u64, points: &[Point]) {
    assert!(fail::has_failpoints(), "run with --features failpoints");
    let chosen = std::env::var("POINT").ok();
    let setup = Setup {
        own_postgres: true,
        ..Setup::default()
    };
    let mut trial = Trial::start(seed, setup).await;
    for point in points {
        if chosen.as_ref().is_none_or(|chosen| chosen == point.name) {
            println!("POINT={}", point.name);
            end_at(&mut trial, point).await;
        }
    }
    trial.judge().await;
}

/// Has a node end at the point, starts it again, and sees the chat go on.
async fn end_at(trial: &mut Trial, point: &Point) {
    let spared = trial.any_node();
    let victims = point.victims(spared);
    for victim in &victims {
        arm(trial, *victim, &point.setting("abort")).await;
    }
    match point.by {
        Way::Load => {}
        Way::Death => die_unwritten(trial, spared).await,
        Way::Rebuilding => trial.cluster.redis.restart().await,
    }
    let mut looks = 0;
    eventually(point.name, seconds(60), async || {
        looks += 1;
        // The one that did it was perhaps the third.
        if point.by == Way::Rebuilding && looks % 500 == 0 {
            trial.cluster.redis.restart().await;
        }
        let nodes = &mut trial.cluster.nodes;
        let ended = victims.iter().any(|node| nodes[*node].ended().is_some());
        ended.then_some(())
    })
    .await;
    for node in 0..3 {
        if node == spared && point.by == Way::Death || victims.contains(&node) {
            arm(trial, node, "").await;
        }
    }
    let more = if is_long() { 2000 } else { 60 };
    trial.load.after_acks(more).await;
}

/// Kills a node whose people have messages that are in the log and not in the database: others
/// have to write them.
pub async fn die_unwritten(trial: &mut Trial, node: usize) {
    trial.cluster.postgres().kill();
    trial.load.after_acks(30).await;
    trial.cluster.nodes[node].kill();
    trial.cluster.postgres().restart().await;
}

/// Starts a node again with these fail points, and sends people there.
async fn arm(trial: &mut Trial, number: usize, points: &str) {
    let node = &mut trial.cluster.nodes[number];
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

#[test]
fn a_node_ends_while_it_appends() {
    try_fault("points::a_node_ends_while_it_appends", async |seed| {
        try_points(seed, &APPEND).await;
    });
}

#[test]
fn a_node_ends_while_it_writes() {
    try_fault("points::a_node_ends_while_it_writes", async |seed| {
        try_points(seed, &FLUSH).await;
    });
}

#[test]
fn a_node_ends_while_it_takes_over_rooms() {
    try_fault(
        "points::a_node_ends_while_it_takes_over_rooms",
        async |seed| {
            try_points(seed, &ROOMS).await;
        },
    );
}

#[test]
fn a_node_ends_while_redis_is_rebuilt() {
    try_fault("points::a_node_ends_while_redis_is_rebuilt", async |seed| {
        try_points(seed, &REBUILDING).await;
    });
}
