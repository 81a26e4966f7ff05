//! What many ask at once is one question for all of them, and each gets their own answer.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use madang::db::{Db, OpenOptions, RoomKind, UserRecord, UserRole, UserStatus};
use madang::error::Result;
use madang::ids::UserId;
use madang::protocol::ErrorCode;

use super::trouble::run_sql;
use super::{Stage, message};
use crate::support::{eventually, seconds};

/// How long the database's threads may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

fn account(name: String) -> UserRecord {
    let id = UserId::random();
    UserRecord {
        id,
        sub: format!("sub of {id}"),
        username: None,
        password_hash: None,
        name,
        role: UserRole::User,
        status: UserStatus::Active,
        revoked_before: 0,
        version: 1,
        created_at: 5,
    }
}

/// People with accounts; some of the first have rooms with something unread.
fn gather(stage: &Stage, count: usize) -> Vec<UserRecord> {
    let people: Vec<_> = (0..count).map(|n| account(format!("{n}"))).collect();
    for person in &people {
        stage.store.create_user(person).unwrap();
    }
    for three in people.chunks(3).take(10) {
        let [writer, reader, ..] = three else {
            continue;
        };
        let room = stage.room(RoomKind::Open, &[writer.id, reader.id]);
        stage.append(room, vec![message(writer.id, "hi")]);
    }
    people
}

/// Asks something while all threads of the database are busy, so that everything gathers.
/// Answers how many questions it took, too.
async fn ask_at_once<T>(db: &Db, ask: impl FnOnce() -> Vec<T>) -> (Vec<T::Output>, u64)
where
    T: Future,
{
    let threads = OpenOptions::default().threads;
    let (come, came) = mpsc::channel();
    let (gates, held): (Vec<_>, Vec<_>) = (0..threads)
        .map(|_| {
            let (gate, opened) = mpsc::channel::<()>();
            let come = come.clone();
            let holding = db.run(move |_| {
                come.send(()).unwrap();
                // It opens by being dropped.
                let _ = opened.recv();
                Ok(())
            });
            (gate, holding)
        })
        .unzip();
    for _ in 0..threads {
        came.recv_timeout(PATIENCE).unwrap();
    }
    let before = db.counted().asked;
    let asked = ask();
    drop(gates);
    let answers = join_all(asked).await;
    let questions = db.counted().asked - before;
    join_all(held).await;
    (answers, questions)
}

#[tokio::test]
async fn many_who_ask_for_their_rooms_share_a_few_questions() {
    for stage in [Stage::sqlite(), Stage::postgres().await] {
        let mut people = gather(&stage, 30);
        // Somebody who has two devices, and those who have no rooms.
        people.push(people[0].clone());
        people.extend((0..420).map(|_| account("nobody".into())));
        let ask = || people.iter().map(|person| stage.db.rooms_of(person.id));
        let (answers, questions) = ask_at_once(&stage.db, || ask().collect()).await;
        assert!(questions <= 5, "{questions} questions");
        for (person, list) in people.iter().zip(answers) {
            let alone = stage.store.memberships(person.id).unwrap();
            let list = list.unwrap();
            assert_eq!(format!("{:?}", list.memberships), format!("{alone:?}"));
            assert!(list.names.is_empty());
        }
        assert!(!stage.store.memberships(people[1].id).unwrap().is_empty());
    }
}

#[tokio::test]
async fn many_who_sign_in_share_a_few_questions() {
    for stage in [Stage::sqlite(), Stage::postgres().await] {
        let mut people = gather(&stage, 250);
        let stranger = account("nobody".into());
        people.push(stranger.clone());
        let by_sub = |person: &UserRecord| stage.db.account_by_sub(person.sub.as_str().into());
        let (named, questions) =
            ask_at_once(&stage.db, || people.iter().map(by_sub).collect()).await;
        assert!(questions <= 5, "{questions} questions");
        let by_id = |person: &UserRecord| stage.db.account(person.id);
        let (known, questions) =
            ask_at_once(&stage.db, || people.iter().map(by_id).collect()).await;
        assert!(questions <= 5, "{questions} questions");
        for ((person, named), known) in people.iter().zip(named).zip(known) {
            let there = (*person != stranger).then(|| person.clone());
            assert_eq!(named.unwrap(), there);
            assert_eq!(known.unwrap(), there);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_for_one_is_read_for_the_others() {
    for stage in [Stage::sqlite(), Stage::postgres().await] {
        let people = gather(&stage, 9);
        let broken = people[4].id;
        let spoil = format!(
            "UPDATE users SET role = 'wizard' WHERE name = '{}'",
            people[4].name
        );
        run_sql(&stage, &spoil, &spoil);
        let by_id = |person: &UserRecord| stage.db.account(person.id);
        let (known, _) = ask_at_once(&stage.db, || people.iter().map(by_id).collect()).await;
        for (person, known) in people.iter().zip(known) {
            let known: Result<Option<UserRecord>> = known;
            if person.id == broken {
                assert_eq!(known.unwrap_err().code, ErrorCode::Internal);
            } else {
                assert_eq!(known.unwrap().as_ref(), Some(person));
            }
        }
    }
}

#[tokio::test]
async fn whoever_finds_no_thread_is_refused_and_the_next_is_not() {
    let stage = Stage::sqlite();
    let people = gather(&stage, 3);
    let full = OpenOptions::default().queue;
    let (answers, _) = ask_at_once(&stage.db, || {
        let waiting: Vec<_> = (0..full).map(|_| stage.db.run(|_| Ok(()))).collect();
        let refused = stage.db.rooms_of(people[0].id);
        drop(waiting);
        vec![refused]
    })
    .await;
    let refused = answers.into_iter().next().unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::Overloaded);
    eventually("there is room again", seconds(10), async || {
        (stage.db.counted().waiting == 0).then_some(())
    })
    .await;
    let list = stage.db.rooms_of(people[0].id).await.unwrap();
    assert_eq!(list.memberships.len(), 1);
}
