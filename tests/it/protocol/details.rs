//! What is easily forgotten: second tries, fields that are there twice or not at all, rooms that
//! are large, closed, or for two.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Draft, TestNode, WsClient, new_client_id, on_every_backend};

/// More people than a room lists one by one.
const MANY: usize = 105;

#[test]
fn a_hello_with_a_mistake_may_be_said_again() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut ann = WsClient::dial(&node.address).await;
        let hello = json!({"type": "hello", "version": 1, "token": node.token("ann")});
        let mistakes = [
            ("version", json!("1")),
            ("color", json!("red")),
            ("device", json!({"name": "no id"})),
            ("resume", json!({"r1": {"seq": 5}})),
        ];
        for (field, value) in mistakes {
            let mut wrong = hello.clone();
            wrong[field] = value;
            assert_eq!(ann.refused(wrong).await, "bad_field", "{field}");
            let early = json!({"type": "ping"});
            assert_eq!(ann.refused(early).await, "unauthenticated", "after {field}");
        }
        ann.hello(&node.token("ann")).await;
        ann.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn a_field_that_is_null_counts_as_absent() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = WsClient::dial(&node.address).await;
        let mut hello = json!({"type": "hello", "version": 1, "token": node.token("ann")});
        for field in ["device", "resume", "rooms_since", "ref"] {
            hello[field] = Value::Null;
        }
        ann.send(hello).await;
        ann.expect("welcome").await;
        ann.subscribe(&room).await;
        let asks = [
            json!({"type": "subscribe", "room": room, "after": null, "last": null}),
            json!({"type": "history", "room": room, "before": null, "after": null, "limit": null}),
            json!({"type": "members", "room": room, "cursor": null}),
        ];
        for ask in asks {
            ann.good(ask).await;
        }
        let mut draft = Draft::new(&room, "nothing else").frame();
        for field in ["reply_to", "thread", "mentions", "ack", "unknown"] {
            draft[field] = Value::Null;
        }
        let first = ann.good(draft.clone()).await;
        // The same message, said without them.
        let spare = draft.as_object_mut().unwrap();
        spare.retain(|_, value| !value.is_null());
        let again = ann.good(draft).await;
        assert_eq!(
            (&again["seq"], &again["duplicate"]),
            (&first["seq"], &json!(true))
        );
        let required = json!({"type": "read", "room": room, "seq": null});
        assert_eq!(ann.refused(required).await, "bad_field");
    });
}

#[test]
fn of_a_name_that_stands_twice_the_last_counts() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let ping = r#"{"type":"typing","ref":1,"type":"ping","ref":"two"}"#;
        ann.send_raw(Message::text(ping)).await;
        assert_eq!(ann.expect("pong").await["ref"], "two");
        let id = new_client_id();
        let publish = format!(
            r#"{{"type":"publish","ref":3,"room":"no-such-room","client_id":"{id}","room":"{room}",
                "body":{{"text":"first","text":"last","meta":{{"a":1,"a":2}}}}}}"#
        );
        ann.send_raw(Message::text(publish)).await;
        let ack = ann.answer(3).await.unwrap();
        let snapshot = ann.subscribe(&room).await;
        let event = snapshot["events"].as_array().unwrap().last().unwrap();
        assert_eq!(event["seq"], ack["seq"], "{event}");
        assert_eq!(event["body"], json!({"text": "last", "meta": {"a": 2}}));
    });
}

#[test]
fn what_a_message_refers_to_must_be_there() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let (mut ann, bob) = (node.connect("ann").await, node.user("bob").await);
        let head = ann.publish(&room, "so far").await.seq;
        let mut try_with = async |field: &str, value: Value| {
            let mut draft = Draft::new(&room, &new_client_id()).frame();
            draft[field] = value;
            ann.request(draft).await.map_err(|refusal| refusal.name)
        };
        for field in ["reply_to", "thread"] {
            // Any event of the log will do: the first one is about the room.
            assert!(try_with(field, json!(1)).await.is_ok());
            assert!(try_with(field, json!(head)).await.is_ok());
            for absent in [json!(head + 1000), json!(1_u64 << 53)] {
                let refused = try_with(field, absent.clone()).await.unwrap_err();
                assert_eq!(refused, "message_not_found", "{field} {absent}");
            }
            for wrong in [json!(-1), json!("1"), json!(1.5), json!([1])] {
                let refused = try_with(field, wrong.clone()).await.unwrap_err();
                assert_eq!(refused, "bad_field", "{field} {wrong}");
            }
        }
        let mentions = |count: usize| Value::from(vec![bob.clone(); count]);
        assert!(try_with("mentions", mentions(100)).await.is_ok());
        for wrong in [mentions(101), json!(["bob"]), json!([5]), json!(bob)] {
            let refused = try_with("mentions", wrong.clone()).await.unwrap_err();
            assert_eq!(refused, "bad_field", "{wrong}");
        }
    });
}

