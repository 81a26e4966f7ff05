//! The newest events of a room, kept encoded: the look-aside cache. No actix, no I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::Seq;
use crate::protocol::{Entry, MAX_EVENTS, MAX_EVENTS_BYTES};

/// The newest events, without holes, at most 200 and at most 1 MiB.
#[derive(Debug, Default)]
pub struct Window {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Window {
    /// Adds the event behind the newest, and lets go of the oldest if there are too many.
    pub fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.json_bytes();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_EVENTS
            || (self.bytes > MAX_EVENTS_BYTES && self.entries.len() > 1)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.json_bytes();
            }
        }
    }

    /// Everything behind `after`, or `None` when the window begins later.
    pub fn after(&self, after: Seq) -> Option<Vec<Arc<Entry>>> {
        if self.first()? > after.next() {
            return None;
        }
        let from = self.entries.partition_point(|entry| entry.seq() <= after);
        Some(self.entries.range(from..).cloned().collect())
    }

    /// The newest events, at most `limit`, none below `floor`.
    pub fn newest(&self, limit: usize, floor: Seq) -> Vec<Arc<Entry>> {
        let from = self.entries.len().saturating_sub(limit);
        self.entries
            .range(from..)
            .filter(|entry| entry.seq() >= floor)
            .cloned()
            .collect()
    }

    /// One event.
    pub fn get(&self, seq: Seq) -> Option<&Arc<Entry>> {
        let index = self.entries.partition_point(|entry| entry.seq() < seq);
        self.entries.get(index).filter(|entry| entry.seq() == seq)
    }

    /// All events, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }

    /// Where the window begins.
    pub fn first(&self) -> Option<Seq> {
        self.entries.front().map(|entry| entry.seq())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RoomId, UserId};
    use crate::protocol::{Draft, Event, EventKind, Place};

    fn entry(seq: i64, bytes: usize) -> Arc<Entry> {
        let body = serde_json::json!({ "text": "x".repeat(bytes) });
        let draft = Draft::system(EventKind::Message, UserId::from_raw(1), &body).unwrap();
        let place = Place {
            seq: Seq(seq),
            n: seq,
            at: 0,
        };
        Arc::new(
            Entry::new(Event {
                room: RoomId::from_raw(1),
                place,
                draft,
            })
            .unwrap(),
        )
    }

    #[test]
    fn it_holds_the_newest_200_and_knows_what_it_lacks() {
        let mut window = Window::default();
        assert!(window.after(Seq::ZERO).is_none());
        (1..=250).for_each(|seq| window.push(entry(seq, 1)));
        assert_eq!(window.first(), Some(Seq(51)));
        assert!(window.after(Seq(49)).is_none());
        assert_eq!(window.after(Seq(50)).unwrap().len(), 200);
        assert_eq!(window.after(Seq(250)).unwrap().len(), 0);
        assert_eq!(window.newest(3, Seq(249)).len(), 2);
        assert_eq!(window.get(Seq(60)).unwrap().seq(), Seq(60));
        assert!(window.get(Seq(50)).is_none());
    }

    #[test]
    fn it_never_holds_more_than_a_frame_may() {
        let mut window = Window::default();
        (1..=50).for_each(|seq| window.push(entry(seq, 32 * 1024)));
        assert!(window.bytes <= MAX_EVENTS_BYTES);
        assert_eq!(window.iter().next_back().unwrap().seq(), Seq(50));
    }
}
