//! P4: many small rooms, everyone writing, as fast as the node takes it.

use std::time::Duration;

use crate::chat::{Chat, Stretch};
use crate::node::{Database, Node};
use crate::table::Row;
use crate::{Outcome, note, stats};

/// Saturates a node on each database.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    [Database::sqlite, Database::postgres]
        .into_iter()
        .map(|database| {
            let database = database()?;
            let stretch = saturate(&database, quick, &[])?;
            note(&format!("{}: {}", database.name(), in_words(&stretch)));
            Ok(row(&database, &stretch))
        })
        .collect()
}

/// Fills a node and lets everyone write for some seconds, after a warm-up.
pub fn saturate(database: &Database, quick: bool, settings: &[(&str, String)]) -> Outcome<Stretch> {
    let node = Node::start_with(database, settings)?;
    let mut chat = Chat::start(&node, quick)?;
    chat.saturate(Duration::from_secs(1))?;
    chat.saturate(Duration::from_secs(if quick { 4 } else { 15 }))
}

/// A stretch for people who watch.
pub fn in_words(stretch: &Stretch) -> String {
    format!(
        "{:.0} messages/s, {:.0} deliveries/s, {} per delivery, {:.2} cores (generator {:.2}), {}",
        stretch.rate(),
        stretch.delivered as f64 / stretch.time.as_secs_f64(),
        stats::micros(stretch.cost()),
        stretch.cores(),
        stretch.own_cpu.as_secs_f64() / stretch.time.as_secs_f64(),
        stretch.refusals(),
    )
}

fn row(database: &Database, stretch: &Stretch) -> Row {
    let cores = stretch.cores();
    let per_message = stretch.cpu.as_secs_f64() / stretch.acked.max(1) as f64;
    Row {
        id: "P4",
        what: format!("{}, all writing, {}", stretch.people, database.name()),
        measured: format!("{} per delivery", stats::micros(stretch.cost())),
        reference: format!(
            "{} per message, {cores:.2} cores busy",
            stats::micros(per_message)
        ),
        ratio: format!("{:.0} messages/s", stretch.rate()),
        goal: "cheaper per delivery than every peer",
    }
}
