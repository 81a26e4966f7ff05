//! `kill -9` in the middle of 500 messages per second loses nothing that was acknowledged.

use std::time::Duration;

use rand::RngExt;
use serde_json::json;

use crate::support::{
    Draft, Postgres, Publisher, TestNode, World, assert_clean, assert_in_order, eventually,
    in_a_runtime, new_client_id, on_every_backend, on_every_pair, rounds, seconds, seed,
};

/// Five people, one message every 10 ms each.
const WRITERS: [&str; 5] = ["ann", "bob", "cho", "dan", "eve"];

#[test]
fn killed_again_and_again_a_node_keeps_what_it_acknowledged() {
    on_every_pair(async |mut world| {
        let mut node = world.start().await;
        let room = node.room("ann", &["bob", "cho", "dan", "eve", "fay"]).await;
        let mut reader = node.connect("fay").await;
        reader.subscribe(&room).await;
        let mut writers = Vec::new();
        for name in WRITERS {
            writers.push(Publisher::start(&node, name, &room, Duration::from_millis(10)).await);
        }
        for _ in 0..rounds(20) {
            let more = world.random.random_range(1..500);
            after_acks(&writers, more).await;
            node.kill();
            node.restart().await;
            reader.come_back(&node.address, &node.token("fay")).await;
        }
        after_acks(&writers, 100).await;
        let mut promised = Vec::new();
        for writer in writers {
            let sent = writer.stop().await;
            assert_in_order(&sent);
            promised.extend(sent);
        }
        let last = promised.iter().map(|message| message.seq).max().unwrap();
        // It has read nothing for a while, which on a slow machine is long enough to be cut off.
        reader.come_back(&node.address, &node.token("fay")).await;
        reader.catch_up(&room, last).await;
        reader.fill_holes(&room).await;
        let log = assert_clean(&node.rest("fay"), &room, &promised, &[reader.view(&room)]).await;
        assert_eq!(reader.view(&room).log.len(), log.len());
        println!("{} messages kept", promised.len());
    });
}

/// Waits until so many more messages have been acknowledged.
async fn after_acks(writers: &[Publisher], more: u64) {
    let count = || writers.iter().map(Publisher::count).sum::<u64>();
    let goal = count() + more;
    eventually("messages are acknowledged", seconds(60), async || {
        (count() >= goal).then_some(())
    })
    .await;
}

#[test]
fn a_repeat_after_a_restart_is_recognised() {
    on_every_pair(async |world| {
        let mut node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let draft = Draft::new(&room, "once");
        let first = ann.good(draft.frame()).await;
        assert!(
            first
                .get("duplicate")
                .is_none_or(|duplicate| duplicate == false)
        );

        node.kill();
        node.restart().await;
        let mut ann = node.connect("ann").await;
        let second = ann.good(draft.frame()).await;
        assert_eq!(second["duplicate"], true, "{second}");
        for field in ["seq", "epoch", "at", "client_id", "room"] {
            assert_eq!(first[field], second[field], "{field}: {first} {second}");
        }
        let mut changed = draft.frame();
        changed["body"] = json!({"text": "twice"});
        assert_eq!(ann.refused(changed).await, "conflict");
        assert_clean(
            &node.rest("ann"),
            &room,
            &[draft.acked(&ann.user, &first)],
            &[],
        )
        .await;
    });
}

#[test]
fn a_node_told_to_stop_leaves_in_good_order() {
    on_every_pair(async |world| {
        let (mut node, room, mut reader) = with_a_reader(&world).await;
        let writer = Publisher::start(&node, "ann", &room, Duration::from_millis(5)).await;
        after_acks(std::slice::from_ref(&writer), 50).await;
        let status = node.terminate().await;
        assert!(status.success(), "SIGTERM ends with {status}");
        let code = reader.closed().await;
        assert!(
            (4000..4100).contains(&code) || code == 1001,
            "told to come back: {code}"
        );
        node.restart().await;
        reader.come_back(&node.address, &node.token("bob")).await;
        let promised = writer.stop().await;
        reader.catch_up(&room, promised.last().unwrap().seq).await;
        reader.fill_holes(&room).await;
        assert_clean(&node.rest("bob"), &room, &promised, &[reader.view(&room)]).await;
    });
}

#[test]
fn a_node_whose_database_hangs_ends_all_the_same() {
    assert!(fail::has_failpoints(), "run with --features failpoints");
    on_every_backend(async |world| {
        if world.durability() != "db" {
            return;
        }
        let mut node = world.start().await;
        let room = node.room("ann", &[]).await;
        node.set("FAILPOINTS", "local::before_write=sleep(600000)");
        node.set("MADANG_DRAIN_SECONDS", "1");
        node.restart().await;
        let mut ann = node.connect("ann").await;
        ann.ask(Draft::new(&room, "never answered").frame()).await;
        eventually("a write hangs", seconds(10), async || {
            let backlog = node.metric("madang_backlog_events").await;
            (backlog > 0.0).then_some(())
        })
        .await;
        let status = node.terminate().await;
        assert!(status.success(), "SIGTERM ends with {status}");
    });
}

#[test]
fn killing_postgres_loses_nothing_either() {
    in_a_runtime(async || {
        let mut postgres = Postgres::start().await;
        let world = World::at(&postgres.database().await, seed());
        let (node, room, mut reader) = with_a_reader(&world).await;
        let writer = Publisher::start(&node, "ann", &room, Duration::from_millis(5)).await;
        let writers = std::slice::from_ref(&writer);
        for _ in 0..rounds(3) {
            after_acks(writers, 100).await;
            postgres.kill();
            // Sockets stay, and answer; only what needs the database is refused meanwhile. A child
            // of the server that is busy lives a little longer, and may take a message yet.
            eventually("what is said is refused", seconds(20), async || {
                let draft = Draft::new(&room, &new_client_id());
                let refusal = reader.request(draft.frame()).await.err()?;
                assert_eq!(refusal.name, "unavailable", "{}", refusal.frame);
                Some(())
            })
            .await;
            postgres.restart().await;
        }
        after_acks(writers, 100).await;
        let promised = writer.stop().await;
        reader.catch_up(&room, promised.last().unwrap().seq).await;
        assert_clean(&node.rest("bob"), &room, &promised, &[reader.view(&room)]).await;
        assert_eq!(reader.view(&room).gaps, []);
    });
}

async fn with_a_reader(world: &World) -> (TestNode, String, crate::support::WsClient) {
    let node = world.start().await;
    let room = node.room("ann", &["bob"]).await;
    let mut reader = node.connect("bob").await;
    reader.subscribe(&room).await;
    (node, room, reader)
}
