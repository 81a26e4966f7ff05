//! All rooms' ends: whose turn it is, how much at once, what is forgotten.

use std::time::{Duration, Instant};

use super::super::tail::Source;
use super::super::tails::{Limits, Tails};
use super::{events_in, large, seqs};
use crate::db::Placed;
use crate::ids::{RoomId, Seq};

fn tails(limits: Limits) -> (Tails<u32>, Instant) {
    (Tails::new(limits), Instant::now())
}

fn small() -> Limits {
    Limits {
        batch_rows: 4,
        heard_events: 8,
        reads: 2,
        ..Limits::default()
    }
}

fn rooms<const N: usize>() -> [RoomId; N] {
    std::array::from_fn(|i| RoomId::from_raw(i as i64 + 1))
}

fn batch(work: &[Placed]) -> Vec<(RoomId, Vec<i64>)> {
    let rooms = work.iter();
    rooms.map(|p| (p.room, seqs(&p.events))).collect()
}

#[test]
fn a_batch_goes_across_rooms_in_their_order_and_holds_so_many_rows() {
    let (mut tails, now) = tails(small());
    let [one, two, three] = rooms();
    tails.appended(three, events_in(three, [1, 2]), true, now);
    tails.appended(one, events_in(one, [1, 2, 3]), true, now);
    tails.appended(two, events_in(two, [1]), true, now);
    let first = tails.take().batch;
    assert_eq!(batch(&first), [(one, vec![1, 2]), (three, vec![1, 2])]);
    for placed in &first {
        tails.written(placed.room, Seq(2), now);
        tails.finished(placed.room);
    }
    // Who waited longest comes first.
    assert_eq!(batch(&tails.take().batch), [(one, vec![3]), (two, vec![1])]);
}

#[test]
fn a_room_is_in_one_write_at_a_time_and_comes_again_after_a_failure() {
    let (mut tails, now) = tails(small());
    let [one] = rooms();
    tails.appended(one, events_in(one, [1]), true, now);
    assert_eq!(batch(&tails.take().batch), [(one, vec![1])]);
    tails.appended(one, events_in(one, [2]), false, now);
    assert!(tails.take().batch.is_empty());
    tails.finished(one);
    assert_eq!(batch(&tails.take().batch), [(one, vec![1, 2])]);
}

#[test]
fn what_the_log_does_not_have_is_asked_for_at_the_next_tick_only() {
    let (mut tails, now) = tails(small());
    let [one] = rooms();
    tails.appended(one, events_in(one, [5]), true, now);
    assert_eq!(tails.take().batch.len(), 1);
    tails.behind(one, Seq(3), now);
    tails.finished(one);
    assert_eq!(tails.take().reads, [(one, Seq(3))]);
    tails.found(one, vec![], now);
    let work = tails.take();
    assert!(work.reads.is_empty() && work.batch.is_empty(), "{work:?}");
    tails.tick(now);
    assert_eq!(tails.take().reads, [(one, Seq(3))]);
    // It may also come by itself.
    tails.found(one, vec![], now);
    tails.heard(one, events_in(one, [4]), Source::Heard, now);
    assert_eq!(batch(&tails.take().batch), [(one, vec![4, 5])]);
}

#[test]
fn so_many_rooms_are_read_at_once() {
    let (mut tails, now) = tails(small());
    let all: [RoomId; 4] = rooms();
    tails.adopt(&all, now);
    for placed in tails.take().batch {
        tails.written(placed.room, Seq(1), now);
        tails.finished(placed.room);
        tails.moved(placed.room, Seq(1), Seq(2), now);
    }
    let reads = tails.take().reads;
    assert_eq!(reads.len(), 2);
    assert!(tails.take().reads.is_empty());
    for (room, _) in reads {
        tails.found(room, events_in(room, [2]), now);
    }
    let work = tails.take();
    assert_eq!((work.batch.len(), work.reads.len()), (2, 2));
}

#[test]
fn the_oldest_events_of_others_are_forgotten_and_own_ones_never() {
    let (mut tails, now) = tails(small());
    let [one, two] = rooms();
    tails.appended(one, events_in(one, 1..=50), false, now);
    tails.heard(one, events_in(one, 51..=56), Source::Heard, now);
    tails.heard(two, events_in(two, 1..=6), Source::Heard, now);
    let drained = tails.drain();
    let mut rooms = drained.rooms;
    rooms.sort_by_key(|(room, _)| *room);
    let held: Vec<_> = rooms.iter().map(|(_, events)| seqs(events)).collect();
    let own_and_newest: Vec<i64> = (1..=50).chain(55..=56).collect();
    assert_eq!(held, [own_and_newest, (1..=6).collect()]);
    assert_eq!(drained.own, 50);
}

