//! Between a snapshot and the stream after it, nothing is missed and nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{Publisher, TestNode, assert_clean, on_every_backend, rounds};

/// People who subscribe and unsubscribe at the same time.
const AT_ONCE: usize = 8;

#[test]
fn a_snapshot_and_its_stream_fit_together() {
    on_every_backend(async |mut world| {
        let node = Arc::new(world.start().await);
        let room = node.room("ann", &["bob"]).await;
        let writer = Publisher::start(&node, "ann", &room, Duration::from_millis(1)).await;
        let each = rounds(2000).div_ceil(AT_ONCE);
        let mut tasks = Vec::new();
        for _ in 0..AT_ONCE {
            let random = StdRng::seed_from_u64(world.random.random());
            let (node, room) = (Arc::clone(&node), room.clone());
            tasks.push(tokio::spawn(async move {
                come_and_go(&node, &room, each, random).await
            }));
        }
        let mut readers = Vec::new();
        for task in tasks {
            readers.push(task.await.expect("every subscription kept its promises"));
        }
        let promised = writer.stop().await;
        let views: Vec<_> = readers.iter().map(|reader| reader.view(&room)).collect();
        assert_clean(&node.rest("bob"), &room, &promised, &views).await;
        println!(
            "{} subscriptions over {} messages",
            each * AT_ONCE,
            promised.len()
        );
    });
}

/// The client itself checks each snapshot and each event; see `RoomView`.
async fn come_and_go(
    node: &TestNode,
    room: &str,
    times: usize,
    mut random: StdRng,
) -> crate::support::WsClient {
    let mut client = node.connect("bob").await;
    for time in 0..times {
        match time % 3 {
            0 if time > 0 => {
                client.subscribe_on(room).await.expect("the node is there");
            }
            _ => {
                client
                    .subscribe_last(room, random.random_range(0..20))
                    .await;
            }
        }
        let here = client.view(room).last;
        client
            .catch_up(room, here + random.random_range(0..4))
            .await;
        if random.random_bool(0.7) {
            client.unsubscribe(room).await;
        }
        client.taken();
    }
    client
}
