//! What the database refuses, outages, and the limits of the async handle.

use std::sync::mpsc::channel;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use madang::db::{Appended, Db, Fate, OpenOptions, RoomKind, StoreError};
use madang::ids::UserId;
use madang::protocol::{Draft, ErrorCode, EventKind};

use super::{Stage, draft, message, on_both, people, places, trusted};
use crate::support::{Postgres, eventually, seconds};

/// Runs statements behind the store's back.
pub fn run_sql(stage: &Stage, sqlite: &str, postgres: &str) {
    match stage.url.strip_prefix("sqlite://") {
        Some(path) => SqliteConnection::establish(path)
            .unwrap()
            .batch_execute(sqlite)
            .unwrap(),
        None => PgConnection::establish(&stage.url)
            .unwrap()
            .batch_execute(postgres)
            .unwrap(),
    }
}

/// From now on the database refuses any event whose body contains "poison".
pub fn forbid_poison(stage: &Stage) {
    run_sql(
        stage,
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, \
         'digest    BIGINT NOT NULL,', \
         'digest BIGINT NOT NULL CHECK (body NOT LIKE ''%poison%''),') \
         WHERE name = 'events'; PRAGMA schema_version = 1000",
        "ALTER TABLE events ADD CHECK (body NOT LIKE '%poison%')",
    );
}

#[tokio::test]
async fn one_refused_event_takes_nobody_with_it() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        forbid_poison(stage);
        let is_bad = |i: usize| i == 0 || i == 250 || i == 251 || i == 499;
        let text = |i| if is_bad(i) { "poison" } else { "good" };
        let drafts: Vec<Draft> = (0..500).map(|i| message(ann, text(i))).collect();
        let fates = stage.append(room, drafts.clone());
        let (bad, good): (Vec<_>, Vec<_>) = fates.iter().enumerate().partition(|(i, _)| is_bad(*i));
        assert!(
            bad.iter().all(|(_, fate)| **fate == Fate::Poison),
            "{bad:?}"
        );
        let good: Vec<Fate> = good.into_iter().map(|(_, fate)| *fate).collect();
        let seqs: Vec<i64> = places(&good).iter().map(|place| place.seq.0).collect();
        assert_eq!(seqs, (2..=497).collect::<Vec<_>>());
        let again = stage.append(room, drafts);
        assert!(matches!(again[1], Fate::Duplicate(place) if place.seq.0 == 2));
        assert_eq!(stage.load(room).room.head.0, 497);
    })
    .await;
}

/// Diesel knows the names of a few refusals only; the class of any other counts as well.
#[tokio::test]
async fn what_postgres_says_decides_between_refusal_and_outage() {
    let stage = Stage::postgres().await;
    let [ann] = people();
    let room = stage.room(RoomKind::Open, &[ann]);
    let fail_with = |code: &str| {
        let function = format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.body LIKE '%bad%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; \
             END IF; RETURN NEW; END $$"
        );
        run_sql(&stage, "", &function);
    };
    fail_with("22003");
    let trigger =
        "CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()";
    run_sql(&stage, "", trigger);
    let drafts = || {
        vec![
            message(ann, "good"),
            message(ann, "bad"),
            message(ann, "good"),
        ]
    };
    let fates = stage.append(room, drafts());
    assert_eq!(fates[1], Fate::Poison);
    assert_eq!(places(&[fates[0], fates[2]])[1].seq.0, 3);

    // A full disk is nobody's fault, and sets nothing aside.
    fail_with("53100");
    let answer = stage.store.append(&[trusted(room, drafts())], 1_000);
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
    assert_eq!(stage.load(room).room.head.0, 3);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_the_database_sees_it() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let mut nul = message(ann, "x");
        nul.body = "{\"text\":\"\0\"}".into();
        let drafts = vec![
            nul,
            draft(EventKind::Join, ann, "{}"),
            draft(
                EventKind::Role,
                ann,
                &format!(r#"{{"user":"{ann}","role":"king"}}"#),
            ),
            draft(EventKind::Room, ann, r#"{"capacity":"many"}"#),
            message(ann, "fine"),
        ];
        let fates = stage.append(room, drafts);
        assert!(
            fates[..4].iter().all(|fate| *fate == Fate::Poison),
            "{fates:?}"
        );
        assert_eq!(places(&fates[4..])[0].seq.0, 2);
    })
    .await;
}

