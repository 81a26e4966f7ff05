//! Thousands of connections come and go; the node ends where it began.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{TestNode, World, WsClient, eventually, on_every_backend, rounds, seconds};

/// Connections at the same time.
const AT_ONCE: usize = 50;
const MIB: u64 = 1024 * 1024;

#[test]
fn connections_come_and_go_without_a_trace() {
    on_every_backend(async |mut world| {
        let node = Arc::new(world.start().await);
        let room = node.room("ann", &["bob"]).await;
        let total = rounds(5_000);
        // The first fifth fills caches and pools; what comes after must not add to it.
        churn(&node, &room, &mut world, total / 5).await;
        let before = settled(&node).await;
        churn(&node, &room, &mut world, total - total / 5).await;
        let after = settled(&node).await;
        println!("{} MiB, then {} MiB", before / MIB, after / MIB);
        assert!(
            after < before + before / 4 + 8 * MIB,
            "memory stays with who has left"
        );
    });
}

#[test]
fn idle_connections_give_back_what_they_held() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let count = rounds(1000);
        let before = node.memory();
        let mut idle: Vec<WsClient> = Vec::new();
        let mut heard = Instant::now();
        for _ in 0..count.div_ceil(AT_ONCE) {
            idle.extend(join_all((0..AT_ONCE).map(|_| node.connect("ann"))).await);
            // On a slow machine the first would be taken for dead before the last has come.
            if heard.elapsed() > seconds(15) {
                join_all(idle.iter_mut().map(WsClient::settled)).await;
                heard = Instant::now();
            }
        }
        assert_eq!(node.metric("madang_sessions").await, idle.len() as f64);
        assert_eq!(node.metric("madang_users").await, 1.0);
        let held = node.memory().saturating_sub(before);
        println!("{} bytes per idle connection", held / idle.len() as u64);
        drop(idle);
        settled(&node).await;
    });
}

async fn churn(node: &Arc<TestNode>, room: &str, world: &mut World, total: usize) {
    let tasks = (0..AT_ONCE).map(|_| {
        let mut random = StdRng::seed_from_u64(world.random.random());
        let (node, room) = (Arc::clone(node), room.to_owned());
        tokio::spawn(async move {
            for _ in 0..total.div_ceil(AT_ONCE) {
                visit(&node, &room, &mut random).await;
            }
        })
    });
    for task in join_all(tasks.collect::<Vec<_>>()).await {
        task.expect("every visit went well");
    }
}

/// One connection, ended in one of the ways that connections end.
pub async fn visit(node: &TestNode, room: &str, random: &mut StdRng) {
    match random.random_range(0..4) {
        // Never says hello.
        0 => drop(WsClient::dial(&node.address).await),
        // Signs in and is gone.
        1 => drop(node.connect("bob").await),
        // Subscribes, speaks and is gone before the ack.
        2 => {
            let mut client = node.connect("bob").await;
            client.subscribe_last(room, 5).await;
            client
                .ask(crate::support::Draft::new(room, "bye").frame())
                .await;
        }
        // Leaves in good order.
        _ => {
            let mut client = node.connect("bob").await;
            client.subscribe_last(room, 5).await;
            client.close().await;
        }
    }
}

/// Waits until nobody is connected; gives the memory that is held then.
async fn settled(node: &TestNode) -> u64 {
    eventually("all sessions are gone", seconds(30), async || {
        let sessions = node.metric("madang_sessions").await;
        let users = node.metric("madang_users").await;
        (sessions == 0.0 && users == 0.0).then_some(())
    })
    .await;
    node.memory()
}
