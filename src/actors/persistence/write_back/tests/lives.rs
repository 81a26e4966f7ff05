//! The ends of lives: fenced, salvaged, appended again.

use std::time::{Duration, Instant};

use super::super::{Salvaged, Survived};
use super::fakes::{LIFE, Take, World, quick, until};
use super::{events_in, seqs};
use crate::ids::{RoomId, Seq};
use crate::protocol::EventKind;

#[actix::test]
async fn a_writer_of_an_old_life_writes_nothing_and_appends_again() {
    let world = World::new(quick());
    let room = world.room();
    assert!(world.store.begin_life(Some(LIFE), "second").unwrap());
    let events = world.append(room, 3).await;
    until("the fence is noticed", async || {
        world.hot.state().fences > 0
    })
    .await;
    let more = world.append(room, 1).await;
    let fences = world.hot.state().fences;
    assert_eq!(fences, 1, "once is enough");
    assert_eq!(world.backlog.taken(), 4);
    let salvaged = world.salvage(LIFE).await.unwrap();
    let expected = Salvaged {
        again: 4,
        ..Salvaged::default()
    };
    assert_eq!(salvaged, expected);
    assert_eq!(world.backlog.taken(), 0);
    until("they are appended again", async || {
        !world.hot.state().again.is_empty()
    })
    .await;
    let all: Vec<_> = events.into_iter().chain(more).collect();
    assert_eq!(world.hot.state().again, [(room, all)]);
    assert_eq!(world.written(room), []);
}

#[actix::test]
async fn what_was_held_in_one_life_is_not_written_in_the_name_of_the_next() {
    let world = World::new(quick());
    let room = world.room();
    world.break_database();
    let old = world.append(room, 3).await;
    let waiting = world.when_flushed(room, 2);
    assert_eq!(world.holds().await.backlog, 3);
    // The cluster went on without this node: another life, other numbers.
    assert!(world.store.begin_life(Some(LIFE), "second").unwrap());
    {
        let mut state = world.hot.state();
        state.life = "second".into();
        state.rooms.clear();
    }
    let new = world.append(room, 1).await;
    world.mend_database();
    world.settled(room).await;
    until("the old ones are appended again", async || {
        !world.hot.state().again.is_empty()
    })
    .await;
    assert_eq!(world.hot.state().again, [(room, old)]);
    assert_eq!(world.written(room), new);
    assert!(waiting.await.is_err(), "nobody knows their new places yet");
    assert_eq!(world.salvage(LIFE).await.unwrap().again, 0);
}

#[actix::test]
async fn a_salvage_writes_what_is_held_and_what_survives() {
    let world = World::new(quick());
    let room = world.room();
    let held = world.hold_writes();
    world.append(room, 2).await;
    // Not heard, and still in the log.
    world.others_append(room, 2, false).await;
    world.others_append(room, 1, true).await;
    let own = world.append(room, 1).await;
    let salvage = world.salvage(LIFE);
    drop(held);
    let salvaged = salvage.await.unwrap();
    assert_eq!(salvaged.voids, 0);
    assert_eq!(seqs(&world.written(room)), [1, 2, 3, 4, 5, 6]);
    assert_eq!(world.written(room)[5], own[0]);
    assert_eq!(world.backlog.taken(), 0);
    // Nothing is left: the next one has nothing to do.
    assert_eq!(world.salvage(LIFE).await.unwrap(), Salvaged::default());
    let landed = world.landed.send(Take).await.unwrap();
    assert_eq!(landed.len(), 6);
}

#[actix::test]
async fn a_number_that_nobody_has_becomes_void_after_a_while() {
    let world = World::new(quick());
    let room = world.room();
    let survived = Survived {
        room,
        events: events_in(room, [2, 3]),
    };
    world.write_back.send(survived).await.unwrap();
    let begun = Instant::now();
    let salvaged = world.salvage(LIFE).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2), "others had time");
    let expected = Salvaged {
        rows: 3,
        voids: 1,
        ..Salvaged::default()
    };
    assert_eq!(salvaged, expected);
    let written = world.written(room);
    assert_eq!(seqs(&written), [1, 2, 3]);
    assert_eq!(written[0].draft.kind, EventKind::Void);
}

#[actix::test]
async fn what_only_the_log_may_have_does_not_become_void() {
    let world = World::new(quick());
    let room = world.room();
    world.others_append(room, 2, false).await;
    world.others_append(room, 1, true).await;
    world.hot.state().is_down = true;
    let mut salvage = world.salvage(LIFE);
    let long = Duration::from_millis(2500);
    let soon = tokio::time::timeout(long, &mut salvage).await;
    assert!(soon.is_err(), "{soon:?}");
    world.hot.state().is_down = false;
    let salvaged = salvage.await.unwrap();
    assert_eq!((salvaged.rows, salvaged.voids), (3, 0));
    assert_eq!(seqs(&world.written(room)), [1, 2, 3]);
}

#[actix::test]
async fn a_salvage_answers_only_when_the_database_has_it() {
    let world = World::new(quick());
    let room = world.room();
    world.break_database();
    world.append(room, 3).await;
    let waiting = world.when_flushed(room, 3);
    let mut salvage = world.salvage(LIFE);
    let soon = tokio::time::timeout(Duration::from_millis(300), &mut salvage).await;
    assert!(soon.is_err(), "{soon:?}");
    assert_eq!(world.backlog.taken(), 3);
    world.mend_database();
    assert_eq!(salvage.await.unwrap().rows, 3);
    waiting.await.unwrap();
    assert_eq!(world.backlog.taken(), 0);
    assert_eq!(seqs(&world.written(room)), [1, 2, 3]);
}

#[actix::test]
async fn what_comes_late_is_salvaged_as_well() {
    let world = World::new(quick());
    let room = world.room();
    world.break_database();
    world.append(room, 2).await;
    let first = world.salvage(LIFE);
    let second = world.salvage(LIFE);
    world.append(room, 2).await;
    world.mend_database();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first, second);
    assert_eq!(seqs(&world.written(room)), [1, 2, 3, 4]);
    // After it the life goes on, if it was not over.
    world.hot.state().rooms.get_mut(&room).unwrap().flushed = Seq(4);
    world.append(room, 1).await;
    world.settled(room).await;
}

#[actix::test]
async fn who_waits_for_a_room_that_does_not_exist_is_refused_by_the_salvage() {
    let world = World::new(quick());
    let (known, nowhere) = (world.room(), RoomId::random());
    let held = world.hold_writes();
    world.append(known, 1).await;
    world.append(nowhere, 2).await;
    let (good, bad) = (world.when_flushed(known, 1), world.when_flushed(nowhere, 1));
    let salvage = world.salvage(LIFE);
    drop(held);
    let salvaged = salvage.await.unwrap();
    assert_eq!(salvaged.lost, 2);
    good.await.unwrap();
    assert!(bad.await.is_err(), "what is nowhere is not in the database");
    assert_eq!(world.holds().await.counts.lost, 2);
    assert_eq!(world.backlog.taken(), 0);
}