#[tokio::test]
async fn a_log_that_is_ahead_of_its_room_is_read_on_and_holds_nobody_up() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let other = stage.room(RoomKind::Open, &[ann]);
        stage.append(room, vec![message(ann, "m"), message(ann, "n")]);
        let restored = "UPDATE rooms SET head = 1, messages = 0, last_message = 0";
        run_sql(stage, restored, restored);
        let batch = [room, other].map(|room| trusted(room, vec![message(ann, "o")]));
        let answers = stage.store.append(&batch, 1_000).unwrap();
        let seqs = answers.iter().map(|answer| match answer {
            Appended::Done(fates) => places(fates)[0].seq.0,
            other => panic!("{other:?}"),
        });
        assert_eq!(seqs.collect::<Vec<_>>(), [4, 2]);
        let now = stage.load(room).room;
        assert_eq!((now.head.0, now.messages, now.last_message.0), (4, 3, 4));
    })
    .await;
}

/// A database with one thread for questions, which may take this long.
fn one_thread(deadline: Duration) -> (Db, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("db").display());
    let options = OpenOptions {
        threads: 1,
        queue: 1,
        deadline,
        ..OpenOptions::default()
    };
    (Db::open(&url, &options).unwrap(), folder)
}

#[tokio::test]
async fn the_handle_outlives_what_goes_wrong() {
    let (db, _folder) = one_thread(Duration::from_secs(60));
    let nobody = UserId::random();
    let panics = db.run(|_| -> Result<(), StoreError> { panic!("this panic belongs to a test") });
    assert_eq!(panics.await.unwrap_err().code, ErrorCode::Internal);
    let gone = db.run(move |store| store.update_user(nobody, &Default::default()));
    assert_eq!(gone.await.unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(db.run(move |store| store.user(nobody)).await, Ok(None));
}

#[tokio::test]
async fn nobody_waits_for_ever_nor_in_any_number() {
    let (db, _folder) = one_thread(Duration::from_millis(300));
    // One question blocks the only thread, one waits, the third finds the queue full.
    let (go, wait) = channel::<()>();
    let (begun, began) = channel::<()>();
    let blocked = db.run(move |_| {
        begun.send(()).ok();
        wait.recv().ok();
        Ok(())
    });
    let others = async {
        while began.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let second = db.run(|_| Ok(()));
        let third = async {
            tokio::task::yield_now().await;
            db.run(|_| Ok(())).await
        };
        tokio::join!(second, third)
    };
    let (first, (second, third)) = tokio::join!(blocked, others);
    assert_eq!(third.unwrap_err().code, ErrorCode::Overloaded);
    assert_eq!(first.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(second.unwrap_err().code, ErrorCode::Unavailable);
    go.send(()).unwrap();
    eventually("the thread is free", seconds(5), async || {
        db.run(|_| Ok(())).await.ok()
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_answered_and_passes() {
    let mut server = Postgres::start().await;
    let stage = Stage::at(server.database().await, None);
    let [ann] = people();
    let room = stage.room(RoomKind::Open, &[ann]);
    let before = message(ann, "before");
    let first = stage.append(room, vec![before.clone()]);

    server.kill();
    // The server's children live on for a moment.
    eventually("the outage is noticed", seconds(10), async || {
        stage.store.user(ann).err()
    })
    .await;
    let batch = [trusted(room, vec![before, message(ann, "after")])];
    let answer = stage.store.append(&batch, 1_000);
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
    let question = stage.db.run(move |store| store.user(ann)).await;
    assert_eq!(question.unwrap_err().code, ErrorCode::Unavailable);

    server.restart().await;
    let answers = eventually("appends go on", seconds(10), async || {
        stage.store.append(&batch, 1_000).ok()
    })
    .await;
    let Appended::Done(fates) = &answers[0] else {
        panic!("{answers:?}")
    };
    assert_eq!(fates[0], Fate::Duplicate(places(&first)[0]));
    assert_eq!(places(&fates[1..])[0].seq.0, 3);
    stage.db.run(move |store| store.user(ann)).await.unwrap();
}
