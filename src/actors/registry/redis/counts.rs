//! What has happened since the start, counted for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Inner, RedisBroker};
use crate::protocol::envelope::Malformed;

/// What has happened since the start, for metrics.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Doorbells heard.
    pub(super) rings: AtomicU64,
    /// Envelopes and doorbells that say nothing to this program.
    pub(super) malformed: AtomicU64,
    /// Those of a newer version.
    pub(super) unknown_version: AtomicU64,
    /// Doorbells of another life of Redis.
    pub(super) foreign: AtomicU64,
    /// Those that found a full mailbox.
    pub(super) lost: AtomicU64,
    /// Lives of Redis that this node has seen begin.
    pub(super) rebuildings: AtomicU64,
    /// Acknowledged events that are nowhere now.
    pub(super) lost_events: AtomicU64,
}

/// What has happened since the start.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counted {
    /// Doorbells heard.
    pub rings: u64,
    /// Envelopes and doorbells that say nothing to this program.
    pub malformed: u64,
    /// Those of a newer version.
    pub unknown_version: u64,
    /// Doorbells of another life of Redis.
    pub foreign: u64,
    /// Those that found a full mailbox; what they said is read from the log.
    pub lost: u64,
    /// Times that Redis was rebuilt.
    pub rebuildings: u64,
    /// Acknowledged events that are nowhere now.
    pub lost_events: u64,
    /// Commands and pipelines sent.
    pub commands: u64,
    /// Is Redis within reach, and in the life that we know?
    pub ready: bool,
}

impl RedisBroker {
    /// What has happened since the start.
    pub fn counted(&self) -> Counted {
        let Counts {
            rings,
            malformed,
            unknown_version,
            foreign,
            lost,
            rebuildings,
            lost_events,
        } = &self.0.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counted {
            rings: read(rings),
            malformed: read(malformed),
            unknown_version: read(unknown_version),
            foreign: read(foreign),
            lost: read(lost),
            rebuildings: read(rebuildings),
            lost_events: read(lost_events),
            commands: self.0.link.sent(),
            ready: self.is_ready(),
        }
    }
}

impl Inner {
    /// So many acknowledged events are nowhere now; the caller has said in the log which.
    pub(super) fn count_lost(&self, events: usize) {
        let lost = &self.counts.lost_events;
        lost.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(super) fn count_malformed(&self, what: &str, malformed: &Malformed) {
        let count = match malformed {
            Malformed::Version(_) => &self.counts.unknown_version,
            Malformed::Content(_) => &self.counts.malformed,
        };
        let before = count.fetch_add(1, Ordering::Relaxed);
        if before.is_power_of_two() || before == 0 {
            log::warn!("dropped from {what}: {malformed} ({} so far)", before + 1);
        }
    }
}
