//! What those do who run a cluster: look at its nodes, find somebody, drain one, change
//! settings for all.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Cluster, SECRET, WsClient, eventually, in_a_runtime, seconds, seed};

/// Runs one of the program's commands as somebody beside the cluster would; it must succeed.
async fn madang(cluster: &Cluster, arguments: &[&str]) -> String {
    let command = command(cluster, arguments).output().await;
    let output = command.expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

fn command(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command
        .args(arguments)
        .env_clear()
        .env("MADANG_JWT_SECRET", SECRET)
        .env("REDIS_URL", cluster.redis.url())
        .env("DATABASE_URL", cluster.database())
        .stdin(Stdio::null());
    command
}

/// The ids that `madang nodes --json` prints.
async fn listed(cluster: &Cluster, more: &[&str]) -> Vec<String> {
    let arguments = [&["nodes", "--json"], more].concat();
    let text = madang(cluster, &arguments).await;
    let id = |line: &str| {
        let node: Value = serde_json::from_str(line).expect("a line is JSON");
        assert!(node["age_ms"].as_u64().unwrap() <= 6000, "{node}");
        node["id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

/// The name of the node that this connection is to.
fn node_of(client: &WsClient) -> String {
    client.welcome["node"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_is_found_drained_and_its_people_move() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(2, seed()).await;
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        ann.subscribe(&room).await;
        let mut bob = cluster.nodes[1].connect("bob").await;
        bob.subscribe(&room).await;
        let (first, second) = (node_of(&ann), node_of(&bob));
        let mut both = vec![first.clone(), second.clone()];
        both.sort();
        assert_eq!(listed(&cluster, &[]).await, both);
        let table = madang(&cluster, &["nodes"]).await;
        assert!(
            table.starts_with("NODE ") && table.contains(&first),
            "{table}"
        );
        eventually(
            "everybody is found where they are",
            seconds(10),
            async || {
                let ann = listed(&cluster, &["--user", &ann.user]).await;
                let bob = listed(&cluster, &["--user", &bob.user]).await;
                (ann == [first.as_str()] && bob == [second.as_str()]).then_some(())
            },
        )
        .await;

        let admin = cluster.nodes[1].admin();
        let absent = admin.post("admin/nodes/nobody/drain", json!({})).await;
        assert_eq!((absent.status, absent.refusal()), (404, "not_found"));
        let drain = format!("admin/nodes/{first}/drain");
        assert_eq!(admin.post(&drain, json!({})).await.status, 204);
        ann.expect("move").await;
        // What is said while she moves is there once she has.
        let sent = bob.publish(&room, "are you still there?").await;
        let (elsewhere, token) = (
            cluster.nodes[1].address.clone(),
            cluster.nodes[1].token("ann"),
        );
        ann.come_back(&elsewhere, &token).await;
        ann.catch_up(&room, sent.seq).await;
        assert_eq!(node_of(&ann), second);
        assert!(cluster.nodes[0].end().await.success());
        assert_eq!(listed(&cluster, &[]).await, [second.as_str()]);
        let nodes = admin.get("admin/nodes").await.good();
        assert_eq!(nodes["items"].as_array().unwrap().len(), 1, "{nodes}");
    });
}

#[test]
fn the_command_that_drains_waits_until_the_node_has_ended() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(2, seed()).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        let first = node_of(&ann);
        let waiting = command(&cluster, &["drain", &first])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        ann.expect("move").await;
        ann.close().await;
        let output = waiting.wait_with_output().await.expect("it ends");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && words.ends_with("has ended\n"),
            "{words}"
        );
        assert!(cluster.nodes[0].end().await.success());
        let unknown = command(&cluster, &["drain", &first])
            .output()
            .await
            .unwrap();
        assert_eq!(unknown.status.code(), Some(1));
    });
}

#[test]
fn settings_reach_every_node_and_its_living_connections() {
    in_a_runtime(async || {
        let cluster = Cluster::start(3, seed()).await;
        let mut people = Vec::new();
        for (number, node) in cluster.nodes.iter().enumerate() {
            people.push(node.connect(&format!("person-{number}")).await);
        }
        let admin = cluster.nodes[0].admin();
        let values = json!({"MADANG_NOTICE": "a pause at noon", "MADANG_LIMIT_IN_FLIGHT": 7});
        let set = json!({"version": 0, "settings": values});
        admin.put("admin/config", set.clone()).await.good();
        for client in &mut people {
            let told = client.expect("account").await;
            assert_eq!(told["data"], json!({"notice": "a pause at noon"}));
        }
        for node in &cluster.nodes {
            let here = node.admin().get("admin/config").await.good();
            assert_eq!(here["version"], 1);
            let late = node.connect("late").await;
            assert_eq!(late.welcome["limits"]["in_flight"], 7);
        }
        // Whichever node is asked: the newest version is the newest everywhere.
        let stale = cluster.nodes[2].admin().put("admin/config", set).await;
        assert_eq!((stale.status, stale.refusal()), (409, "conflict"));
    });
}
