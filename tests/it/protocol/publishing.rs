//! Messages: their place, their repeats, their order.

use serde_json::{Value, json};

use crate::support::{Draft, Event, assert_clean, new_client_id, now_ms, on_every_backend};

#[test]
fn a_message_reaches_everyone_as_it_was_sent() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let (mut ann, mut bob) = (node.connect("ann").await, node.connect("bob").await);
        ann.subscribe(&room).await;
        let epoch = bob.subscribe(&room).await["epoch"].clone();
        let first = ann.publish(&room, "first").await;
        let body = json!({
            "text": "look",
            "format": "markdown",
            "attachments": [{"url": "https://example.org/a.png"}],
            "meta": {"mood": "good", "deep": {"er": [1, 2.5, null, true]}},
        });
        let client_id = new_client_id();
        let ack = ann
            .good(json!({
                "type": "publish", "room": room, "client_id": client_id, "body": body,
                "reply_to": first.seq, "thread": first.seq, "mentions": [bob.user],
            }))
            .await;
        assert_eq!(ack["epoch"], epoch);
        assert_eq!(ack["durability"], world.durability());
        let asked = json!({
            "type": "publish", "room": room, "client_id": new_client_id(),
            "body": {"text": "kept"}, "ack": "db",
        });
        assert_eq!(ann.good(asked).await["durability"], "db");
        assert!(ack["at"].as_u64().unwrap().abs_diff(now_ms()) < 60_000);
        let seq = ack["seq"].as_u64().unwrap();
        ann.catch_up(&room, seq).await;
        bob.catch_up(&room, seq).await;
        let seen: &Event = &bob.view(&room).log[&seq];
        assert_eq!(seen.kind, "message");
        assert_eq!(seen.from, ann.user);
        assert_eq!(seen.at, ack["at"]);
        assert_eq!(seen.n, Some(2));
        assert_eq!(seen.body, body);
        assert_eq!(
            (seen.reply_to, seen.thread),
            (Some(first.seq), Some(first.seq))
        );
        assert_eq!(seen.mentions, Some(vec![bob.user.clone()]));
        assert_eq!(seen.client_id, None, "only the sender hears it");
        assert_eq!(ann.view(&room).log[&seq].client_id, Some(client_id));
    });
}

#[test]
fn a_repeat_gets_the_first_ones_ack() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let other_room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let draft = Draft::new(&room, "once");
        let first = ann.good(draft.frame()).await;
        ann.publish(&room, "between").await;
        for _ in 0..2 {
            let again = ann.good(draft.frame()).await;
            assert_eq!((&again["seq"], &again["at"]), (&first["seq"], &first["at"]));
            assert_eq!(again["duplicate"], true, "{again}");
        }
        // The same id is another message for another sender, and in another room.
        let mut bob = node.connect("bob").await;
        assert!(is_new(&bob.good(draft.frame()).await));
        let mut elsewhere = draft.frame();
        elsewhere["room"] = other_room.into();
        assert!(is_new(&ann.good(elsewhere).await));
        // From another connection, and as REST's Idempotency-Key.
        let mut second = node.connect("ann").await;
        assert_eq!(second.good(draft.frame()).await["duplicate"], true);
        let rest = node.rest("ann");
        let path = format!("rooms/{room}/messages");
        let request = rest
            .request("POST", &path)
            .header("Idempotency-Key", &draft.client_id)
            .json(&json!({"body": {"text": "once"}}));
        let answer = crate::support::answer(request).await.unwrap().good();
        assert_eq!(
            (&answer["seq"], &answer["duplicate"]),
            (&first["seq"], &json!(true))
        );
    });
}

fn is_new(ack: &Value) -> bool {
    ack.get("duplicate")
        .is_none_or(|duplicate| duplicate == false)
}

#[test]
fn the_same_id_with_another_content_is_a_conflict() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let first = ann.publish(&room, "first").await;
        let draft = Draft::new(&room, "this");
        ann.good(draft.frame()).await;
        let changes = [
            ("body", json!({"text": "that"})),
            ("body", json!({"text": "this", "format": "markdown"})),
            ("reply_to", json!(first.seq)),
            ("thread", json!(first.seq)),
            ("mentions", json!([ann.user])),
        ];
        for (field, value) in changes {
            let mut changed = draft.frame();
            changed[field] = value;
            assert_eq!(ann.refused(changed).await, "conflict", "{field}");
        }
        // How it is to be acknowledged is not part of what it says.
        let mut other_ack = draft.frame();
        other_ack["ack"] = "db".into();
        assert_eq!(ann.good(other_ack).await["duplicate"], true);
    });
}

