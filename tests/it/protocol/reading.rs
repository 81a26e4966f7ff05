//! History, positions, gaps, read marks and what is unread.

use serde_json::{Value, json};

use crate::support::{Draft, WsClient, on_every_backend};

/// Publishes so many messages, a hundred at a time; gives the place of the last.
async fn fill(ann: &mut WsClient, room: &str, count: usize) -> u64 {
    let mut head = 0;
    for hundred in 0..count.div_ceil(100) {
        let mut asked = Vec::new();
        for number in 100 * hundred..count.min(100 * hundred + 100) {
            let draft = Draft::new(room, &format!("message {number}"));
            asked.push((ann.ask(draft.frame()).await, draft));
        }
        for (reference, draft) in asked {
            let seq = match ann.answer(reference).await {
                Ok(ack) => ack["seq"].as_u64().expect("a place"),
                // "Not now", as it comes of a slow disk.
                Err(refusal) => {
                    assert_eq!(refusal.frame["retry"], true, "{}", refusal.frame);
                    draft.say(ann).await.seq
                }
            };
            head = head.max(seq);
        }
    }
    head
}

fn seqs(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("events");
    events
        .iter()
        .map(|event| event["seq"].as_u64().expect("a place"))
        .collect()
}

#[test]
fn history_gives_any_part_of_the_log() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let head = fill(&mut ann, &room, 300).await;
        let mut ask = async |fields: Value| {
            let mut frame = json!({"type": "history", "room": room});
            frame
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            let page = ann.good(frame).await;
            assert_eq!(page["type"], "batch");
            let events = seqs(&page);
            if let (Some(first), Some(last)) = (events.first(), events.last()) {
                assert_eq!((&page["from"], &page["to"]), (&json!(first), &json!(last)));
            }
            (events, page["more"].as_bool().unwrap())
        };
        let range = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
        assert_eq!(ask(json!({})).await, (range(head - 49, head), true));
        assert_eq!(
            ask(json!({"limit": 200})).await,
            (range(head - 199, head), true)
        );
        assert_eq!(
            ask(json!({"after": 0, "limit": 3})).await,
            (range(1, 3), true)
        );
        assert_eq!(
            ask(json!({"after": head - 2})).await,
            (range(head - 1, head), false)
        );
        assert_eq!(ask(json!({"after": head})).await, (vec![], false));
        assert_eq!(ask(json!({"before": 4})).await, (range(1, 3), false));
        assert_eq!(
            ask(json!({"before": 100, "limit": 5})).await,
            (range(95, 99), true)
        );
        assert_eq!(ask(json!({"before": 1})).await, (vec![], false));
        let (around, _) = ask(json!({"around": 150, "limit": 10})).await;
        assert!(
            around.len() <= 10 && around.contains(&149) && around.contains(&151),
            "{around:?}"
        );
    });
}

#[test]
fn a_position_goes_on_or_tells_what_is_missing() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let head = fill(&mut ann, &room, 300).await;
        let mut bob = node.connect("bob").await;
        let epoch = bob.subscribe(&room).await["epoch"].clone();

        // The client checks that each snapshot begins where it was asked to.
        for missing in [0, 1, 50, 200] {
            bob.rooms.get_mut(&room).unwrap().last = head - missing;
            let snapshot = bob.subscribe_on(&room).await.unwrap();
            assert_eq!(seqs(&snapshot).len() as u64, missing);
            assert_eq!(bob.view(&room).gaps, []);
        }
        bob.rooms.get_mut(&room).unwrap().last = head - 201;
        let snapshot = bob.subscribe_on(&room).await.unwrap();
        assert_eq!(seqs(&snapshot).len(), 200);
        let gap = bob.view(&room).gaps.last().unwrap();
        assert_eq!(
            (gap.from, gap.to, gap.reason.as_str()),
            (head - 200, head - 200, "window")
        );

        let at = |epoch: &Value, seq: u64| json!({"type": "subscribe", "room": room, "after": {"epoch": epoch, "seq": seq}});
        assert_eq!(bob.refused(at(&epoch, head + 1)).await, "bad_field");
        let mut cho = WsClient::connect(&node.address, &node.token("bob")).await;
        let reference = cho.ask(at(&json!("another-life"), 5)).await;
        let gap = cho.expect("gap").await;
        assert_eq!((&gap["from"], &gap["to"]), (&json!(1), &json!(head)));
        assert_eq!((&gap["reason"], &gap["epoch"]), (&json!("epoch"), &epoch));
        let snapshot = cho.answer(reference).await.unwrap();
        assert_eq!(
            (&snapshot["type"], &snapshot["epoch"]),
            (&json!("snapshot"), &epoch)
        );
    });
}

