//! Places, repeats and conflicts; what is stale; ranges of the log.

use madang::db::{Append, Appended, Basis, Fate, Range, RoomKind, Select};
use madang::ids::{RoomId, Seq};
use madang::protocol::EventKind;

use super::{Stage, change, draft, join, message, on_both, patiently, people, places, trusted};

#[tokio::test]
async fn places_are_dense_and_time_never_goes_back() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let other = stage.room(RoomKind::Open, &[]);
        let batch = [
            trusted(room, vec![message(ann, "1"), message(ann, "2")]),
            trusted(other, vec![message(ann, "elsewhere")]),
            trusted(
                room,
                vec![draft(EventKind::React, ann, "{}"), message(ann, "3")],
            ),
        ];
        let answers = stage.store.append(&batch, 2_000).unwrap();
        let of = |i: usize| match &answers[i] {
            Appended::Done(fates) => places(fates),
            other => panic!("{other:?}"),
        };
        let seq_and_n = |i| of(i).iter().map(|p| (p.seq.0, p.n)).collect::<Vec<_>>();
        assert_eq!(seq_and_n(0), [(2, 1), (3, 2)]);
        assert_eq!(seq_and_n(1), [(1, 1)]);
        assert_eq!(seq_and_n(2), [(4, 2), (5, 3)]);
        assert!(of(2).iter().all(|place| place.at == 2_000));

        let earlier = [trusted(room, vec![message(ann, "a clock went back")])];
        let answers = stage.store.append(&earlier, 1_500).unwrap();
        let [Appended::Done(fates)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(places(fates)[0].at, 2_000);
    })
    .await;
}

#[tokio::test]
async fn a_repeat_gets_the_first_place_and_an_imposter_a_conflict() {
    on_both(|stage| {
        let [ann, bob] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        let hello = message(ann, "hello");
        let mut imposter = message(ann, "something else");
        imposter.client_id = hello.client_id.clone();
        let mut namesake = message(bob, "hello");
        namesake.client_id = hello.client_id.clone();

        let batch = [
            trusted(room, vec![hello.clone(), imposter.clone(), hello.clone()]),
            trusted(
                room,
                vec![namesake.clone(), hello.clone(), message(ann, "new")],
            ),
        ];
        let answers = stage.store.append(&batch, 1_000).unwrap();
        let [Appended::Done(first), Appended::Done(second)] = &answers[..] else {
            panic!("{answers:?}")
        };
        let Fate::New(place) = first[0] else {
            panic!("{first:?}")
        };
        assert_eq!(first[1..], [Fate::Conflict, Fate::Duplicate(place)]);
        let theirs = places(&second[..1])[0];
        assert_eq!(second[1], Fate::Duplicate(place));
        assert_eq!(places(&second[2..])[0].seq, theirs.seq.next());

        let again = stage.append(
            room,
            vec![imposter, message(ann, "newer"), hello.clone(), namesake],
        );
        assert_eq!(again[0], Fate::Conflict);
        assert_eq!(places(&again[1..2])[0].seq.0, theirs.seq.0 + 2);
        assert_eq!(
            again[2..],
            [Fate::Duplicate(place), Fate::Duplicate(theirs)]
        );

        let elsewhere = stage.room(RoomKind::Open, &[]);
        let fates = stage.append(elsewhere, vec![hello]);
        assert_eq!(places(&fates)[0].seq, Seq(1));
    })
    .await;
}

