//! A client that drops and comes back at random moments ends with exactly the room's log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{Publisher, TestNode, WsClient, assert_clean, on_every_pair, rounds};

/// Clients that wander at the same time.
const AT_ONCE: usize = 20;
/// What one run does before it is judged.
const STEPS: usize = 6;

#[test]
fn a_wandering_client_ends_with_exactly_the_log() {
    on_every_pair(async |mut world| {
        let node = Arc::new(world.start().await);
        let room = node.room("ann", &["bob", "cho"]).await;
        let ann = Publisher::start(&node, "ann", &room, Duration::from_millis(8)).await;
        let bob = Publisher::start(&node, "bob", &room, Duration::from_millis(13)).await;
        let mut wanderers = Vec::new();
        for _ in 0..rounds(300).div_ceil(AT_ONCE) {
            let runs = (0..AT_ONCE).map(|_| {
                let random = StdRng::seed_from_u64(world.random.random());
                let (node, room) = (Arc::clone(&node), room.clone());
                tokio::spawn(async move { wander(&node, &room, random).await })
            });
            for run in join_all(runs.collect::<Vec<_>>()).await {
                wanderers.push(run.expect("the run kept its promises"));
            }
        }
        let mut promised = ann.stop().await;
        promised.extend(bob.stop().await);
        let readers: Vec<_> = wanderers.iter().map(|client| client.view(&room)).collect();
        assert_clean(&node.rest("cho"), &room, &promised, &readers).await;
        println!("{} runs over {} messages", wanderers.len(), promised.len());
    });
}

/// One run: random steps, then everything up to the newest, without a hole.
async fn wander(node: &TestNode, room: &str, mut random: StdRng) -> WsClient {
    let token = node.token("cho");
    let mut client = WsClient::connect(&node.address, &token).await;
    client
        .subscribe_last(room, random.random_range(0..60))
        .await;
    for _ in 0..STEPS {
        step(&mut client, node, room, &mut random).await;
    }
    client.come_back(&node.address, &token).await;
    let head = client.view(room).last;
    client.catch_up(room, head + 1).await;
    client.fill_holes(room).await;
    assert_eq!(client.view(room).holes(), Vec::<u64>::new());
    client
}

async fn step(client: &mut WsClient, node: &TestNode, room: &str, random: &mut StdRng) {
    let token = node.token("cho");
    let here = client.view(room).last;
    match random.random_range(0..6) {
        // Read for a while, then drop the connection and come back.
        0 | 1 => {
            client
                .catch_up(room, here + random.random_range(1..20))
                .await;
            client.come_back(&node.address, &token).await;
        }
        // Drop again before the replay is over.
        2 => {
            let limit = Duration::from_millis(random.random_range(0..15));
            let attempt = client.try_come_back(&node.address, &token);
            let _ = tokio::time::timeout(limit, attempt).await;
            client.come_back(&node.address, &token).await;
        }
        // Leave the stream and enter it again where it was.
        3 => {
            client.unsubscribe(room).await;
            client.subscribe_on(room).await.expect("the node is there");
            client.catch_up(room, here + 1).await;
        }
        // Subscribe anew on a living subscription.
        4 => {
            client.subscribe_on(room).await.expect("the node is there");
        }
        // Come back as one who has been away for longer: who knows less, not who waited.
        _ => {
            let known = random.random_range(0..=here);
            client
                .rooms
                .get_mut(room)
                .expect("a known room")
                .forget_after(known);
            client.come_back(&node.address, &token).await;
        }
    }
}
