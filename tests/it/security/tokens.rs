//! S6, S7: tokens that are not ours, and refresh tokens that are used twice.

use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{Answer, Rest, SECRET, TestNode, WsClient, now_ms, on_every_backend};

/// `{"alg":"none"}`, `{"alg":"None","typ":"JWT"}`
const UNSIGNED: [&str; 2] = ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0"];

fn signed(header: Header, key: &str, claims: &Value) -> String {
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

/// Every way in refuses this token.
async fn refused_everywhere(node: &TestNode, what: &str, token: &str) {
    let rest = Rest::new(&node.url(), Some(token.to_owned()));
    let answer = rest.get("me").await;
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    assert!(
        ["token_invalid", "token_expired"].contains(&answer.refusal()),
        "{what}"
    );
    let challenge = answer.headers.get("www-authenticate");
    assert!(challenge.is_some(), "{what}: 401 says how to sign in");
    let mut client = WsClient::dial(&node.address).await;
    let hello = json!({"type": "hello", "version": 1, "token": token});
    let name = client.refused(hello).await;
    assert!(
        ["token_invalid", "token_expired"].contains(&name.as_str()),
        "{what}: {name}"
    );
    let code = client.closed().await;
    assert!([4401, 4201].contains(&code), "{what}: {code}");
}

fn hs256() -> Header {
    Header::new(Algorithm::HS256)
}

/// Claims that open the door, with these changes; `null` takes a claim away.
fn claims_with(change: Value) -> Value {
    let now = now_ms() / 1000;
    let mut claims = json!({"sub": "ann", "exp": now + 3600, "iat": now});
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

async fn accepted(node: &TestNode, claims: &Value) {
    let token = signed(hs256(), SECRET, claims);
    Rest::new(&node.url(), Some(token)).get("me").await.good();
}

#[test]
fn s6_a_token_that_we_did_not_sign_opens_nothing() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let good = claims_with(json!({}));
        accepted(&node, &good).await;
        let token = signed(hs256(), SECRET, &good);
        let (_, rest) = token.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        for header in UNSIGNED {
            let bare = format!("{header}.{claims}.");
            refused_everywhere(&node, "alg none", &bare).await;
            refused_everywhere(&node, "alg none, signed", &format!("{bare}{signature}")).await;
        }
        let cut = token.strip_suffix(signature).unwrap();
        refused_everywhere(&node, "signature cut off", cut).await;
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let other = signed(Header::new(algorithm), SECRET, &good);
            refused_everywhere(&node, "another algorithm", &other).await;
        }
        let other_key = signed(hs256(), "another-key-0123456789abcdef-0123456789", &good);
        refused_everywhere(&node, "another key", &other_key).await;
        let tricks = Header {
            kid: Some("../../../../dev/null".into()),
            jku: Some("http://127.0.0.1:1/keys".into()),
            ..hs256()
        };
        refused_everywhere(&node, "kid tricks", &signed(tricks, "", &good)).await;
        for text in ["let me in", "..", &"a".repeat(9000)] {
            refused_everywhere(&node, "no token at all", text).await;
        }
    });
}

#[test]
fn s6_a_token_meant_for_something_else_opens_nothing() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let now = now_ms() / 1000;
        accepted(
            &node,
            &claims_with(json!({"aud": "madang", "typ": "access"})),
        )
        .await;
        let changes = [
            ("no exp", json!({"exp": null})),
            ("exp as text", json!({"exp": (now + 3600).to_string()})),
            ("exp as a fraction", json!({"exp": now as f64 + 3600.5})),
            ("exp passed", json!({"exp": now - 1})),
            ("exp negative", json!({"exp": -1})),
            ("exp beyond time", json!({"exp": 1e300})),
            ("not yet", json!({"nbf": now + 1800})),
            ("another audience", json!({"aud": "someone-else"})),
            ("other audiences", json!({"aud": ["a", "b"]})),
            ("a refresh token", json!({"typ": "refresh"})),
            ("no sub", json!({"sub": null})),
            ("an empty sub", json!({"sub": ""})),
            ("sub as a number", json!({"sub": 7})),
            ("8 KB", json!({"padding": "x".repeat(8192)})),
        ];
        for (what, change) in changes {
            let token = signed(hs256(), SECRET, &claims_with(change));
            refused_everywhere(&node, what, &token).await;
        }
    });
}

#[test]
fn without_auto_provisioning_a_stranger_stays_one() {
    on_every_backend(async |mut world| {
        world.set("MADANG_AUTO_PROVISION", "false");
        let node = world.start().await;
        let answer = node.rest("ann").get("me").await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let mut client = WsClient::dial(&node.address).await;
        let hello = json!({"type": "hello", "version": 1, "token": node.token("ann")});
        client.refused(hello).await;
        let code = client.closed().await;
        assert!([4401, 4403].contains(&code), "{code}");
    });
}

async fn refresh(node: &TestNode, token: &Value) -> Answer {
    node.anonymous()
        .post("auth/refresh", json!({"refresh_token": token}))
        .await
}

#[test]
fn s7_a_refresh_token_used_twice_ends_its_family() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let first = node
            .anonymous()
            .post("auth/sign-up", person.clone())
            .await
            .good();
        let other_device = node.anonymous().post("auth/sign-in", person).await.good();
        let second = refresh(&node, &first["refresh_token"]).await.good();
        assert_ne!(first["refresh_token"], second["refresh_token"]);
        let third = refresh(&node, &second["refresh_token"]).await.good();
        // A thief, or the owner after the thief: nobody can tell, so all of it ends.
        let reused = refresh(&node, &first["refresh_token"]).await;
        assert_eq!(reused.status, 401, "{reused:?}");
        assert_eq!(refresh(&node, &third["refresh_token"]).await.status, 401);
        // Another sign-in is another family.
        refresh(&node, &other_device["refresh_token"]).await.good();
    });
}

#[test]
fn s7_a_race_has_one_winner() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        let first = node.anonymous().post("auth/sign-up", person).await.good();
        let token = &first["refresh_token"];
        let answers = join_all((0..12).map(|_| refresh(&node, token))).await;
        let winners: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let losers = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(losers, 11, "{answers:?}");
    });
}
