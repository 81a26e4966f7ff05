//! `hello`, `auth`, `ping`: who is connected, and for how long.

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::support::{
    Claims, TestNode, WsClient, now_ms, on_every_backend, seconds, sign, upgrade,
};

#[test]
fn welcome_says_everything_a_client_needs() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let claims = Claims::of("ann");
        let mut ann = WsClient::dial(&node.address).await;
        let device = json!({"id": "d1", "name": "Ann's phone", "platform": "web"});
        let hello =
            json!({"type": "hello", "version": 1, "token": sign(&claims), "device": device});
        ann.send(hello).await;
        let welcome = ann.expect("welcome").await;
        assert_eq!(welcome["version"], 1);
        assert!(
            welcome["at"].as_u64().unwrap().abs_diff(now_ms()) < 60_000,
            "{welcome}"
        );
        for id in ["session", "user", "node"] {
            let id = welcome[id].as_str().unwrap();
            assert!((1..=64).contains(&id.len()), "{welcome}");
        }
        assert_ne!(
            welcome["user"], "ann",
            "the node's own id, not the token's sub"
        );
        assert_eq!(welcome["heartbeat_ms"], 25_000);
        assert_eq!(welcome["limits"]["frame_bytes"], 65_536);
        assert!(welcome["limits"]["in_flight"].is_u64(), "{welcome}");
        assert!(
            welcome["limits"]["publish_per_second"].is_u64(),
            "{welcome}"
        );
        assert_eq!(welcome["rooms"], json!([]));
        assert_eq!(welcome["rooms_more"], false);
        assert!(welcome["rooms_cursor"].is_string(), "{welcome}");
        assert_eq!(welcome["unread"], 0);
        assert_eq!(welcome["token_expires_at"], claims.exp * 1000);
        assert_eq!(welcome["user"], node.user("ann").await);
    });
}

#[test]
fn welcome_lists_the_rooms_of_a_person() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        ann.publish(&room, "one").await;
        let two = ann.publish_durably(&room, "two").await;
        let bob = node.connect("bob").await;
        let listed = &bob.welcome["rooms"][0];
        assert_eq!(listed["room"], room);
        assert_eq!(listed["name"], "tea");
        assert_eq!(listed["kind"], "open");
        assert_eq!(listed["head"], two.seq);
        assert_eq!(listed["unread"], 2);
        assert_eq!(listed["mentions"], 0);
        assert!(
            listed["epoch"].is_string() && listed["read"].is_u64(),
            "{listed}"
        );
        assert_eq!(bob.welcome["unread"], 2);

        // What a client knows already is not told again; the newest room may be.
        let other = node.room("ann", &["bob"]).await;
        let cursor = node.connect("bob").await.welcome["rooms_cursor"].clone();
        let mut ann = node.connect("ann").await;
        let changed = ann.publish_durably(&other, "three").await;
        let mut again = WsClient::dial(&node.address).await;
        let token = node.token("bob");
        let hello = json!({"type": "hello", "version": 1, "token": token, "rooms_since": cursor});
        again.send(hello).await;
        let rooms = again.expect("welcome").await["rooms"].clone();
        // A cluster lists again what has changed a short while before.
        let expected = if world.is_cluster() { 2 } else { 1 };
        assert_eq!(rooms.as_array().unwrap().len(), expected, "{rooms}");
        assert_eq!(
            (&rooms[0]["room"], &rooms[0]["head"]),
            (&json!(other), &json!(changed.seq))
        );
    });
}

#[test]
fn before_hello_everything_is_unauthenticated() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut nobody = WsClient::dial(&node.address).await;
        for kind in [
            "ping",
            "subscribe",
            "publish",
            "history",
            "auth",
            "no_such_type",
        ] {
            let asked = json!({"type": kind, "room": "r1"});
            assert_eq!(nobody.refused(asked).await, "unauthenticated", "{kind}");
        }
        // None of it was an attack: the connection can still sign in, once.
        nobody.hello(&node.token("ann")).await;
        let again = json!({"type": "hello", "version": 1, "token": node.token("ann")});
        assert_eq!(nobody.refused(again).await, "bad_frame");
        nobody.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn a_bad_hello_is_explained_and_closed() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let good = Claims::of("ann");
        let expired = Claims {
            exp: good.exp - 7200,
            ..good.clone()
        };
        let cases = [
            (json!({"version": 1}), "unauthenticated", 4200),
            (
                json!({"version": 1, "token": "nonsense"}),
                "token_invalid",
                4401,
            ),
            (
                json!({"version": 1, "token": sign(&expired)}),
                "token_expired",
                4201,
            ),
            (
                json!({"version": 2, "token": sign(&good)}),
                "version_unsupported",
                4404,
            ),
        ];
        for (mut hello, name, close) in cases {
            hello["type"] = "hello".into();
            let mut client = WsClient::dial(&node.address).await;
            assert_eq!(client.refused(hello.clone()).await, name, "{hello}");
            assert_eq!(client.closed().await, close, "{hello}");
        }
    });
}

