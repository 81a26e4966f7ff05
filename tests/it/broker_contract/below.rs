//! What lies below the log: pages that go far back, ids that only the database knows.

use madang::actors::registry::PageOf;
use madang::db::{Range, Select, Store};

use super::*;

#[test]
fn a_page_of_messages_skips_all_that_is_none() {
    on_every_broker(async |stage| {
        let room = stage.room().await;
        let first = vec![message(user(1), "first"), message(user(1), "second")];
        stage.append_freely(room, first).await;
        for _ in 0..10 {
            let others = (0..50).map(|who| change(EventKind::Kick, user(who)));
            stage.append_freely(room, others.collect()).await;
        }
        let last = stage.append_freely(room, vec![message(user(1), "last")]);
        let last = place(last.await[0]);
        stage.broker.when_flushed(room, last).await.unwrap();
        for (after, limit, wanted) in [
            (0, 1, vec![1]),
            (0, 2, vec![1, 2]),
            (0, 10, vec![1, 2, 503]),
            (1, 10, vec![2, 503]),
            (2, 10, vec![503]),
            (480, 10, vec![503]),
            (503, 10, vec![]),
        ] {
            let page = PageOf {
                room,
                range: Range::After(Seq(after)),
                floor: Seq(1),
                select: Select::Messages,
                limit,
            };
            let found = stage.broker.page(page).await.unwrap();
            let found: Vec<_> = found.iter().map(|event| event.seq().0).collect();
            assert_eq!(found, wanted, "{limit} after {after}");
        }
    });
}

/// A message with an id that was made so long ago.
fn late(from: UserId, ago: Duration) -> Draft {
    let at = madang::clock::now_ms() - ago.as_millis() as i64;
    Draft {
        client_id: ClientId::derived(at, &format!("{from} {}", ago.as_millis())),
        ..message(from, "late")
    }
}

#[test]
fn a_wrong_clock_stops_nobody_else_while_the_database_is_away() {
    actix::System::new().block_on(async {
        let mut postgres = Postgres::start().await;
        let url = postgres.database().await;
        let options = OpenOptions {
            shared: true,
            ..OpenOptions::default()
        };
        let open = move || Db::open(&url, &options).unwrap();
        let db = tokio::task::spawn_blocking(open).await.unwrap();
        let stage = Stage::with_redis(db, tempfile::tempdir().unwrap()).await;
        let room = stage.room().await;
        // Written before Redis knows the room: ids up to now are the database's.
        let before = Append {
            room,
            basis: KNOWS_ALL,
            drafts: vec![message(user(1), "before")],
        };
        let write = move |store: &dyn Store| store.append(&[before], madang::clock::now_ms());
        stage.db.run(write).await.unwrap();
        let warm = stage.append_freely(room, vec![message(user(1), "warm")]);
        assert_eq!(place(warm.await[0]), Seq(2));
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let asked = vec![late(user(2), minutes(10)), message(user(3), "known")];
        let fates = stage.append_freely(room, asked.clone()).await;
        let places: Vec<_> = fates.into_iter().map(place).collect();
        assert_eq!(places, [Seq(3), Seq(4)], "with the database nobody waits");

        postgres.kill();
        let mut shortest = Duration::MAX;
        for (round, head) in (1_u64..=5).zip(5_i64..) {
            let begun = std::time::Instant::now();
            let drafts = vec![
                message(user(1), "right"),
                late(user(2), minutes(2 + round)),
                message(user(2), "sent behind it"),
                asked[1].clone(),
            ];
            let fates = stage.append_freely(room, drafts).await;
            assert_eq!(place(fates[0]), Seq(head), "{fates:?}");
            assert_eq!(fates[1..3], [Fate::Unknown; 2], "nothing overtakes");
            // What Redis knows itself needs no database.
            assert_eq!(place(fates[3]), Seq(4));
            shortest = shortest.min(begun.elapsed());
        }
        // A machine may stand still in one of the rounds, the log in none.
        let short = Duration::from_secs(2);
        assert!(shortest < short, "they waited for {shortest:?} and longer");
        postgres.restart().await;
        eventually(
            "the late one is taken",
            Duration::from_secs(20),
            async || {
                let drafts = vec![late(user(2), minutes(3))];
                let fates = stage.append_freely(room, drafts).await;
                matches!(fates[..], [Fate::New(_)]).then_some(())
            },
        )
        .await;
    });
}

#[test]
fn a_room_that_does_not_exist_takes_nothing() {
    on_every_broker(async |stage| {
        let nowhere = RoomId::random();
        let appended = stage
            .append(nowhere, KNOWS_ALL, vec![message(user(1), "hello?")])
            .await;
        assert_eq!(appended, Appended::NoRoom);
        assert_eq!(stage.broker.heads(vec![nowhere]).await.unwrap(), []);
    });
}
