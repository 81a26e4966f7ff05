//! Rooms: made, found, changed, closed; and who is in them.

use serde_json::{Value, json};

use crate::support::on_every_backend;

#[test]
fn a_room_is_made_shown_changed_and_closed() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let ann = node.rest("ann");
        let asked = json!({"name": "tea", "kind": "open", "topic": "leaves", "capacity": 10});
        let made = ann.post("rooms", asked).await;
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.body;
        for (field, value) in [
            ("name", json!("tea")),
            ("kind", json!("open")),
            ("topic", json!("leaves")),
        ] {
            assert_eq!(made[field], value, "{made}");
        }
        assert_eq!(
            (&made["capacity"], &made["members"]),
            (&json!(10), &json!(1))
        );
        let room = made["room"].as_str().unwrap();
        let path = format!("rooms/{room}");
        let shown = ann.get(&path).await.good();
        assert_eq!(
            (&shown["room"], &shown["role"]),
            (&json!(room), &json!("owner"))
        );

        let mut bob = node.connect("bob").await;
        bob.good(json!({"type": "join", "room": room})).await;
        bob.subscribe(room).await;
        let change = json!({"name": "coffee", "topic": "", "capacity": 0});
        let changed = ann.patch(&path, change).await.good();
        assert_eq!(changed["name"], "coffee");
        assert!(
            changed.get("topic").is_none() && changed.get("capacity").is_none(),
            "{changed}"
        );
        let head = changed["head"].as_u64().unwrap();
        bob.catch_up(room, head).await;
        let event = &bob.view(room).log[&head];
        assert_eq!(
            (event.kind.as_str(), &event.body["name"]),
            ("room", &json!("coffee"))
        );

        assert_eq!(ann.delete(&path).await.status, 204);
        bob.catch_up(room, head + 1).await;
        assert_eq!(bob.view(room).log[&(head + 1)].body["closed"], true);
        let draft = crate::support::Draft::new(room, "too late");
        assert_eq!(bob.refused(draft.frame()).await, "room_closed");
        let late = ann
            .post(
                &format!("{path}/messages"),
                json!({"body": {"text": "late"}}),
            )
            .await;
        assert_eq!((late.status, late.refusal()), (410, "room_closed"));
    });
}

#[test]
fn what_cannot_be_a_room_is_refused() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let bad = [
            json!({}),
            json!({"name": "tea"}),
            json!({"kind": "open"}),
            json!({"name": "tea", "kind": "dm"}),
            json!({"name": "tea", "kind": "OPEN"}),
            json!({"name": "", "kind": "open"}),
            json!({"name": "x".repeat(257), "kind": "open"}),
            json!({"name": "tea", "kind": "open", "topic": "x".repeat(1025)}),
            json!({"name": "tea", "kind": "open", "capacity": 0}),
            json!({"name": "tea", "kind": "open", "capacity": -1}),
            json!({"name": "tea", "kind": "open", "capacity": 1.5}),
            json!({"name": "tea", "kind": "open", "capacity": 1_000_001}),
            json!({"name": "tea", "kind": "open", "owner": "u1"}),
        ];
        for body in bad {
            let answer = node.rest("ann").post("rooms", body.clone()).await;
            assert_eq!(
                (answer.status, answer.refusal()),
                (422, "bad_field"),
                "{body:.80}"
            );
        }
    });
}

