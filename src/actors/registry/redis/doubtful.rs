//! Ids that only the database can know, and a database that does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it is not asked after it has not answered.
const SILENCE: Duration = Duration::from_secs(2);

/// What an append does with drafts whose ids the database cannot be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubtful {
    /// All drafts are appended in their order, or none.
    FailAll,
    /// Their senders' drafts are left out as `Fate::Unknown`, the rest is appended: one wrong
    /// clock must not stop a room.
    LeaveOut,
}

/// Until when the database is not asked about ids, as it has not answered.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// It has not answered.
    pub(super) fn begin(&self) {
        *self.until() = Some(Instant::now() + SILENCE);
    }

    /// Is it still left alone?
    pub(super) fn lasts(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
