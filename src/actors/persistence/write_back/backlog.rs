//! The reservation counter: how much this node may append before the database has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// When a sender may try again who met a full backlog.
const RETRY_AFTER_MS: u64 = 1000;

/// Room for events that this node has appended, or is about to, and that are not in the
/// database yet: so many places, of which a large event takes several
/// ([`Draft::places`](crate::protocol::Draft::places)). Whoever appends reserves before; what
/// was not needed is released at once, the rest when it is flushed.
#[derive(Debug)]
pub struct Backlog {
    /// Most places at any time, but for what is larger than all of them.
    limit: usize,
    /// Places that are taken.
    taken: AtomicUsize,
}

impl Backlog {
    /// An empty backlog.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: AtomicUsize::new(0),
        })
    }

    /// Makes room for something of this size, or refuses with `overloaded`: nothing has
    /// happened. An empty backlog has room for anything, or it would never be taken.
    pub fn reserve(&self, places: usize) -> Result<()> {
        let fits = |now: usize, sum: usize| now == 0 || sum <= self.limit;
        let grown = |now: usize| now.checked_add(places).filter(|sum| fits(now, *sum));
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grown)
            .map(drop)
            .map_err(|_| Error::overloaded(RETRY_AFTER_MS))
    }

    /// Gives room back.
    pub fn release(&self, places: usize) {
        let shrunk = |now: usize| Some(now.saturating_sub(places));
        let before = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, shrunk);
        debug_assert!(
            before.is_ok_and(|before| before >= places),
            "released twice"
        );
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
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
        assert_eq!(backlog.taken(), 3);
        backlog.reserve(2).unwrap();
        assert!(backlog.reserve(usize::MAX).is_err());
        backlog.release(5);
        assert_eq!(backlog.taken(), 0);
        backlog.reserve(7).unwrap();
        assert!(backlog.reserve(1).is_err(), "more than fits, but only once");
    }
}