#[tokio::test]
async fn a_decision_on_old_rights_is_sent_back_with_what_is_new() {
    on_both(|stage| {
        let [ann, bob, eve] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        let known = stage.load(room).room;
        let basis = Basis {
            head: known.head,
            rights: known.rights,
            membership: known.membership,
        };
        let with_basis = |drafts| Append {
            room,
            basis,
            drafts,
        };

        // A join takes no right away: only another join has to be decided again.
        stage.append(room, vec![join(eve)]);
        let batch = [
            with_basis(vec![message(bob, "fine")]),
            with_basis(vec![join(people::<1>()[0])]),
        ];
        let answers = stage.store.append(&batch, 1_000).unwrap();
        assert!(matches!(&answers[0], Appended::Done(_)), "{answers:?}");
        let Appended::Stale { newer, head } = &answers[1] else {
            panic!("{answers:?}")
        };
        assert_eq!(newer.len(), 2, "{newer:?}");
        assert_eq!(newer[0].seq(), basis.head.next());
        assert_eq!(*head, newer[1].seq());

        // A kick does: also for what stands behind it in the same batch.
        let batch = [
            with_basis(vec![change(EventKind::Kick, ann, bob, None)]),
            with_basis(vec![message(bob, "too late")]),
        ];
        let answers = stage.store.append(&batch, 1_000).unwrap();
        assert!(matches!(&answers[0], Appended::Done(_)), "{answers:?}");
        let Appended::Stale { newer, .. } = &answers[1] else {
            panic!("{answers:?}")
        };
        assert_eq!(newer.last().unwrap().draft.kind, EventKind::Kick);

        let nowhere = [trusted(RoomId::random(), vec![message(ann, "?")])];
        let answers = stage.store.append(&nowhere, 1_000).unwrap();
        assert_eq!(answers, [Appended::NoRoom]);
        assert_eq!(stage.store.append(&[], 1_000).unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn an_event_comes_back_as_it_went_in() {
    on_both(|stage| {
        let [ann, bob] = people();
        let room = stage.room(RoomKind::Open, &[ann, bob]);
        let mut sent = message(ann, "한국어 👩‍👩‍👧 עברית \u{0} \\ ' \" \n");
        sent.mentions = vec![bob, ann, bob];
        sent.reply_to = Some(Seq(1));
        sent.thread = Some(Seq(2));
        let mut reaction = draft(EventKind::React, bob, r#"{"emoji":"👍"}"#);
        reaction.target = Some(Seq(3));
        let extension = draft("x.poll.opened".parse().unwrap(), bob, "{}");
        let drafts = vec![sent, reaction, extension];
        let fates = stage.append(room, drafts.clone());
        let events = read(stage, room, Range::After(Seq(2)), Seq::ZERO, Select::All, 9);
        for ((event, sent), place) in events.iter().zip(&drafts).zip(places(&fates)) {
            assert_eq!((&event.draft, event.place, event.room), (sent, place, room));
        }
        assert_eq!(events.len(), 3);
    })
    .await;
}

fn read(
    stage: &Stage,
    room: RoomId,
    range: Range,
    floor: Seq,
    select: Select,
    limit: usize,
) -> Vec<madang::protocol::Event> {
    let events = stage.store.events(room, range, floor, select, limit);
    events.unwrap()
}

#[tokio::test]
async fn ranges_are_exclusive_ascending_and_end_at_the_floor() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        for i in 0..10 {
            let drafts = vec![
                message(ann, &i.to_string()),
                draft(EventKind::React, ann, "{}"),
            ];
            stage.append(room, drafts);
        }
        // 1 is the join; messages are even, reactions odd, up to 21.
        let seqs = |range, floor, select, limit| -> Vec<i64> {
            let events = read(stage, room, range, Seq(floor), select, limit);
            events.iter().map(|event| event.seq().0).collect()
        };
        let (all, messages) = (Select::All, Select::Messages);
        assert_eq!(seqs(Range::Before(Seq(5)), 0, all, 3), [2, 3, 4]);
        assert_eq!(seqs(Range::Before(Seq(5)), 3, all, 9), [3, 4]);
        assert_eq!(seqs(Range::Before(Seq(99)), 0, messages, 2), [18, 20]);
        assert_eq!(seqs(Range::After(Seq(18)), 0, all, 9), [19, 20, 21]);
        assert_eq!(seqs(Range::After(Seq(0)), 4, messages, 3), [4, 6, 8]);
        assert_eq!(seqs(Range::After(Seq(21)), 0, all, 9), [0; 0]);
        assert_eq!(seqs(Range::Before(Seq(5)), 0, all, 0), [0; 0]);
        let nowhere = stage
            .store
            .events(RoomId::random(), Range::After(Seq(0)), Seq(0), all, 9);
        assert_eq!(nowhere.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn many_writers_leave_no_hole() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let two = vec![message(ann, "a"), message(ann, "b")];
                        let batch = [trusted(room, two)];
                        patiently(|| stage.store.append(&batch, 1_000));
                    }
                });
            }
        });
        let loaded = stage.load(room);
        let seqs: Vec<i64> = loaded.recent.iter().map(|event| event.seq().0).collect();
        assert_eq!(seqs, (1..=201).collect::<Vec<_>>());
        assert_eq!((loaded.room.messages, loaded.members[0].sent), (200, 200));
    })
    .await;
}
