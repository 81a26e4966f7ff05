//! Two nodes, one chat: what happens on one is so on the other.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Cluster, Setup, TestNode, eventually, in_a_runtime, new_client_id, seconds};

const SEED: u64 = 5;

#[test]
fn who_has_joined_on_one_node_is_a_member_on_the_other_at_once() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, SEED).await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let room = here.room("ann", &[]).await;
        // The room is loaded there, and knows bob as a stranger.
        let mut ann = there.connect("ann").await;
        ann.subscribe(&room).await;
        for round in 0..20 {
            let bob = format!("bob{round}");
            let (bob_here, bob_there) = (here.rest(&bob), there.rest(&bob));
            let join = format!("rooms/{room}/join");
            bob_here.post(&join, json!({})).await.good();
            let posted = json!({"body": {"text": "hello"}, "client_id": new_client_id()});
            let messages = format!("rooms/{room}/messages");
            let posted = bob_there.post(&messages, posted).await.good();
            let seq = posted["seq"].as_u64().unwrap();
            let page = here
                .rest(&bob)
                .get(&format!("rooms/{room}/messages?limit=1"))
                .await
                .good();
            assert_eq!(
                page["events"][0]["seq"], seq,
                "what one writes, one reads: {page}"
            );
            let left = there
                .rest(&bob)
                .post(&format!("rooms/{room}/leave"), json!({}))
                .await;
            assert_eq!(left.status, 204, "{left:?}");
            let refused = here.rest(&bob).get(&format!("rooms/{room}/messages")).await;
            assert_eq!(refused.body["name"], "not_a_member", "{refused:?}");
        }
    });
}

#[test]
fn what_passes_in_a_room_is_seen_on_every_node() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, SEED).await;
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        let mut bob = cluster.nodes[1].connect("bob").await;
        for client in [&mut ann, &mut bob] {
            client.subscribe(&room).await;
            client
                .send(json!({"type": "focus", "active": true, "room": room}))
                .await;
        }
        bob.send(json!({"type": "typing", "room": room, "active": true}))
            .await;
        let typing = ann.expect("typing").await;
        assert_eq!(
            (&typing["user"], &typing["active"]),
            (&json!(bob.user), &json!(true))
        );

        let sent = ann.publish(&room, "read this").await;
        bob.catch_up(&room, sent.seq).await;
        bob.send(json!({"type": "read", "room": room, "seq": sent.seq}))
            .await;
        let receipt = ann
            .find("bob's receipt", |frame| {
                frame["type"] == "receipt" && frame["user"] == bob.user && frame["read"] == sent.seq
            })
            .await;
        assert_eq!(receipt["room"], room);
    });
}

#[test]
fn a_person_is_one_on_all_nodes() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, SEED).await;
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut phone = cluster.nodes[0].connect("bob").await;
        let mut laptop = cluster.nodes[1].connect("bob").await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        eventually("it is known where he is", seconds(10), async || {
            let elsewhere = cluster.nodes[0].metric("madang_people_elsewhere").await;
            (elsewhere == 1.0).then_some(())
        })
        .await;

        // A room that nobody looks at shows in the inbox of each device.
        let sent = ann.publish(&room, "psst").await;
        for device in [&mut phone, &mut laptop] {
            let inbox = device
                .find("inbox", |frame| frame["head"] == sent.seq)
                .await;
            assert_eq!(inbox["unread"], 1, "{inbox}");
        }
        // Read on one, read on the other.
        phone
            .send(json!({"type": "read", "room": room, "seq": sent.seq}))
            .await;
        let read = laptop
            .find("the mark", |frame| {
                frame["type"] == "account" && frame["kind"] == "read"
            })
            .await;
        assert_eq!(
            (&read["data"]["room"], &read["data"]["unread"]),
            (&json!(room), &json!(0))
        );
        // A new name, and a room that somebody adds them to, reach both.
        let bob = cluster.nodes[0].rest("bob");
        bob.patch("me", json!({"name": "Robert"})).await.good();
        for device in [&mut phone, &mut laptop] {
            device
                .find("the new name", |frame| {
                    frame["kind"] == "profile" && frame["data"]["name"] == "Robert"
                })
                .await;
        }
        let group = json!({"name": "garden", "kind": "group"});
        let garden = cluster.nodes[0].empty_room("ann", group).await;
        let path = format!("rooms/{garden}/members/{}", phone.user);
        cluster.nodes[1].rest("ann").put(&path, json!({})).await;
        for device in [&mut phone, &mut laptop] {
            let invited = device
                .find("the invitation", |frame| frame["kind"] == "invited")
                .await;
            assert_eq!(invited["data"]["room"], garden);
        }
        let hello = ann.publish(&garden, "welcome").await;
        let inbox = laptop
            .find("inbox", |frame| frame["head"] == hello.seq)
            .await;
        assert_eq!(inbox["room"], garden);
        // And out of it again: nothing follows.
        let removed = cluster.nodes[0].rest("ann").delete(&path).await;
        assert_eq!(removed.status, 204, "{removed:?}");
        let late = ann.publish(&garden, "is he gone?").await;
        laptop.settled().await;
        let seen = laptop.settled().await;
        assert!(
            seen.iter()
                .all(|frame| frame["head"] != late.seq || frame["room"] != garden),
            "{seen:?}"
        );
        let again = cluster.nodes[1].connect("bob").await;
        let listed = &again.welcome;
        let rooms = listed["rooms"].as_array().unwrap();
        assert!(
            rooms.iter().all(|listed| listed["room"] != garden),
            "{listed}"
        );
    });
}

