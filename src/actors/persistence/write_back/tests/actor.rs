//! The actor at work: what it writes, whom it tells, what it survives.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::sweeping::GRACE;
use super::super::{Limits, Survived};
use super::fakes::{LIFE, Take, World, quick, until};
use super::{event_in, events_in, seqs};
use crate::db::Placed;
use crate::ids::{RoomId, Seq};
use crate::protocol::{ErrorCode, EventKind};

#[actix::test]
async fn own_events_come_to_the_database_and_everybody_is_told_once() {
    let world = World::new(quick());
    let room = world.room();
    let events = world.append(room, 3).await;
    let waiting = world.when_flushed(room, 3);
    world.append(room, 2).await;
    waiting.await.unwrap();
    world.settled(room).await;
    world.when_flushed(room, 2).await.unwrap();
    let landed = world.landed.send(Take).await.unwrap();
    assert_eq!(seqs(&landed), [1, 2, 3, 4, 5]);
    assert_eq!(landed[..3], events);
    let holds = world.holds().await;
    assert_eq!((holds.backlog, holds.counts.rows_total), (0, 5));
    assert_eq!(holds.oldest_unflushed, Duration::ZERO);
    assert_eq!(holds.counts.rows.iter().sum::<u64>(), holds.counts.batches);
}

#[actix::test]
async fn the_next_batch_gathers_while_one_is_written() {
    let world = World::new(quick());
    let rooms = [world.room(), world.room()];
    let held = world.hold_writes();
    for _ in 0..50 {
        for room in rooms {
            world.append(room, 1).await;
        }
    }
    assert_eq!(world.holds().await.backlog, 100);
    assert!(world.holds().await.oldest_unflushed > Duration::ZERO);
    drop(held);
    for room in rooms {
        world.settled(room).await;
    }
    let counts = world.holds().await.counts;
    assert_eq!((counts.batches, counts.rows_total), (2, 100));
    assert_eq!(counts.rows, [1, 0, 1, 0, 0]);
}

#[actix::test]
async fn what_was_not_heard_is_read_from_the_log() {
    let world = World::new(quick());
    let room = world.room();
    let held = world.hold_writes();
    world.append(room, 2).await;
    world.others_append(room, 700, false).await;
    world.append(room, 2).await;
    world.others_append(room, 3, true).await;
    drop(held);
    world.settled(room).await;
    let reads = world.hot.state().reads;
    assert!((2..=4).contains(&reads), "{reads} reads for 700 events");
}

#[actix::test]
async fn the_room_of_a_dead_writer_is_taken_over() {
    let world = World::new(quick());
    let room = world.room();
    world.others_append(room, 5, false).await;
    world.hot.state().stuck.push(room);
    world.settled(room).await;
    assert_eq!(world.holds().await.counts.swept, 1);
}

#[actix::test]
async fn what_another_node_writes_is_only_waited_for() {
    let slow = Limits {
        standstill: (Duration::from_secs(50), Duration::from_secs(60)),
        ..quick()
    };
    let world = World::new(slow);
    let room = world.room();
    world.others_append(room, 1, true).await;
    world.append(room, 2).await;
    let waiting = world.when_flushed(room, 3);
    assert_eq!(world.holds().await.backlog, 2);
    world.others_write(room, true).await;
    waiting.await.unwrap();
    world.settled(room).await;
    assert_eq!(world.holds().await.counts.batches, 0);
    // Who appends and who is told may overtake each other.
    let (events, seq) = (vec![event_in(room, 3)], Seq(3));
    assert_eq!(events[0].seq(), seq);
    world.when_flushed(room, 3).await.unwrap();
}

#[actix::test]
async fn a_lost_ring_is_made_up_for() {
    let world = World::new(quick());
    let room = world.room();
    world.others_append(room, 1, true).await;
    world.append(room, 2).await;
    let waiting = world.when_flushed(room, 3);
    world.others_write(room, false).await;
    waiting.await.unwrap();
    world.settled(room).await;
    assert_eq!(world.landed.send(Take).await.unwrap(), []);
}