#[test]
fn two_connections_racing_with_one_id_make_one_message() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut first = node.connect("ann").await;
        let mut second = node.connect("ann").await;
        let mut promised = Vec::new();
        for number in 0..50 {
            let draft = Draft::new(&room, &format!("race {number}"));
            let (one, two) = tokio::join!(first.good(draft.frame()), second.good(draft.frame()));
            assert_eq!(one["seq"], two["seq"]);
            assert_ne!(is_new(&one), is_new(&two), "{one} {two}");
            promised.push(draft.acked(&first.user, &one));
        }
        assert_clean(&node.rest("ann"), &room, &promised, &[]).await;
    });
}

#[test]
fn ids_have_one_spelling_and_any_time() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let with_id = |id: &str| {
            let mut draft = Draft::new(&room, id);
            draft.client_id = id.to_owned();
            draft.frame()
        };
        let upper = new_client_id().to_uppercase();
        let bad = [
            "",
            "1",
            "not-an-id",
            "3f2b8c1e-9d4a-4c6b-8e7f-0123456789ab",
            "00000000-0000-0000-0000-000000000000",
            "01arz3ndektsv4rrffq69g5fav",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU0",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FIL",
            &upper,
            &format!(" {}", new_client_id()),
        ];
        for id in bad {
            assert_eq!(ann.refused(with_id(id)).await, "bad_field", "{id:?}");
        }
        let clocks_are_wrong = [
            // ULID of 2016; UUIDv7 of 1970 and of the year 10889.
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "00000000-0001-7000-8000-000000000001",
            "ffffffff-ffff-7fff-bfff-ffffffffffff",
        ];
        for id in clocks_are_wrong {
            assert!(is_new(&ann.good(with_id(id)).await), "{id}");
            assert_eq!(ann.good(with_id(id)).await["duplicate"], true, "{id}");
        }
    });
}

#[test]
fn what_one_client_sends_keeps_its_order() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let mut bob = node.connect("bob").await;
        let mut waiting = Vec::new();
        // Both send everything before they read anything.
        for number in 0..300 {
            let draft = Draft::new(&room, &format!("ann {number}"));
            waiting.push((ann.ask(draft.frame()).await, draft));
            bob.ask(Draft::new(&room, &format!("bob {number}")).frame())
                .await;
        }
        let mut promised = Vec::new();
        for (reference, draft) in waiting {
            let ack = ann.answer(reference).await.unwrap();
            promised.push(draft.acked(&ann.user, &ack));
        }
        crate::support::assert_in_order(&promised);
        bob.good(json!({"type": "ping"})).await;
        let log = assert_clean(&node.rest("bob"), &room, &promised, &[]).await;
        let texts = |name: &str| -> Vec<String> {
            let texts = log
                .iter()
                .map(Event::text)
                .filter(|text| text.starts_with(name));
            texts.map(str::to_owned).collect()
        };
        let expected =
            |name: &str| -> Vec<_> { (0..300).map(|number| format!("{name} {number}")).collect() };
        assert_eq!(texts("ann"), expected("ann"));
        assert_eq!(texts("bob"), expected("bob")[..texts("bob").len()]);
    });
}

#[test]
fn what_cannot_be_a_message_is_refused() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let bodies = [
            json!(null),
            json!("text"),
            json!({}),
            json!({"text": 5}),
            json!({"text": "a\0b"}),
            json!({"text": "x".repeat(32 * 1024 + 1)}),
            json!({"text": "x", "attachments": "a.png"}),
            json!({"text": "x", "meta": []}),
            json!({"text": "x", "meta": {"nul": "\0"}}),
        ];
        for body in bodies {
            let id = new_client_id();
            let asked = json!({"type": "publish", "room": room, "client_id": id, "body": body});
            let refusal = ann.request(asked).await.unwrap_err();
            let shown = body.to_string();
            assert_eq!(refusal.name, "bad_field", "{:.60}", shown);
            assert_eq!(refusal.frame["client_id"], id, "{}", refusal.frame);
            assert_eq!(refusal.frame["room"], room, "{}", refusal.frame);
        }
        let longest = ann.publish(&room, &"x".repeat(32 * 1024)).await;
        assert_clean(&node.rest("ann"), &room, &[longest], &[]).await;
    });
}
