//! One write, with everything that belongs to it: a thread that may block, the places where
//! tests interfere, and the news of what has landed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::hot_log::HotLog;
use super::message::Landed;
use crate::db::{Placed, Store, StoreError, WriteError, Written};
use crate::failpoint;
use crate::protocol::Event;

/// How long the news of what has landed may wait for a full mailbox.
const NOTIFY_DEADLINE: Duration = Duration::from_secs(10);
/// Between two lines about the same outage.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What it takes to write. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The log in front of it.
    pub hot: Arc<dyn HotLog>,
    /// Who hears of what has landed.
    pub notify: Recipient<Landed>,
}

impl Writer {
    /// Writes a batch. A panic in the store is a failed write like any other.
    pub(super) async fn write(
        &self,
        life: Arc<str>,
        batch: Arc<Vec<Placed>>,
    ) -> Result<Vec<Written>, WriteError> {
        let store = self.store.clone();
        let writing = tokio::task::spawn_blocking(move || {
            failpoint::at("write_back::before_write");
            let written = store.write(&life, &batch);
            failpoint::at("write_back::after_write");
            written
        });
        let written = writing.await.unwrap_or_else(|failed| {
            let cause = format!("the writing thread failed: {failed}");
            Err(StoreError::Unavailable(cause).into())
        })?;
        self.land(&written);
        Ok(written)
    }

    /// Tells what is new in the database. What a full mailbox cannot take waits outside.
    fn land(&self, written: &[Written]) {
        let new = written.iter().flat_map(|written| match written {
            Written::Done { new, .. } => new.as_slice(),
            Written::Behind { .. } | Written::Conflict { .. } | Written::NoRoom => &[],
        });
        let events: Vec<Event> = new.cloned().collect();
        if events.is_empty() {
            return;
        }
        if let Err(SendError::Full(landed)) = self.notify.try_send(Landed { events }) {
            let waiting = self.notify.send(landed);
            actix::spawn(async move {
                let sent = tokio::time::timeout(NOTIFY_DEADLINE, waiting).await;
                if !matches!(sent, Ok(Ok(()))) {
                    log::error!("nobody was told of events that are in the database now");
                }
            });
        }
    }
}

/// Lets a test delay or end the node here, on a thread that may wait.
pub(super) async fn interfere(name: &'static str) {
    if fail::has_failpoints() {
        // What it does is its own business.
        let _ = tokio::task::spawn_blocking(move || failpoint::at(name)).await;
    }
}

/// A pause that grows from 50 ms to a second, and a log line now and then.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    logged: Option<Instant>,
}

impl Backoff {
    /// Another failure: says so if that was not done lately, and how long to wait.
    pub(super) fn lost(&mut self, what: &str, cause: &dyn std::fmt::Display) -> Duration {
        self.failures += 1;
        let now = Instant::now();
        if self.logged.is_none_or(|at| now - at >= LOG_INTERVAL) {
            self.logged = Some(now);
            log::warn!("{what} failed and is repeated: {cause}");
        }
        self.pause()
    }

    /// It works again.
    pub(super) fn regained(&mut self) {
        *self = Self::default();
    }

    fn pause(&self) -> Duration {
        Duration::from_millis((25 << self.failures.min(6)).min(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_from_50_ms_to_a_second_and_begins_anew() {
        let mut backoff = Backoff::default();
        let mut lost = || backoff.lost("a test", &"on purpose").as_millis();
        let pauses: Vec<_> = (0..7).map(|_| lost()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        backoff.regained();
        assert_eq!(backoff.lost("a test", &"on purpose").as_millis(), 50);
    }
}
