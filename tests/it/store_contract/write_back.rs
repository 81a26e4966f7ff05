//! The write-back of a hot log: events that have their places, written once each.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection, sql_query};
use madang::db::{LoadedRoom, Placed, RoomKind, StoreError, WriteError, Written};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{ClientId, Draft, Event, EventKind, Place};

use super::trouble::{forbid_poison, run_sql};
use super::{Stage, change, draft, join, message, new_room, on_both, people};

pub const LIFE: &str = "a life";

pub fn alive(stage: &Stage) {
    assert!(stage.store.begin_life(None, LIFE).unwrap());
}

/// These drafts from this number on, in a room with so many messages before.
pub fn placed(room: RoomId, first: i64, messages: i64, drafts: Vec<Draft>) -> Placed {
    let mut n = messages;
    let events = (first..).zip(drafts).map(|(seq, draft)| {
        n += i64::from(draft.kind.is_message());
        let (seq, at) = (Seq(seq), 1_000 + seq);
        Event {
            room,
            place: Place { seq, n, at },
            draft,
        }
    });
    Placed {
        room,
        events: events.collect(),
    }
}

fn write(stage: &Stage, batch: &[Placed]) -> Vec<Written> {
    stage.store.write(LIFE, batch).unwrap()
}

fn write_one(stage: &Stage, placed: Placed) -> Written {
    write(stage, &[placed]).pop().unwrap()
}

/// Written up to here, and these are new.
fn done(written: Written) -> (i64, Vec<i64>) {
    match written {
        Written::Done { head, new, .. } => {
            (head.0, new.iter().map(|event| event.seq().0).collect())
        }
        other => panic!("{other:?}"),
    }
}

/// An empty room.
fn empty(stage: &Stage) -> RoomId {
    let room = new_room(RoomId::random(), RoomKind::Open);
    stage.store.create_room(&room).unwrap().id
}

/// What a room is, apart from its name and epoch, and whom its messages call.
fn state(stage: &Stage, room: RoomId, people: &[UserId]) -> (LoadedRoom, Vec<Option<i64>>) {
    let mut loaded = stage.load(room);
    loaded.members.sort_by_key(|member| member.user);
    loaded.room.id = RoomId::from_raw(0);
    loaded.room.epoch = String::new().into();
    for event in &mut loaded.recent {
        event.room = RoomId::from_raw(0);
    }
    let calls = people.iter().map(|user| {
        let membership = stage.store.membership(*user, room).unwrap();
        membership.map(|membership| membership.mentions)
    });
    (loaded, calls.collect())
}

fn assert_same(stage: &Stage, left: RoomId, right: RoomId, people: &[UserId], why: &str) {
    let (one, calls) = state(stage, left, people);
    let (other, other_calls) = state(stage, right, people);
    assert_eq!(one.room, other.room, "{why}");
    assert_eq!(one.members, other.members, "{why}");
    assert_eq!(one.recent, other.recent, "{why}");
    assert_eq!(calls, other_calls, "{why}");
    let seed = |room| {
        let mut seed = stage.store.seed_of(room).unwrap().unwrap();
        seed.epoch = String::new().into();
        seed
    };
    assert_eq!(seed(left), seed(right), "{why}");
}

