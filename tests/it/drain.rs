//! A node that stops sends its people away without losing a word of theirs.

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::support::{
    Backend, EmbeddedNode, Rest, WsClient, eventually, in_a_runtime, seconds, upgrade,
};

/// On every backend, with a node that takes so long to drain.
fn with_a_node(drain_seconds: &str, scenario: impl AsyncFn(EmbeddedNode)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        in_a_runtime(async || {
            let settings = [
                ("MADANG_DRAIN_SECONDS", drain_seconds),
                ("MADANG_WORKERS", "2"),
            ];
            scenario(EmbeddedNode::start(backend, &settings).await).await;
        });
    }
}

async fn open_room(owner: &Rest) -> String {
    let tea = json!({"name": "tea", "kind": "open"});
    let made = owner.post("rooms", tea).await.good();
    made["room"].as_str().unwrap().to_owned()
}

async fn asked_to_move(client: &mut WsClient) {
    let asked = client.expect("move").await;
    assert_eq!(asked["reason"], "drain", "{asked}");
    assert!(asked["after_ms"].as_u64().unwrap() <= 250, "{asked}");
}

#[test]
fn everybody_is_asked_to_move_and_is_served_until_they_do() {
    with_a_node("60", async |node| {
        let room = open_room(&node.rest("ann")).await;
        let (mut ann, mut bob) = (node.connect("ann").await, node.connect("bob").await);
        ann.subscribe(&room).await;
        let silent = WsClient::dial(&node.address).await;
        node.begin_to_stop(true);
        asked_to_move(&mut ann).await;
        // A connection that has been asked to move still works.
        let sent = ann.publish(&room, "on my way").await;
        ann.catch_up(&room, sent.seq).await;
        asked_to_move(&mut bob).await;
        bob.close().await;
        // Who stays is closed, and so is who never said who they are.
        for mut client in [ann, silent] {
            assert_eq!(client.closed().await, 4001);
        }
        node.stopped().await;
    });
}

#[test]
fn a_stopping_node_serves_rest_but_takes_nobody_in() {
    with_a_node("3600", async |node| {
        let rest = node.rest("ann");
        let mut ann = node.connect("ann").await;
        node.drain(true).await;
        ann.expect("move").await;
        let url = format!("http://{}", node.address);
        let ready = reqwest::get(format!("{url}/readyz")).await.unwrap();
        assert_eq!(ready.status(), 503);
        let refused = WsClient::dial_with(upgrade(&node.address)).await.err();
        let Some(Error::Http(answer)) = refused else {
            panic!("an upgrade while stopping: {refused:?}");
        };
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let me = rest.get("me").await;
        assert_eq!(me.headers["connection"], "close", "proxies go elsewhere");
        me.good();
        open_room(&rest).await;
        // A second order, now without anywhere to go: nobody waits for their turn.
        node.begin_to_stop(false);
        assert_eq!(ann.closed().await, 4001);
        node.stopped().await;
    });
}

#[test]
fn people_leave_one_after_the_other() {
    with_a_node("3600", async |node| {
        let mut clients = Vec::new();
        for name in ["ann", "bob", "cleo", "dan", "eve", "fay", "gil", "hal"] {
            clients.push(node.connect(name).await);
        }
        node.drain(true).await;
        // On each worker thread the first is asked at once, the next not for many minutes.
        let asked = eventually("somebody is asked to move", seconds(5), async || {
            let mut asked = 0;
            for client in &mut clients {
                let frames = client.settled().await;
                asked += usize::from(frames.iter().any(|frame| frame["type"] == "move"));
            }
            (asked > 0).then_some(asked)
        });
        assert!(asked.await < clients.len(), "all were asked at once");
        node.begin_to_stop(false);
        for mut client in clients {
            assert_eq!(client.closed().await, 4001);
        }
        node.stopped().await;
    });
}

#[test]
fn without_another_node_everybody_is_closed_at_once() {
    with_a_node("3600", async |node| {
        let mut ann = node.connect("ann").await;
        node.begin_to_stop(false);
        assert_eq!(ann.closed().await, 4001);
        let frames = ann.taken();
        assert!(
            frames.iter().all(|frame| frame["type"] != "move"),
            "{frames:?}"
        );
        node.stopped().await;
    });
}
