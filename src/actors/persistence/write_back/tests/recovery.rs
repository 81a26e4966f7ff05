//! What is left of a life: what is written, what is filled, what comes again.

use std::time::Instant;

use super::super::message::Salvaged;
use super::super::recovery::{Recovered, Recovery};
use super::{ROOM, events, events_in, seqs};
use crate::db::{Placed, SeedRecord, Written};
use crate::ids::{Epoch, RoomId, Seq};
use crate::protocol::EventKind;

fn only(recovery: &Recovery) -> Placed {
    let mut batches = recovery.batches(100);
    assert_eq!(batches.len(), 1, "{batches:?}");
    batches[0].remove(0)
}

fn done(head: i64, asked: &Placed) -> Written {
    Written::Done {
        head: Seq(head),
        new: asked.events.clone(),
        poisoned: vec![],
    }
}

fn row(head: i64) -> SeedRecord {
    SeedRecord {
        epoch: Epoch::random(),
        head: Seq(head),
        messages: 2,
        changed_at: 99,
        newest_id_at: 0,
        rights: Seq::ZERO,
        membership: Seq::ZERO,
    }
}

#[test]
fn a_hole_is_waited_for_and_then_filled_with_voids() {
    let now = Instant::now();
    let mut recovery = Recovery::new(vec![(ROOM, events([4, 5, 8]))]);
    let first = only(&recovery);
    assert_eq!(seqs(&first.events), [4, 5]);
    assert!(
        recovery.holes().is_empty(),
        "nobody has asked the database yet"
    );
    let behind = Written::Behind { head: Seq(2) };
    assert!(recovery.learn(&first, &behind, now));
    assert!(!recovery.learn(&first, &behind, now), "no progress");
    assert_eq!(recovery.holes()[0].after, Seq(2));
    recovery.fill(ROOM, &row(2));
    let filled = only(&recovery);
    assert_eq!(seqs(&filled.events), [3, 4, 5]);
    let void = &filled.events[0];
    assert_eq!((void.place.n, void.place.at), (2, 99));
    assert_eq!(void.draft.kind, EventKind::Void);
    recovery.learn(&filled, &done(5, &filled), now);
    let last = only(&recovery);
    recovery.learn(&last, &Written::Behind { head: Seq(5) }, now);
    recovery.fill(ROOM, &row(5));
    let rest = only(&recovery);
    assert_eq!(seqs(&rest.events), [6, 7, 8]);
    recovery.learn(&rest, &done(8, &rest), now);
    assert!(recovery.is_done());
    let Recovered {
        salvaged, again, ..
    } = recovery.finish();
    let expected = Salvaged {
        rows: 6,
        voids: 3,
        ..Salvaged::default()
    };
    assert_eq!(salvaged, expected);
    assert!(again.is_empty());
}

#[test]
fn a_hole_that_somebody_else_has_closed_meanwhile_is_not_filled() {
    let now = Instant::now();
    let mut recovery = Recovery::new(vec![(ROOM, events([4]))]);
    recovery.learn(&only(&recovery), &Written::Behind { head: Seq(2) }, now);
    recovery.fill(ROOM, &row(3));
    assert!(recovery.holes().is_empty());
    assert_eq!(seqs(&only(&recovery).events), [4]);
}

#[test]
fn what_is_found_in_the_log_closes_a_hole() {
    let now = Instant::now();
    let mut recovery = Recovery::new(vec![(ROOM, events([5]))]);
    recovery.learn(&only(&recovery), &Written::Behind { head: Seq(3) }, now);
    recovery.add(ROOM, events([4, 5]));
    assert!(recovery.holes().is_empty());
    assert_eq!(seqs(&only(&recovery).events), [4, 5]);
}

#[test]
fn what_lies_below_the_head_is_compared_as_well() {
    let now = Instant::now();
    let mut recovery = Recovery::new(vec![(ROOM, events([2, 5]))]);
    let first = only(&recovery);
    // Others have written on.
    recovery.learn(&first, &done(9, &first), now);
    let second = only(&recovery);
    assert_eq!(seqs(&second.events), [5]);
    let conflict = Written::Conflict {
        at: Seq(5),
        head: Seq(9),
    };
    recovery.learn(&second, &conflict, now);
    assert!(recovery.is_done());
    let Recovered {
        salvaged, again, ..
    } = recovery.finish();
    assert_eq!(salvaged.again, 1);
    assert_eq!(seqs(&again[0].1), [5]);
}

#[test]
fn a_life_that_is_over_gives_everything_back() {
    let other = RoomId::from_raw(8);
    let held = vec![(ROOM, events([2, 3])), (other, events_in(other, [1]))];
    let mut recovery = Recovery::new(held);
    recovery.give_up();
    assert!(recovery.is_done());
    let Recovered {
        salvaged, again, ..
    } = recovery.finish();
    assert_eq!(salvaged.again, 3);
    let again: Vec<_> = again.iter().map(|(_, events)| seqs(events)).collect();
    assert_eq!(again, [vec![2, 3], vec![1]]);
}

#[test]
fn rooms_share_writes_of_so_many_rows() {
    let held = (1..=4)
        .map(RoomId::from_raw)
        .map(|room| (room, events_in(room, 1..=3)));
    let recovery = Recovery::new(held.collect());
    let batches = recovery.batches(6);
    let rooms: Vec<_> = batches.iter().map(Vec::len).collect();
    assert_eq!(rooms, [2, 2]);
}

#[test]
fn a_room_that_does_not_exist_keeps_nobody_up() {
    let now = Instant::now();
    let mut recovery = Recovery::new(vec![(ROOM, events([1]))]);
    recovery.learn(&only(&recovery), &Written::NoRoom, now);
    assert!(recovery.is_done());
}
