//! People who do not read, drop out together, come and go; actors that fail: F10 to F12, F14.

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::trial::{Trial, is_long, try_fault};
use crate::support::{Cluster, Setup, WsClient, assert_clean, eventually, seconds};
use crate::{churn, slow};

const MIB: u64 = 1024 * 1024;

/// A cluster one of whose nodes fails at this point, once, after so many times; under load.
async fn with_a_failure(seed: u64, point: &str) -> (Trial, usize) {
    assert!(fail::has_failpoints(), "run with --features failpoints");
    let two = Setup {
        nodes: 2,
        ..Setup::default()
    };
    let mut cluster = Cluster::with(seed, two).await;
    // Not before everybody has come.
    let after = if is_long() { 5000 } else { 150 };
    let setting = format!("{point}={after}*off->1*panic");
    let node = cluster.add_with(&[("FAILPOINTS", &setting)]).await;
    let trial = Trial::on(cluster, seed).await;
    eventually("an actor has failed", seconds(60), async || {
        let log = trial.cluster.nodes[node].log();
        log.contains(&format!("failpoint {point} panic"))
            .then_some(())
    })
    .await;
    (trial, node)
}

#[test]
fn f10_a_room_fails() {
    try_fault("people::f10_a_room_fails", async |seed| {
        let (trial, _) = with_a_failure(seed, "room::command").await;
        trial.goes_on().await;
        let moves: u64 = trial.load.people.iter().map(|person| person.moves()).sum();
        assert_eq!(moves, 0, "nobody's connection is the room's");
        trial.judge().await;
    });
}

#[test]
fn f10_a_session_fails() {
    try_fault("people::f10_a_session_fails", async |seed| {
        let (trial, node) = with_a_failure(seed, "session::frame").await;
        trial.goes_on().await;
        let moves: u64 = trial.load.people.iter().map(|person| person.moves()).sum();
        assert!(moves <= 1, "{moves} connections ended at node {node}");
        trial.judge().await;
    });
}

