//! Which life of the hot log may write: begun once, and the old one never writes again.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::{Connection, PgConnection};
use madang::db::{Placed, RoomKind, WriteError, Written};
use madang::ids::{RoomId, UserId};

use super::write_back::{LIFE, alive, placed};
use super::{Stage, message, on_both, patiently, people};

#[tokio::test]
async fn a_life_begins_where_the_known_one_ends() {
    on_both(|stage| {
        let store = &stage.store;
        assert_eq!(store.life().unwrap(), None);
        assert!(store.begin_life(None, "a").unwrap());
        assert!(store.begin_life(None, "a").unwrap(), "a repeat");
        assert!(!store.begin_life(None, "b").unwrap());
        assert!(!store.begin_life(Some("b"), "c").unwrap());
        assert_eq!(store.life().unwrap().as_deref(), Some("a"));
        assert!(store.begin_life(Some("a"), "c").unwrap());
        assert!(store.begin_life(Some("a"), "c").unwrap(), "a repeat");
        assert!(!store.begin_life(Some("a"), "d").unwrap());
        assert_eq!(store.life().unwrap().as_deref(), Some("c"));
    })
    .await;
}

#[tokio::test]
async fn only_the_present_life_writes() {
    on_both(|stage| {
        let [ann] = people();
        let room = stage.room(RoomKind::Open, &[ann]);
        let batch = [placed(room, 2, 0, vec![message(ann, "m")])];
        let fenced = |life: &str| match stage.store.write(life, &batch) {
            Err(WriteError::Fenced { current }) => current,
            other => panic!("{other:?}"),
        };
        assert_eq!(fenced(LIFE), None);
        alive(stage);
        assert_eq!(fenced("another").as_deref(), Some(LIFE));
        assert_eq!(stage.load(room).room.head.0, 1);
        stage.store.write(LIFE, &batch).unwrap();
        assert_eq!(stage.load(room).room.head.0, 2);
    })
    .await;
}

/// Writes, again while it has to wait too long for its turn.
fn write_patiently(stage: &Stage, batch: &[Placed]) -> Result<Vec<Written>, WriteError> {
    patiently(|| match stage.store.write(LIFE, batch) {
        Err(WriteError::Store(error)) => Err(error),
        answer => Ok(answer),
    })
}

/// Writes one event after the other until it is fenced.
fn write_on(stage: &Stage, room: RoomId, ann: UserId) {
    for seq in 2.. {
        let batch = [placed(room, seq, seq - 2, vec![message(ann, "m")])];
        match write_patiently(stage, &batch) {
            Ok(written) => assert!(matches!(written[..], [Written::Done { .. }])),
            Err(WriteError::Fenced { current }) => {
                assert_eq!(current.as_deref(), Some("next"));
                return;
            }
            Err(WriteError::Store(error)) => panic!("{error}"),
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn nothing_of_the_old_life_is_written_once_the_new_one_has_begun() {
    on_both(|stage| {
        alive(stage);
        let [ann] = people();
        let rooms: Vec<_> = (0..3).map(|_| stage.room(RoomKind::Open, &[ann])).collect();
        let heads = || stage.store.heads(&rooms).unwrap();
        thread::scope(|scope| {
            for room in &rooms {
                scope.spawn(|| write_on(stage, *room, ann));
            }
            until("everybody writes", || {
                heads().iter().all(|(_, head)| head.0 > 5)
            });
            assert!(patiently(|| stage.store.begin_life(Some(LIFE), "next")));
            let then = heads();
            until("the heads are looked at again", || {
                // As many reads as there were writes on the way.
                (0..20).all(|_| heads() == then)
            });
        });
        let end = heads();
        let late = [placed(rooms[0], end[0].1.0 + 1, 0, vec![message(ann, "m")])];
        let answer = stage.store.write(LIFE, &late);
        assert!(matches!(answer, Err(WriteError::Fenced { .. })));
        assert_eq!(heads(), end);
    })
    .await;
}

/// A writer that was stopped in the middle of its transaction has the next life wait.
#[tokio::test]
async fn a_life_does_not_begin_over_a_write_that_is_under_way() {
    let stage = Stage::postgres().await;
    alive(&stage);
    let [ann] = people();
    let room = stage.room(RoomKind::Open, &[ann]);
    let batch = [placed(room, 2, 0, vec![message(ann, "m")])];
    let mut blocker = PgConnection::establish(&stage.url).unwrap();
    AnsiTransactionManager::begin_transaction(&mut blocker).unwrap();
    blocker
        .batch_execute("SELECT * FROM rooms FOR UPDATE")
        .unwrap();
    let mut watcher = PgConnection::establish(&stage.url).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| stage.store.write(LIFE, &batch));
        until("the writer waits for its room", || {
            waiting(&mut watcher, "%FROM \"rooms\"%") == 1
        });
        let beginner = scope.spawn(|| stage.store.begin_life(Some(LIFE), "next"));
        until("the next life waits for the writer", || {
            waiting(&mut watcher, "UPDATE \"lives\"%") == 1
        });
        assert!(!beginner.is_finished());
        AnsiTransactionManager::rollback_transaction(&mut blocker).unwrap();
        let written = writer.join().unwrap().unwrap();
        assert!(matches!(written[..], [Written::Done { .. }]), "{written:?}");
        assert!(beginner.join().unwrap().unwrap());
    });
    assert_eq!(stage.load(room).room.head.0, 2);
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// How many connections wait for a lock in such a statement.
fn waiting(conn: &mut PgConnection, statement: &str) -> i64 {
    use diesel::RunQueryDsl;
    let found: Count = diesel::sql_query(
        "SELECT count(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND datname = current_database() AND query LIKE $1",
    )
    .bind::<diesel::sql_types::Text, _>(statement)
    .get_result(conn)
    .unwrap();
    found.count
}