#[test]
fn large_events_of_others_are_forgotten_earlier_and_a_reading_never_pushes_itself_out() {
    let (mut tails, now) = tails(small());
    let [one, two] = rooms();
    for seq in 1..=9 {
        tails.heard(one, vec![large(one, seq, 3)], Source::Heard, now);
    }
    let held = tails.drain().rooms;
    assert_eq!(seqs(&held[0].1), [8, 9], "8 KiB, as 8 small ones");

    tails.adopt(&[one, two], now);
    for room in [one, two] {
        tails.heard(room, events_in(room, [100]), Source::Heard, now);
        tails.behind(room, Seq::ZERO, now);
    }
    let reads = tails.take().reads;
    assert_eq!(reads, [(one, Seq::ZERO), (two, Seq::ZERO)]);
    for (room, _) in reads {
        let found = (1..=4).map(|seq| large(room, seq, 3)).collect();
        tails.found(room, found, now);
    }
    // All of it is more than is kept: the rest is read when this is written.
    let written = tails.take().batch;
    assert_eq!(batch(&written), [(one, vec![1]), (two, vec![1])]);
}

#[test]
fn settled_events_of_others_make_room() {
    let (mut tails, now) = tails(small());
    let [one, two] = rooms();
    tails.heard(two, events_in(two, [1]), Source::Heard, now);
    for seq in 1..=100 {
        tails.heard(one, events_in(one, [seq]), Source::Heard, now);
        tails.flushed_to(one, Seq(seq), now);
        tails.tick(now);
    }
    assert_eq!(
        tails.drain().rooms.len(),
        1,
        "the other room's is still here"
    );
}

#[test]
fn a_room_that_nobody_knows_is_asked_for_without_taking_it_over() {
    let (mut tails, now) = tails(small());
    let [one] = rooms();
    assert_eq!(tails.wait(one, Seq(3), now, 1), None);
    assert_eq!(batch(&tails.take().batch), [(one, vec![])]);
    assert!(tails.written(one, Seq(4), now));
    tails.finished(one);
    let settled = tails.gone(one, now);
    assert_eq!(settled.waiters, [1]);
    assert!(tails.take().batch.is_empty());
    assert_eq!(tails.wait(one, Seq(4), now, 2), Some(2));
}

#[test]
fn a_room_that_does_not_exist_is_not_tried_in_a_circle() {
    let (mut tails, now) = tails(small());
    let [one] = rooms();
    tails.appended(one, events_in(one, [1]), true, now);
    assert_eq!(tails.take().batch.len(), 1);
    tails.refused(one);
    tails.finished(one);
    assert!(tails.take().batch.is_empty());
    tails.tick(now);
    assert_eq!(tails.take().batch.len(), 1);
}

#[test]
fn the_late_are_told_and_the_settled_forgotten() {
    let (mut tails, now) = tails(small());
    let [one, two] = rooms();
    tails.wait(one, Seq(3), now, 1);
    tails.flushed_to(two, Seq(3), now);
    assert!(tails.tick(now).is_empty());
    let later = now + Duration::from_secs(60);
    assert_eq!(tails.tick(later), [1]);
    assert_eq!(tails.wait(two, Seq(3), later, 2), None, "asked again");
    assert!(tails.overdue(later).is_empty());
    assert_eq!(tails.overdue(later + Duration::from_secs(1)), [two]);
}

#[test]
fn it_is_clean_when_nothing_of_ours_is_left() {
    let (mut tails, now) = tails(small());
    let [one, two] = rooms();
    assert!(tails.is_clean() && !tails.has_own());
    tails.appended(one, events_in(one, [1]), false, now);
    tails.heard(two, events_in(two, [1]), Source::Heard, now);
    assert_eq!(tails.own_without_duty(), [one]);
    assert!(tails.has_own());
    assert_eq!(tails.adopt(&[one, two], now), 2);
    assert_eq!(tails.adopt(&[one], now), 0);
    tails.moved(one, Seq(1), Seq(1), now);
    assert!(!tails.has_own() && !tails.is_clean());
    tails.moved(two, Seq(1), Seq(1), now);
    assert!(tails.is_clean());
}
