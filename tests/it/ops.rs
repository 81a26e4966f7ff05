//! What those do who run a cluster: look at its nodes, find somebody, drain one, change
//! settings for all.

use std::process::Stdio;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Cluster, WsClient, eventually, in_a_runtime, seconds, seed};

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
        .env("REDIS_URL", cluster.redis.url())
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

/// How a command ended that was not to succeed, and its words.
async fn failure(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().await.expect("the program starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words)
}

#[test]
fn the_command_that_drains_does_not_take_a_node_that_hangs_for_ended() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, seed()).await;
        let hanging = node_of(&cluster.nodes[0].connect("ann").await);
        cluster.nodes[0].pause();
        let (code, words) = failure(command(&cluster, &["drain", &hanging])).await;
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("its lease has run out"), "{words}");
        cluster.nodes[0].go_on();
    });
}

#[test]
fn whoever_looks_at_a_cluster_is_told_at_once_what_is_wrong() {
    in_a_runtime(async || {
        let cluster = Cluster::start(0, seed()).await;
        let mut nowhere = command(&cluster, &["nodes"]);
        nowhere.env_remove("REDIS_URL");
        let (code, words) = failure(nowhere).await;
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains("REDIS_URL"), "{words}");

        cluster.redis.set("requirepass", "open sesame");
        for user in ["", ":open simsim@", "nobody:open sesame@"] {
            let url = format!(
                "redis://{}{}",
                user.replace(' ', "%20"),
                cluster.redis.address()
            );
            let mut stranger = command(&cluster, &["nodes"]);
            stranger.env("REDIS_URL", url);
            let failed = tokio::time::timeout(seconds(50), failure(stranger)).await;
            let (code, words) = failed.expect("without trying for a minute");
            assert_eq!(code, Some(3), "{words}");
            assert!(words.contains("user and password"), "{words}");
        }
    });
}

#[test]
fn nodes_are_listed_where_others_find_them() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(0, seed()).await;
        let advertised = [("MADANG_ADVERTISE", "n0.chat.example:80")];
        cluster.add_with(&advertised).await;
        cluster.add_with(&[("MADANG_LISTEN", "0.0.0.0:0")]).await;
        let text = madang(&cluster, &["nodes", "--json"]).await;
        let address = |line: &str| {
            let node: Value = serde_json::from_str(line).expect("a line is JSON");
            node["address"].as_str().unwrap().to_owned()
        };
        let addresses: Vec<_> = text.lines().map(address).collect();
        assert_eq!(addresses[0], "n0.chat.example:80");
        let (host, port) = addresses[1].rsplit_once(':').expect("a host and a port");
        assert!(!host.is_empty() && host != "0.0.0.0", "{addresses:?}");
        assert!(cluster.nodes[1].address.ends_with(&format!(":{port}")));
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

#[test]
fn settings_that_a_draining_node_refuses_are_taken_back_on_every_node() {
    in_a_runtime(async || {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let mut cluster = Cluster::start(2, seed()).await;
        // It refuses every second version that it is asked to take.
        let every_second = "1*off->1*return(lose)->".repeat(8);
        let setting = format!("settings::take={every_second}off");
        let settings = [("FAILPOINTS", &*setting), ("MADANG_DRAIN_SECONDS", "3600")];
        cluster.add_with(&settings).await;
        let notice = |text: &str| json!({"settings": {"MADANG_NOTICE": text}});
        let admin = cluster.nodes[0].admin();
        admin.put("admin/config", notice("before")).await.good();
        let settle = async |version: i64, notice: &str| {
            for node in &cluster.nodes {
                eventually("every node has it", seconds(10), async || {
                    let config = node.admin().get("admin/config").await.good();
                    (config["version"] == version).then_some(())
                })
                .await;
                let words = node.anonymous().get("common/notice").await.good();
                assert_eq!(words["value"], notice);
            }
        };
        settle(1, "before").await;
        // It drains for as long as somebody stays; until then it has to be asked. Of so many, some
        // are not to go before many minutes have passed.
        let staying = join_all((0..64).map(|_| cluster.nodes[2].connect("ann"))).await;
        let draining = node_of(&staying[0]);
        for mut client in staying {
            tokio::spawn(async move { while client.read().await.is_some() {} });
        }
        let drain = format!("admin/nodes/{draining}/drain");
        eventually("it drains", seconds(10), async || {
            // Who stood still for a while is not in the list for a moment.
            let told = admin.post(&drain, json!({})).await;
            assert!([204, 404].contains(&told.status), "{told:?}");
            (cluster.nodes[2].metric("madang_draining").await == 1.0).then_some(())
        })
        .await;
        let (mut version, mut kept) = (1, "before".to_owned());
        let refused = loop {
            let wanted = format!("after {version}");
            let answer = admin.put("admin/config", notice(&wanted)).await;
            if answer.status != 200 {
                break answer;
            }
            // Whoever says no late, on a slow machine, is taken for somebody who agrees.
            (version, kept) = (version + 1, wanted);
            settle(version, &kept).await;
            assert!(version < 8, "never refused");
        };
        assert_eq!((refused.status, refused.refusal()), (409, "conflict"));
        let by = &refused.body["refused_by"];
        assert_eq!(by[0]["node"], draining, "{refused:?}");
        assert_eq!(by.as_array().map(Vec::len), Some(1), "{refused:?}");
        settle(version + 2, &kept).await;
    });
}