#[test]
fn every_node_gets_one_copy_of_a_message_however_many_listen() {
    in_a_runtime(async || {
        let cluster = Cluster::start(3, SEED).await;
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        let mut ann = cluster.nodes[0].connect("ann").await;
        ann.subscribe(&room).await;
        let mut listeners = Vec::new();
        for node in &cluster.nodes[..2] {
            for _ in 0..5 {
                let mut bob = node.connect("bob").await;
                bob.subscribe(&room).await;
                listeners.push(bob);
            }
        }
        ann.settled().await;
        // A listener for each node with somebody in the room, none for each socket.
        let channel = cluster.redis.channels(&format!("madang:*:c:{room}"));
        let [channel] = &channel[..] else {
            panic!("one doorbell for the room: {channel:?}")
        };
        let mut ask = redis::cmd("PUBSUB");
        ask.arg("NUMSUB").arg(channel);
        let what = "a listener on each of two nodes: nobody on the third is in the room";
        eventually(what, seconds(10), async || {
            let (_, nodes): (String, i64) = cluster.redis.ask(&ask);
            (nodes == 2).then_some(())
        })
        .await;
        for (node, people) in cluster.nodes.iter().zip([1.0, 2.0, 2.0]) {
            eventually("it is known who is elsewhere", seconds(10), async || {
                let elsewhere = node.metric("madang_people_elsewhere").await;
                (elsewhere == people).then_some(())
            })
            .await;
        }
        let before = cluster.redis.calls("publish");
        let mut last = 0;
        for count in 0..10 {
            last = ann.publish(&room, &format!("message {count}")).await.seq;
        }
        for listener in &mut listeners {
            listener.catch_up(&room, last).await;
        }
        // Each message rings once; that it is in the database rings at most once, too; and
        // each node may still have told of its people.
        let rung = cluster.redis.calls("publish") - before;
        assert!((10..=23).contains(&rung), "{rung} rings for 10 messages");
    });
}

#[test]
fn who_comes_and_goes_is_known_even_if_nobody_was_heard_to_say_so() {
    in_a_runtime(async || {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let mut cluster = Cluster::start(1, SEED).await;
        // Whatever is told of people is lost on the way to this node.
        let deaf = [("FAILPOINTS", "registry::people=return(lose)")];
        cluster.add_with(&deaf).await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let elsewhere = async |people: f64| {
            eventually("it is noticed", seconds(10), async || {
                let known = there.metric("madang_people_elsewhere").await;
                (known == people).then_some(())
            })
            .await;
        };
        // So quiet that nothing follows by which one could tell that something is missing.
        let ann = here.connect("ann").await;
        elsewhere(1.0).await;
        let bob = here.connect("bob").await;
        elsewhere(2.0).await;
        ann.close().await;
        elsewhere(1.0).await;
        drop(bob);
        elsewhere(0.0).await;
    });
}

