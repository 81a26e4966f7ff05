//! A node that stands alone under the same load, on every backend: killed, and ended at fail
//! points. It shows the harness at work, too, with less that could be in its way.

use super::load::{Load, Size};
use super::trial::is_long;
use serde_json::{Value, json};

use crate::support::{
    Doors, World, WsClient, eventually, on_every_backend, on_every_pair, seconds,
};

/// Where a node can be ended whose log is the database.
const LOCAL: [&str; 2] = ["local::before_write", "local::after_write"];
/// Where a node can be ended whose log is in Redis.
const SHARED: [&str; 4] = [
    "redis::before_append",
    "redis::after_append",
    "write_back::before_write",
    "write_back::after_flush",
];

#[test]
fn f1_a_node_alone_is_killed_under_load() {
    on_every_pair(async |mut world: World| {
        let mut node = world.start().await;
        let load = Load::start(Doors::of(&node), Size::of_this_run(), &mut world.random).await;
        for _ in 0..if is_long() { 20 } else { 3 } {
            load.after_acks(100).await;
            node.kill();
            node.restart().await;
            load.all_connected(seconds(10)).await;
        }
        load.after_acks(100).await;
        load.judge(world.database()).await;
    });
}

#[test]
fn a_node_alone_ends_between_any_two_steps_of_a_write() {
    assert!(fail::has_failpoints(), "run with --features failpoints");
    on_every_pair(async |mut world: World| {
        let mut node = world.start().await;
        let load = Load::start(Doors::of(&node), Size::of_this_run(), &mut world.random).await;
        let points = match world.durability() {
            "db" => &LOCAL[..],
            _ => &SHARED,
        };
        for point in points {
            node.set("FAILPOINTS", &format!("{point}=30*off->1*return(abort)"));
            node.relaunch();
            let status = node.end().await;
            assert!(!status.success(), "{point} ends it with {status}");
            assert!(
                node.log()
                    .contains(&format!("failpoint={point} action=abort"))
            );
        }
        node.set("FAILPOINTS", "");
        node.restart().await;
        load.after_acks(100).await;
        load.judge(world.database()).await;
    });
}

#[test]
fn f10_who_failed_is_told_of_new_messages_and_can_be_sent_away() {
    assert!(fail::has_failpoints(), "run with --features failpoints");
    on_every_backend(async |mut world: World| {
        world.set("FAILPOINTS", "user::status=1*panic");
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let mut phones = [node.connect("bob").await, node.connect("bob").await];
        phones[0]
            .send(json!({"type": "status", "status": "busy"}))
            .await;
        eventually("the user has failed", seconds(10), async || {
            node.log()
                .contains("failpoint user::status panic")
                .then_some(())
        })
        .await;
        eventually("the user is back", seconds(10), async || {
            node.log().contains("is back with 2 sessions").then_some(())
        })
        .await;
        // What comes while they are coming back is not told, and counted.
        let told = async || {
            let sent = ann.publish(&room, "are you there?").await;
            let inbox = async |phone: &mut WsClient| {
                let heard = |frame: &Value| frame["head"] == sent.seq;
                tokio::time::timeout(seconds(5), phone.find("inbox", heard)).await
            };
            inbox(&mut phones[0]).await.ok()?;
            inbox(&mut phones[1]).await.ok()
        };
        eventually("both phones are told", seconds(10), told).await;
        node.rest("bob").delete("me/sessions").await.good();
        for phone in &mut phones {
            let closed = tokio::time::timeout(seconds(60), phone.closed()).await;
            assert_eq!(closed.expect("cut off soon"), 4403);
        }
    });
}
