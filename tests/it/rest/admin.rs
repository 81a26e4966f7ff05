//! What those who run the system see of the nodes, and what they can tell them.

use serde_json::{Value, json};

use crate::support::{Cluster, eventually, in_a_runtime, on_every_backend, seconds, seed};

/// The ids of a list of nodes, in its order.
fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .filter_map(|item| item["id"].as_str())
        .collect()
}

#[test]
fn a_node_that_is_alone_lists_itself_and_drains_itself() {
    on_every_backend(async |mut world| {
        world.set("MADANG_NODE_ID", "alone");
        world.set("MADANG_DRAIN_SECONDS", "5");
        let mut node = world.start().await;
        let mut ann = node.connect("ann").await;
        let admin = node.admin();
        let list = admin.get("admin/nodes").await.good();
        assert_eq!(ids(&list), ["alone"]);
        let only = &list["items"][0];
        assert_eq!(only["address"], node.address.as_str());
        assert_eq!(only["version"], env!("CARGO_PKG_VERSION"));
        for (what, wanted) in [
            ("protocol", json!(1)),
            ("sessions", json!(1)),
            ("users", json!(1)),
            ("rooms", json!(0)),
            ("backlog", json!(0)),
            ("oldest_unflushed_ms", json!(0)),
            ("draining", json!(false)),
            ("settings_version", json!(0)),
        ] {
            assert_eq!(only[what], wanted, "{what} of {only}");
        }
        assert!(only["started_at"].as_i64().is_some_and(|at| at > 0));
        assert!(only["generation"].as_str().is_some_and(|it| !it.is_empty()));

        let unknown = admin.post("admin/nodes/nobody/drain", json!({})).await;
        assert_eq!((unknown.status, unknown.refusal()), (404, "not_found"));
        let told = admin.post("admin/nodes/alone/drain", json!({})).await;
        assert_eq!((told.status, told.good()), (204, Value::Null));
        assert_eq!(ann.closed().await, 4001);
        assert!(node.end().await.success());
    });
}

#[test]
fn any_node_lists_all_and_drains_another() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(3, seed()).await;
        let admin = cluster.nodes[0].admin();
        let all = async |wanted: &[&str]| {
            eventually("these nodes", seconds(10), async || {
                let list = admin.get("admin/nodes").await.good();
                (ids(&list) == wanted).then_some(list)
            })
            .await
        };
        let list = all(&["n0", "n1", "n2"]).await;
        let addresses: Vec<_> = list["items"].as_array().unwrap().iter().collect();
        for (shown, node) in addresses.iter().zip(&cluster.nodes) {
            assert_eq!(shown["address"], node.address.as_str());
        }
        let told = admin.post("admin/nodes/n2/drain", json!({})).await;
        assert_eq!(told.status, 204, "{told:?}");
        assert!(cluster.nodes[2].end().await.success());
        all(&["n0", "n1"]).await;
        let gone = admin.post("admin/nodes/n2/drain", json!({})).await;
        assert_eq!((gone.status, gone.refusal()), (404, "not_found"));
        // The one that is asked may be the one that goes.
        let told = admin.post("admin/nodes/n0/drain", json!({})).await;
        assert_eq!(told.status, 204, "{told:?}");
        assert!(cluster.nodes[0].end().await.success());
        let left = cluster.nodes[1].admin().get("admin/nodes").await.good();
        assert_eq!(ids(&left), ["n1"]);
    });
}

#[test]
fn a_room_is_explained_without_what_was_written() {
    on_every_backend(async |mut world| {
        world.set("MADANG_NODE_ID", "alone");
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut bob = node.connect("bob").await;
        bob.subscribe(&room).await;
        let seq = bob.publish(&room, "a secret").await.seq;
        let read = json!({"type": "read", "room": room, "seq": seq});
        bob.good(read).await;
        let id = node.user("bob").await;
        let admin = node.admin();
        let path = format!("admin/rooms/{room}/explain?user={id}&seq={seq}");
        // The database has all of it a moment later.
        let whole = eventually("it is in the database", seconds(10), async || {
            let told = admin.get(&path).await.good();
            let is_read = told["user"]["read"] == seq;
            (told["event"]["stands_in"] == "database" && is_read).then_some(told)
        })
        .await;
        assert_eq!(whole["head_in_log"], seq, "{whole}");
        assert_eq!(whole["head_in_database"], seq, "{whole}");
        let user = json!({"user": id, "role": "member", "joined": seq - 1, "read": seq, "nodes": ["alone"]});
        assert_eq!(whole["user"], user);
        let event = &whole["event"];
        assert_eq!(
            (&event["type"], &event["from"]),
            (&json!("message"), &json!(id))
        );
        assert!(!whole.to_string().contains("secret"));

        let stranger = node.user("cho").await;
        let path = format!("admin/rooms/{room}/explain?user={stranger}&seq={}", seq + 1);
        let told = admin.get(&path).await.good();
        assert_eq!(told["user"]["role"], Value::Null);
        assert_eq!(told["user"]["nodes"], json!([]));
        assert_eq!(told["event"], json!({"seq": seq + 1, "stands_in": null}));
        let nowhere = admin.get("admin/rooms/r0123456789abcdef/explain").await;
        assert_eq!((nowhere.status, nowhere.refusal()), (404, "room_not_found"));
    });
}
