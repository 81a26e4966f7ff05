//! Messages over REST: pages, repeats, marks.

use serde_json::{Value, json};

use crate::support::{Draft, new_client_id, on_every_backend};

fn seqs(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("events");
    events
        .iter()
        .map(|event| event["seq"].as_u64().expect("a place"))
        .collect()
}

#[test]
fn pages_of_messages_leave_everything_else_out() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let mut said = Vec::new();
        for number in 0..30 {
            said.push(ann.publish(&room, &format!("message {number}")).await.seq);
            if number % 10 == 5 {
                // Joins stand between the messages.
                let joiner = node.rest(&format!("joiner{number}"));
                joiner
                    .post(&format!("rooms/{room}/join"), json!({}))
                    .await
                    .good();
            }
        }
        let rest = node.rest("ann");
        let page = async |query: &str| {
            let page = rest
                .get(&format!("rooms/{room}/messages?{query}"))
                .await
                .good();
            assert!(page["epoch"].is_string(), "{page}");
            (seqs(&page), page["more"].as_bool().unwrap())
        };
        assert_eq!(page("").await, (said.clone(), false));
        assert_eq!(page("limit=10").await, (said[20..].to_vec(), true));
        assert_eq!(
            page(&format!("before={}&limit=10", said[20])).await,
            (said[10..20].to_vec(), true)
        );
        assert_eq!(
            page(&format!("before={}&limit=10", said[10])).await,
            (said[..10].to_vec(), false)
        );
        assert_eq!(
            page(&format!("after={}&limit=10", said[4])).await,
            (said[5..15].to_vec(), true)
        );
        assert_eq!(page(&format!("after={}", said[29])).await, (vec![], false));
        let (around, _) = page(&format!("around={}&limit=9", said[15])).await;
        assert!(
            around.len() <= 9 && around.contains(&said[15]),
            "{around:?}"
        );
        let count = rest
            .get(&format!("rooms/{room}/messages/count"))
            .await
            .good();
        assert_eq!(count, json!({"count": 30}));
        let events = rest
            .get(&format!("rooms/{room}/events?limit=200"))
            .await
            .good();
        assert_eq!(seqs(&events), (1..=35).collect::<Vec<_>>());
        for query in [
            "limit=0",
            "limit=201",
            "before=1&after=1",
            "before=-1",
            "before=x",
        ] {
            for list in ["messages", "events"] {
                let refused = rest.get(&format!("rooms/{room}/{list}?{query}")).await;
                assert_eq!(
                    (refused.status, refused.refusal()),
                    (422, "bad_field"),
                    "{query}"
                );
            }
        }
    });
}

#[test]
fn a_message_posted_is_the_same_as_one_published() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut bob = node.connect("bob").await;
        bob.subscribe(&room).await;
        let rest = node.rest("ann");
        let path = format!("rooms/{room}/messages");
        let id = new_client_id();
        let body = json!({"body": {"text": "posted"}, "client_id": id, "mentions": [bob.user]});
        let posted = rest.post(&path, body.clone()).await.good();
        assert_eq!(
            (&posted["room"], &posted["client_id"]),
            (&json!(room), &json!(id))
        );
        assert_eq!(posted["durability"], world.durability());
        let seq = posted["seq"].as_u64().unwrap();
        bob.catch_up(&room, seq).await;
        assert_eq!(bob.view(&room).log[&seq].text(), "posted");
        let repeat = rest.post(&path, body.clone()).await.good();
        assert_eq!(
            (&repeat["seq"], &repeat["duplicate"]),
            (&json!(seq), &json!(true))
        );
        let mut other = body;
        other["body"]["text"] = "something else".into();
        let refused = rest.post(&path, other).await;
        assert_eq!((refused.status, refused.refusal()), (409, "conflict"));
        let nothing = json!({"body": {"text": "x"}, "reply_to": 999});
        let refused = rest.post(&path, nothing).await;
        assert_eq!(
            (refused.status, refused.refusal()),
            (404, "message_not_found")
        );
        // Without an id of one's own, a repeat is a second message.
        let plain = json!({"body": {"text": "again"}});
        let first = rest.post(&path, plain.clone()).await.good();
        assert_ne!(first["seq"], rest.post(&path, plain).await.good()["seq"]);
    });
}

#[test]
fn marks_move_over_rest_too() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let mut last = 0;
        for number in 0..10 {
            let ack = ann
                .good(Draft::new(&room, &format!("message {number}")).frame())
                .await;
            last = ack["seq"].as_u64().unwrap();
        }
        let bob = node.rest("bob");
        let (unread, read) = (format!("rooms/{room}/unread"), format!("rooms/{room}/read"));
        assert_eq!(bob.get(&unread).await.good()["unread"], 10);
        let marked = bob.put(&read, json!({"seq": last - 3})).await.good();
        assert_eq!(marked, json!({"unread": 3, "read": last - 3}));
        let back = bob.put(&read, json!({"seq": 1})).await.good();
        assert_eq!(
            back,
            json!({"unread": 3, "read": last - 3}),
            "marks never move back"
        );
        let beyond = bob.put(&read, json!({"seq": last + 1000})).await.good();
        assert_eq!(beyond, json!({"unread": 0, "read": last}));
        // The mark was saved before the answer, so that the inbox knows it at once.
        let inbox = bob.get("me/inbox").await.good();
        assert_eq!(inbox["items"][0]["room"], room, "{inbox}");
        assert_eq!(inbox["unread"], 0, "{inbox}");
        for body in [json!({}), json!({"seq": -1}), json!({"seq": "1"})] {
            assert_eq!(bob.put(&read, body.clone()).await.status, 422, "{body}");
        }
    });
}