#[test]
fn resume_replays_every_room_or_says_why_not() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let names = ["near", "far", "other life", "left", "nowhere"];
        let mut rooms = Vec::new();
        for _ in names {
            rooms.push(node.room("ann", &["bob"]).await);
        }
        let mut ann = node.connect("ann").await;
        let mut bob = node.connect("bob").await;
        for room in &rooms {
            bob.subscribe(room).await;
        }
        let mut resume: Value = json!({});
        for room in &rooms {
            resume[room] = bob.view(room).position();
        }
        resume[&rooms[2]]["epoch"] = "another-life".into();
        resume["no-such-room"] = resume[&rooms[0]].clone();
        bob.good(json!({"type": "leave", "room": rooms[3]})).await;
        drop(bob);
        fill(&mut ann, &rooms[0], 450).await;
        fill(&mut ann, &rooms[1], 5000).await;

        let mut bob = WsClient::dial(&node.address).await;
        let token = node.token("bob");
        bob.send(json!({"type": "hello", "version": 1, "token": token, "resume": resume}))
            .await;
        let mut frames = Vec::new();
        loop {
            let frame = bob.find("anything", |_| true).await;
            let over = frame["type"] == "live" && frame.get("room").is_none();
            frames.push(frame);
            if over {
                break;
            }
        }
        assert_eq!(frames[0]["type"], "welcome");
        let about = |room: &str| -> Vec<&Value> {
            frames
                .iter()
                .filter(|frame| frame["room"] == room)
                .collect()
        };
        let near = about(&rooms[0]);
        let (live, batches) = near.split_last().unwrap();
        assert_eq!(live["type"], "live");
        let replayed: Vec<u64> = batches.iter().flat_map(|batch| seqs(batch)).collect();
        let start = resume[&rooms[0]]["seq"].as_u64().unwrap();
        assert_eq!(replayed, (start + 1..=start + 450).collect::<Vec<_>>());
        let more: Vec<_> = batches.iter().map(|batch| batch["more"] == true).collect();
        assert!(
            more.iter().rev().skip(1).all(|more| *more) && !more[more.len() - 1],
            "{more:?}"
        );

        let far = about(&rooms[1]);
        assert_eq!(
            (far.len(), &far[0]["type"]),
            (1, &json!("gap")),
            "too far: {:?}",
            far[0]
        );
        assert_eq!(far[0]["reason"], "window");
        let other = about(&rooms[2]);
        assert_eq!(
            (other.len(), &other[0]["reason"]),
            (1, &json!("epoch")),
            "{other:?}"
        );
        let left = about(&rooms[3]);
        assert_eq!(
            (left.len(), &left[0]["type"]),
            (1, &json!("error")),
            "{left:?}"
        );
        assert_eq!(left[0]["name"], "not_a_member");
        assert_eq!(about("no-such-room")[0]["name"], "room_not_found");
        let quiet = about(&rooms[4]);
        assert_eq!(quiet.len(), 2, "one empty batch and live: {quiet:?}");
        assert_eq!(quiet[0]["events"], json!([]));
    });
}

#[test]
fn unread_is_derived_from_marks_that_only_move_forward() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        fill(&mut ann, &room, 5).await;
        let mut bob = node.connect("bob").await;
        let joined = bob.good(json!({"type": "join", "room": room})).await;
        let join = joined["data"]["seq"].as_u64().unwrap();
        let rest = node.rest("bob");
        let unread = async || {
            let answer = rest.get(&format!("rooms/{room}/unread")).await.good();
            answer["unread"].as_u64().unwrap()
        };
        // A joiner's mark starts at the join.
        assert_eq!(unread().await, 0);
        let me = bob.subscribe(&room).await["me"].clone();
        assert_eq!((&me["read"], &me["unread"]), (&json!(join), &json!(0)));
        let head = fill(&mut ann, &room, 10).await;
        assert_eq!(unread().await, 10);
        // Own messages are not unread, and publishing moves no mark.
        bob.publish(&room, "mine").await;
        assert_eq!(unread().await, 10);
        let mut read = async |seq: u64| {
            bob.send(json!({"type": "read", "room": room, "seq": seq}))
                .await;
            bob.good(json!({"type": "ping"})).await;
            let me = bob.subscribe(&room).await["me"].clone();
            (me["read"].as_u64().unwrap(), me["unread"].as_u64().unwrap())
        };
        assert_eq!(read(head - 4).await, (head - 4, 4));
        assert_eq!(read(head - 8).await, (head - 4, 4), "marks never move back");
        assert_eq!(read(head).await, (head, 0));
        // Beyond the head means the head.
        assert_eq!(read(head + 1000).await, (head + 1, 0));
        assert_eq!(unread().await, 0);
        fill(&mut ann, &room, 1).await;
        assert_eq!(unread().await, 1);
    });
}

#[test]
fn the_mark_of_one_device_reaches_the_others() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &["bob"]).await;
        let mut ann = node.connect("ann").await;
        let (mut phone, mut laptop) = (node.connect("bob").await, node.connect("bob").await);
        ann.subscribe(&room).await;
        let head = fill(&mut ann, &room, 3).await;
        phone
            .send(json!({"type": "read", "room": room, "seq": head}))
            .await;
        let notice = laptop
            .find("read", |frame| {
                frame["type"] == "account" && frame["kind"] == "read"
            })
            .await;
        assert_eq!(notice["data"]["room"], room, "{notice}");
        assert_eq!(notice["data"]["read"], head, "{notice}");
        let receipt = ann
            .find("receipt", |frame| {
                frame["type"] == "receipt" && frame["user"] == phone.user
            })
            .await;
        assert_eq!(
            (&receipt["type"], &receipt["read"]),
            (&json!("receipt"), &json!(head))
        );
    });
}
