//! One room's end, message by message.

use std::time::{Duration, Instant};

use super::super::tail::{Next, Source, Tail};
use super::{ROOM, events, large, seqs};
use crate::ids::Seq;

type Waiter = &'static str;

fn tail() -> (Tail<Waiter>, Instant) {
    let now = Instant::now();
    (Tail::new(now), now)
}

/// What is to be written, by number.
fn writes(tail: &Tail<Waiter>) -> Vec<i64> {
    match tail.next(100) {
        Next::Write(events) => seqs(&events),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_made_the_room_dirty_writes_it_until_it_is_clean() {
    let (mut tail, now) = tail();
    assert_eq!(tail.appended(events([5, 6]), true, now), 0);
    assert_eq!(writes(&tail), [5, 6]);
    tail.heard(events([7]), Source::Heard, now);
    assert_eq!(writes(&tail), [5, 6, 7]);
    assert!(tail.written(Seq(6)));
    assert_eq!(writes(&tail), [7]);
    let settled = tail.moved(Seq(6), Seq(7), now);
    assert_eq!(settled.released, 2);
    assert!(tail.has_duty());
    tail.written(Seq(7));
    assert_eq!(tail.next(100), Next::Nothing);
    assert_eq!(tail.moved(Seq(7), Seq(7), now).released, 0);
    assert!(!tail.has_duty());
}

#[test]
fn who_did_not_only_waits() {
    let (mut tail, now) = tail();
    tail.appended(events([5]), false, now);
    assert_eq!(tail.next(100), Next::Nothing);
    assert_eq!(tail.own(), 1);
    assert_eq!(tail.flushed_to(Seq(4), now).released, 0);
    assert_eq!(tail.flushed_to(Seq(5), now).released, 1);
    assert_eq!(tail.flushed_to(Seq(5), now).released, 0, "once");
    assert_eq!(tail.flushed_to(Seq(3), now).released, 0, "never back");
    assert!(!tail.holds(Seq(5)));
}

#[test]
fn a_write_has_no_hole_and_what_is_missing_is_read() {
    let (mut tail, now) = tail();
    tail.appended(events([5]), true, now);
    tail.heard(events([7, 8]), Source::Heard, now);
    assert_eq!(writes(&tail), [5]);
    tail.written(Seq(5));
    assert_eq!(tail.next(100), Next::Read(Seq(5)));
    tail.heard(events([6, 7]), Source::Heard, now);
    assert_eq!(writes(&tail), [6, 7, 8]);
    assert_eq!(
        tail.next(2),
        Next::Write(match tail.next(100) {
            Next::Write(events) => events[..2].to_vec(),
            other => panic!("{other:?}"),
        })
    );
}

#[test]
fn what_the_log_has_beyond_what_was_heard_is_read() {
    let (mut tail, now) = tail();
    tail.appended(events([1]), true, now);
    tail.written(Seq(1));
    tail.moved(Seq(1), Seq(3), now);
    assert_eq!(tail.next(100), Next::Read(Seq(1)));
}

#[test]
fn an_adopted_room_asks_the_database_first() {
    let (mut tail, now) = tail();
    tail.adopt();
    assert_eq!(writes(&tail), Vec::<i64>::new());
    assert!(tail.written(Seq(9)), "the log is told, even of nothing new");
    assert_eq!(tail.next(100), Next::Nothing);
    tail.moved(Seq(9), Seq(12), now);
    assert_eq!(tail.next(100), Next::Read(Seq(9)));
    tail.heard(events([10, 11, 12]), Source::Heard, now);
    assert_eq!(writes(&tail), [10, 11, 12]);
}

#[test]
fn a_database_that_is_behind_is_believed() {
    let (mut tail, now) = tail();
    tail.appended(events([5, 6]), true, now);
    assert!(!tail.behind(Seq(2)), "the log knows more");
    assert_eq!(tail.next(100), Next::Read(Seq(2)));
    tail.heard(events([3, 4]), Source::Heard, now);
    assert_eq!(writes(&tail), [3, 4, 5, 6]);
}

#[test]
fn a_room_that_became_dirty_again_stays_ours() {
    let (mut tail, now) = tail();
    tail.appended(events([1]), true, now);
    tail.written(Seq(1));
    // The log was clean when it answered; our next append came between, and is known first.
    tail.appended(events([2]), true, now);
    tail.moved(Seq(1), Seq(1), now);
    assert!(tail.has_duty());
    assert_eq!(writes(&tail), [2]);
}

#[test]
fn what_a_ring_brings_again_is_not_counted_again() {
    let (mut tail, now) = tail();
    tail.heard(events([3]), Source::Heard, now);
    assert_eq!(tail.appended(events([3, 4]), false, now), 0);
    assert_eq!(tail.own(), 2, "a heard one became own");
    assert!(tail.heard(events([3, 4]), Source::Heard, now).is_empty());
    assert_eq!(tail.appended(events([3]), false, now), 1, "reserved twice");
    assert!(!tail.forget(Seq(3)), "own events stay");
    tail.flushed_to(Seq(4), now);
    assert_eq!(tail.appended(events([4]), false, now), 1, "flushed already");
}

#[test]
fn only_what_can_be_read_again_is_forgotten() {
    let (mut tail, now) = tail();
    tail.heard(events([3]), Source::Heard, now);
    tail.heard(events([4]), Source::Survived, now);
    assert!(tail.forget(Seq(3)));
    assert!(!tail.forget(Seq(3)));
    assert!(!tail.forget(Seq(4)));
}

#[test]
fn waiters_are_answered_once_when_their_place_is_there() {
    let (mut tail, now) = tail();
    tail.appended(events([1, 2, 3]), true, now);
    for (seq, name) in [(1, "one"), (3, "three"), (2, "two")] {
        assert_eq!(tail.wait(Seq(seq), now, name), None);
    }
    assert_eq!(tail.flushed_to(Seq(2), now).waiters, ["one", "two"]);
    assert_eq!(tail.flushed_to(Seq(2), now).waiters, Vec::<Waiter>::new());
    assert_eq!(tail.wait(Seq(2), now, "late"), Some("late"));
    assert_eq!(tail.expire(now), Vec::<Waiter>::new());
    assert_eq!(tail.expire(now + Duration::from_secs(1)), ["three"]);
    assert_eq!(tail.flushed_to(Seq(3), now).waiters, Vec::<Waiter>::new());
}

#[test]
fn a_room_that_the_log_has_lost_is_settled_as_far_as_it_is_written() {
    let (mut tail, now) = tail();
    tail.appended(events([1, 2]), true, now);
    tail.written(Seq(1));
    assert_eq!(tail.gone(now).released, 1);
    assert!(tail.has_duty(), "the second is still to be written");
    assert_eq!(writes(&tail), [2]);
    tail.written(Seq(2));
    assert_eq!(tail.gone(now).released, 1);
    assert!(!tail.has_duty());
}

#[test]
fn what_contradicts_the_database_is_taken_out() {
    let (mut tail, now) = tail();
    tail.appended(events([1, 2]), true, now);
    tail.heard(events([3]), Source::Heard, now);
    tail.wait(Seq(1), now, "one");
    tail.wait(Seq(2), now, "two");
    let removed = tail.remove_from(Seq(2));
    assert_eq!((seqs(&removed.events), removed.own), (vec![2, 3], 1));
    assert_eq!(removed.waiters, ["two"]);
    assert!(!tail.has_duty());
    let settled = tail.flushed_to(Seq(1), now);
    assert_eq!((settled.released, settled.waiters), (1, vec!["one"]));
}

#[test]
fn own_events_that_nobody_moves_are_overdue() {
    let (mut tail, now) = tail();
    let later = now + Duration::from_secs(5);
    assert!(!tail.is_overdue(later), "nothing waits");
    tail.appended(events([1, 2]), false, now + Duration::from_secs(1));
    assert!(!tail.is_overdue(now + Duration::from_secs(1)));
    assert!(tail.is_overdue(later));
    tail.flushed_to(Seq(1), later);
    assert!(!tail.is_overdue(later), "it moved");
    assert!(tail.is_overdue(later + Duration::from_secs(1)));
    tail.adopt();
    assert!(!tail.is_overdue(later + Duration::from_secs(1)), "ours");
}

#[test]
fn what_is_flushed_is_remembered_for_a_while() {
    let (mut tail, now) = tail();
    tail.flushed_to(Seq(4), now);
    assert!(!tail.is_idle(now));
    assert_eq!(tail.wait(Seq(4), now, "at once"), Some("at once"));
    assert!(tail.is_idle(now + Duration::from_secs(1)));
}

#[test]
fn a_large_event_has_a_place_for_each_kib_and_gives_back_as_many() {
    let (mut tail, now) = tail();
    tail.heard(vec![large(ROOM, 4, 9)], Source::Heard, now);
    assert_eq!(
        tail.own(),
        0,
        "nothing is reserved for what others appended"
    );
    let own = vec![large(ROOM, 5, 30), large(ROOM, 6, 2), large(ROOM, 7, 1)];
    assert_eq!(tail.appended(own, true, now), 0);
    assert_eq!(tail.own(), 33);
    assert_eq!(
        tail.appended(vec![large(ROOM, 5, 30)], false, now),
        30,
        "twice"
    );
    assert_eq!(tail.flushed_to(Seq(5), now).released, 30);
    assert_eq!(tail.remove_from(Seq(7)).own, 1);
    assert_eq!(tail.flushed_to(Seq(7), now).released, 2);
    assert_eq!(tail.own(), 0);
}