#[test]
fn a_room_for_two_is_never_left() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let with = json!({"user": node.user("bob").await});
        let room = node.rest("ann").post("rooms/dm", with).await.good();
        let room = room["room"].as_str().unwrap();
        let mut ann = node.connect("ann").await;
        let leave = json!({"type": "leave", "room": room});
        assert_eq!(ann.refused(leave).await, "forbidden");
        let rest = node.rest("bob");
        let refused = rest.post(&format!("rooms/{room}/leave"), json!({})).await;
        assert_eq!((refused.status, refused.refusal()), (403, "forbidden"));
        let other = format!("rooms/{room}/members/{}", ann.user);
        assert_eq!(rest.delete(&other).await.refusal(), "forbidden");
        let me = node.user("bob").await;
        let myself = rest.delete(&format!("rooms/{room}/members/{me}")).await;
        assert_eq!(myself.refusal(), "forbidden");
        let closed = rest.delete(&format!("rooms/{room}")).await;
        assert_eq!(closed.refusal(), "forbidden");
        ann.publish(room, "we are still here").await;
    });
}

#[test]
fn a_closed_room_takes_nothing_and_says_so() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut bob = node.connect("bob").await;
        bob.publish(&room, "the last word").await;
        let ann = node.rest("ann");
        assert_eq!(ann.delete(&format!("rooms/{room}")).await.status, 204);
        let draft = Draft::new(&room, "too late").frame();
        assert_eq!(bob.refused(draft).await, "room_closed");
        let mut cho = node.connect("cho").await;
        let join = json!({"type": "join", "room": room});
        assert_eq!(cho.refused(join).await, "room_closed");
        let again = ann.delete(&format!("rooms/{room}")).await;
        assert_eq!((again.status, again.refusal()), (410, "room_closed"));
        let change = json!({"name": "open again"});
        let change = ann.patch(&format!("rooms/{room}"), change).await;
        assert_eq!((change.status, change.refusal()), (410, "room_closed"));
        // It stays in its members' lists, but not in the public one.
        let mine = node.rest("bob").get("rooms").await.good();
        assert_eq!(mine["items"][0]["room"], room, "{mine}");
        let open = node.rest("cho").get("rooms?scope=open").await.good();
        assert_eq!(open["items"], json!([]));
    });
}

#[test]
fn who_leaves_on_one_device_has_left_on_all() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let mut devices = join_all((0..3).map(|_| node.connect("bob"))).await;
        for device in &mut devices[..2] {
            device.subscribe(&room).await;
        }
        devices[2]
            .good(json!({"type": "leave", "room": room}))
            .await;
        let after = ann.publish(&room, "behind their back").await;
        for device in &mut devices[..2] {
            device.catch_up(&room, after.seq - 1).await;
            let last = &device.view(&room).log[&(after.seq - 1)];
            let (kind, user) = (last.kind.as_str(), &last.body["user"]);
            assert_eq!((kind, user), ("leave", &json!(device.user)));
            // The client fails if an event follows; nothing else may follow either.
            let rest = device.settled().await;
            let about = rest.iter().filter(|frame| frame["room"] == room);
            let kinds: Vec<_> = about.map(|frame| frame["type"].clone()).collect();
            assert!(kinds.iter().all(|kind| kind != "inbox"), "{kinds:?}");
            let read = json!({"type": "history", "room": room});
            assert_eq!(device.refused(read).await, "not_a_member");
        }
    });
}

#[test]
fn in_a_large_room_people_are_counted() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = large_room(&node).await;
        let mut ann = node.connect("ann").await;
        let snapshot = ann.subscribe(&room).await;
        assert_eq!(snapshot["members"], MANY + 1, "{snapshot}");
        assert_eq!(snapshot["online"], 1);
        assert!(snapshot.get("reads").is_none(), "{snapshot}");
        let said = ann.publish(&room, "who has read this?").await.seq;

        let mut reader = node.connect("person7").await;
        let online = ann.find("presence", |frame| frame["online"] == 2).await;
        assert_eq!(online["room"], room, "{online}");
        assert!(online.get("user").is_none(), "{online}");

        // The sums over the counts of the snapshot and the changes since are exact.
        let mut marks = readers(&snapshot);
        let unread = |marks: &[(u64, i64)]| -> i64 {
            let below = marks.iter().filter(|(seq, _)| *seq < said);
            below.map(|(_, count)| count).sum()
        };
        assert_eq!(unread(&marks), MANY as i64 + 1);
        // Who subscribes again begins from the new counts.
        ann.taken();
        marks = readers(&ann.subscribe(&room).await);
        assert_eq!(unread(&marks), MANY as i64 + 1);
        reader
            .send(json!({"type": "read", "room": room, "seq": said}))
            .await;
        let receipt = ann.expect("receipt").await;
        assert!(receipt.get("user").is_none(), "{receipt}");
        marks.extend(readers(&receipt));
        assert_eq!(unread(&marks), MANY as i64);
        let afresh = readers(&ann.subscribe(&room).await);
        assert_eq!(unread(&afresh), MANY as i64);
    });
}

/// Ann's room, with more people than are told of one by one.
async fn large_room(node: &TestNode) -> String {
    let room = node.room("ann", &[]).await;
    let path = format!("rooms/{room}/join");
    for group in 0..MANY.div_ceil(15) {
        let people = (15 * group)..(15 * group + 15).min(MANY);
        join_all(people.map(async |person| {
            let rest = node.rest(&format!("person{person}"));
            rest.post(&path, json!({})).await.good();
        }))
        .await;
    }
    room
}

/// The pairs of place and count, or change, in `readers`.
fn readers(frame: &Value) -> Vec<(u64, i64)> {
    serde_json::from_value(frame["readers"].clone()).unwrap_or_else(|cause| {
        panic!("{cause}: {frame}");
    })
}
