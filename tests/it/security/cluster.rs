//! S3, S4, S10, S12 on three nodes: what is forbidden on one is forbidden on all, at once.

use serde_json::{Value, json};

use super::guessing::{assert_shut, limited_as_on_one_node, sign_in};
use crate::support::{
    Claims, Cluster, Rest, Setup, WsClient, eventually, in_a_runtime, seconds, seed, sign,
};

/// Scenarios on a cluster of three nodes with these settings.
fn on_three_nodes(settings: &[(&str, &str)], scenario: impl AsyncFnOnce(Cluster)) {
    in_a_runtime(async || {
        let setup = Setup {
            settings,
            ..Setup::default()
        };
        scenario(Cluster::with(seed(), setup).await).await;
    });
}

/// Somebody with a password, signed in on every node, with an open socket there.
struct Carol {
    user: String,
    token: String,
    sockets: Vec<WsClient>,
}

fn person() -> Value {
    json!({"username": "carol", "password": "correct horse"})
}

async fn carol(cluster: &Cluster) -> Carol {
    let nobody = cluster.nodes[0].anonymous();
    let signed_up = nobody.post("auth/sign-up", person()).await.good();
    let token = signed_up["access_token"].as_str().unwrap().to_owned();
    let mut sockets = vec![WsClient::connect(&cluster.nodes[0].address, &token).await];
    for node in &cluster.nodes[1..] {
        let signed_in = node.anonymous().post("auth/sign-in", person()).await.good();
        let own = signed_in["access_token"].as_str().unwrap();
        sockets.push(WsClient::connect(&node.address, own).await);
    }
    Carol {
        user: signed_up["user"]["id"].as_str().unwrap().to_owned(),
        token,
        sockets,
    }
}

/// REST at this node with Carol's first token.
fn rest(cluster: &Cluster, node: usize, token: &str) -> Rest {
    Rest::new(&cluster.nodes[node].url(), Some(token.to_owned()))
}

/// Every socket on every node is closed, and the token opens nothing on any.
async fn assert_revoked(cluster: &Cluster, carol: Carol) {
    for mut socket in carol.sockets {
        let closed = tokio::time::timeout(seconds(60), socket.closed()).await;
        assert_eq!(closed.expect("cut off soon"), 4403);
    }
    for node in 0..cluster.nodes.len() {
        let answer = rest(cluster, node, &carol.token).get("me").await;
        assert_eq!(
            (answer.status, answer.refusal()),
            (401, "revoked"),
            "n{node}"
        );
        let mut again = WsClient::dial(&cluster.nodes[node].address).await;
        let hello = json!({"type": "hello", "version": 1, "token": carol.token});
        assert_eq!(again.refused(hello).await, "revoked", "n{node}");
    }
}

#[test]
fn s3_who_signs_out_everywhere_is_out_on_every_node() {
    on_three_nodes(&[], async |cluster| {
        let carol = carol(&cluster).await;
        rest(&cluster, 1, &carol.token)
            .delete("me/sessions")
            .await
            .good();
        assert_revoked(&cluster, carol).await;
    });
}

#[test]
fn s3_who_resigns_is_gone_from_every_node() {
    on_three_nodes(&[], async |cluster| {
        let carol = carol(&cluster).await;
        rest(&cluster, 2, &carol.token).delete("me").await.good();
        assert_revoked(&cluster, carol).await;
    });
}

#[test]
fn s3_who_is_suspended_is_stopped_on_every_node() {
    on_three_nodes(&[], async |cluster| {
        let carol = carol(&cluster).await;
        let admin = Claims {
            role: Some("admin".into()),
            ..Claims::of("boss")
        };
        let admin = Rest::new(&cluster.nodes[1].url(), Some(sign(&admin)));
        let path = format!("admin/users/{}/suspend", carol.user);
        assert_eq!(admin.post(&path, json!({})).await.status, 204);
        assert_revoked(&cluster, carol).await;
    });
}

#[test]
fn s3_a_new_password_ends_the_sessions_on_other_nodes() {
    on_three_nodes(&[], async |cluster| {
        let mut carol = carol(&cluster).await;
        let change = json!({"password": "battery staple", "current_password": "correct horse"});
        rest(&cluster, 1, &carol.token)
            .patch("me", change)
            .await
            .good();
        for socket in &mut carol.sockets[1..] {
            assert_eq!(socket.closed().await, 4403);
        }
        carol.sockets[0].good(json!({"type": "ping"})).await;
    });
}

