//! What events do to rooms, members, marks and mentions.

use madang::db::{LoadedRoom, Mark, MemberRecord, Role, RoomKind, Store};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{Draft, EventKind, MemberChange};

use super::{change, draft, join, message, on_both, patiently, people, trusted};

fn member(loaded: &LoadedRoom, user: UserId) -> &MemberRecord {
    let found = loaded.members.iter().find(|member| member.user == user);
    found.expect("a row of theirs")
}

#[tokio::test]
async fn members_come_go_rise_and_come_again() {
    on_both(|stage| {
        let [ann, bob, eve] = people();
        let room = stage.room(RoomKind::Group, &[]);
        stage.append(room, vec![change(EventKind::Join, ann, ann, Some("owner"))]);
        stage.append(
            room,
            vec![message(ann, "first"), join(bob), message(bob, "hi")],
        );
        let loaded = stage.load(room);
        assert_eq!(loaded.room.members, 2);
        assert_eq!(member(&loaded, ann).role, Some(Role::Owner));
        let at_join = Mark {
            read: Seq(3),
            n: 1,
            own: 0,
        };
        let theirs = member(&loaded, bob);
        assert_eq!(
            (theirs.role, theirs.joined, theirs.mark),
            (Some(Role::Member), Seq(3), at_join)
        );

        stage.append(
            room,
            vec![change(EventKind::Role, ann, bob, Some("moderator"))],
        );
        stage.append(room, vec![change(EventKind::Kick, ann, bob, None)]);
        let loaded = stage.load(room);
        let theirs = member(&loaded, bob);
        assert_eq!(
            (theirs.role, theirs.seq, theirs.joined),
            (None, Seq(6), Seq(3))
        );
        assert_eq!((loaded.room.members, loaded.room.rights), (1, Seq(6)));

        // Coming again keeps what they had written, and reads from there.
        stage.append(
            room,
            vec![
                join(bob),
                message(bob, "back"),
                change(EventKind::Ban, ann, eve, None),
            ],
        );
        let loaded = stage.load(room);
        let theirs = member(&loaded, bob);
        assert_eq!((theirs.role, theirs.sent), (Some(Role::Member), 2));
        assert_eq!(
            theirs.mark,
            Mark {
                read: Seq(7),
                n: 2,
                own: 1
            }
        );
        assert_eq!((loaded.room.members, loaded.room.membership), (2, Seq(9)));
        assert!(loaded.members.iter().all(|m| m.user != eve), "never was in");
    })
    .await;
}

#[tokio::test]
async fn a_mute_outlives_leaving() {
    on_both(|stage| {
        let [ann, bob] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        let mute = |until| {
            let change = MemberChange {
                user: bob,
                role: None,
                until,
            };
            Draft::system(EventKind::Mute, ann, &change).unwrap()
        };
        stage.append(room, vec![mute(Some(9_000))]);
        stage.append(room, vec![change(EventKind::Leave, bob, bob, None)]);
        stage.append(room, vec![join(bob)]);
        assert_eq!(member(&stage.load(room), bob).muted_until, Some(9_000));
        stage.append(room, vec![mute(None)]);
        assert_eq!(member(&stage.load(room), bob).muted_until, None);
    })
    .await;
}