#[test]
fn who_is_added_to_a_room_before_their_node_has_told_of_them_is_told_of_it() {
    in_a_runtime(async || {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let mut cluster = Cluster::start(1, SEED).await;
        // This node hears of people only when it looks at the others' leases.
        let deaf = [("FAILPOINTS", "registry::people=return(lose)")];
        cluster.add_with(&deaf).await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let group = json!({"name": "garden", "kind": "group"});
        let garden = there.empty_room("bob", group).await;
        let mut bob = there.connect("bob").await;
        for name in ["ann", "cyd", "dan"] {
            let mut guest = here.connect(name).await;
            let path = format!("rooms/{garden}/members/{}", guest.user);
            let added = there.rest("bob").put(&path, json!({})).await;
            assert_eq!(added.status, 204, "{added:?}");
            let invited = guest.find("the invitation", |frame| frame["kind"] == "invited");
            assert_eq!(invited.await["data"]["room"], garden);
            let hello = bob.publish(&garden, "welcome").await;
            let fits = |frame: &Value| frame["type"] == "inbox" && frame["head"] == hello.seq;
            guest.find("what is said there", fits).await;
        }
    });
}

/// The ids of a room's members, as this person sees them.
async fn members(node: &TestNode, room: &str, asker: &str) -> Vec<String> {
    let page = node.rest(asker).get(&format!("rooms/{room}/members")).await;
    let page = page.good();
    let members = page["items"].as_array().expect("a list").iter();
    let id = |member: &Value| member["user"].as_str().expect("an id").to_owned();
    members.map(id).collect()
}

#[test]
fn a_resignation_that_failed_half_way_is_finished_by_asking_again() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, SEED).await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let rooms = [
            here.room("bob", &["ann"]).await,
            there.room("bob", &["ann"]).await,
        ];
        let ann = here.rest("ann");
        cluster.redis.pause();
        let failed = ann.delete("me").await;
        cluster.redis.go_on();
        assert_eq!((failed.status, failed.refusal()), (503, "unavailable"));
        eventually("she is let go", seconds(20), async || {
            let answer = ann.delete("me").await;
            (answer.status == 204).then_some(())
        })
        .await;
        assert_eq!(ann.get("me").await.refusal(), "revoked");
        let bob = here.user("bob").await;
        for room in &rooms {
            assert_eq!(members(there, room, "bob").await, [bob.as_str()]);
        }
    });
}

#[test]
fn who_resigns_leaves_rooms_that_the_database_does_not_know_of_yet() {
    in_a_runtime(async || {
        assert!(fail::has_failpoints(), "run with --features failpoints");
        let slow = [("FAILPOINTS", "write_back::before_write=sleep(1500)")];
        let setup = Setup {
            nodes: 1,
            settings: &slow,
            ..Setup::default()
        };
        let cluster = Cluster::with(SEED, setup).await;
        let node = &cluster.nodes[0];
        let room = node.room("bob", &[]).await;
        let mut ann = node.connect("ann").await;
        ann.good(json!({"type": "join", "room": room})).await;
        node.rest("ann").delete("me").await.good();
        let bob = node.user("bob").await;
        eventually("she is no member any more", seconds(30), async || {
            (members(node, &room, "bob").await == [bob.as_str()]).then_some(())
        })
        .await;
    });
}

#[test]
fn whoever_goes_while_their_mentions_are_counted_is_gone_everywhere() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, SEED).await;
        let [here, there] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let room = here.room("bob", &["ann"]).await;
        let mut bob = there.connect("bob").await;
        let mut ann = here.connect("ann").await;
        let mut last = 0;
        for text in ["one", "two"] {
            let publish = json!({
                "type": "publish", "room": room, "client_id": new_client_id(),
                "body": {"text": text}, "mentions": [ann.user], "ack": "db",
            });
            last = bob.good(publish).await["seq"].as_u64().unwrap();
        }
        ann.send(json!({"type": "read", "room": room, "seq": last - 1}))
            .await;
        ann.find("her mark", |frame| frame["kind"] == "read").await;
        let (marked, ghost) = (Instant::now(), ann.user.clone());
        ann.close().await;
        // The rest of her mentions is counted 600 ms after a mark.
        eventually("they are counted", seconds(10), async || {
            (marked.elapsed() > seconds(1)).then_some(())
        })
        .await;
        let cho = here.connect("cho").await;
        let node = cho.welcome["node"].as_str().unwrap();
        let list = format!("madang:node:{node}:users");
        let people = eventually("it is told that she has come", seconds(10), async || {
            let people: Vec<String> = cluster.redis.ask(redis::cmd("HKEYS").arg(&list));
            people.contains(&cho.user).then_some(people)
        })
        .await;
        // Who went before was to be told first.
        assert!(!people.contains(&ghost), "a ghost: {people:?}");
    });
}
