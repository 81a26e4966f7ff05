//! P8: how long a writer waits for the ack, at half of what the node can take.

use std::time::Duration;

use crate::chat::Chat;
use crate::node::{Database, Node};
use crate::table::Row;
use crate::{Outcome, commit, note, rooms, stats};

/// How long a batch may gather before it is written.
const BATCH_WINDOW: Duration = Duration::from_millis(10);

/// Finds each database's saturation, then writes at half the rate.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    [Database::sqlite, Database::postgres]
        .into_iter()
        .map(|make| half_load(&make()?, quick))
        .collect()
}

fn half_load(database: &Database, quick: bool) -> Outcome<Row> {
    let commit = commit::commits(database)?.percentile(0.5);
    let node = Node::start(database)?;
    let mut chat = Chat::start(&node, quick)?;
    chat.saturate(Duration::from_secs(1))?;
    let full = chat.saturate(Duration::from_secs(4))?;
    let half = chat.pace(
        full.rate() / 2.0,
        Duration::from_secs(if quick { 4 } else { 15 }),
    )?;
    note(&format!("{}: {}", database.name(), rooms::in_words(&half)));

    let mut latencies = half.latencies;
    let p99 = latencies.percentile(0.99);
    let reference = BATCH_WINDOW + commit;
    Ok(Row {
        id: "P8",
        what: format!(
            "publish to ack (`db`) at {:.0} messages/s, half of saturation, {}",
            latencies.count() as f64 / half.time.as_secs_f64(),
            database.name()
        ),
        measured: format!(
            "p50 {}, p99 {}",
            stats::millis(latencies.percentile(0.5)),
            stats::millis(p99)
        ),
        reference: format!("batch window 10 ms + one commit {}", stats::millis(commit)),
        ratio: stats::times(p99.as_secs_f64(), reference.as_secs_f64()),
        goal: "p99 ≤ 2 ×",
    })
}
