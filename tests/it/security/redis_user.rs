//! The user of Redis that `docs/OPERATIONS.md` proposes: enough for a cluster, and for nothing else.

use redis::Client;
use serde_json::json;

use crate::support::{Cluster, Draft, eventually, in_a_runtime, seconds};

const PASSWORD: &str = "only-for-this-test";

/// The words of the document's line behind `ACL SETUSER madang`.
fn documented() -> Vec<String> {
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md"));
    let line = document
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER madang "));
    let words = line.expect("the line").split_whitespace();
    words
        .map(|word| word.replace("PASSWORD", PASSWORD))
        .collect()
}

#[test]
fn s12_the_documented_user_is_enough_and_may_touch_nothing_else() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(0, 3).await;
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("madang").arg(documented());
        cluster.redis.ask::<()>(&set);
        let url = format!("redis://madang:{PASSWORD}@{}", cluster.redis.address());
        cluster.world.set("REDIS_URL", &url);
        cluster.world.set("MADANG_LIMIT_JOINS_PER_SECOND", "100");
        cluster.add().await;
        cluster.add().await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        for node in [here, there] {
            eventually("they know each other", seconds(10), async || {
                (node.metric("madang_nodes").await == 2.0).then_some(())
            })
            .await;
        }
        let carol = json!({"username": "carol", "password": "correct horse"});
        let nobody = here.anonymous();
        nobody.post("auth/sign-up", carol).await.good();
        for node in [here, there] {
            let wrong = super::guessing::sign_in(node, "carol", "guess").await;
            assert_eq!(wrong.status, 401, "{wrong:?}");
            let right = super::guessing::sign_in(node, "carol", "correct horse").await;
            right.good();
        }
        let room = here.room("ann", &["bob"]).await;
        let (mut ann, mut bob) = (here.connect("ann").await, there.connect("bob").await);
        bob.subscribe(&room).await;
        let asked = json!({
            "type": "publish", "room": room, "client_id": crate::support::new_client_id(),
            "body": {"text": "hello"}, "ack": "db",
        });
        let seq = ann.good(asked).await["seq"].as_u64().unwrap();
        bob.catch_up(&room, seq).await;
        // Emptied, it is rebuilt by the same user.
        cluster.redis.ask::<()>(&redis::cmd("FLUSHALL"));
        let sent = Draft::new(&room, "after the loss").say(&mut ann).await;
        bob.catch_up(&room, sent.seq).await;
        let denied: Vec<redis::Value> = cluster.redis.ask(redis::cmd("ACL").arg("LOG"));
        assert!(denied.is_empty(), "what the nodes were denied: {denied:?}");

        let mut stranger = Client::open(url).unwrap().get_connection().unwrap();
        for tried in [
            "SET foreign 1",
            "GET foreign",
            "PUBLISH foreign hello",
            "SUBSCRIBE foreign",
            "FLUSHALL",
            "CONFIG GET *",
            "KEYS *",
            "ACL LIST",
        ] {
            let mut words = tried.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            for word in words {
                command.arg(word);
            }
            let refused = command.query::<redis::Value>(&mut stranger).unwrap_err();
            assert_eq!(refused.code(), Some("NOPERM"), "{tried}: {refused}");
        }
    });
}
