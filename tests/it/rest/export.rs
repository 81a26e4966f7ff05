//! What is kept of a person, for themselves.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Rest, new_client_id, on_every_backend};

/// Every page.
async fn export(rest: &Rest) -> Vec<Value> {
    let mut pages = vec![rest.get("me/export").await.good()];
    while let Some(cursor) = pages.last().unwrap()["cursor"].as_str() {
        let next = format!("me/export?cursor={cursor}");
        pages.push(rest.get(&next).await.good());
        assert!(pages.len() < 20, "it has no end: {pages:?}");
    }
    pages
}

async fn say(rest: &Rest, room: &str, text: &str) {
    let message = json!({"body": {"text": text}, "client_id": new_client_id(), "ack": "db"});
    let path = format!("rooms/{room}/messages");
    rest.post(&path, message).await.good();
}

#[test]
fn everything_of_oneself_is_there_and_nothing_of_others() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let (ann, bob) = (node.rest("ann"), node.rest("bob"));
        let mut rooms = Vec::new();
        let mut said = BTreeSet::new();
        for number in 0..3 {
            let room = node.room("ann", &["bob"]).await;
            // More than a page in one room; in the last one Bob says nothing.
            let count = [230, 3, 0][number];
            for message in 0..count {
                let text = format!("{number}.{message}");
                say(&bob, &room, &text).await;
                said.insert(text);
            }
            say(&ann, &room, "not Bob's").await;
            rooms.push(room);
        }
        // What he has written where he is no longer is his, too.
        let left = bob
            .post(&format!("rooms/{}/leave", rooms[1]), json!({}))
            .await;
        assert_eq!(left.status, 204, "{left:?}");

        let pages = export(&bob).await;
        assert!(pages.len() > 1, "a page is bounded");
        let first = &pages[0];
        assert_eq!(first["account"], bob.get("me").await.good());
        assert_eq!(first["logins"], json!([]), "his tokens come from elsewhere");
        let listed: BTreeSet<_> = first["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room["room"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(listed, rooms.iter().cloned().collect());
        let of = |room: &String| {
            let all = first["rooms"].as_array().unwrap().iter();
            all.clone().find(|listed| listed["room"] == **room).unwrap()
        };
        assert_eq!(
            (&of(&rooms[0])["role"], &of(&rooms[0])["sent"]),
            (&json!("member"), &json!(230))
        );
        assert_eq!(
            (&of(&rooms[1])["role"], &of(&rooms[1])["name"]),
            (&Value::Null, &Value::Null)
        );

        let mut found = Vec::new();
        for page in &pages {
            for message in page["messages"].as_array().unwrap() {
                assert_eq!(
                    message["event"]["from"], first["account"]["id"],
                    "{message}"
                );
                assert!(message["event"]["client_id"].is_string(), "{message}");
                let text = &message["event"]["body"]["text"];
                found.push(text.as_str().unwrap().to_owned());
            }
        }
        assert_eq!(found.len(), said.len(), "each once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), said);
        assert!(pages[1..].iter().all(|page| page.get("account").is_none()));
        for wrong in ["x", "1.2.3", "."] {
            let refused = bob.get(&format!("me/export?cursor={wrong}")).await;
            assert_eq!(refused.refusal(), "bad_field", "{refused:?}");
        }
    });
}

#[test]
fn sign_ins_are_listed_without_their_secrets() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let pass = node.anonymous().post("auth/sign-up", person).await.good();
        let token = pass["access_token"].as_str().map(str::to_owned);
        let carol = Rest::new(&node.url(), token);
        let pages = export(&carol).await;
        assert_eq!(pages.len(), 1);
        assert_eq!(
            pages[0]["logins"],
            carol.get("me/sessions").await.good()["items"]
        );
        let text = pages[0].to_string();
        for secret in ["argon2", "password", "token", "hash"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    });
}
