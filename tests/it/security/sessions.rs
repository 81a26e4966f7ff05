//! S3, S4: whoever loses a right loses it at once, on every open socket.

use serde_json::{Value, json};

use crate::support::{Rest, TestNode, WsClient, on_every_backend, seconds};

/// Somebody with a password, signed in on two devices with open sockets.
struct Carol {
    token: String,
    sockets: [WsClient; 2],
    rest: Rest,
}

async fn carol(node: &TestNode) -> Carol {
    let person = json!({"username": "carol", "password": "correct horse"});
    let one = node
        .anonymous()
        .post("auth/sign-up", person.clone())
        .await
        .good();
    let two = node.anonymous().post("auth/sign-in", person).await.good();
    let token = |answer: &Value| answer["access_token"].as_str().unwrap().to_owned();
    let sockets = [
        WsClient::connect(&node.address, &token(&one)).await,
        WsClient::connect(&node.address, &token(&two)).await,
    ];
    Carol {
        token: token(&one),
        sockets,
        rest: Rest::new(&node.url(), Some(token(&one))),
    }
}

/// Every socket is told why and closed; the token opens nothing any more.
async fn assert_revoked(node: &TestNode, carol: Carol) {
    for mut socket in carol.sockets {
        let closed = tokio::time::timeout(seconds(60), socket.closed()).await;
        assert_eq!(closed.expect("cut off soon"), 4403);
    }
    let answer = carol.rest.get("me").await;
    assert_eq!((answer.status, answer.refusal()), (401, "revoked"));
    let mut again = WsClient::dial(&node.address).await;
    let hello = json!({"type": "hello", "version": 1, "token": carol.token});
    assert_eq!(again.refused(hello).await, "revoked");
    assert_eq!(again.closed().await, 4403);
}

#[test]
fn s3_signing_out_everywhere_closes_every_socket() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let carol = carol(&node).await;
        carol.rest.delete("me/sessions").await.good();
        assert_revoked(&node, carol).await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let back = node.anonymous().post("auth/sign-in", person).await.good();
        let token = back["access_token"].as_str().unwrap();
        WsClient::connect(&node.address, token).await;
    });
}

#[test]
fn s3_a_new_password_ends_the_old_sessions() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut carol = carol(&node).await;
        let wrong = json!({"password": "battery staple", "current_password": "wrong horse"});
        let refused = carol.rest.patch("me", wrong).await;
        assert!([401, 403, 422].contains(&refused.status), "{refused:?}");
        carol.sockets[0].good(json!({"type": "ping"})).await;
        let change = json!({"password": "battery staple", "current_password": "correct horse"});
        carol.rest.patch("me", change).await.good();
        // Whoever made the change stays, everybody else is sent away.
        let [first, second] = &mut carol.sockets;
        assert_eq!(second.closed().await, 4403);
        first.good(json!({"type": "ping"})).await;
        for (password, status) in [("correct horse", 401), ("battery staple", 200)] {
            let person = json!({"username": "carol", "password": password});
            assert_eq!(
                node.anonymous().post("auth/sign-in", person).await.status,
                status
            );
        }
    });
}

#[test]
fn s3_who_resigns_is_gone() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut carol = carol(&node).await;
        carol.sockets[0]
            .good(json!({"type": "join", "room": room}))
            .await;
        let said = carol.sockets[0].publish(&room, "I was here").await;
        carol.rest.delete("me").await.good();
        assert_revoked(&node, carol).await;
        let person = json!({"username": "carol", "password": "correct horse"});
        assert_eq!(
            node.anonymous().post("auth/sign-in", person).await.status,
            401
        );
        // What was said stays, and the room goes on.
        let log = crate::support::read_log(&node.rest("ann"), &room).await;
        assert_eq!(log[said.seq as usize - 1].text(), "I was here");
    });
}

