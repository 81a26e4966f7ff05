//! What is large counts more: in a room's list in Redis, and in the backlog of a node.

use madang::protocol::ErrorCode;

use super::*;

/// Most bytes of events that stay in a room's list when the database has them.
const HOT_BYTES: usize = 256 * 1024;

/// On a Postgres of its own, with room for so many KiB.
async fn stage(backlog: &Arc<Backlog>) -> (Stage, Postgres) {
    let postgres = Postgres::start().await;
    let url = postgres.database().await;
    let options = OpenOptions {
        shared: true,
        ..OpenOptions::default()
    };
    let open = move || Db::open(&url, &options).unwrap();
    let db = tokio::task::spawn_blocking(open).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::with_backlog(db, folder, backlog.clone()).await;
    (stage, postgres)
}

impl Stage {
    /// What Redis holds of the only room: its list, and what the list is said to weigh.
    fn hot(&self) -> (Vec<String>, usize) {
        let server = self._redis.as_ref().expect("it stands on Redis");
        let key = |pattern: &str| server.keys(pattern).pop();
        let list = key("madang:{b*}:l:*").map_or_else(Vec::new, |list| {
            server.ask(::redis::cmd("LRANGE").arg(list).arg(0).arg(-1))
        });
        let room = key("madang:{b*}:r:*").expect("the room is hot");
        let bytes = server.ask(::redis::cmd("HGET").arg(room).arg("bytes"));
        (list, bytes)
    }
}

fn large(number: usize, kib: usize) -> Draft {
    message(user(1), &format!("{number} {}", "x".repeat(1024 * kib)))
}

#[test]
fn a_list_of_large_events_is_short_and_its_room_complete() {
    actix::System::new().block_on(async {
        let backlog = Backlog::new(10_000);
        let (stage, _postgres) = stage(&backlog).await;
        let room = stage.room().await;
        let mut said: Vec<Draft> = Vec::new();
        // More than stays, less than a list, one that is too large by itself, and small ones.
        for kibs in [&[30; 40][..], &[3; 50], &[300], &[0; 250], &[30, 30]] {
            for (number, kib) in kibs.iter().enumerate() {
                let draft = large(number, *kib);
                said.push(draft.clone());
                stage.append_freely(room, vec![draft]).await;
            }
            let last = Seq(said.len() as i64);
            stage.broker.when_flushed(room, last).await.unwrap();
            let (list, bytes) = stage.hot();
            let held: usize = list.iter().map(String::len).sum();
            assert_eq!(held, bytes, "what it is said to weigh");
            assert!(held <= HOT_BYTES && list.len() <= 200, "{held} bytes");
            assert_eq!(list.is_empty(), kibs == [300], "the newest stay");
        }
        let log = stage.log(room).await;
        let found: Vec<_> = log.into_iter().map(|event| event.draft).collect();
        assert!(found == said, "all of it can be read, as it was said");
        // The list begins within this page.
        let page = stage.broker.read(room, Seq(80), 200).await.unwrap();
        assert_eq!(page.first().map(Event::seq), Some(Seq(81)));
        assert_eq!(page.len(), 200);
        assert_eq!(backlog.taken(), 0);
    });
}

#[test]
fn large_events_fill_the_backlog_earlier_and_leave_it_empty() {
    actix::System::new().block_on(async {
        let backlog = Backlog::new(100);
        let (stage, mut postgres) = stage(&backlog).await;
        let room = stage.room().await;
        let warm = stage.append_freely(room, vec![message(user(1), "warm")]);
        let warm = place(warm.await[0]);
        stage.broker.when_flushed(room, warm).await.unwrap();
        postgres.kill();
        let append = |draft: Draft| {
            stage.broker.append(Append {
                room,
                basis: KNOWS_ALL,
                drafts: vec![draft],
            })
        };
        let mut said = Vec::new();
        for number in 0..3 {
            let draft = large(number, 30);
            said.push(draft.clone());
            append(draft).await.unwrap();
        }
        assert_eq!(backlog.taken(), 3 * 31, "each begun KiB counts");
        let refused = append(large(3, 30)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded);
        for number in 0..7 {
            let draft = message(user(2), &number.to_string());
            said.push(draft.clone());
            append(draft).await.unwrap();
        }
        let refused = append(message(user(2), "full")).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded);
        postgres.restart().await;
        eventually(
            "all of it is written",
            Duration::from_secs(30),
            async || (backlog.taken() == 0).then_some(()),
        )
        .await;
        let log = stage.log(room).await;
        let found: Vec<_> = log.into_iter().skip(1).map(|event| event.draft).collect();
        assert!(found == said, "nothing that was taken is lost");
    });
}