#[test]
fn rooms_are_listed_page_by_page() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut made = Vec::new();
        for number in 0..7 {
            let room = json!({"name": format!("open {number}"), "kind": "open"});
            made.push(node.empty_room("ann", room).await);
        }
        node.empty_room("ann", json!({"name": "open to few", "kind": "group"}))
            .await;
        let bob = node.rest("bob");
        bob.post(&format!("rooms/{}/join", made[2]), json!({}))
            .await
            .good();
        let mine = bob.get("rooms").await.good();
        assert_eq!(mine["items"].as_array().unwrap().len(), 1, "{mine}");
        assert_eq!(mine["items"][0]["room"], made[2]);

        let mut seen: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = bob
                .get(&format!("rooms?scope=open&limit=3{cursor}"))
                .await
                .good();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3, "{page}");
            seen.extend(items.iter().map(|room| room["room"].clone()));
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(
            seen,
            made.iter().map(|room| json!(room)).collect::<Vec<_>>(),
            "by name"
        );
        let found = bob.get("rooms?scope=open&q=OPEN%205").await.good();
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
        for query in [
            "scope=all",
            "limit=0",
            "limit=201",
            "limit=x",
            "cursor=%00",
            "unknown=1",
        ] {
            let refused = bob.get(&format!("rooms?{query}")).await;
            assert_eq!(refused.status, 422, "{query}: {refused:?}");
        }
    });
}

#[test]
fn members_come_go_and_get_roles() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node
            .empty_room("ann", json!({"name": "crew", "kind": "group"}))
            .await;
        let (ann, bob, cho) = (node.rest("ann"), node.rest("bob"), node.rest("cho"));
        let (bob_id, cho_id) = (node.user("bob").await, node.user("cho").await);
        let member = |user: &str| format!("rooms/{room}/members/{user}");
        let mut socket = node.connect("bob").await;
        assert_eq!(ann.put(&member(&bob_id), json!({})).await.status, 204);
        let told = socket
            .find("invited", |frame| frame["kind"] == "invited")
            .await;
        assert_eq!(told["data"]["room"], room, "{told}");
        assert_eq!(bob.put(&member(&cho_id), json!({})).await.status, 403);
        assert_eq!(
            ann.put(&member(&bob_id), json!({"role": "moderator"}))
                .await
                .status,
            204
        );
        assert_eq!(bob.put(&member(&cho_id), json!({})).await.status, 204);
        let owner = node.user("ann").await;
        let refused = bob.delete(&member(&owner)).await;
        assert_eq!((refused.status, refused.refusal()), (403, "forbidden"));
        let list = cho.get(&format!("rooms/{room}/members")).await.good();
        let role = |name: &str| {
            let items = list["items"].as_array().unwrap();
            items.iter().find(|item| item["name"] == name).unwrap()["role"].clone()
        };
        assert_eq!(
            (role("ann"), role("bob"), role("cho")),
            (json!("owner"), json!("moderator"), json!("member"))
        );
        assert_eq!(bob.delete(&member(&cho_id)).await.status, 204);
        let gone = cho.get(&format!("rooms/{room}/messages")).await;
        assert_eq!((gone.status, gone.refusal()), (404, "room_not_found"));
        assert_eq!(
            bob.post(&format!("rooms/{room}/leave"), json!({}))
                .await
                .status,
            204
        );
        let absent = ann.put(&member("u0123456789abcdef"), json!({})).await;
        assert_eq!(absent.status, 404, "{absent:?}");
    });
}

#[test]
fn joining_and_leaving_over_rest_is_the_same_as_over_the_socket() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let bob = node.rest("bob");
        let path = format!("rooms/{room}/join");
        let joined = bob.post(&path, json!({})).await.good();
        assert_eq!(joined["result"], "joined", "{joined}");
        let log = crate::support::read_log(&bob, &room).await;
        assert_eq!(
            log.last().map(|event| json!(event.seq)),
            Some(joined["seq"].clone())
        );
        assert_eq!(bob.post(&path, json!({})).await.good()["result"], "already");
        assert_eq!(
            bob.post(&format!("rooms/{room}/leave"), json!({}))
                .await
                .status,
            204
        );
        let again = bob.post(&format!("rooms/{room}/leave"), json!({})).await;
        assert_eq!((again.status, again.refusal()), (403, "not_a_member"));

        let small = json!({"name": "small", "kind": "open", "capacity": 1});
        let small = node.empty_room("ann", small).await;
        let full = bob.post(&format!("rooms/{small}/join"), json!({})).await;
        assert_eq!((full.status, full.refusal()), (409, "room_full"));
        assert_eq!(
            (&full.body["capacity"], &full.body["members"]),
            (&json!(1), &json!(1))
        );
    });
}
