//! Typing, presence and the inbox: what has no place in the log.

use serde_json::{Value, json};

use crate::support::on_every_backend;

#[test]
fn typing_reaches_those_who_look() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let (mut ann, mut bob) = (node.connect("ann").await, node.connect("bob").await);
        for client in [&mut ann, &mut bob] {
            client.subscribe(&room).await;
            client
                .send(json!({"type": "focus", "active": true, "room": room}))
                .await;
        }
        for active in [true, false] {
            bob.send(json!({"type": "typing", "room": room, "active": active}))
                .await;
            let seen = ann.expect("typing").await;
            let expected =
                json!({"type": "typing", "room": room, "user": bob.user, "active": active});
            assert_eq!(seen, expected);
        }
        let log = crate::support::read_log(&node.rest("ann"), &room).await;
        assert!(log.iter().all(|event| event.kind != "typing"));
    });
}

#[test]
fn who_comes_and_goes_is_seen() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        ann.subscribe(&room).await;
        ann.send(json!({"type": "focus", "active": true, "room": room}))
            .await;
        let bob = node.user("bob").await;
        let mut phone = node.connect("bob").await;
        let mut seen = async |status: &str| {
            ann.find(status, |frame| {
                frame["type"] == "presence" && frame["user"] == bob && frame["status"] == status
            })
            .await
        };
        let online = seen("online").await;
        assert_eq!(online["room"], room);
        assert!(online["at"].is_u64(), "{online}");
        phone
            .send(json!({"type": "status", "status": "busy", "text": "cooking"}))
            .await;
        seen("busy").await;
        phone
            .send(json!({"type": "status", "status": "away"}))
            .await;
        seen("away").await;
        phone.close().await;
        seen("offline").await;
    });
}

#[test]
fn a_room_not_subscribed_to_shows_in_the_inbox() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let mut bob = node.connect("bob").await;
        let sent = ann.publish(&room, "psst").await;
        let inbox = bob.find("inbox", |frame| frame["head"] == sent.seq).await;
        assert_eq!(
            (&inbox["type"], &inbox["room"]),
            (&json!("inbox"), &json!(room))
        );
        assert_eq!(
            (&inbox["unread"], &inbox["mentions"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(inbox["total"], 1);
        assert_eq!(inbox["last"]["body"]["text"], "psst", "{inbox}");

        let call = json!({
            "type": "publish", "room": room, "client_id": crate::support::new_client_id(),
            "body": {"text": "bob!"}, "mentions": [bob.user],
        });
        let seq = ann.good(call).await["seq"].clone();
        let inbox = bob.find("inbox", |frame| frame["head"] == seq).await;
        assert_eq!(
            (&inbox["unread"], &inbox["mentions"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(node.connect("bob").await.welcome["rooms"][0]["mentions"], 1);

        // Subscribed, the events themselves come instead.
        bob.subscribe(&room).await;
        bob.taken();
        let sent = ann.publish(&room, "there you are").await;
        bob.catch_up(&room, sent.seq).await;
        let rest = bob.settled().await;
        assert!(
            rest.iter().all(|frame| frame["type"] != "inbox"),
            "{rest:?}"
        );
    });
}

#[test]
fn mentions_that_are_read_at_once_are_not_counted_with_those_that_follow() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut ann = node.connect("ann").await;
        let mut bob = node.connect("bob").await;
        let say = |room: &str, mentions: &[String]| {
            let client_id = crate::support::new_client_id();
            let body = json!({"text": "hear this"});
            json!({
                "type": "publish", "room": room, "client_id": client_id, "body": body,
                "mentions": mentions,
            })
        };
        // They may or may not have been heard of when the mark comes: several times.
        for _ in 0..4 {
            let room = node.room("ann", &["bob"]).await;
            let first = ann.publish(&room, "listen").await.seq;
            bob.find("inbox", |frame| frame["head"] == first).await;
            let call = [bob.user.clone()];
            ann.good(say(&room, &call)).await;
            let second = ann.good(say(&room, &call)).await["seq"].clone();
            bob.good(json!({"type": "read", "room": room, "seq": second}))
                .await;
            ann.good(say(&room, &call)).await;
            let last = ann.good(say(&room, &[])).await["seq"].clone();
            let is_right = |frame: &Value| {
                frame["type"] == "inbox"
                    && frame["room"] == *room
                    && (&frame["head"], &frame["unread"]) == (&last, &json!(2))
                    && frame["mentions"] == 1
            };
            bob.find("one mention in two messages", is_right).await;
        }
    });
}
