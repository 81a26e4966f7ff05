//! Any language, any sign: stored and shown as sent, or refused with the right error.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{WsClient, new_client_id, on_every_backend, read_log};

/// Texts that something between two people likes to break.
fn texts() -> Vec<String> {
    let given = [
        "마당에서 만나요. ㅋㅋㅋ ㅠㅠ",
        // The same syllable as one letter and as three: neither may become the other.
        "\u{ac01} \u{1100}\u{1161}\u{11a8}",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇰🇷 1️⃣ ❤️",
        "שלום עולם — مرحبا بالعالم \u{202e}abc\u{202c}",
        "e\u{301} é Å \u{212b}",
        "\u{feff}mark \u{200b}nothing\u{200d} joined \u{2028}line\u{2029}",
        "tab\tnew\nline\r\nend \u{1}\u{7f}\u{85}",
        r#""quoted" \back\slash \u0041 \ud83d </script><b>&amp;"#,
        "'; DROP TABLE events; -- $1 %s {} {{}}",
        "\u{10ffff}\u{fffd}\u{fffe}\u{e000}𝕳𠮷",
        " leading and trailing ",
        "long: ",
    ];
    let mut texts: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
    // 32 KiB in letters of three bytes, and of four.
    texts.push("마".repeat(32 * 1024 / 3));
    texts.push("👍".repeat(32 * 1024 / 4));
    texts
}

#[test]
fn what_is_said_is_kept_and_shown_as_it_was_said() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let (mut ann, mut bob) = (node.connect("ann").await, node.connect("bob").await);
        bob.subscribe(&room).await;
        let rest = node.rest("ann");
        let mut places = Vec::new();
        for text in texts() {
            places.push((ann.publish(&room, &text).await.seq, text.clone()));
            let sent = rest
                .post(
                    &format!("rooms/{room}/messages"),
                    json!({"body": {"text": text}}),
                )
                .await
                .good();
            places.push((sent["seq"].as_u64().unwrap(), text));
        }
        bob.catch_up(&room, places.last().unwrap().0).await;
        let log = read_log(&node.rest("bob"), &room).await;
        for (seq, text) in &places {
            assert_eq!(bob.view(&room).log[seq].text(), text);
            assert_eq!(log[*seq as usize - 1].text(), text);
        }
        let page = rest
            .get(&format!("rooms/{room}/messages?limit=200"))
            .await
            .good();
        let shown = page["events"].as_array().unwrap();
        let shown: Vec<_> = shown
            .iter()
            .map(|event| event["body"]["text"].as_str().unwrap())
            .collect();
        let said: Vec<_> = places.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(shown, said);
    });
}

#[test]
fn names_take_any_language_too() {
    on_every_backend(async |world| {
        let node = world.start().await;
        for name in [
            "앞마당 🏡",
            "שלום",
            "'; --",
            "<img src=x onerror=alert(1)>",
            "👨‍👩‍👧‍👦",
        ] {
            let room = json!({"name": name, "kind": "open"});
            let room = node.empty_room("ann", room).await;
            let shown = node.rest("ann").get(&format!("rooms/{room}")).await.good();
            assert_eq!(shown["name"], name);
            assert_eq!(
                node.connect("ann").await.subscribe(&room).await["info"]["name"],
                name
            );
            let renamed = node
                .rest("ann")
                .patch("me", json!({"name": name}))
                .await
                .good();
            assert_eq!(renamed["name"], name);
        }
    });
}

#[test]
fn nul_and_halves_of_letters_are_refused() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        for text in ["\0", "a\0b", "end\0"] {
            let asked = json!({
                "type": "publish", "room": room, "client_id": new_client_id(),
                "body": {"text": text},
            });
            assert_eq!(ann.refused(asked).await, "bad_field", "{text:?}");
            let path = format!("rooms/{room}/messages");
            let answer = node
                .rest("ann")
                .post(&path, json!({"body": {"text": text}}))
                .await;
            assert_eq!((answer.status, answer.refusal()), (422, "bad_field"));
            for name in ["name", "topic"] {
                let mut asked = json!({"name": "tea", "kind": "open"});
                asked[name] = text.into();
                assert_eq!(
                    node.rest("ann").post("rooms", asked).await.status,
                    422,
                    "{name}"
                );
            }
        }
        // Half of a surrogate pair is no letter: JSON can spell it, UTF-8 cannot.
        for half in [r"\ud800", r"\udc00", r"\ude00\ud83d", r"x\ud83dx"] {
            let id = new_client_id();
            let text = format!(
                r#"{{"type":"publish","ref":"h","room":"{room}","client_id":"{id}","body":{{"text":"{half}"}}}}"#
            );
            ann.send_raw(Message::text(text)).await;
            let name = ann.expect("error").await["name"].clone();
            assert!(name == "bad_frame" || name == "bad_field", "{half}: {name}");
        }
        // Nothing of it is in the log: only the room and its owner are.
        assert_eq!(read_log(&node.rest("ann"), &room).await.len(), 2);
    });
}

#[test]
fn sixty_four_kilobytes_are_too_much_over_every_way_in() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let large = "x".repeat(64 * 1024);
        let body = json!({"body": {"text": large}});
        let answer = node
            .rest("ann")
            .post(&format!("rooms/{room}/messages"), body)
            .await;
        assert_eq!((answer.status, answer.refusal()), (413, "frame_too_large"));
        let middle = json!({"body": {"text": "x".repeat(32 * 1024 + 1)}});
        let answer = node
            .rest("ann")
            .post(&format!("rooms/{room}/messages"), middle)
            .await;
        assert_eq!((answer.status, answer.refusal()), (422, "bad_field"));
        let mut ann: WsClient = node.connect("ann").await;
        let asked = json!({
            "type": "publish", "ref": 1, "room": room, "client_id": new_client_id(),
            "body": {"text": large},
        });
        ann.send(asked).await;
        assert_eq!(ann.expect("error").await["name"], "frame_too_large");
        assert_eq!(ann.closed().await, 4400);
    });
}
