//! When to write, what to keep after a failure, and when to give up: no actix, no SQL.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What waits to be written, and what is being written.
///
/// One batch is in flight while the next gathers; it stays here until the write is
/// confirmed, so that a failure loses nothing. `W` is who waits for the outcome.
#[derive(Debug)]
pub struct Batch<T, W> {
    /// What is being written, in order; empty when nothing is.
    in_flight: Vec<Item<T, W>>,
    /// What comes next, in order.
    waiting: VecDeque<Item<T, W>>,
    /// How much room both take.
    places: usize,
    /// Failures in a row.
    failures: u32,
    limits: Limits,
}

/// How much may gather, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most rows in one write, large ones counted as in the backlog.
    pub batch_rows: usize,
    /// Most rows that may wait, large ones counted for each begun KiB; beyond it pushes are
    /// refused.
    pub backlog_rows: usize,
    /// How long an item may stay before whoever waits is told that nobody knows.
    pub deadline: Duration,
}

#[derive(Debug)]
struct Item<T, W> {
    what: T,
    places: usize,
    waiter: W,
    since: Instant,
}

/// The backlog has reached its limit; the item and its waiter come back.
#[derive(Debug)]
pub struct Full<W>(pub W);

impl<T: Clone, W> Batch<T, W> {
    /// An empty batch.
    pub fn new(limits: Limits) -> Self {
        let (in_flight, waiting) = (Vec::new(), VecDeque::new());
        Self {
            in_flight,
            waiting,
            places: 0,
            failures: 0,
            limits,
        }
    }

    /// Takes an item in, if the backlog has room; an empty one has room for anything.
    pub fn push(&mut self, what: T, places: usize, waiter: W, now: Instant) -> Result<(), Full<W>> {
        if self.places > 0 && self.places + places > self.limits.backlog_rows {
            return Err(Full(waiter));
        }
        self.places += places;
        self.waiting.push_back(Item {
            what,
            places,
            waiter,
            since: now,
        });
        Ok(())
    }

    /// What to write now: nothing while a write is in flight, else as much as fits.
    pub fn take(&mut self) -> Option<Vec<T>> {
        if !self.in_flight.is_empty() {
            return None;
        }
        let mut places = 0;
        while let Some(item) = self.waiting.front() {
            places += item.places;
            if places > self.limits.batch_rows && !self.in_flight.is_empty() {
                break;
            }
            self.in_flight.extend(self.waiting.pop_front());
        }
        (!self.in_flight.is_empty()).then(|| self.in_flight_items())
    }

    /// The write is confirmed: who waited, in order.
    pub fn written(&mut self) -> Vec<W> {
        self.failures = 0;
        let done = std::mem::take(&mut self.in_flight);
        self.places -= done.iter().map(|item| item.places).sum::<usize>();
        done.into_iter().map(|item| item.waiter).collect()
    }

    /// The write failed, outcome unknown: who has waited too long comes back, the rest is
    /// to be written again after the pause.
    pub fn failed(&mut self, now: Instant) -> (Vec<W>, Duration) {
        self.failures += 1;
        let retried = std::mem::take(&mut self.in_flight);
        for item in retried.into_iter().rev() {
            self.waiting.push_front(item);
        }
        (self.expire(now), self.pause())
    }

    /// Takes out what has waited longer than the deadline and is not being written.
    pub fn expire(&mut self, now: Instant) -> Vec<W> {
        let mut expired = Vec::new();
        while let Some(item) = self.waiting.front() {
            if now.duration_since(item.since) < self.limits.deadline {
                break;
            }
            self.places -= item.places;
            expired.extend(self.waiting.pop_front().map(|item| item.waiter));
        }
        expired
    }

    /// How much room is taken by what waits or is being written.
    pub fn backlog(&self) -> usize {
        self.places
    }

    /// 50 ms after the first failure, doubling up to a second.
    fn pause(&self) -> Duration {
        Duration::from_millis((25 << self.failures.min(6)).min(1000))
    }

    fn in_flight_items(&self) -> Vec<T> {
        self.in_flight
            .iter()
            .map(|item| item.what.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch<&'static str, u32> {
        Batch::new(Limits {
            batch_rows: 3,
            backlog_rows: 5,
            deadline: Duration::from_secs(5),
        })
    }

    #[test]
    fn one_write_is_in_flight_while_the_next_gathers() {
        let (mut batch, now) = (batch(), Instant::now());
        batch.push("a", 2, 1, now).unwrap();
        assert_eq!(batch.take(), Some(vec!["a"]));
        batch.push("b", 1, 2, now).unwrap();
        assert_eq!(batch.take(), None, "the first is not confirmed yet");
        assert_eq!(batch.written(), [1]);
        assert_eq!(batch.take(), Some(vec!["b"]));
    }

    #[test]
    fn a_write_holds_at_most_its_rows_but_always_something() {
        let (mut batch, now) = (batch(), Instant::now());
        batch.push("big", 4, 1, now).unwrap();
        batch.push("small", 1, 2, now).unwrap();
        assert_eq!(batch.take(), Some(vec!["big"]));
    }

    #[test]
    fn the_backlog_has_a_limit_that_counts_what_is_in_flight() {
        let (mut batch, now) = (batch(), Instant::now());
        batch.push("a", 3, 1, now).unwrap();
        batch.take();
        batch.push("b", 2, 2, now).unwrap();
        assert!(batch.push("c", 1, 3, now).is_err());
        batch.written();
        assert!(batch.push("c", 1, 3, now).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_backlog_waits_for_an_empty_one() {
        let (mut batch, now) = (batch(), Instant::now());
        batch.push("a", 1, 1, now).unwrap();
        assert!(batch.push("huge", 6, 2, now).is_err());
        batch.take();
        batch.written();
        batch.push("huge", 6, 2, now).unwrap();
        assert_eq!(batch.backlog(), 6);
        assert!(batch.push("b", 1, 3, now).is_err());
        assert_eq!(batch.take(), Some(vec!["huge"]));
        batch.written();
        assert_eq!(batch.backlog(), 0);
    }

    #[test]
    fn a_failed_write_is_repeated_in_order_and_the_late_are_told() {
        let (mut batch, now) = (batch(), Instant::now());
        batch.push("old", 1, 1, now).unwrap();
        batch.take();
        let later = now + Duration::from_secs(6);
        batch.push("new", 1, 2, later).unwrap();
        let (late, pause) = batch.failed(later);
        assert_eq!(late, [1]);
        assert!(pause > Duration::ZERO);
        assert_eq!(batch.take(), Some(vec!["new"]));
        assert!(batch.failed(later).0.is_empty());
        assert_eq!(batch.take(), Some(vec!["new"]));
        assert_eq!(batch.backlog(), 1);
    }
}
