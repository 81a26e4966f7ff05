//! S1, S2, S11: foreign pages, tokens in the wrong place, what the pages may load.

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::support::{TestNode, World, WsClient, answer, on_every_backend, upgrade};

const FRIEND: &str = "https://chat.example.org";

#[test]
fn s1_a_foreign_page_is_refused_before_the_upgrade() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_ALLOWED_ORIGINS", FRIEND);
        let node = world.start().await;
        let own = node.url();
        for origin in [own.as_str(), FRIEND] {
            let mut client = dial_from(&node, origin)
                .await
                .expect("its own and its friends");
            client.send(json!({"type": "hello", "version": 1})).await;
            client.expect("welcome").await;
        }
        let foreign = [
            "null",
            "https://evil.example",
            "http://chat.example.org",
            "https://chat.example.org.evil.example",
            "https://chat.example.org:8443",
            "https://sub.chat.example.org",
            "https://chat.example.org/",
            "http://localhost",
            "file://",
            "",
            &format!("{own}.evil.example"),
            &format!("{own}0"),
        ];
        for origin in foreign {
            match dial_from(&node, origin).await {
                Err(Error::Http(answer)) => assert_eq!(answer.status(), 403, "{origin:?}"),
                Err(other) => panic!("{origin:?}: {other}"),
                Ok(_) => panic!("{origin:?} was let in with a valid token"),
            }
        }
    });
}

async fn dial_from(node: &TestNode, origin: &str) -> Result<WsClient, Error> {
    let mut request = upgrade(&node.address);
    let headers = request.headers_mut();
    headers.insert("Origin", origin.parse().unwrap());
    headers.insert(
        "Authorization",
        format!("Bearer {}", node.token("ann")).parse().unwrap(),
    );
    WsClient::dial_with(request).await
}

#[test]
fn s1_only_friends_may_read_answers_and_nobody_gets_a_cookie() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_ALLOWED_ORIGINS", FRIEND);
        let node = world.start().await;
        let rest = node.rest("ann");
        for (origin, allowed) in [
            (FRIEND, true),
            ("https://evil.example", false),
            ("null", false),
        ] {
            for method in ["GET", "OPTIONS"] {
                let request = rest
                    .request(method, "me")
                    .header("Origin", origin)
                    .header("Access-Control-Request-Method", "GET")
                    .header("Access-Control-Request-Headers", "authorization");
                let answer = answer(request).await.unwrap();
                let echoed = answer.headers.get("access-control-allow-origin");
                let echoed = echoed.and_then(|value| value.to_str().ok());
                assert_eq!(echoed, allowed.then_some(origin), "{method} {origin}");
                assert!(
                    !answer
                        .headers
                        .contains_key("access-control-allow-credentials")
                );
                assert!(
                    !answer.headers.contains_key("set-cookie"),
                    "{method} {origin}"
                );
            }
        }
        let person = json!({"username": "carol", "password": "correct horse"});
        let answer = node.anonymous().post("auth/sign-up", person).await;
        assert!(!answer.headers.contains_key("set-cookie"));
        answer.good();
    });
}

#[test]
fn s2_a_token_in_the_address_is_not_a_token() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let token = node.token("ann");
        for name in ["token", "access_token", "jwt", "authorization"] {
            let answer = node.anonymous().get(&format!("me?{name}={token}")).await;
            assert_eq!(
                (answer.status, answer.refusal()),
                (401, "unauthenticated"),
                "{name}"
            );
            let url = format!("ws://{}/v1/ws?{name}={token}", node.address);
            let request =
                tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url);
            let Ok(mut client) = WsClient::dial_with(request.unwrap()).await else {
                continue;
            };
            let hello = json!({"type": "hello", "version": 1});
            assert_eq!(client.refused(hello).await, "unauthenticated", "{name}");
            assert_eq!(client.closed().await, 4200);
        }
        assert!(!node.log().contains(&token), "a token stands in the log");
    });
}

#[test]
fn s2_the_log_keeps_secrets() {
    on_every_backend(async |mut world: World| {
        world.set("RUST_LOG", "debug");
        let node = world.start().await;
        let password = "correct horse battery staple";
        let said = "what was said in the room";
        let person = json!({"username": "carol", "password": password});
        let signed_up = node
            .anonymous()
            .post("auth/sign-up", person.clone())
            .await
            .good();
        let mut wrong = person;
        wrong["password"] = "wrong horse battery staple".into();
        node.anonymous().post("auth/sign-in", wrong).await;
        let refresh = signed_up["refresh_token"].as_str().unwrap().to_owned();
        let renewed = json!({"refresh_token": refresh});
        node.anonymous().post("auth/refresh", renewed).await.good();
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        ann.publish(&room, said).await;
        let path = format!("rooms/{room}/messages");
        node.rest("ann")
            .post(&path, json!({"body": {"text": said}}))
            .await
            .good();
        ann.refused(json!({"type": "auth", "token": "not.a.token-at-all"}))
            .await;
        node.rest("ann")
            .get(&format!("rooms/{room}/messages?q={said}"))
            .await;
        let log = node.log();
        let access = signed_up["access_token"].as_str().unwrap();
        for secret in [
            password,
            "wrong horse",
            said,
            &refresh,
            access,
            "not.a.token-at-all",
        ] {
            assert!(!log.contains(secret), "{secret:?} stands in the log");
        }
        assert!(
            !log.contains(crate::support::SECRET),
            "the key stands in the log"
        );
    });
}

#[test]
fn s11_pages_load_nothing_but_themselves() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let client = reqwest::Client::new();
        for page in ["", "docs/", "docs"] {
            let answer = client
                .get(format!("{}/{page}", node.url()))
                .send()
                .await
                .unwrap();
            assert!(answer.status().is_success(), "/{page}: {}", answer.status());
            let header = |name: &str| {
                let value = answer
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok());
                value
                    .unwrap_or_else(|| panic!("/{page} has no {name}"))
                    .to_owned()
            };
            assert_eq!(header("x-content-type-options"), "nosniff");
            let policy = header("content-security-policy");
            assert!(policy.contains("default-src"), "/{page}: {policy}");
            if page.is_empty() {
                assert!(!policy.contains("unsafe"), "/{page}: {policy}");
                assert!(!policy.contains('*'), "/{page}: {policy}");
            }
        }
    });
}
