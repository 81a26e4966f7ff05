//! Who is silent for two heartbeats is gone; who floods is sent away.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::raw::{CLOSE, PING, RawSocket, TEXT};
use crate::support::{Backend, World, WsClient, in_a_runtime, on_every_backend};

#[test]
fn silence_ends_a_connection_and_a_sign_of_life_keeps_it() {
    in_a_runtime(async || {
        let node = World::new(Backend::Sqlite).await.start().await;
        let hello = json!({"type": "hello", "version": 1, "token": node.token("ann")});
        let mut silent = RawSocket::dial(&node.address).await;
        silent.send(TEXT, hello.to_string().as_bytes()).await;
        // The client library answers every ping while somebody reads.
        let mut alive = node.connect("bob").await;
        let ended = async {
            let mut pings = 0;
            while let Some((first, payload)) = silent.read().await {
                pings += u32::from(first == PING);
                if first == CLOSE {
                    return (pings, u16::from_be_bytes([payload[0], payload[1]]));
                }
            }
            panic!("ended without a farewell");
        };
        let (pings, code) = tokio::select! {
            ended = ended => ended,
            code = alive.closed() => panic!("the one that answers was closed: {code}"),
        };
        assert_eq!(code, 4009);
        assert!(pings >= 1, "closed without a ping before");
        alive.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn a_flood_over_the_limits_is_abuse() {
    on_every_backend(async |mut world| {
        // So few that the slowest machine is faster.
        world.set("MADANG_LIMIT_FRAMES_PER_SECOND", "10");
        let node = world.start().await;
        let mut flood = node.connect("ann").await;
        let mut ended = false;
        for _ in 0..100 {
            for _ in 0..400 {
                flood.ask(json!({"type": "ping"})).await;
            }
            for _ in 0..400 {
                ended = ended || flood.read().await.is_none();
            }
            let answers = flood.taken();
            let mut errors = answers.iter().filter(|frame| frame["type"] == "error");
            assert!(
                errors.all(|error| error["name"] == "rate_limited"),
                "{answers:?}"
            );
            if ended {
                break;
            }
        }
        assert_eq!(flood.closed().await, 4409);
        // The person is not locked out, only the flood is over.
        WsClient::connect(&node.address, &node.token("ann")).await;
    });
}

#[test]
fn a_flood_of_what_is_no_frame_is_abuse() {
    on_every_backend(async |mut world| {
        world.set("MADANG_LIMIT_FRAMES_PER_SECOND", "1");
        let node = world.start().await;
        let mut flood = node.connect("ann").await;
        let mut ended = false;
        // Ten thousand are answered; nobody reads a hundred thousand.
        for _ in 0..200 {
            for _ in 0..250 {
                flood.send_raw(Message::binary(&b"no frame"[..])).await;
                flood.send_raw(Message::text("nor this")).await;
            }
            for _ in 0..500 {
                ended = ended || flood.read().await.is_none();
            }
            let answers = flood.taken();
            let mut errors = answers.iter().filter(|frame| frame["type"] == "error");
            assert!(
                errors.all(|error| error["name"] == "bad_frame"),
                "{answers:?}"
            );
            if ended {
                break;
            }
        }
        assert_eq!(flood.closed().await, 4409);
    });
}
