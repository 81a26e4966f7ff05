//! S5 for frames: what a person may do over the socket depends on who they are in the room.

use serde_json::{Value, json};

use crate::support::{Draft, TestNode, WsClient, on_every_backend};

/// Everybody who may speak.
const EVERYBODY: [&str; 5] = ["owner", "member", "outsider", "guest", "nobody"];
/// Every frame that is about a room.
const FRAMES: [&str; 9] = [
    "subscribe",
    "unsubscribe",
    "history",
    "members",
    "publish",
    "read",
    "typing",
    "join",
    "leave",
];

async fn connect(node: &TestNode, who: &str) -> WsClient {
    match who {
        "nobody" => WsClient::dial(&node.address).await,
        "guest" => {
            let pass = node
                .anonymous()
                .post("auth/guest", json!({"name": "Guest"}))
                .await
                .good();
            let token = pass["access_token"].as_str().expect("a token");
            WsClient::connect(&node.address, token).await
        }
        sub => node.connect(sub).await,
    }
}

fn frame(kind: &str, room: &str) -> Value {
    match kind {
        "publish" => Draft::new(room, "hi").frame(),
        "read" => json!({"type": kind, "room": room, "seq": 1}),
        "typing" => json!({"type": kind, "room": room, "active": true}),
        _ => json!({"type": kind, "room": room}),
    }
}

/// The policy, as `docs/PROTOCOL.md` has it.
fn wanted(who: &str, kind: &str, room_kind: &str) -> Option<&'static str> {
    match (who, kind) {
        ("nobody", _) => Some("unauthenticated"),
        ("owner", "publish") => None,
        ("member", "publish") => (room_kind == "broadcast").then_some("forbidden"),
        ("owner" | "member", _) => None,
        (_, _) if room_kind == "group" => Some("room_not_found"),
        ("guest", _) if room_kind == "broadcast" => Some("room_not_found"),
        // Leaving the stream of a room that one never entered is no crime.
        (_, "unsubscribe") => None,
        ("outsider" | "guest", "join") => None,
        (_, _) => Some("not_a_member"),
    }
}

#[test]
fn s5_every_frame_answers_everybody_as_the_policy_says() {
    on_every_backend(async |world| {
        let node = world.start().await;
        for room_kind in ["open", "broadcast", "group"] {
            for who in EVERYBODY {
                // A room of their own: joining and leaving change it.
                let room = json!({"name": "tea", "kind": room_kind});
                let room = node.empty_room("owner", room).await;
                let member = node.user("member").await;
                let path = format!("rooms/{room}/members/{member}");
                node.rest("owner").put(&path, json!({})).await.good();
                let mut person = connect(&node, who).await;
                person.rooms.entry(room.clone()).or_default();
                for kind in FRAMES {
                    let answer = person.request(frame(kind, &room)).await;
                    let name = answer.err().map(|refusal| refusal.name);
                    let wanted = wanted(who, kind, room_kind);
                    assert_eq!(name.as_deref(), wanted, "{kind} as {who} in {room_kind}");
                    if kind == "join" && wanted.is_none() && who != "owner" && who != "member" {
                        break;
                    }
                }
            }
        }
    });
}