#[test]
fn f11_some_do_not_read() {
    try_fault("people::f11_some_do_not_read", async |seed| {
        let cluster = Cluster::with(seed, Setup::default()).await;
        let count = if is_long() { 30 } else { 3 };
        let room = cluster.nodes[0].room("ann", &["bob", "cho"]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        let readers = (0..10 * count).map(async |number: usize| {
            let mut reader = cluster.nodes[number % 3].connect("bob").await;
            reader.subscribe_last(&room, 0).await;
            reader
        });
        let mut readers = join_all(readers).await;
        let mut jammed = Vec::new();
        for node in &cluster.nodes {
            jammed.push(slow::narrow(node, &room, "cho", count.div_ceil(3)).await);
        }
        let mut promised = slow::burst(&mut ann, &room, &mut readers).await;
        let memory = |cluster: &Cluster| -> Vec<_> {
            cluster.nodes.iter().map(|node| node.memory()).collect()
        };
        let before = memory(&cluster);
        promised.extend(slow::burst(&mut ann, &room, &mut readers).await);
        for (before, after) in before.into_iter().zip(memory(&cluster)) {
            let allowed = before + 12 * MIB + count as u64 * 256 * 1024;
            assert!(after < allowed, "{before} bytes, then {after}");
        }
        for reader in &readers {
            assert_eq!(reader.view(&room).gaps, [], "a healthy reader has a gap");
        }
        let head = promised.last().unwrap().seq;
        for (node, jammed) in cluster.nodes.iter().zip(&mut jammed) {
            for client in jammed {
                slow::recover(client, node, &room, head).await;
            }
        }
        readers.extend(jammed.into_iter().flatten());
        let views: Vec<_> = readers.iter().map(|reader| reader.view(&room)).collect();
        assert_clean(&cluster.nodes[1].rest("bob"), &room, &promised, &views).await;
    });
}

#[test]
fn f12_everybody_drops_out_and_comes_back() {
    try_fault(
        "people::f12_everybody_drops_out_and_comes_back",
        async |seed| {
            let trial = Trial::start(seed, Setup::default()).await;
            for round in 1..=if is_long() { 10 } else { 3 } {
                trial
                    .load
                    .people
                    .iter()
                    .for_each(|person| person.drop_out());
                eventually("everybody has come back", seconds(30), async || {
                    let back = |person: &crate::support::Publisher| {
                        person.moves() >= round && person.door().is_some()
                    };
                    trial.load.people.iter().all(back).then_some(())
                })
                .await;
                trial.load.after_acks(20).await;
            }
            trial.judge().await;
        },
    );
}

#[test]
fn f14_connections_come_and_go() {
    try_fault("people::f14_connections_come_and_go", async |seed| {
        let cluster = Cluster::with(seed, Setup::default()).await;
        let mut random = StdRng::seed_from_u64(seed);
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let total = if is_long() { 100_000 } else { 900 };
        come_and_go(&cluster, &room, total / 3, &mut random).await;
        let before = everybody_gone(&cluster).await;
        come_and_go(&cluster, &room, total - total / 3, &mut random).await;
        let after = everybody_gone(&cluster).await;
        for (before, after) in before.into_iter().zip(after) {
            let allowed = before + before / 4 + 8 * MIB;
            assert!(after < allowed, "{before} bytes, then {after}");
        }
    });
}

async fn come_and_go(cluster: &Cluster, room: &str, total: usize, random: &mut StdRng) {
    let visits = (0..total).map(|number| (number, StdRng::seed_from_u64(random.random())));
    let visits = visits.map(async |(number, mut random): (usize, StdRng)| {
        churn::visit(&cluster.nodes[number % 3], room, &mut random).await;
    });
    stream::iter(visits)
        .buffer_unordered(50)
        .collect::<()>()
        .await;
}

/// Waits until nobody is connected and Redis knows of nobody; gives the memory of each node.
async fn everybody_gone(cluster: &Cluster) -> Vec<u64> {
    let mut memory = Vec::new();
    for node in &cluster.nodes {
        eventually("all sessions are gone", seconds(30), async || {
            let sessions = node.metric("madang_sessions").await;
            let users = node.metric("madang_users").await;
            (sessions + users == 0.0).then_some(())
        })
        .await;
        memory.push(node.memory());
    }
    eventually("the registry holds nobody", seconds(15), async || {
        let lists = cluster.redis.keys("madang:node:*:users");
        let people = lists.iter().flat_map(|list| {
            let mut fields = redis::cmd("HKEYS");
            cluster.redis.ask::<Vec<String>>(fields.arg(list))
        });
        // Beside people, a list has the number of its last change.
        people
            .into_iter()
            .all(|field| field == "number")
            .then_some(())
    })
    .await;
    memory
}

/// Waits until somebody else is seen with this status, and nothing else is seen before.
async fn seen(ann: &mut WsClient, bob: &str, status: &str) {
    let news = |frame: &serde_json::Value| frame["type"] == "presence" && frame["user"] == bob;
    let notice = ann.find(status, news).await;
    assert_eq!(notice["status"], status, "{notice}");
}

#[test]
fn many_devices_are_one_presence_which_ends_with_the_last() {
    try_fault(
        "people::many_devices_are_one_presence_which_ends_with_the_last",
        async |seed| {
            let mut cluster = Cluster::with(seed, Setup::default()).await;
            let room = cluster.nodes[0].room("ann", &["bob"]).await;
            let mut ann = cluster.nodes[0].connect("ann").await;
            ann.subscribe(&room).await;
            let _phone = cluster.nodes[1].connect("bob").await;
            let bob = cluster.nodes[0].user("bob").await;
            seen(&mut ann, &bob, "online").await;
            let _laptop = cluster.nodes[2].connect("bob").await;
            // A node that dies takes one device with it, and the person is still there.
            cluster.nodes[1].kill();
            let gone = "madang:node:n1";
            eventually("the lease has run out", seconds(10), async || {
                cluster.redis.keys(gone).is_empty().then_some(())
            })
            .await;
            let snapshot = ann.subscribe(&room).await;
            assert_eq!(snapshot["online"], 2, "{snapshot}");
            cluster.nodes[2].kill();
            // Nothing else was seen before this: `seen` takes the next of bob's.
            seen(&mut ann, &bob, "offline").await;
        },
    );
}
