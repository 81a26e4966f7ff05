//! Brings what is left of a life into the database, however long that takes.
//!
//! A number becomes `void` only when the log has said that it does not have it: while the log
//! is out of reach, no other life can begin, and what it has may be the only copy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::recovery::{Hole, Recovered, Recovery};
use super::writer::Writer;
use crate::actors::backoff::Backoff;
use crate::db::{SeedRecord, StoreError, WriteError};
use crate::error::Error;
use crate::ids::RoomId;
use crate::protocol::Event;

/// A missing number is waited for so long: another node may be about to write it.
pub(super) const HOLE_DEADLINE: Duration = Duration::from_secs(2);
/// Between two looks at missing numbers.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Most events that are read from what survives of a log at once.
const READ_EVENTS: usize = 500;
/// Most logs that are read at once.
const READS: usize = 16;

/// Writes these events under this life's name. Answers what came of it.
pub(super) async fn salvage(
    writer: Writer,
    life: Arc<str>,
    held: Vec<(RoomId, Vec<Event>)>,
    batch_rows: usize,
) -> Recovered {
    let mut recovery = Recovery::new(held);
    let (mut backoff, mut blind) = (Backoff::default(), Backoff::default());
    while !recovery.is_done() {
        match round(&writer, &life, &mut recovery, &mut blind, batch_rows).await {
            Ok(true) => backoff.regained(),
            Ok(false) => tokio::time::sleep(LOOK_INTERVAL).await,
            Err(WriteError::Fenced { .. }) => recovery.give_up(),
            Err(WriteError::Store(cause)) => {
                let pause = backoff.lost("a salvage", &cause);
                tokio::time::sleep(pause).await;
            }
        }
    }
    recovery.finish()
}

/// Writes everything once, and looks for what is missing. Was there any progress?
async fn round(
    writer: &Writer,
    life: &Arc<str>,
    recovery: &mut Recovery,
    blind: &mut Backoff,
    batch_rows: usize,
) -> Result<bool, WriteError> {
    let mut progress = false;
    for batch in recovery.batches(batch_rows) {
        let batch = Arc::new(batch);
        let written = writer.write(life.clone(), batch.clone()).await?;
        let now = Instant::now();
        for (asked, written) in batch.iter().zip(&written) {
            progress |= recovery.learn(asked, written, now);
        }
    }
    for holes in recovery.holes().chunks(READS) {
        let reads = holes.iter().map(|hole| search(writer, *hole));
        for (hole, found) in holes.iter().zip(join_all(reads).await) {
            match found {
                Found::Events(events) => {
                    progress = true;
                    recovery.add(hole.room, events);
                }
                Found::Nothing(row) => {
                    progress = true;
                    recovery.fill(hole.room, &row?);
                }
                Found::Unknown(cause) => {
                    blind.lost("asking the log for what is missing", &cause);
                }
                Found::NotYet => {}
            }
        }
    }
    Ok(progress)
}

/// What there is to put into a hole.
enum Found {
    /// The log still has it.
    Events(Vec<Event>),
    /// Nobody has it; what the database says of the room.
    Nothing(Result<SeedRecord, StoreError>),
    /// The log cannot be asked: it may be the only one that has it.
    Unknown(Error),
    /// Somebody may still write it.
    NotYet,
}

async fn search(writer: &Writer, hole: Hole) -> Found {
    let reading = writer.hot.read(hole.room, hole.after, READ_EVENTS);
    match reading.await {
        Ok(events) if !events.is_empty() => return Found::Events(events),
        Ok(_) => {}
        Err(cause) => return Found::Unknown(cause),
    }
    if hole.since.elapsed() < HOLE_DEADLINE {
        return Found::NotYet;
    }
    let store = writer.store.clone();
    let asking = tokio::task::spawn_blocking(move || store.seed_of(hole.room));
    let row = asking.await.unwrap_or_else(|failed| {
        let cause = format!("the asking thread failed: {failed}");
        Err(StoreError::Unavailable(cause))
    });
    Found::Nothing(row.and_then(|row| row.ok_or(StoreError::Gone)))
}
