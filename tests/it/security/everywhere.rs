//! S10 on a cluster: whoever goes from node to node is let through as often as on one.

use serde_json::{Value, json};

use super::guessing::{assert_limited, assert_shut, limited_as_on_one_node, sign_in};
use crate::support::{Answer, Cluster, eventually, in_a_runtime, seconds, seed};

const NODES: usize = 3;

async fn sign_up(cluster: &Cluster, number: usize) -> Answer {
    let person = json!({"username": format!("person{number}"), "password": "correct horse"});
    let node = cluster.nodes[number % NODES].anonymous();
    node.post("auth/sign-up", person).await
}

/// Sets one limit on all nodes, and waits until they have it.
async fn set(cluster: &Cluster, key: &str, value: Value) {
    let body = json!({"settings": {key: value}});
    let admin = cluster.nodes[0].admin();
    let version = admin.put("admin/config", body).await.good()["version"].clone();
    for node in &cluster.nodes {
        eventually("the node has it", seconds(10), async || {
            let holds = node.metric("madang_settings_version").await;
            (Some(holds) == version.as_f64()).then_some(())
        })
        .await;
    }
}

/// Two of a kind do the same, in step: one on one node, the other on all in turn. Until the
/// first was let through so often, how often was the other? `attempt` is told which of them
/// it is, at which node, and the how-manieth time; it answers whether that was let through.
async fn in_step(wanted: usize, mut attempt: impl AsyncFnMut(&str, usize, usize) -> bool) -> usize {
    let (mut here, mut everywhere) = (0, 0);
    for turn in 0..100_000 {
        here += usize::from(attempt("ann", 0, turn).await);
        everywhere += usize::from(attempt("bob", turn % NODES, turn).await);
        if here == wanted {
            return everywhere;
        }
    }
    panic!("only {here} of {wanted} were let through");
}

fn is_let_through(answer: &Answer) -> bool {
    if answer.status == 429 {
        assert_limited(answer);
    }
    answer.status != 429
}

#[test]
fn s10_a_password_is_guessed_on_all_nodes_only_as_often_as_on_one() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(NODES, seed()).await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let nobody = cluster.nodes[0].anonymous();
        nobody.post("auth/sign-up", person).await.good();
        set(
            &cluster,
            "MADANG_LIMIT_SIGNIN_FAILURES_PER_MINUTE",
            json!(5),
        )
        .await;
        // Right ones do not count, wherever.
        for number in 0..4 * NODES {
            let node = &cluster.nodes[number % NODES];
            sign_in(node, "carol", "correct horse").await.good();
        }
        limited_as_on_one_node(5, async |number| {
            sign_in(&cluster.nodes[number % NODES], "carol", "guess").await
        })
        .await;
        for node in &cluster.nodes {
            assert_shut(node, "Carol", "correct horse").await;
        }
        let keys = cluster.redis.keys("madang:rate:*");
        let tells = |key: &String| key.contains("carol") || key.contains("127.0.0.1");
        assert!(!keys.is_empty() && !keys.iter().any(tells), "{keys:?}");

        // Without Redis each node counts for itself.
        cluster.redis.kill();
        let node = &cluster.nodes[1];
        limited_as_on_one_node(5, async |_| sign_in(node, "nobody", "guess").await).await;
    });
}

#[test]
fn s10_one_address_signs_up_on_all_nodes_only_as_often_as_on_one() {
    in_a_runtime(async || {
        let cluster = Cluster::start(NODES, seed()).await;
        set(&cluster, "MADANG_LIMIT_SIGNUPS_PER_MINUTE", json!(5)).await;
        limited_as_on_one_node(5, async |number| sign_up(&cluster, number).await).await;
    });
}

#[test]
fn s10_what_is_done_often_is_limited_on_all_nodes_together() {
    in_a_runtime(async || {
        let cluster = Cluster::start(NODES, seed()).await;
        let nodes = &cluster.nodes;
        let room = nodes[0].room("ann", &["bob"]).await;
        let other = nodes[0].room("cho", &["ann", "bob"]).await;
        let rest = |who: &str, at: usize| nodes[at].rest(who);
        let joins = async |who: &str, at: usize, turn: usize| {
            let path = [
                format!("rooms/{other}/leave"),
                format!("rooms/{other}/join"),
            ];
            let answer = rest(who, at).post(&path[turn % 2], json!({})).await;
            is_let_through(&answer)
        };
        let sends = async |who: &str, at: usize, turn: usize| {
            let message = json!({"body": {"text": format!("message {turn}")}});
            let path = format!("rooms/{room}/messages");
            is_let_through(&rest(who, at).post(&path, message).await)
        };
        let reads = async |who: &str, at: usize, _: usize| {
            let path = format!("rooms/{room}/messages?limit=1");
            is_let_through(&rest(who, at).get(&path).await)
        };
        // Ann's room, on one node; and Bob's, on all.
        let (anns, bobs) = (room.clone(), other.clone());
        let in_rooms = async |who: &str, at: usize, turn: usize| {
            let room = if who == "ann" { &anns } else { &bobs };
            let message = json!({"body": {"text": format!("message {turn}")}});
            let path = format!("rooms/{room}/messages");
            is_let_through(&rest("bob", at).post(&path, message).await)
        };
        // One node lets 12 through at once and 6 in a second, in a room 6. So the first one's
        // 48 take some seconds, in which three nodes that do not know of each other would let
        // through 144. Each of them may let its own burst through before it hears of the others.
        let (wanted, most) = (48, 48 + 2 * 12 + 12);
        for (key, limit) in [
            ("MADANG_LIMIT_JOINS_PER_SECOND", 6),
            ("MADANG_LIMIT_PUBLISH_PER_SECOND", 3),
            ("MADANG_LIMIT_READS_PER_SECOND", 6),
            ("MADANG_LIMIT_ROOM_PUBLISH_PER_SECOND", 6),
        ] {
            set(&cluster, key, json!(limit)).await;
            let everywhere = match key {
                "MADANG_LIMIT_JOINS_PER_SECOND" => in_step(wanted, joins).await,
                "MADANG_LIMIT_PUBLISH_PER_SECOND" => in_step(wanted, sends).await,
                "MADANG_LIMIT_READS_PER_SECOND" => in_step(wanted, reads).await,
                _ => in_step(wanted, in_rooms).await,
            };
            println!("{key}: {wanted} on one node, {everywhere} on all");
            assert!(
                (wanted / 2..=most).contains(&everywhere),
                "{key}: {everywhere}"
            );
            set(&cluster, key, Value::Null).await;
        }
    });
}
