//! Signing up, in and out; oneself and other people.

use serde_json::{Value, json};

use crate::support::{Answer, Rest, TestNode, WsClient, now_ms, on_every_backend};

async fn post(node: &TestNode, path: &str, body: Value) -> Answer {
    node.anonymous().post(path, body).await
}

fn with(node: &TestNode, pass: &Value) -> Rest {
    Rest::new(
        &node.url(),
        pass["access_token"].as_str().map(str::to_owned),
    )
}

fn assert_pass(pass: &Value) {
    for token in ["access_token", "refresh_token"] {
        assert!(
            pass[token].as_str().is_some_and(|token| token.len() > 20),
            "{pass}"
        );
    }
    assert_eq!(pass["expires_in"], 900, "{pass}");
    assert!(
        pass["user"]["id"].is_string() && pass["user"]["name"].is_string(),
        "{pass}"
    );
}

#[test]
fn who_signs_up_has_an_account_everywhere() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "Carol", "password": "correct horse", "name": "Carol C."});
        let pass = post(&node, "auth/sign-up", person).await.good();
        assert_pass(&pass);
        assert_eq!(pass["user"]["name"], "Carol C.");
        let taken = json!({"username": "cAROL", "password": "correct horse"});
        let taken = post(&node, "auth/sign-up", taken).await;
        assert_eq!((taken.status, taken.refusal()), (409, "conflict"));
        let known = json!({"username": "carol", "password": "correct horse"});
        let back = post(&node, "auth/sign-in", known).await.good();
        assert_pass(&back);
        assert_eq!(back["user"], pass["user"]);
        let me = with(&node, &back).get("me").await.good();
        assert_eq!(me, back["user"]);
        assert_eq!(me["username"], "Carol");
        assert!(
            me["created_at"].as_u64().unwrap().abs_diff(now_ms()) < 60_000,
            "{me}"
        );
        let token = back["access_token"].as_str().unwrap();
        assert_eq!(WsClient::connect(&node.address, token).await.user, me["id"]);
    });
}

#[test]
fn what_is_no_account_is_refused() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let bad = [
            json!({}),
            json!({"username": "carol"}),
            json!({"username": "", "password": "correct horse"}),
            json!({"username": "two words", "password": "correct horse"}),
            json!({"username": "x".repeat(65), "password": "correct horse"}),
            json!({"username": "carol", "password": "short"}),
            json!({"username": "carol", "password": "x".repeat(1025)}),
            json!({"username": "carol", "password": 12345678}),
            json!({"username": "carol", "password": "correct horse", "name": ""}),
            json!({"username": "carol", "password": "correct horse", "name": "a\0b"}),
            json!({"username": "carol", "password": "correct horse", "unknown": 1}),
        ];
        for body in bad {
            let answer = post(&node, "auth/sign-up", body.clone()).await;
            assert_eq!(
                (answer.status, answer.refusal()),
                (422, "bad_field"),
                "{body:.80}"
            );
        }
        for username in ["마당.사람", "o'brien", "a b"] {
            let person = json!({"username": username, "password": "correct horse"});
            let fine = !username.contains([' ', '\'']);
            assert_eq!(
                post(&node, "auth/sign-up", person).await.status == 200,
                fine,
                "{username}"
            );
        }
        let not_json = node.anonymous().request("POST", "auth/sign-up");
        let not_json = not_json
            .header("Content-Type", "application/json")
            .body("{");
        let answer = crate::support::answer(not_json).await.unwrap();
        assert_eq!((answer.status, answer.refusal()), (400, "bad_frame"));
    });
}

