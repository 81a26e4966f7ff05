//! What is not a frame, and what is too much of one.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::raw::{PING, RawSocket, TEXT, TEXT_BEGINS, TEXT_ENDS, TEXT_GOES_ON};
use crate::support::{WsClient, on_every_backend, seconds};

#[test]
fn what_is_not_a_frame_is_refused_and_the_connection_lives() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut ann = node.connect("ann").await;
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let cases = [
            "".to_owned(),
            "hello".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            "{".to_owned(),
            "{}".to_owned(),
            r#"{"type":"ping"} trailing"#.to_owned(),
            r#"{"type":"ping","ref":1e400}"#.to_owned(),
            r#"{"type":"\ud800"}"#.to_owned(),
            format!(r#"{{"type":"ping","data":{deep}}}"#),
        ];
        for text in cases {
            ann.send_raw(Message::text(text.clone())).await;
            let error = ann.expect("error").await;
            let shown: String = text.chars().take(40).collect();
            assert_eq!(
                (&error["name"], &error["code"]),
                (&json!("bad_frame"), &json!(1001)),
                "{shown}"
            );
            assert_eq!(error["retry"], false);
        }
        ann.send_raw(Message::binary(&b"{\"type\":\"ping\"}"[..]))
            .await;
        assert_eq!(ann.expect("error").await["name"], "bad_frame");
        ann.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn types_that_are_not_known_are_refused() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut ann = node.connect("ann").await;
        let later = ["edit", "delete", "react", "pin", "moderate", "call"];
        for kind in later
            .into_iter()
            .chain(["Ping", "welcome", "event", "no_such_type"])
        {
            assert_eq!(
                ann.refused(json!({"type": kind})).await,
                "unknown_type",
                "{kind}"
            );
        }
    });
}

#[test]
fn fields_of_the_wrong_shape_are_named() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let cases = [
            json!({"type": "subscribe"}),
            json!({"type": "subscribe", "room": 5}),
            json!({"type": "subscribe", "room": room, "last": 201}),
            json!({"type": "subscribe", "room": room, "last": -1}),
            json!({"type": "subscribe", "room": room, "after": 5}),
            json!({"type": "subscribe", "room": room, "after": {"epoch": "x"}}),
            json!({"type": "subscribe", "room": room, "after": {"epoch": "x", "seq": 1e30}}),
            json!({"type": "history", "room": room, "limit": 201}),
            json!({"type": "history", "room": room, "limit": 0}),
            json!({"type": "history", "room": room, "before": 1, "after": 1}),
            json!({"type": "history", "room": room, "before": -1}),
            json!({"type": "history", "room": room, "before": "1"}),
            json!({"type": "members", "room": room, "cursor": 7}),
            json!({"type": "read", "room": room}),
            json!({"type": "read", "room": room, "seq": -1}),
            json!({"type": "read", "room": room, "seq": 1e30}),
            json!({"type": "typing", "room": room, "active": "yes"}),
            json!({"type": "status", "status": "asleep"}),
            json!({"type": "focus"}),
            json!({"type": "auth"}),
        ];
        for frame in cases {
            let error = ann.request(frame.clone()).await.err();
            let error = error.unwrap_or_else(|| panic!("not refused: {frame}"));
            assert_eq!(error.name, "bad_field", "{frame}");
            assert!(
                error.frame["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
        }
        ann.good(json!({"type": "ping"})).await;
    });
}

#[test]
fn a_frame_too_large_ends_the_connection() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut ann = node.connect("ann").await;
        let empty = json!({"type": "ping", "ref": 1, "pad": ""}).to_string();
        let pad = |bytes: usize| " ".repeat(bytes - empty.len());
        // White space around it counts, and 64 KiB are allowed.
        ann.send_raw(Message::text(format!(
            r#"{{"type":"ping","ref":"fits"}}{}"#,
            pad(65_000)
        )))
        .await;
        assert_eq!(ann.expect("pong").await["ref"], "fits");
        ann.send_raw(Message::text("x".repeat(64 * 1024 + 1))).await;
        assert_eq!(ann.expect("error").await["name"], "frame_too_large");
        assert_eq!(ann.closed().await, 4400);
    });
}

#[test]
fn fragments_are_put_together_within_the_limit() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut socket = RawSocket::dial(&node.address).await;
        let token = node.token("ann");
        let hello = json!({"type": "hello", "version": 1, "token": token}).to_string();
        let (head, tail) = hello.as_bytes().split_at(10);
        socket.send(TEXT_BEGINS, head).await;
        // Control frames may come between the parts of a message.
        socket.send(PING, b"between").await;
        socket.send(TEXT_GOES_ON, b"").await;
        socket.send(TEXT_ENDS, tail).await;
        let welcome = loop {
            let (first, payload) = socket.read().await.expect("a welcome");
            if first == TEXT {
                break String::from_utf8(payload).unwrap();
            }
        };
        assert!(welcome.contains(r#""type":"welcome""#), "{welcome}");

        let mut ended = !socket.send(TEXT_BEGINS, &[b' '; 1000]).await;
        for _ in 0..100 {
            ended = ended || !socket.send(TEXT_GOES_ON, &[b' '; 1000]).await;
        }
        let (texts, code) = socket.farewell().await;
        assert!(
            texts.iter().any(|text| text.contains("frame_too_large")),
            "{texts:?}"
        );
        assert_eq!(code, Some(4400));
    });
}

#[test]
fn broken_bytes_close_with_the_standards_codes() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut bad_text = RawSocket::dial(&node.address).await;
        bad_text.send(TEXT, &[b'"', 0xff, 0xfe, b'"']).await;
        assert_eq!(bad_text.farewell().await.1, Some(1007));

        // Bad only when the parts are put together: half a letter at the end.
        let mut half = RawSocket::dial(&node.address).await;
        half.send(TEXT_BEGINS, b"{").await;
        half.send(TEXT_ENDS, &[0xeb, 0xa7]).await;
        assert_eq!(half.farewell().await.1, Some(1007));

        // An unmasked frame, a kind that does not exist, and a part without a beginning.
        for bytes in [
            &[0x81, 0x02, b'{', b'}'][..],
            &[0x83, 0x80, 0, 0, 0, 0],
            &[0x80, 0x80, 0, 0, 0, 0],
        ] {
            let mut broken = RawSocket::dial(&node.address).await;
            broken.send_bytes(bytes).await;
            assert_eq!(broken.farewell().await.1, Some(1002), "{bytes:?}");
        }
        node.connect("ann").await;
    });
}

#[test]
fn a_flood_of_pings_hurts_nobody() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let mut loud = RawSocket::dial(&node.address).await;
        let before = node.memory();
        // Nobody reads the pongs: what they cost must be bounded, or the socket goes.
        for _ in 0..20_000 {
            let sent = tokio::time::timeout(seconds(1), loud.send(PING, &[0; 125])).await;
            if sent != Ok(true) {
                break;
            }
        }
        let mut ann: WsClient = node.connect("ann").await;
        ann.good(json!({"type": "ping"})).await;
        let grown = node.memory().saturating_sub(before);
        assert!(
            grown < 8 * 1024 * 1024,
            "{grown} bytes for one connection's pings"
        );
    });
}
