//! Joining, leaving, and who may see what.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{TestNode, WsClient, on_every_backend};

#[test]
fn who_joins_is_a_member_until_they_leave() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        ann.subscribe(&room).await;
        let mut bob = node.connect("bob").await;
        for kind in ["subscribe", "history", "members", "leave", "read", "typing"] {
            let asked = json!({"type": kind, "room": room, "seq": 1, "active": true});
            let fields = fields_of(kind, &asked);
            assert_eq!(bob.refused(fields).await, "not_a_member", "{kind}");
        }
        let joined = bob.good(json!({"type": "join", "room": room})).await;
        assert_eq!(joined["result"], "joined", "{joined}");
        let seq = joined["data"]["seq"].as_u64().unwrap();
        let snapshot = bob.subscribe(&room).await;
        assert_eq!(joined["data"]["epoch"], snapshot["epoch"]);
        ann.catch_up(&room, seq).await;
        let event = &ann.view(&room).log[&seq];
        assert_eq!(
            (event.kind.as_str(), &event.body["user"]),
            ("join", &json!(bob.user))
        );

        let again = bob.good(json!({"type": "join", "room": room})).await;
        assert_eq!(again["result"], "already", "{again}");

        bob.good(json!({"type": "leave", "room": room})).await;
        bob.settled().await;
        let view = bob.view(&room);
        let last = view.log.last_key_value().unwrap().1;
        assert_eq!(
            (last.kind.as_str(), &last.body["user"]),
            ("leave", &json!(bob.user))
        );
        ann.publish(&room, "behind their back").await;
        let after = bob.settled().await;
        assert!(after.iter().all(|frame| frame["room"] != room), "{after:?}");
        assert_eq!(
            bob.refused(json!({"type": "history", "room": room})).await,
            "not_a_member"
        );
        let back = bob.good(json!({"type": "join", "room": room})).await;
        assert_eq!(back["result"], "joined");
    });
}

/// Only the fields that a frame of this type has.
fn fields_of(kind: &str, all: &Value) -> Value {
    let mut frame = json!({"type": kind, "room": all["room"]});
    match kind {
        "read" => frame["seq"] = all["seq"].clone(),
        "typing" => frame["active"] = all["active"].clone(),
        _ => {}
    }
    frame
}

#[test]
fn a_private_room_is_not_there_for_outsiders() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let group = json!({"name": "secret", "kind": "group"});
        let group = node.empty_room("ann", group).await;
        let with = json!({"user": node.user("bob").await});
        let pair = node.rest("ann").post("rooms/dm", with).await.good();
        let pair = pair["room"].as_str().unwrap().to_owned();
        let mut eve = node.connect("eve").await;
        for room in [group.as_str(), &pair, "no-such-room", "9999999999999999"] {
            for kind in ["subscribe", "join", "leave", "history", "members"] {
                let asked = json!({"type": kind, "room": room});
                assert_eq!(eve.refused(asked).await, "room_not_found", "{kind} {room}");
            }
            let draft = crate::support::Draft::new(room, "hello?");
            assert_eq!(eve.refused(draft.frame()).await, "room_not_found");
        }
        node.connect("bob").await.subscribe(&pair).await;
    });
}

#[test]
fn a_snapshot_shows_the_room() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = json!({"name": "tea", "kind": "open", "capacity": 30});
        let room = node.empty_room("ann", room).await;
        node.rest("bob")
            .post(&format!("rooms/{room}/join"), json!({}))
            .await
            .good();
        let mut ann = node.connect("ann").await;
        for number in 1..=10 {
            ann.publish(&room, &format!("message {number}")).await;
        }
        let mut bob = node.connect("bob").await;
        let snapshot = bob.subscribe_last(&room, 4).await;
        assert_eq!(snapshot["info"]["name"], "tea");
        assert_eq!(snapshot["info"]["kind"], "open");
        assert_eq!(snapshot["info"]["capacity"], 30);
        assert_eq!(snapshot["me"]["role"], "member");
        assert_eq!(snapshot["me"]["unread"], 10);
        assert_eq!(snapshot["members"], 2);
        assert_eq!(snapshot["online"], 2);
        let events = snapshot["events"].as_array().unwrap();
        assert_eq!(events.len(), 4, "{snapshot}");
        for event in events {
            for absent in ["type", "room", "epoch"] {
                assert!(event.get(absent).is_none(), "{event}");
            }
        }
        let none = bob.subscribe_last(&room, 0).await;
        assert_eq!(none["events"], json!([]));
        assert_eq!(ann.subscribe(&room).await["me"]["role"], "owner");
    });
}

#[test]
fn the_first_events_of_a_room_are_itself_and_its_owner() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        ann.subscribe(&room).await;
        let log = &ann.view(&room).log;
        assert_eq!(log[&1].kind, "room");
        assert_eq!(log[&1].body["name"], "tea");
        assert_eq!(log[&2].kind, "join");
        assert_eq!(log[&2].body["user"], ann.user);
        assert_eq!(log.len(), 2);
    });
}

#[test]
fn a_room_never_holds_more_than_its_capacity() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = json!({"name": "small", "kind": "open", "capacity": 5});
        let room = node.empty_room("ann", room).await;
        let joins = join_all((0..40).map(|number| join(&node, &room, number))).await;
        let joined = joins
            .iter()
            .filter(|answer| answer["result"] == "joined")
            .count();
        assert_eq!(joined, 4, "the owner counts: {joins:?}");
        for refused in joins.iter().filter(|answer| answer["type"] == "error") {
            assert_eq!(refused["name"], "room_full");
            assert_eq!(refused["detail"], json!({"capacity": 5, "members": 5}));
        }
        let members = node
            .rest("ann")
            .get(&format!("rooms/{room}/members"))
            .await
            .good();
        assert_eq!(members["items"].as_array().unwrap().len(), 5);
    });
}