#[actix::test]
async fn an_outage_of_the_database_fills_the_backlog_and_loses_nothing() {
    let world = World::new(quick());
    let room = world.room();
    world.append(room, 1).await;
    world.settled(room).await;
    world.break_database();
    for _ in 0..10 {
        world.append(room, 100).await;
    }
    let refused = world.backlog.reserve(1).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Overloaded);
    until("it is tried again", async || {
        world.holds().await.counts.retries >= 3
    })
    .await;
    world.mend_database();
    world.settled(room).await;
    assert_eq!(world.holds().await.counts.rows_total, 1001);
    assert_eq!(world.written(room).len(), 1001);
}

#[actix::test]
async fn nobody_takes_rooms_over_right_after_an_outage() {
    let calm = Duration::from_secs(2);
    let world = World::new(Limits {
        standstill: (calm, calm),
        ..quick()
    });
    let (ours, theirs) = (world.room(), world.room());
    world.others_append(theirs, 1, false).await;
    world.break_database();
    world.append(ours, 1).await;
    until("a write fails", async || {
        world.holds().await.counts.retries > 0
    })
    .await;
    world.hot.state().stuck.push(theirs);
    let mended = Instant::now();
    world.mend_database();
    world.settled(theirs).await;
    assert_eq!(world.holds().await.counts.swept, 1);
    assert!(
        mended.elapsed() > calm / 2,
        "their writer had the same outage"
    );
}

#[actix::test]
async fn an_outage_of_the_log_keeps_nobody_waiting() {
    let world = World::new(quick());
    let room = world.room();
    let held = world.hold_writes();
    world.append(room, 2).await;
    let waiting = world.when_flushed(room, 2);
    world.hot.state().is_down = true;
    drop(held);
    waiting.await.unwrap();
    assert_eq!(world.backlog.taken(), 0);
    assert_eq!(world.hot.state().rooms[&room].flushed, Seq::ZERO);
    world.hot.state().is_down = false;
    world.settled(room).await;
}

#[actix::test]
async fn a_room_that_nobody_here_knows_is_looked_up() {
    let world = World::new(quick());
    let room = world.room();
    let events = (1..=3).map(|seq| event_in(room, seq)).collect();
    let placed = Placed { room, events };
    world.store.write(LIFE, &[placed]).unwrap();
    world.when_flushed(room, 3).await.unwrap();
    let hasty = Limits {
        deadline: Duration::from_millis(50),
        standstill: (Duration::from_secs(50), Duration::from_secs(60)),
        ..quick()
    };
    let world = World::new(hasty);
    let refused = world.when_flushed(world.room(), 1).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
}

#[actix::test]
async fn a_conflict_is_never_ignored() {
    let world = World::new(quick());
    let room = world.room();
    let other = Placed {
        room,
        events: vec![event_in(room, 1), event_in(room, 2)],
    };
    world.store.write(LIFE, &[other]).unwrap();
    let held = world.hold_writes();
    let events = world.append(room, 3).await;
    let waiting = world.when_flushed(room, 3);
    drop(held);
    assert_eq!(waiting.await.unwrap_err().code, ErrorCode::Unavailable);
    until("they are appended again", async || {
        !world.hot.state().again.is_empty()
    })
    .await;
    assert_eq!(world.hot.state().again, [(room, events)]);
    let holds = world.holds().await;
    assert_eq!((holds.counts.conflicts, holds.backlog), (1, 0));
    assert_eq!(world.written(room).len(), 2);
}

#[actix::test]
async fn what_the_database_never_takes_is_counted_and_holds_nobody_up() {
    let world = World::new(quick());
    let room = world.room();
    let mut bad = event_in(room, 1);
    bad.draft.kind = EventKind::Join;
    bad.draft.body = "{}".into();
    let survived = Survived {
        room,
        events: vec![bad, event_in(room, 2)],
    };
    world.write_back.send(survived).await.unwrap();
    let adopt = super::super::Adopt { rooms: vec![room] };
    world.write_back.send(adopt).await.unwrap();
    until("both are written", async || world.written(room).len() == 2).await;
    until("it is counted", async || {
        world.holds().await.counts.poisoned == 1
    })
    .await;
    assert_eq!(world.written(room)[0].draft.kind, EventKind::Void);
}

