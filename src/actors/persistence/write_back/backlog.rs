//! The reservation counter: how much this node may append before the database has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// When a sender may try again who met a full backlog.
const RETRY_AFTER_MS: u64 = 1000;

/// Events that this node has appended, or is about to, and that are not in the database
/// yet. Whoever appends reserves before; what was not needed is released at once, the rest
/// when it is flushed.
#[derive(Debug)]
pub struct Backlog {
    /// Most events at any time.
    limit: usize,
    /// Events at this moment.
    events: AtomicUsize,
}

impl Backlog {
    /// An empty backlog.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            events: AtomicUsize::new(0),
        })
    }

    /// Makes room for so many events, or refuses with `overloaded`: nothing has happened.
    pub fn reserve(&self, events: usize) -> Result<()> {
        let grown = |now: usize| now.checked_add(events).filter(|sum| *sum <= self.limit);
        self.events
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grown)
            .map(drop)
            .map_err(|_| Error::overloaded(RETRY_AFTER_MS))
    }

    /// Gives room back.
    pub fn release(&self, events: usize) {
        let shrunk = |now: usize| Some(now.saturating_sub(events));
        let before = self
            .events
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, shrunk);
        debug_assert!(
            before.is_ok_and(|before| before >= events),
            "released twice"
        );
    }

    /// How many there are.
    pub fn events(&self) -> usize {
        self.events.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    #[test]
    fn it_takes_up_to_its_limit_and_no_part_of_more() {
        let backlog = Backlog::new(5);
        backlog.reserve(3).unwrap();
        let refused = backlog.reserve(3).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded);
        assert!(refused.retry_after_ms.is_some());
        assert_eq!(backlog.events(), 3);
        backlog.reserve(2).unwrap();
        assert!(backlog.reserve(usize::MAX).is_err());
        backlog.release(5);
        assert_eq!(backlog.events(), 0);
    }
}