async fn join(node: &TestNode, room: &str, number: usize) -> Value {
    let mut person = node.connect(&format!("person{number}")).await;
    match person.request(json!({"type": "join", "room": room})).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.frame,
    }
}

#[test]
fn members_are_listed_page_by_page() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob", "cho", "dan"]).await;
        let mut ann = node.connect("ann").await;
        let _bob = node.connect("bob").await;
        let mut seen = Vec::new();
        let mut ask = json!({"type": "members", "room": room, "limit": 3});
        loop {
            let page = ann.good(ask.clone()).await;
            assert_eq!(
                (&page["type"], &page["room"]),
                (&json!("members"), &json!(room))
            );
            seen.extend(page["members"].as_array().unwrap().clone());
            match page.get("cursor") {
                Some(cursor) if !cursor.is_null() => ask["cursor"] = cursor.clone(),
                _ => break,
            }
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
        let of = |name: &str| seen.iter().find(|member| member["name"] == name).unwrap();
        assert_eq!(of("ann")["role"], "owner");
        assert_eq!(of("bob")["role"], "member");
        assert_eq!(of("bob")["online"], true);
        assert_eq!(of("dan")["online"], false);
        assert!(of("dan")["user"].is_string());
    });
}

#[test]
fn in_a_group_nobody_reads_what_was_said_before_they_came() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let group = json!({"name": "inner circle", "kind": "group"});
        let room = node.empty_room("ann", group).await;
        let mut ann = node.connect("ann").await;
        let secret = ann.publish(&room, "before bob").await;
        let bob = node.user("bob").await;
        node.rest("ann")
            .put(&format!("rooms/{room}/members/{bob}"), json!({}))
            .await
            .good();
        let later = ann.publish(&room, "after bob").await;
        let mut bob = node.connect("bob").await;
        let snapshot = bob.subscribe_last(&room, 200).await;
        let join = bob.view(&room).log.first_key_value().unwrap().1.clone();
        assert_eq!(
            (join.kind.as_str(), &join.body["user"]),
            ("join", &json!(bob.user))
        );
        assert!(secret.seq < join.seq && join.seq < later.seq);

        let ask = json!({"type": "history", "room": room, "before": later.seq});
        let page = bob.good(ask).await;
        assert_eq!(page["more"], false);
        assert_eq!(page["from"], join.seq, "{page}");
        no_trace(&node, &mut bob, &room, join.seq).await;

        // Going on from before the join: a gap up to it, then what may be read.
        let after = json!({"epoch": snapshot["epoch"], "seq": 1});
        bob.rooms.get_mut(&room).unwrap().ask_after(1);
        bob.good(json!({"type": "subscribe", "room": room, "after": after}))
            .await;
        let gap = bob.view(&room).gaps.last().unwrap();
        assert_eq!(
            (gap.from, gap.to, gap.reason.as_str()),
            (2, join.seq - 1, "window")
        );
    });
}

/// Below the join there is nothing over any of the ways to read.
async fn no_trace(node: &TestNode, bob: &mut WsClient, room: &str, join: u64) {
    let rest = node.rest("bob");
    let pages = [
        bob.good(json!({"type": "history", "room": room, "after": 0}))
            .await,
        bob.good(json!({"type": "history", "room": room, "around": 1}))
            .await,
        rest.get(&format!("rooms/{room}/events?after=0"))
            .await
            .good(),
        rest.get(&format!("rooms/{room}/messages?after=0"))
            .await
            .good(),
        rest.get(&format!("rooms/{room}/messages?before={join}"))
            .await
            .good(),
    ];
    for page in pages {
        assert!(!page.to_string().contains("before bob"), "{page}");
    }
}

#[test]
fn in_a_broadcast_only_its_owner_speaks() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let news = json!({"name": "news", "kind": "broadcast"});
        let room = node.empty_room("ann", news).await;
        let mut bob = node.connect("bob").await;
        bob.good(json!({"type": "join", "room": room})).await;
        bob.subscribe(&room).await;
        let sent = node.connect("ann").await.publish(&room, "extra").await;
        bob.catch_up(&room, sent.seq).await;
        let draft = crate::support::Draft::new(&room, "me too");
        assert_eq!(bob.refused(draft.frame()).await, "forbidden");
    });
}

#[test]
fn two_people_have_one_room_between_them() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let (ann, bob) = (node.user("ann").await, node.user("bob").await);
        let (of_ann, of_bob) = (node.rest("ann"), node.rest("bob"));
        let asked = join_all((0..6).map(async |number| {
            let (from, to) = if number % 2 == 0 {
                (&of_ann, &bob)
            } else {
                (&of_bob, &ann)
            };
            from.post("rooms/dm", json!({"user": to})).await.good()["room"].clone()
        }))
        .await;
        assert!(asked.iter().all(|room| *room == asked[0]), "{asked:?}");
        let room = asked[0].as_str().unwrap();
        let snapshot = node.connect("bob").await.subscribe(room).await;
        assert_eq!(snapshot["info"]["kind"], "dm");
        assert_eq!(snapshot["members"], 2);
    });
}
