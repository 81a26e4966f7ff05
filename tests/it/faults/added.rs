//! Somebody is added to a room while their node cannot hear of it.

use serde_json::json;

use crate::support::{Cluster, eventually, in_a_runtime, new_client_id, seconds};

const SEED: u64 = 5;

/// Adds Bob, whose node is cut from Redis, to a room through another node.
async fn add_during_a_cut(is_long: bool) {
    let mut cluster = Cluster::start(1, SEED).await;
    let (wired, wires) = cluster.add_wired().await;
    let kept = cluster.nodes[0].room("ann", &["bob"]).await;
    let mut bob = cluster.nodes[wired].connect("bob").await;
    let mut ann = cluster.nodes[0].connect("ann").await;
    let is_elsewhere = async |wanted: f64| {
        let what = format!("the other node knows of {wanted} people");
        eventually(&what, seconds(20), async || {
            let elsewhere = cluster.nodes[0].metric("madang_people_elsewhere").await;
            (elsewhere == wanted).then_some(())
        })
        .await;
    };
    is_elsewhere(1.0).await;
    ann.publish(&kept, "before the cut").await;
    bob.find("an unread message", |frame| frame["total"] == 1)
        .await;

    wires.redis.cut();
    if is_long {
        // The node's lease ends: nobody tells it anything for some time after it is back.
        is_elsewhere(0.0).await;
    }
    let group = json!({"name": "garden", "kind": "group"});
    let garden = cluster.nodes[0].empty_room("ann", group).await;
    let path = format!("rooms/{garden}/members/{}", bob.user);
    let ann_rest = cluster.nodes[0].rest("ann");
    let added = ann_rest.put(&path, json!({})).await;
    assert_eq!(added.status, 204, "{added:?}");
    let kick = format!("rooms/{kept}/members/{}", bob.user);
    let kicked = ann_rest.delete(&kick).await;
    assert_eq!(kicked.status, 204, "{kicked:?}");
    let early = ann.publish(&garden, "during the cut").await;
    let posted = json!({"body": {"text": "in the database"}, "client_id": new_client_id()});
    let messages = format!("rooms/{garden}/messages");
    ann_rest.post(&messages, posted).await.good();

    wires.redis.mend();
    let invited = bob
        .find("the invitation", |frame| frame["kind"] == "invited")
        .await;
    assert_eq!(invited["data"]["room"], garden);
    assert_eq!(invited["data"]["from"], ann.user);
    let inbox = bob
        .find("what was written during the cut", |frame| {
            frame["type"] == "inbox" && frame["room"] == garden
        })
        .await;
    assert!(inbox["head"].as_u64().unwrap() >= early.seq, "{inbox}");
    let late = ann.publish(&garden, "after the cut").await;
    let inbox = bob
        .find("what was written after the cut", |frame| {
            frame["type"] == "inbox" && frame["room"] == garden && frame["head"] == late.seq
        })
        .await;
    assert_eq!(inbox["unread"], 3, "{inbox}");
    assert_eq!(
        inbox["total"], 3,
        "a room that is gone counts for nothing: {inbox}"
    );
}

#[test]
fn who_was_added_to_a_room_during_a_short_cut_is_told_after_it() {
    in_a_runtime(async || add_during_a_cut(false).await);
}

#[test]
fn who_was_added_to_a_room_during_a_long_cut_is_told_after_it() {
    in_a_runtime(async || add_during_a_cut(true).await);
}
