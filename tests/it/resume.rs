//! A client that drops and comes back at random moments ends with exactly the room's log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{
    Cluster, Publisher, TestNode, WsClient, assert_clean, in_a_runtime, on_every_pair, rounds,
};

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

/// More than a list in Redis holds of large messages, and more than a node's own window.
#[test]
fn large_messages_are_resumed_from_below_the_log() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, 7).await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let room = here.room("ann", &["bob"]).await;
        let mut ann = here.connect("ann").await;
        let mut bob = here.connect("bob").await;
        bob.subscribe(&room).await;
        let mut promised = vec![ann.publish(&room, "before").await];
        bob.catch_up(&room, promised[0].seq).await;
        for number in 0..60 {
            let text = format!("{number} {}", "x".repeat(20 * 1024));
            promised.push(ann.publish_durably(&room, &text).await);
        }
        let head = promised.last().expect("they were said").seq;
        // One node has the newest in memory, the other reads what there is.
        for node in [here, there] {
            let mut again = node.connect("bob").await;
            again.subscribe_last(&room, 200).await;
            again.fill_holes(&room).await;
            assert_clean(&node.rest("bob"), &room, &promised, &[again.view(&room)]).await;
        }
        bob.come_back(&there.address, &there.token("bob")).await;
        bob.catch_up(&room, head).await;
        assert_eq!(bob.view(&room).holes(), Vec::<u64>::new());
        assert_clean(&there.rest("bob"), &room, &promised, &[bob.view(&room)]).await;
        let keys = cluster.redis.keys("madang:{b*}:l:*");
        let held: Vec<String> = cluster
            .redis
            .ask(redis::cmd("LRANGE").arg(&keys[0]).arg(0).arg(-1));
        let held: usize = held.iter().map(String::len).sum();
        assert!(held <= 256 * 1024, "{held} bytes of {keys:?}");
    });
}