/// A bit of everything that a log has.
fn story(ann: UserId, bob: UserId) -> Vec<Draft> {
    let mut called = message(ann, "bob?");
    called.mentions = vec![bob];
    vec![
        draft(EventKind::Room, ann, r#"{"name":"Yard","capacity":9}"#),
        change(EventKind::Join, ann, ann, Some("owner")),
        join(bob),
        called.clone(),
        message(bob, "yes"),
        change(EventKind::Role, ann, bob, Some("moderator")),
        change(EventKind::Kick, ann, bob, None),
        join(bob),
        Draft {
            client_id: ClientId::generate(),
            ..called
        },
        draft(EventKind::React, bob, "{}"),
    ]
}

#[tokio::test]
async fn what_is_written_twice_or_cut_anywhere_stands_once() {
    on_both(|stage| {
        alive(stage);
        let [ann, bob] = people();
        let story = story(ann, bob);
        let appended = empty(stage);
        for (seq, draft) in story.iter().enumerate() {
            let append = super::trusted(appended, vec![draft.clone()]);
            stage.store.append(&[append], 1_001 + seq as i64).unwrap();
        }
        let all = story.len();
        for cut in 0..=all {
            for from in 0..=cut {
                let room = empty(stage);
                let whole = placed(room, 1, 0, story.clone());
                let part = |events: &[Event]| Placed {
                    room,
                    events: events.to_vec(),
                };
                let first = write_one(stage, part(&whole.events[..cut]));
                assert_eq!(done(first), (cut as i64, (1..=cut as i64).collect()));
                let rest = part(&whole.events[from..]);
                let new: Vec<_> = (cut as i64 + 1..=all as i64).collect();
                assert_eq!(done(write_one(stage, rest.clone())), (all as i64, new));
                let again = write_one(stage, rest);
                assert_eq!(done(again), (all as i64, vec![]));
                let why = format!("cut at {cut}, again from {from}");
                assert_same(stage, appended, room, &[ann, bob], &why);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_room_in_trouble_keeps_no_other_from_being_written() {
    on_both(|stage| {
        alive(stage);
        let [ann, bob] = people();
        let rooms = [(); 6].map(|()| stage.room(RoomKind::Open, &[ann]));
        let [good, behind, other_id, other_kind, other_sender, gap] = rooms;
        let taken = message(ann, "first");
        for room in [other_id, other_kind, other_sender] {
            write_one(stage, placed(room, 2, 0, vec![taken.clone()]));
        }
        let more = |first: Draft| vec![first, message(ann, "second")];
        let kind = Draft {
            kind: EventKind::React,
            ..taken.clone()
        };
        let sender = Draft {
            from: bob,
            ..taken.clone()
        };
        let mut torn = placed(gap, 2, 0, vec![message(ann, "m"); 1]);
        let beyond = placed(gap, 4, 2, vec![message(ann, "m")]);
        torn.events.extend(beyond.events);
        let batch = [
            placed(behind, 3, 0, vec![message(ann, "m")]),
            placed(other_id, 2, 0, more(message(ann, "first"))),
            placed(RoomId::random(), 1, 0, vec![message(ann, "m")]),
            placed(other_kind, 2, 0, more(kind)),
            torn,
            placed(other_sender, 2, 0, more(sender)),
            placed(good, 2, 0, vec![message(ann, "m")]),
        ];
        let written = write(stage, &batch);
        let conflict = Written::Conflict {
            at: Seq(2),
            head: Seq(2),
        };
        assert_eq!(written[0], Written::Behind { head: Seq(1) });
        assert_eq!(written[2], Written::NoRoom);
        for i in [1, 3, 5] {
            assert_eq!(written[i], conflict, "{i}");
        }
        assert_eq!(done(written[4].clone()), (2, vec![2]));
        assert_eq!(done(written[6].clone()), (2, vec![2]));
        let heads = rooms.map(|room| stage.load(room).room.head.0);
        assert_eq!(heads, [2, 1, 2, 2, 2, 2]);
        assert_eq!(write(stage, &[]), []);
    })
    .await;
}

#[tokio::test]
async fn a_room_may_come_twice_in_a_batch() {
    on_both(|stage| {
        alive(stage);
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let texts = |from: i64, to| (from..=to).map(|i| message(ann, &i.to_string()));
        let whole = placed(room, 2, 0, texts(2, 9).collect()).events;
        let part = |events: &[Event]| Placed {
            room,
            events: events.to_vec(),
        };
        let written = write(stage, &[part(&whole[3..]), part(&whole[..5])]);
        let [later, earlier] = written.try_into().unwrap();
        assert_eq!(done(later), (9, vec![7, 8, 9]));
        assert_eq!(done(earlier).1, [2, 3, 4, 5, 6]);
        assert_eq!(stage.load(room).recent[1..], whole);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_stands_at_another_number_leaves_a_void() {
    on_both(|stage| {
        alive(stage);
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let (old, twice) = (message(ann, "old"), message(ann, "twice"));
        stage.append(room, vec![old.clone()]);
        let drafts = vec![twice.clone(), old.clone(), twice.clone(), message(ann, "z")];
        let batch = placed(room, 3, 1, drafts);
        let Written::Done {
            head,
            new,
            poisoned,
        } = write_one(stage, batch.clone())
        else {
            panic!("not written")
        };
        assert_eq!((head, poisoned), (Seq(6), vec![]));
        let kinds: Vec<_> = new.iter().map(|event| event.draft.kind.as_str()).collect();
        assert_eq!(kinds, ["message", "void", "void", "message"]);
        let loaded = stage.load(room);
        assert_eq!(loaded.recent[2..], new);
        assert_eq!(loaded.members[0].sent, 3, "old, twice and z");
        // The same again, and from the middle: nothing is new, nothing is in conflict.
        assert_eq!(done(write_one(stage, batch.clone())), (6, vec![]));
        let rest = Placed {
            room,
            events: batch.events[2..].to_vec(),
        };
        assert_eq!(done(write_one(stage, rest)), (6, vec![]));
        assert_eq!(stage.load(room).recent, loaded.recent);
    })
    .await;
}

#[derive(diesel::QueryableByName, Debug)]
struct DeadLetter {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    seq: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    reason: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    event: String,
}

fn dead_letters(stage: &Stage) -> Vec<DeadLetter> {
    let all = sql_query("SELECT seq, reason, event FROM dead_letters ORDER BY seq");
    match stage.url.strip_prefix("sqlite://") {
        Some(path) => all.load(&mut SqliteConnection::establish(path).unwrap()),
        None => all.load(&mut PgConnection::establish(&stage.url).unwrap()),
    }
    .unwrap()
}

/// F9: a row that cannot be written, in a batch of 500.
#[tokio::test]
async fn one_refused_event_of_500_is_set_aside_and_the_others_are_written() {
    on_both(|stage| {
        alive(stage);
        let [ann] = people();
        let (room, other) = (empty(stage), stage.room(RoomKind::Open, &[ann]));
        forbid_poison(stage);
        let mut drafts: Vec<_> = (0..250).map(|_| message(ann, "good")).collect();
        drafts[0] = change(EventKind::Join, ann, ann, None);
        drafts[123] = message(ann, "poison");
        // What makes no sense is found without the database.
        drafts[200] = draft(EventKind::Role, ann, "{}");
        let others = (0..250).map(|_| message(ann, "fine")).collect();
        let batch = [placed(other, 2, 0, others), placed(room, 1, 0, drafts)];
        let written = write(stage, &batch);
        assert_eq!(done(written[0].clone()).0, 251);
        let Written::Done {
            head,
            new,
            poisoned,
        } = &written[1]
        else {
            panic!("{:?}", written[1])
        };
        assert_eq!((head.0, new.len()), (250, 250));
        assert_eq!(*poisoned, [Seq(124), Seq(201)]);
        let loaded = stage.load(room);
        assert_eq!(loaded.recent, *new);
        let lost = &loaded.recent[123].draft;
        assert_eq!((lost.kind.as_str(), lost.from), ("void", ann));
        assert_eq!(&*lost.body, r#"{"lost":true}"#);
        assert_eq!(loaded.members[0].sent, 247);
        assert_eq!(loaded.room.messages, 248, "n is what the log said");
        let letters = dead_letters(stage);
        assert_eq!(
            letters.iter().map(|l| l.seq).collect::<Vec<_>>(),
            [124, 201]
        );
        assert!(letters[0].event.contains("poison"), "{:?}", letters[0]);
        assert!(!letters[0].reason.is_empty());
        // The same batch comes again: nothing is new, nothing is set aside twice.
        for written in write(stage, &batch) {
            assert!(done(written).1.is_empty());
        }
        assert_eq!(dead_letters(stage).len(), 2);
    })
    .await;
}

/// A full disk is nobody's fault.
#[tokio::test]
async fn an_outage_sets_nothing_aside() {
    let stage = Stage::postgres().await;
    alive(&stage);
    let [ann] = people();
    let (room, other) = (empty(&stage), empty(&stage));
    run_sql(
        &stage,
        "",
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.body LIKE '%bad%' THEN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; \
         END IF; RETURN NEW; END $$; \
         CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    let drafts = vec![message(ann, "good"), message(ann, "bad")];
    let batch = [
        placed(room, 1, 0, drafts),
        placed(other, 1, 0, vec![message(ann, "good")]),
    ];
    let answer = stage.store.write(LIFE, &batch);
    assert!(
        matches!(answer, Err(WriteError::Store(StoreError::Unavailable(_)))),
        "{answer:?}"
    );
    assert_eq!(dead_letters(&stage).len(), 0);
    let heads = [room, other].map(|room| stage.load(room).room.head.0);
    assert_eq!(heads, [0, 0]);

    let mut conn = PgConnection::establish(&stage.url).unwrap();
    conn.batch_execute("DROP TRIGGER fail ON events").unwrap();
    assert_eq!(done(write(&stage, &batch)[0].clone()), (2, vec![1, 2]));
}

#[tokio::test]
async fn a_log_that_is_ahead_of_its_room_is_compared_and_the_row_mended() {
    on_both(|stage| {
        alive(stage);
        let [ann] = people();
        let (room, other) = (
            stage.room(RoomKind::Open, &[ann]),
            stage.room(RoomKind::Open, &[ann]),
        );
        let all = placed(room, 2, 0, vec![message(ann, "m"), message(ann, "n")]);
        write_one(stage, all.clone());
        let restored = "UPDATE rooms SET head = 1, messages = 0, last_message = 0";
        run_sql(stage, restored, restored);
        let fine = placed(other, 2, 0, vec![message(ann, "o")]);
        let written = write(stage, &[all, fine]);
        assert_eq!(done(written[0].clone()), (3, vec![]));
        assert_eq!(done(written[1].clone()), (2, vec![2]));
        let now = stage.store.seed_of(room).unwrap().unwrap();
        assert_eq!((now.head, now.messages), (Seq(3), 2));
    })
    .await;
}

#[tokio::test]
async fn ids_are_found_where_they_stand() {
    on_both(|stage| {
        alive(stage);
        let [ann, bob] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let (one, two) = (message(ann, "1"), message(bob, "2"));
        let batch = placed(room, 2, 0, vec![one.clone(), two.clone()]);
        write_one(stage, batch.clone());
        let ids = [
            (bob, two.client_id.clone()),
            (bob, one.client_id.clone()),
            (ann, one.client_id.clone()),
            (ann, ClientId::generate()),
            (ann, one.client_id.clone()),
        ];
        let found = stage.store.find(room, &ids).unwrap();
        let first = Some((one.digest(), batch.events[0].place));
        let second = Some((two.digest(), batch.events[1].place));
        assert_eq!(found, [second, None, first, None, first]);
        assert_eq!(stage.store.find(room, &[]).unwrap(), []);
        let nowhere = stage.store.find(RoomId::random(), &ids[..1]).unwrap();
        assert_eq!(nowhere, [None]);
    })
    .await;
}

#[tokio::test]
async fn a_seed_says_what_the_row_says_and_an_epoch_can_be_renewed() {
    on_both(|stage| {
        let [ann] = people();
        assert_eq!(stage.store.seed_of(RoomId::random()).unwrap(), None);
        let room = stage.room(RoomKind::Open, &[ann]);
        let sent = message(ann, "m");
        stage.append(
            room,
            vec![sent.clone(), change(EventKind::Mute, ann, ann, None)],
        );
        let seed = stage.store.seed_of(room).unwrap().unwrap();
        let row = stage.load(room).room;
        assert_eq!(
            (seed.head, seed.messages, seed.rights, seed.membership),
            (Seq(3), 1, Seq(3), Seq(1))
        );
        assert_eq!((seed.epoch, seed.changed_at), (row.epoch.clone(), 1_000));
        // The ids of these tests are of today, the log's clock of 1970: all are ahead.
        assert_eq!(seed.newest_id_at, 0);
        let renewed = stage.store.renew_epoch(room).unwrap();
        assert_ne!(renewed, row.epoch);
        assert_eq!(stage.load(room).room.epoch, renewed);
        let nowhere = stage.store.renew_epoch(RoomId::random());
        assert!(matches!(nowhere, Err(StoreError::Gone)), "{nowhere:?}");
    })
    .await;
}