#[tokio::test]
async fn room_events_change_what_they_name() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let tell = |body: &str| {
            stage.append(room, vec![draft(EventKind::Room, ann, body)]);
            stage.load(room).room
        };
        let now = tell(r#"{"name":"Tea","topic":"green","capacity":5}"#);
        assert_eq!(
            (now.name.as_str(), now.topic.as_deref(), now.capacity),
            ("Tea", Some("green"), Some(5))
        );
        let now = tell(r#"{"topic":null,"capacity":7,"x":1}"#);
        assert_eq!(
            (now.name.as_str(), now.topic, now.capacity),
            ("Tea", None, Some(7))
        );
        let now = tell(r#"{"topic":"black","capacity":0}"#);
        assert_eq!((now.topic.as_deref(), now.capacity), (Some("black"), None));
        let now = tell(r#"{"topic":"","capacity":9}"#);
        assert_eq!((now.topic, now.capacity), (None, Some(9)));
        let now = tell(r#"{"capacity":null,"closed":true}"#);
        assert_eq!(
            (now.capacity, now.closed, now.rights),
            (None, true, now.head)
        );
        assert!(!tell(r#"{"closed":false}"#).closed);
        assert_eq!(tell("{}").name, "Tea");
    })
    .await;
}

#[tokio::test]
async fn marks_are_two_subtractions_away_from_unread() {
    on_both(|stage| {
        let [ann, bob] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        for i in 0..30 {
            let from = if i % 3 == 0 { bob } else { ann };
            stage.append(
                room,
                vec![message(from, "m"), draft(EventKind::React, bob, "{}")],
            );
        }
        let loaded = stage.load(room);
        let unread = |mark: Mark| {
            let others = loaded.room.messages - mark.n;
            others - (member(&stage.load(room), bob).sent - mark.own)
        };
        // Whichever end is nearer, and wherever the mark already stands.
        for saved in [2, 30, 61] {
            for seq in [0, 1, 2, 3, 17, 30, 31, 59, 61, 62, 1_000] {
                let mark = stage.store.mark_at(room, bob, Seq(seq)).unwrap();
                let behind = loaded.recent.iter().filter(|event| {
                    event.seq().0 > seq && event.draft.kind.is_message() && event.draft.from != bob
                });
                assert_eq!(
                    unread(mark),
                    behind.count() as i64,
                    "at {seq}, marked at {saved}"
                );
                assert_eq!(mark.read, Seq(seq.min(62)));
            }
            let mark = stage.store.mark_at(room, bob, Seq(saved)).unwrap();
            stage.store.save_marks(&[(room, bob, mark)]).unwrap();
        }
        assert!(stage.store.mark_at(RoomId::random(), bob, Seq(1)).is_err());
    })
    .await;
}

#[tokio::test]
async fn marks_only_move_forward() {
    on_both(|stage| {
        let [ann, bob] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        for _ in 0..10 {
            stage.append(room, vec![message(ann, "m")]);
        }
        let at = |seq| stage.store.mark_at(room, bob, Seq(seq)).unwrap();
        let read = || member(&stage.load(room), bob).mark;
        let save = |marks: &[i64]| {
            let marks: Vec<_> = marks.iter().map(|seq| (room, bob, at(*seq))).collect();
            stage.store.save_marks(&marks).unwrap();
        };
        save(&[5, 8, 6]);
        assert_eq!(read(), at(8));
        save(&[7]);
        assert_eq!(read(), at(8));
        save(&[]);
        let strangers = (room, people::<1>()[0], at(9));
        stage
            .store
            .save_marks(&[strangers, (room, bob, at(12))])
            .unwrap();
        assert_eq!(
            read(),
            Mark {
                read: Seq(12),
                n: 10,
                own: 0
            }
        );
    })
    .await;
}

fn mentions_of(store: &dyn Store, user: UserId, room: RoomId) -> i64 {
    store.membership(user, room).unwrap().unwrap().mentions
}

#[tokio::test]
async fn mentions_count_behind_the_mark_and_for_members_only() {
    on_both(|stage| {
        let [ann, bob, eve] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        let calls = |people: &[UserId]| {
            let mut draft = message(ann, "you!");
            draft.mentions = people.to_vec();
            draft
        };
        stage.append(
            room,
            vec![calls(&[bob, bob, eve]), calls(&[bob]), calls(&[ann])],
        );
        let store = &*stage.store;
        assert_eq!(mentions_of(store, bob, room), 2);
        assert_eq!(mentions_of(store, ann, room), 1);
        let mark = store.mark_at(room, bob, Seq(3)).unwrap();
        store.save_marks(&[(room, bob, mark)]).unwrap();
        assert_eq!(mentions_of(store, bob, room), 1);
        stage.append(room, vec![join(eve)]);
        assert_eq!(mentions_of(store, eve, room), 0, "from before their time");
    })
    .await;
}

/// On Postgres two transactions change the same rows: neither may wait for the other for ever.
#[tokio::test]
async fn marks_and_appends_do_not_get_in_each_others_way() {
    on_both(|stage| {
        let members = people::<8>();
        let rooms: Vec<RoomId> = (0..8)
            .map(|_| stage.room(RoomKind::Open, &members))
            .collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..40 {
                    let drafts = || members.iter().map(|user| message(*user, "m")).collect();
                    let batch = rooms.iter().map(|room| trusted(*room, drafts()));
                    let batch: Vec<_> = batch.collect();
                    patiently(|| stage.store.append(&batch, 1_000));
                }
            });
            scope.spawn(|| {
                for seq in 0..40 {
                    let mark = Mark {
                        read: Seq(9 + seq),
                        n: seq,
                        own: 0,
                    };
                    let pairs = rooms.iter().rev().flat_map(|room| {
                        members.iter().rev().map(move |user| (*room, *user, mark))
                    });
                    let pairs: Vec<_> = pairs.collect();
                    patiently(|| stage.store.save_marks(&pairs));
                }
            });
        });
        for room in rooms {
            let loaded = stage.load(room);
            let all = loaded.members.iter();
            assert!(all.clone().all(|m| m.sent == 40 && m.mark.read == Seq(48)));
            assert_eq!(all.count(), 8);
        }
    })
    .await;
}
