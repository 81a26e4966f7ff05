//! Clients that do not read cost the others nothing, and the node little.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    Draft, Published, TestNode, WsClient, assert_clean, eventually, on_every_backend, rounds,
    seconds,
};

/// For every client that does not read, so many that do: `ROUNDS=100` is a hundred among a thousand.
const READERS_EACH: usize = 10;
/// One message, bytes; large, so that the buffers of the system are full soon.
const MESSAGE: usize = 30 * 1024;
/// Messages before the node's memory is looked at, and again after it: as many as a room keeps
/// at hand, and more than the system buffers for one socket.
pub const BURST: usize = 200;
/// Messages that even a reader may leave waiting who shares a processor with a thousand others.
const AT_ONCE: usize = 5;
const MIB: u64 = 1024 * 1024;

#[test]
fn who_does_not_read_is_told_what_was_missed() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let count = rounds(6);
        let room = node.room("ann", &["bob", "cho"]).await;
        let mut ann = node.connect("ann").await;
        let mut readers = subscribed(&node, &room, "bob", count * READERS_EACH).await;
        let mut slow = narrow(&node, &room, "cho", count).await;

        let mut promised = burst(&mut ann, &room, &mut readers).await;
        let before = node.memory();
        promised.extend(burst(&mut ann, &room, &mut readers).await);
        let after = node.memory();
        println!(
            "{count} slow ones: {} MiB, then {} MiB",
            before / MIB,
            after / MIB
        );
        // What waits for each slow one is at its limit after the first burst already.
        let allowance = 8 * MIB + count as u64 * 256 * 1024;
        assert!(
            after < before + allowance,
            "memory grows with what is not read"
        );
        for reader in &readers {
            assert_eq!(reader.view(&room).gaps, [], "a healthy reader has a gap");
        }

        let head = promised.last().unwrap().seq;
        let recovered = slow
            .iter_mut()
            .map(|client| recover(client, &node, &room, head));
        let lagged: usize = join_all(recovered).await.into_iter().map(usize::from).sum();
        assert!(lagged > 0, "nobody was told of a lag");
        readers.extend(slow);
        let views: Vec<_> = readers.iter().map(|client| client.view(&room)).collect();
        assert_clean(&node.rest("bob"), &room, &promised, &views).await;
    });
}

#[test]
fn who_takes_nothing_is_cut_and_can_come_back() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob", "cho"]).await;
        let mut ann = node.connect("ann").await;
        let mut readers = subscribed(&node, &room, "bob", 10).await;
        let mut jammed = narrow(&node, &room, "cho", 5).await;
        let promised = burst(&mut ann, &room, &mut readers).await;
        let others = 1.0 + readers.len() as f64;
        // They are cut after 30 s; a ping now and then keeps the others from looking idle.
        eventually("the jammed are cut", seconds(40), async || {
            let listening = readers
                .iter_mut()
                .map(|reader| reader.good(json!({"type": "ping"})));
            join_all(listening).await;
            ann.good(json!({"type": "ping"})).await;
            (node.metric("madang_sessions").await <= others).then_some(())
        })
        .await;
        let head = promised.last().unwrap().seq;
        for client in &mut jammed {
            assert_eq!(client.closed().await, 1006, "cut without a farewell");
            client.come_back(&node.address, &node.token("cho")).await;
            client.catch_up(&room, head).await;
            client.fill_holes(&room).await;
        }
        readers.extend(jammed);
        let views: Vec<_> = readers.iter().map(|client| client.view(&room)).collect();
        assert_clean(&node.rest("bob"), &room, &promised, &views).await;
    });
}

async fn subscribed(node: &TestNode, room: &str, sub: &str, count: usize) -> Vec<WsClient> {
    join_all((0..count).map(async |_| {
        let mut client = node.connect(sub).await;
        client.subscribe_last(room, 0).await;
        client
    }))
    .await
}

pub async fn narrow(node: &TestNode, room: &str, sub: &str, count: usize) -> Vec<WsClient> {
    join_all((0..count).map(async |_| {
        let mut client = WsClient::dial_narrow(&node.address).await;
        client.hello(&node.token(sub)).await;
        client.subscribe_last(room, 0).await;
        client
    }))
    .await
}

/// Publishes a burst, no faster than the readers read; returns when they have all of it.
pub async fn burst(ann: &mut WsClient, room: &str, readers: &mut [WsClient]) -> Vec<Published> {
    let mut promised = Vec::new();
    while promised.len() < BURST {
        let head = readers[0].view(room).last + AT_ONCE as u64;
        let reading = join_all(readers.iter_mut().map(|reader| reader.catch_up(room, head)));
        let (written, _) = tokio::join!(publish(ann, room, AT_ONCE), reading);
        promised.extend(written);
    }
    promised
}

async fn publish(ann: &mut WsClient, room: &str, count: usize) -> Vec<Published> {
    let mut promised = Vec::new();
    for _ in 0..count {
        let mut draft = Draft::new(room, "");
        draft.text = format!("{} {}", draft.client_id, "x".repeat(MESSAGE));
        let ack = ann.good(draft.frame()).await;
        promised.push(draft.acked(&ann.user, &ack));
    }
    promised
}

/// Reads at last: up to the gap, then from where the stream ended. Was it told of a gap, or cut
/// before that could happen?
pub async fn recover(client: &mut WsClient, node: &TestNode, room: &str, head: u64) -> bool {
    let mut cut = false;
    while client.view(room).subscribed && client.view(room).last < head {
        if client.read().await.is_none() {
            cut = true;
            // Cut before it was told: that is the other rule, and the way back is the same.
            client.come_back(&node.address, &node.token("cho")).await;
        }
    }
    let lagged = client.view(room).gaps.iter().any(|gap| gap.reason == "lag");
    if client.view(room).last < head {
        client
            .subscribe_on(room)
            .await
            .expect("the connection is still there");
    }
    client.catch_up(room, head).await;
    client.fill_holes(room).await;
    lagged || cut
}