#[test]
fn s3_a_revocation_reaches_a_node_that_was_cut_off() {
    in_a_runtime(async || {
        let two = Setup {
            nodes: 2,
            ..Setup::default()
        };
        let mut cluster = Cluster::with(seed(), two).await;
        let (_, wires) = cluster.add_wired().await;
        let carol = carol(&cluster).await;
        wires.redis.cut();
        rest(&cluster, 0, &carol.token)
            .delete("me/sessions")
            .await
            .good();
        wires.redis.mend();
        assert_revoked(&cluster, carol).await;
    });
}

#[test]
fn s3_a_revocation_by_a_node_that_was_cut_off_reaches_the_others() {
    in_a_runtime(async || {
        let two = Setup {
            nodes: 2,
            ..Setup::default()
        };
        let mut cluster = Cluster::with(seed(), two).await;
        let (_, wires) = cluster.add_wired().await;
        let carol = carol(&cluster).await;
        wires.redis.cut();
        let elsewhere = rest(&cluster, 2, &carol.token);
        elsewhere.delete("me/sessions").await.good();
        // Nobody tells them, and the sender never has a chance to: the database does.
        assert_revoked(&cluster, carol).await;
    });
}

#[test]
fn s3_who_is_free_again_is_let_in_on_every_node() {
    on_three_nodes(&[], async |cluster| {
        let carol = carol(&cluster).await;
        let admin = cluster.nodes[1].admin();
        let path = format!("admin/users/{}/suspend", carol.user);
        assert_eq!(admin.post(&path, json!({})).await.status, 204);
        // By that every node remembers that she is suspended.
        assert_revoked(&cluster, carol).await;
        assert_eq!(admin.delete(&path).await.status, 204);
        let nobody = cluster.nodes[1].anonymous();
        let signed_in = nobody.post("auth/sign-in", person()).await.good();
        let token = signed_in["access_token"].as_str().unwrap();
        for node in 0..cluster.nodes.len() {
            let rest = rest(&cluster, node, token);
            eventually("she is let in here, too", seconds(5), async || {
                (rest.get("me").await.status == 200).then_some(())
            })
            .await;
        }
    });
}

#[test]
fn s4_who_is_removed_on_one_node_hears_nothing_on_another() {
    on_three_nodes(&[], async |cluster| {
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        let mut bobs = Vec::new();
        for node in &cluster.nodes {
            let mut bob = node.connect("bob").await;
            bob.subscribe(&room).await;
            bobs.push(bob);
        }
        let bob = bobs[0].user.clone();
        let path = format!("rooms/{room}/members/{bob}");
        cluster.nodes[1].rest("ann").delete(&path).await.good();
        let said = ann.publish(&room, "now that he is gone").await;
        for (number, client) in bobs.iter_mut().enumerate() {
            client.catch_up(&room, said.seq - 1).await;
            let last = &client.view(&room).log[&(said.seq - 1)];
            assert_eq!(
                (last.kind.as_str(), &last.body["user"]),
                ("kick", &json!(bob))
            );
            for kind in ["subscribe", "history", "members"] {
                let asked = json!({"type": kind, "room": room});
                assert_eq!(
                    client.refused(asked).await,
                    "not_a_member",
                    "{kind} at n{number}"
                );
            }
            let rest = cluster.nodes[number].rest("bob");
            for page in ["messages", "events", "members", "unread"] {
                let answer = rest.get(&format!("rooms/{room}/{page}")).await;
                assert_eq!(answer.refusal(), "not_a_member", "{page} at n{number}");
            }
            let draft = crate::support::Draft::new(&room, "let me in").frame();
            assert_eq!(client.refused(draft).await, "not_a_member");
        }
        // Let in on one node, they are in on all of them.
        let join = format!("rooms/{room}/join");
        cluster.nodes[2]
            .rest("bob")
            .post(&join, json!({}))
            .await
            .good();
        for client in &mut bobs {
            client
                .publish(&room, &format!("back at {}", client.welcome["node"]))
                .await;
        }
    });
}

