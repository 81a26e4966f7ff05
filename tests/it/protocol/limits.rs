//! Whatever has a queue has a limit, and reaching it gives a clear answer.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::support::raw::{RawSocket, TEXT};
use crate::support::{Draft, Refusal, World, WsClient, on_every_backend};

#[test]
fn who_publishes_too_fast_is_told_when_to_go_on() {
    on_every_backend(async |mut world: World| {
        // So few that the slowest machine is faster.
        world.set("MADANG_LIMIT_PUBLISH_PER_SECOND", "1");
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        assert_eq!(ann.welcome["limits"]["publish_per_second"], 1);
        let refused = flood(&mut ann, &room).await;
        for refusal in &refused {
            assert_eq!(
                (refusal.name.as_str(), &refusal.frame["code"]),
                ("rate_limited", &json!(4001))
            );
            assert_eq!(refusal.frame["retry"], true);
            assert!(
                refusal.frame["retry_after_ms"]
                    .as_u64()
                    .is_some_and(|wait| wait > 0)
            );
        }
        // It was no attack: the connection goes on.
        ann.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn too_many_requests_at_once_are_refused() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_LIMIT_IN_FLIGHT", "4");
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        assert_eq!(ann.welcome["limits"]["in_flight"], 4);
        let refused = flood(&mut ann, &room).await;
        assert!(
            refused
                .iter()
                .all(|refusal| refusal.name == "too_many_in_flight"),
            "{refused:?}"
        );
        ann.publish(&room, "one at a time is fine").await;
    });
}

/// Publishes far more at once than any limit here allows; gives what was refused, which must be
/// some and not all.
async fn flood(ann: &mut WsClient, room: &str) -> Vec<Refusal> {
    const COUNT: usize = 200;
    let drafts = (0..COUNT).map(|number| Draft::new(room, &format!("flood {number}")).frame());
    let mut refused = Vec::new();
    for reference in ann.ask_at_once(drafts).await {
        refused.extend(ann.answer(reference).await.err());
    }
    assert!(
        !refused.is_empty() && refused.len() < COUNT,
        "{} refused",
        refused.len()
    );
    refused
}

#[test]
fn an_address_opens_only_so_many_connections() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_LIMIT_CONNECTIONS_PER_ADDRESS", "3");
        let node = world.start().await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(node.connect("ann").await);
        }
        refused_for_the_number(&node.address, &node.token("ann")).await;
        held.pop().unwrap().close().await;
        crate::support::eventually("a place is free", crate::support::seconds(5), async || {
            WsClient::try_connect(&node.address, &node.token("ann")).await
        })
        .await;
    });
}

#[test]
fn a_user_opens_only_so_many_connections() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_LIMIT_CONNECTIONS_PER_USER", "2");
        let node = world.start().await;
        let _held = (node.connect("ann").await, node.connect("ann").await);
        refused_for_the_number(&node.address, &node.token("ann")).await;
        node.connect("bob").await;
    });
}

/// Refused at the upgrade (429 or 503), or told so and closed with 4301.
async fn refused_for_the_number(address: &str, token: &str) {
    let mut client = match WsClient::dial_with(crate::support::upgrade(address)).await {
        Ok(client) => client,
        Err(Error::Http(answer)) => {
            assert!([429, 503].contains(&answer.status().as_u16()), "{answer:?}");
            assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
            return;
        }
        Err(other) => panic!("neither taken nor refused: {other}"),
    };
    client
        .send(json!({"type": "hello", "version": 1, "token": token}))
        .await;
    assert_eq!(client.closed().await, 4301);
    assert!(
        client
            .taken()
            .iter()
            .all(|frame| frame["type"] != "welcome")
    );
}

#[test]
fn large_snapshots_that_nobody_reads_are_refused_or_come_all_the_same() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        for _ in 0..36 {
            ann.publish(&room, &"x".repeat(29 * 1024)).await;
        }
        // All of them are there before the first can be answered.
        let mut asked = RawSocket::dial(&node.address).await;
        let token = node.token("ann");
        let hello = json!({"type": "hello", "version": 1, "token": token});
        asked.send(TEXT, hello.to_string().as_bytes()).await;
        let mut bytes = Vec::new();
        for reference in 1..=30 {
            let subscribe =
                json!({"type": "subscribe", "ref": reference, "room": room, "last": 200});
            let text = subscribe.to_string();
            assert!(text.len() < 126, "a short frame");
            bytes.extend([TEXT, 0x80 | text.len() as u8, 0, 0, 0, 0]);
            bytes.extend(text.as_bytes());
        }
        while read_json(&mut asked).await["type"] != "live" {}
        assert!(asked.send_bytes(&bytes).await);
        let (mut answered, mut refused) = (Vec::new(), 0);
        while answered.len() < 30 {
            let answer = read_json(&mut asked).await;
            match answer["type"].as_str() {
                Some("snapshot") => {}
                Some("error") => {
                    assert_eq!(answer["name"], "too_many_in_flight", "{answer}");
                    assert_eq!(answer["retry"], true, "{answer}");
                    refused += 1;
                }
                _ => continue,
            }
            answered.push(answer["ref"].as_u64().unwrap());
        }
        println!("{refused} of 30 were refused");
        answered.sort_unstable();
        assert_eq!(answered, (1..=30).collect::<Vec<_>>(), "each once");
        // It was no attack: the connection goes on, and listens.
        ann.publish(&room, "and now").await;
        while read_json(&mut asked).await["body"]["text"] != "and now" {}
    });
}

async fn read_json(socket: &mut RawSocket) -> Value {
    loop {
        let (first, payload) = socket.read().await.expect("it stays open");
        if first == TEXT {
            return serde_json::from_slice(&payload).expect("JSON");
        }
    }
}
