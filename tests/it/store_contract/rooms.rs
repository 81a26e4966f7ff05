//! Rooms' rows, lists of rooms, and one's standing in them.

use madang::db::{NewRoom, RoomKind};
use madang::ids::{RoomId, Seq};
use madang::protocol::EventKind;

use super::{Stage, change, draft, join, message, new_room, on_both, patiently, people};

#[tokio::test]
async fn a_room_is_made_once() {
    on_both(|stage| {
        let id = RoomId::random();
        assert_eq!(stage.store.room(id).unwrap(), None);
        assert!(stage.store.load_room(id, 5).unwrap().is_none());
        let made = stage
            .store
            .create_room(&new_room(id, RoomKind::Group))
            .unwrap();
        assert_eq!(
            (made.id, made.kind, made.head),
            (id, RoomKind::Group, Seq::ZERO)
        );
        let again = stage
            .store
            .create_room(&new_room(id, RoomKind::Group))
            .unwrap();
        assert_eq!(again, made, "with the same epoch");
        assert_eq!(stage.store.room(id).unwrap(), Some(made));
    })
    .await;
}

#[tokio::test]
async fn two_people_have_one_room() {
    on_both(|stage| {
        let mut pair = people::<2>();
        pair.sort();
        let dm = || NewRoom {
            pair: Some((pair[0], pair[1])),
            ..new_room(RoomId::random(), RoomKind::Dm)
        };
        let rooms: Vec<RoomId> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| patiently(|| stage.store.create_room(&dm())).id))
                .collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(rooms.iter().all(|room| *room == rooms[0]), "{rooms:?}");
        stage.append(rooms[0], vec![join(pair[0])]);
        stage.append(rooms[0], vec![join(pair[1])]);
        for (me, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            let mine = stage.store.memberships(me).unwrap();
            assert_eq!(mine[0].peer, Some(other));
        }
    })
    .await;
}

fn names(stage: &Stage, query: &str, after: Option<(&str, RoomId)>, limit: usize) -> Vec<String> {
    let found = stage.store.open_rooms(query, after, limit).unwrap();
    found.into_iter().map(|room| room.name).collect()
}

#[tokio::test]
async fn public_rooms_are_found_by_name_in_pages() {
    on_both(|stage| {
        let [ann] = people();
        let named = |kind, name: &str| {
            let room = stage.room(kind, &[ann]);
            let body = serde_json::json!({ "name": name }).to_string();
            stage.append(room, vec![draft(EventKind::Room, ann, &body)]);
            room
        };
        named(RoomKind::Open, "Tea");
        named(RoomKind::Broadcast, "green TEA");
        named(RoomKind::Open, "100% 茶");
        named(RoomKind::Open, "ÄPFEL");
        named(RoomKind::Group, "secret tea");
        let closed = named(RoomKind::Open, "old tea");
        stage.append(
            closed,
            vec![draft(EventKind::Room, ann, r#"{"closed":true}"#)],
        );

        assert_eq!(
            names(stage, "", None, 9),
            ["100% 茶", "green TEA", "Tea", "ÄPFEL"]
        );
        assert_eq!(names(stage, "tEa", None, 9), ["green TEA", "Tea"]);
        assert_eq!(names(stage, "äp", None, 9), ["ÄPFEL"]);
        assert_eq!(names(stage, "%", None, 9), ["100% 茶"]);
        assert_eq!(names(stage, "_", None, 9), [""; 0]);
        assert_eq!(names(stage, r"\", None, 9), [""; 0]);

        let mut after: Option<(String, RoomId)> = None;
        let mut seen = Vec::new();
        while let [room] = &stage
            .store
            .open_rooms("", after.as_ref().map(|(name, id)| (name.as_str(), *id)), 1)
            .unwrap()[..]
        {
            seen.push(room.name.clone());
            after = Some((room.name.clone(), room.id));
        }
        assert_eq!(seen, names(stage, "", None, 9));
    })
    .await;
}

#[tokio::test]
async fn memberships_are_by_newest_change_with_the_newest_message() {
    on_both(|stage| {
        let [ann, bob] = people();
        let quiet = stage.room(RoomKind::Open, &[ann]);
        let left = stage.room(RoomKind::Open, &[ann]);
        stage.append(left, vec![change(EventKind::Leave, ann, ann, None)]);
        let busy = stage.room(RoomKind::Group, &[bob]);
        stage.append(busy, vec![message(bob, "before")]);
        stage
            .store
            .append(&[super::trusted(busy, vec![join(ann)])], 5_000)
            .unwrap();

        let mine = stage.store.memberships(ann).unwrap();
        let rooms: Vec<RoomId> = mine.iter().map(|one| one.room.id).collect();
        assert_eq!(rooms, [busy, quiet]);
        assert!(
            mine[0].last.is_none(),
            "a group shows nothing from before the join"
        );
        let theirs = stage.store.membership(bob, busy).unwrap().unwrap();
        let last = theirs.last.unwrap();
        assert_eq!(last.seq(), Seq(2));

        stage.append(
            busy,
            vec![message(bob, "after"), draft(EventKind::React, bob, "{}")],
        );
        let mine = stage.store.membership(ann, busy).unwrap().unwrap();
        assert_eq!(mine.last.unwrap().seq(), Seq(4));
        assert_eq!(
            (mine.room.head, mine.room.messages, mine.peer),
            (Seq(5), 2, None)
        );
        assert!(stage.store.membership(ann, left).unwrap().is_none());
        assert!(
            stage
                .store
                .membership(ann, RoomId::random())
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn heads_come_for_the_rooms_that_exist() {
    on_both(|stage| {
        let [ann, bob] = people();
        let one = stage.room(RoomKind::Open, &[ann]);
        let two = stage.room(RoomKind::Group, &[ann, bob]);
        let mut wanted = vec![one, two];
        // More than one statement takes.
        wanted.extend((0..1_200).map(|_| RoomId::random()));
        let mut heads = stage.store.heads(&wanted).unwrap();
        heads.sort_by_key(|(_, head)| *head);
        assert_eq!(heads, [(one, Seq(1)), (two, Seq(2))]);
        assert_eq!(stage.store.heads(&[]).unwrap(), []);
    })
    .await;
}