#[test]
fn a_token_may_come_with_the_upgrade() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut request = upgrade(&node.address);
        let bearer = format!("Bearer {}", node.token("ann"));
        request
            .headers_mut()
            .insert("Authorization", bearer.parse().unwrap());
        let mut ann = WsClient::dial_with(request).await.unwrap();
        ann.send(json!({"type": "hello", "version": 1})).await;
        let welcome = ann.expect("welcome").await;
        assert_eq!(welcome["user"], node.user("ann").await);

        let mut request = upgrade(&node.address);
        request
            .headers_mut()
            .insert("Authorization", "Bearer nonsense".parse().unwrap());
        let refused = WsClient::dial_with(request).await.err();
        assert!(
            matches!(&refused, Some(Error::Http(answer)) if answer.status() == 401),
            "{refused:?}"
        );
    });
}

#[test]
fn the_subprotocol_is_madang_v1_or_none() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut request = upgrade(&node.address);
        let offered = "madang.v1".parse().unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", offered);
        // The client library refuses an answer that does not take up the offer.
        let mut ann = WsClient::dial_with(request).await.unwrap();
        ann.hello(&node.token("ann")).await;
    });
}

#[test]
fn who_says_nothing_is_sent_away_after_ten_seconds() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut silent = WsClient::dial(&node.address).await;
        let closed = tokio::time::timeout(seconds(90), silent.closed()).await;
        assert_eq!(closed.expect("closed in time"), 4202);
    });
}

#[test]
fn a_token_is_renewed_on_a_living_connection() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let soon = Claims {
            exp: now_ms() / 1000 + 15,
            ..Claims::of("ann")
        };
        let mut ann = WsClient::connect(&node.address, &sign(&soon)).await;
        let bob = node.token("bob");
        assert_eq!(
            ann.refused(json!({"type": "auth", "token": bob})).await,
            "forbidden"
        );
        let renewal = json!({"type": "auth", "token": "nonsense"});
        assert_eq!(ann.refused(renewal).await, "token_invalid");
        ann.good(json!({"type": "auth", "token": node.token("ann")}))
            .await;
        // Past the first token's end, the connection still serves.
        wait_until(soon.exp + 2).await;
        ann.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn a_token_that_runs_out_closes_with_a_warning_before() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let soon = Claims {
            exp: now_ms() / 1000 + 12,
            ..Claims::of("ann")
        };
        let mut ann = WsClient::connect(&node.address, &sign(&soon)).await;
        let notice = ann.expect("account").await;
        assert_eq!(notice["kind"], "token_expiring", "{notice}");
        assert_eq!(ann.closed().await, 4201);
        assert!(now_ms() >= soon.exp * 1000, "closed before its time");
    });
}

/// The one thing here that only time brings.
async fn wait_until(unix_seconds: u64) {
    let left = (unix_seconds * 1000).saturating_sub(now_ms());
    tokio::time::sleep(std::time::Duration::from_millis(left)).await;
}

#[test]
fn requests_carry_the_clients_own_number() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut ann = node.connect("ann").await;
        for reference in [json!(0), json!(-5), json!("a-string"), json!("마당")] {
            ann.send(json!({"type": "ping", "ref": reference})).await;
            assert_eq!(ann.expect("pong").await["ref"], reference);
        }
        for reference in [
            json!("x".repeat(65)),
            json!(1.5),
            json!({}),
            json!([1]),
            json!(true),
        ] {
            ann.send(json!({"type": "ping", "ref": reference})).await;
            assert_eq!(
                ann.expect("error").await["name"],
                "bad_field",
                "{reference}"
            );
        }
        silent_without_a_number(&node, &mut ann).await;
    });
}

/// Without `ref` no `ok` is sent, errors still are.
async fn silent_without_a_number(node: &TestNode, ann: &mut WsClient) {
    let room = node.room("bob", &[]).await;
    ann.send(json!({"type": "join", "room": room})).await;
    ann.send(json!({"type": "join", "room": "no-such-room"}))
        .await;
    let error = ann.expect("error").await;
    assert_eq!(error["name"], "room_not_found");
    assert_eq!(error["room"], "no-such-room");
    let rest = ann.settled().await;
    assert!(rest.iter().all(|frame| frame["type"] != "ok"), "{rest:?}");
}