#[test]
fn s10_a_password_is_guessed_only_so_often_on_all_nodes_together() {
    let settings = [("MADANG_LIMIT_SIGNIN_FAILURES_PER_MINUTE", "4")];
    on_three_nodes(&settings, async |cluster| {
        let nobody = cluster.nodes[0].anonymous();
        nobody.post("auth/sign-up", person()).await.good();
        limited_as_on_one_node(4, async |guess| {
            let password = format!("guess {guess}");
            let answer = sign_in(&cluster.nodes[guess % 3], "carol", &password).await;
            assert!([401, 429].contains(&answer.status), "{answer:?}");
            answer
        })
        .await;
        // Shut on every node, within a moment, for the right password as well.
        for node in &cluster.nodes {
            assert_shut(node, "carol", "correct horse").await;
        }
    });
}

#[test]
fn s12_what_is_no_envelope_is_dropped_and_counted() {
    on_three_nodes(&[], async |cluster| {
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut bob = cluster.nodes[1].connect("bob").await;
        bob.subscribe(&room).await;
        let refused = async || {
            let mut refused = 0.0;
            for node in &cluster.nodes {
                for reason in ["malformed", "unknown_version"] {
                    let name = format!("madang_dropped_total{{reason=\"{reason}\"}}");
                    refused += node.metric(&name).await;
                }
            }
            refused
        };
        let before = refused().await;
        let mut heard = 0;
        for channel in cluster.redis.channels("madang:*") {
            for bytes in garbage() {
                heard += cluster.redis.publish(&channel, &bytes);
            }
        }
        assert!(heard > 30, "{heard} envelopes were heard");
        eventually("all of it is counted", seconds(5), async || {
            (refused().await >= before + heard as f64).then_some(())
        })
        .await;
        // So is what is well formed, but said by nobody who has a lease.
        let strangers = async || {
            let mut strangers = 0.0;
            for node in &cluster.nodes {
                let name = "madang_dropped_total{reason=\"no_lease\"}";
                strangers += node.metric(name).await;
            }
            strangers
        };
        let before = strangers().await;
        let ids = cluster.redis.channels("madang:n:*");
        let ids: Vec<_> = ids
            .iter()
            .filter_map(|it| it.strip_prefix("madang:n:"))
            .collect();
        assert_eq!(ids.len(), 3);
        let mut heard = 0;
        for (sender, envelope) in forged(ids[0], &bob.user) {
            heard += cluster.redis.publish("madang:all", &envelope);
            // Nobody listens to what they have said themselves.
            heard -= usize::from(sender == ids[0]);
        }
        eventually("all of it is counted", seconds(15), async || {
            (strangers().await >= before + heard as f64).then_some(())
        })
        .await;
        for node in &cluster.nodes {
            assert_eq!(node.metric("madang_draining").await, 0.0);
        }
        // Nobody acted on it, and nobody fell over it.
        let mut ann = cluster.nodes[2].connect("ann").await;
        let sent = ann.publish(&room, "still here").await;
        bob.catch_up(&room, sent.seq).await;
        assert_eq!(bob.view(&room).log.last_key_value().unwrap().0, &sent.seq);
    });
}

/// What a node might say, as if it came from an earlier or a later start of this node, from a
/// node that there is not, or from a command that does not know whom it speaks to.
fn forged<'a>(node: &'a str, user: &str) -> Vec<(&'a str, Vec<u8>)> {
    let (earlier, later) = ("0", "zzz");
    let senders = [
        (node, earlier),
        (node, later),
        ("nobody", "1"),
        ("command", ""),
        ("(console)", earlier),
    ];
    let payloads = [
        json!({"is": "revoke", "user": user, "login": null, "except": null}),
        json!({"is": "drain"}),
        json!({"is": "settings_refused", "version": 1, "reason": "none"}),
    ];
    let mut all = Vec::new();
    for (node, generation) in senders {
        for payload in &payloads {
            let envelope = json!({"node": node, "generation": generation, "payload": payload});
            all.push((node, format!("1{envelope}").into_bytes()));
        }
    }
    all
}

/// Bytes that no node has sent.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"{\"version\":99}".to_vec(),
        vec![0xff; 1000],
        vec![0; 3],
        b"hello".to_vec(),
    ];
    all.push(vec![b'['; 70_000]);
    all
}