#[actix::test]
async fn stopping_waits_for_everything_of_this_node() {
    let slow = Limits {
        standstill: (Duration::from_secs(50), Duration::from_secs(60)),
        ..quick()
    };
    let world = World::new(slow);
    let (ours, theirs) = (world.room(), world.room());
    world.others_append(theirs, 1, false).await;
    let held = world.hold_writes();
    world.append(ours, 5).await;
    // Its writer may be slow, or dead: this node does not wait for it.
    world.append(theirs, 5).await;
    let stopping = world.flush();
    drop(held);
    stopping.await.unwrap();
    assert_eq!(
        (world.written(ours).len(), world.written(theirs).len()),
        (5, 6)
    );
    assert_eq!(world.backlog.taken(), 0);
    world.flush().await.unwrap();
}

#[actix::test]
async fn stopping_does_not_wait_for_those_who_go_on() {
    let world = World::new(quick());
    let room = world.room();
    world.append(room, 1).await;
    world.settled(room).await;
    // The log says that there is more, and never has it.
    world.hot.state().rooms.get_mut(&room).unwrap().head = Seq(9);
    world.hot.state().stuck.push(room);
    until("it is adopted", async || {
        world.holds().await.counts.swept == 1
    })
    .await;
    let begun = Instant::now();
    world.flush().await.unwrap();
    assert!(begun.elapsed() >= GRACE, "they had no time");
    // It goes on with what it has adopted, as long as it lives.
    let late = events_in(room, 2..=9);
    let late = late.into_iter().map(|event| (event.seq(), event));
    {
        let mut state = world.hot.state();
        state.rooms.get_mut(&room).unwrap().log.extend(late);
    }
    world.settled(room).await;
    assert_eq!(world.holds().await.counts.swept, 1);
}

/// One random thing that happens.
async fn happens(world: &World, rooms: &[RoomId], random: &mut StdRng, broken: &mut bool) {
    let room = rooms[random.random_range(0..rooms.len())];
    match random.random_range(0..10) {
        0..4 => {
            world.append(room, random.random_range(1..4)).await;
        }
        4..7 => {
            let heard = random.random_range(0..3) > 0;
            world
                .others_append(room, random.random_range(1..4), heard)
                .await;
            world.hot.state().stuck.push(room);
        }
        7 => {
            let mut state = world.hot.state();
            state.is_down = !state.is_down;
        }
        8 if *broken => {
            world.mend_database();
            *broken = false;
        }
        8 => {
            world.break_database();
            *broken = true;
        }
        _ => tokio::time::sleep(Duration::from_millis(random.random_range(0..30))).await,
    }
}

#[actix::test]
async fn whatever_happens_every_event_is_written_once_and_in_order() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let tiny = Limits {
        batch_rows: 5,
        heard_events: 10,
        reads: 2,
        ..quick()
    };
    let world = World::new(tiny);
    let rooms = [world.room(), world.room(), world.room()];
    let mut waiting = Vec::new();
    let mut broken = false;
    for _ in 0..200 {
        happens(&world, &rooms, &mut random, &mut broken).await;
        let room = rooms[random.random_range(0..rooms.len())];
        let head = world.hot.state().rooms.get(&room).map(|hot| hot.head.0);
        if let Some(head) = head
            && waiting.len() < 50
        {
            waiting.push(world.when_flushed(room, head));
        }
    }
    if broken {
        world.mend_database();
    }
    world.hot.state().is_down = false;
    world.hot.state().stuck.extend(rooms);
    for room in rooms {
        if world.hot.state().rooms.contains_key(&room) {
            world.settled(room).await;
        }
    }
    for waiter in waiting {
        waiter.await.unwrap();
    }
    let mut landed = world.landed.send(Take).await.unwrap();
    landed.sort_by_key(|event| (event.room, event.seq()));
    let mut expected: Vec<_> = rooms.iter().flat_map(|room| world.written(*room)).collect();
    expected.sort_by_key(|event| (event.room, event.seq()));
    assert_eq!(landed, expected, "each once");
}