#[test]
fn a_guest_needs_no_password_where_guests_are_welcome() {
    on_every_backend(async |mut world| {
        let node = world.start().await;
        let pass = post(&node, "auth/guest", json!({"name": "Gast"}))
            .await
            .good();
        assert_pass(&pass);
        let guest = with(&node, &pass);
        assert_eq!(guest.get("me").await.good()["name"], "Gast");
        let room = node.room("ann", &[]).await;
        guest
            .post(&format!("rooms/{room}/join"), json!({}))
            .await
            .good();
        let said = json!({"body": {"text": "hello from nowhere"}});
        guest
            .post(&format!("rooms/{room}/messages"), said)
            .await
            .good();
        let news = json!({"name": "news", "kind": "broadcast"});
        let news = node.empty_room("ann", news).await;
        let join = guest.post(&format!("rooms/{news}/join"), json!({})).await;
        assert!([403, 404].contains(&join.status), "{join:?}");
        drop(node);
        world.set("MADANG_GUESTS", "false");
        let node = world.start().await;
        let refused = post(&node, "auth/guest", json!({"name": "Gast"})).await;
        assert_eq!((refused.status, refused.refusal()), (403, "forbidden"));
    });
}

#[test]
fn signing_out_ends_one_login_or_all() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let first = post(&node, "auth/sign-up", person.clone()).await.good();
        let second = post(&node, "auth/sign-in", person.clone()).await.good();
        let third = post(&node, "auth/sign-in", person).await.good();
        let out = json!({"refresh_token": first["refresh_token"]});
        assert_eq!(post(&node, "auth/sign-out", out.clone()).await.status, 204);
        let refused = post(&node, "auth/refresh", out).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        let renewed = json!({"refresh_token": second["refresh_token"]});
        let renewed = post(&node, "auth/refresh", renewed).await.good();
        assert_pass(&renewed);
        with(&node, &renewed).get("me").await.good();
        let everywhere = with(&node, &renewed)
            .post("auth/sign-out?everywhere=true", json!({}))
            .await;
        assert_eq!(everywhere.status, 204, "{everywhere:?}");
        for pass in [&second, &third, &renewed] {
            assert_eq!(with(&node, pass).get("me").await.status, 401);
            let token = json!({"refresh_token": pass["refresh_token"]});
            assert_eq!(post(&node, "auth/refresh", token).await.status, 401);
        }
    });
}

#[test]
fn a_profile_changes_only_from_the_version_that_was_seen() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let ann = node.rest("ann");
        let before = ann.get("me").await.good();
        let version = before["version"].clone();
        let after = ann
            .patch("me", json!({"name": "Ann A.", "version": version}))
            .await
            .good();
        assert_eq!(after["name"], "Ann A.");
        assert_ne!(after["version"], version);
        let stale = ann
            .patch("me", json!({"name": "Nobody", "version": version}))
            .await;
        assert_eq!((stale.status, stale.refusal()), (409, "conflict"));
        assert_eq!(ann.get("me").await.good()["name"], "Ann A.");
        for name in ["", "a\0b", &"x".repeat(257)] {
            let refused = ann.patch("me", json!({"name": name})).await;
            assert_eq!(refused.status, 422, "{name:?}");
        }
    });
}

#[test]
fn people_are_found_by_name_and_by_subject() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let bob = node.user("bob").await;
        node.user("bobby").await;
        node.user("eve").await;
        let ann = node.rest("ann");
        let shown = ann.get(&format!("users/{bob}")).await.good();
        assert_eq!((&shown["id"], &shown["name"]), (&json!(bob), &json!("bob")));
        assert!(
            shown.get("sub").is_none(),
            "the subject is the person's own: {shown}"
        );
        let found = ann.get("users?q=BOB").await.good();
        let names: Vec<_> = found["items"].as_array().unwrap().iter().collect();
        assert_eq!(names.len(), 2, "{found}");
        let found = ann.get("users?sub=eve").await.good();
        assert_eq!(found["items"][0]["name"], "eve", "{found}");
        let absent = ann.get("users/u0123456789abcdef").await;
        assert_eq!((absent.status, absent.refusal()), (404, "not_found"));
    });
}
