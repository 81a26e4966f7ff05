//! One write, with everything that belongs to it: a thread that may block, the places where
//! tests interfere, and the news of what has landed.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::hot_log::HotLog;
use super::message::Landed;
use crate::db::{Placed, Store, StoreError, WriteError, Written};
use crate::failpoint;
use crate::protocol::Event;

/// How long the news of what has landed may wait for a full mailbox.
const NOTIFY_DEADLINE: Duration = Duration::from_secs(10);

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