#[test]
fn s3_one_device_can_be_signed_out_from_another() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut carol = carol(&node).await;
        let listed = carol.rest.get("me/sessions").await.good();
        let items = listed["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{listed}");
        let other = items
            .iter()
            .find(|item| item["current"] != true)
            .expect("another device");
        let id = other["id"].as_str().unwrap();
        carol.rest.delete(&format!("me/sessions/{id}")).await.good();
        let [first, second] = &mut carol.sockets;
        assert_eq!(second.closed().await, 4403);
        first.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn s4_who_is_removed_hears_their_own_leave_and_nothing_after() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let (mut ann, mut bob) = (node.connect("ann").await, node.connect("bob").await);
        bob.subscribe(&room).await;
        let path = format!("rooms/{room}/members/{}", bob.user);
        node.rest("ann").delete(&path).await.good();
        ann.publish(&room, "now that he is gone").await;
        let ann_typing = json!({"type": "typing", "room": room, "active": true});
        ann.subscribe(&room).await;
        ann.send(ann_typing).await;
        let removed = async |bob: &mut WsClient| {
            bob.good(json!({"type": "ping"})).await;
            let view = bob.view(&room);
            let last = view.log.last_key_value().unwrap().1;
            let gone = ["kick", "leave"].contains(&last.kind.as_str());
            (gone && last.body["user"] == bob.user).then_some(())
        };
        crate::support::eventually("the removal is told", seconds(5), async || {
            removed(&mut bob).await
        })
        .await;
        let rest = bob.settled().await;
        assert!(
            rest.iter().all(|frame| frame["type"] != "typing"),
            "{rest:?}"
        );
        for kind in ["subscribe", "history", "members"] {
            let asked = json!({"type": kind, "room": room});
            assert_eq!(bob.refused(asked).await, "not_a_member", "{kind}");
        }
        for page in ["messages", "events", "members", "unread", "messages/count"] {
            let answer = node.rest("bob").get(&format!("rooms/{room}/{page}")).await;
            assert_eq!(
                (answer.status, answer.refusal()),
                (403, "not_a_member"),
                "{page}"
            );
        }
    });
}

#[test]
fn s3_a_session_is_judged_by_its_newest_token() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let nobody = node.anonymous();
        let one = nobody.post("auth/sign-up", person.clone()).await.good();
        let two = nobody.post("auth/sign-in", person).await.good();
        let token = |answer: &Value| answer["access_token"].as_str().unwrap().to_owned();
        let (kept, ended) = (token(&one), token(&two));
        let mut first = WsClient::connect(&node.address, &kept).await;
        let mut second = WsClient::connect(&node.address, &ended).await;
        // Each goes on with what the other came with.
        first.good(json!({"type": "auth", "token": ended})).await;
        second.good(json!({"type": "auth", "token": kept})).await;
        let rest = Rest::new(&node.url(), Some(kept));
        let listed = rest.get("me/sessions").await.good();
        let items = listed["items"].as_array().unwrap();
        let other = items.iter().find(|item| item["current"] != true).unwrap();
        let id = other["id"].as_str().unwrap();
        rest.delete(&format!("me/sessions/{id}")).await.good();
        let closed = tokio::time::timeout(seconds(10), first.closed()).await;
        assert_eq!(closed.expect("its fresh token's sign-in has ended"), 4403);
        second.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn s3_who_has_resigned_is_nobody_who_can_be_added() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let carol = carol(&node).await;
        let me = carol.rest.get("me").await.good();
        let id = me["id"].as_str().unwrap();
        let nobody = node
            .rest("ann")
            .put(&member(&room, "u00000000000000aa"), json!({}))
            .await;
        assert_eq!(nobody.status, 404, "{nobody:?}");
        carol.rest.delete("me").await.good();
        let added = node.rest("ann").put(&member(&room, id), json!({})).await;
        assert_eq!(
            (added.status, added.refusal()),
            (nobody.status, nobody.refusal())
        );
        let listed = format!("rooms/{room}/members");
        let members = node.rest("ann").get(&listed).await.good();
        assert_eq!(members["items"].as_array().unwrap().len(), 1, "{members}");
    });
}

fn member(room: &str, user: &str) -> String {
    format!("rooms/{room}/members/{user}")
}
