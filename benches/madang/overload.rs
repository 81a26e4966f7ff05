//! P10: twice as many messages as the node can take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::chat::{Chat, Stretch};
use crate::node::{Database, Node};
use crate::quiet::Quiet;
use crate::stats::Latencies;
use crate::table::Row;
use crate::{Outcome, note, proc, rooms, stats};

/// Finds the saturation, then offers half and twice of it, beside a quiet room.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let time = Duration::from_secs(if quick { 4 } else { 15 });
    let node = Node::start(&Database::sqlite()?)?;
    let mut chat = Chat::start(&node, quick)?;
    let mut quiet = Quiet::start(&node)?;
    chat.saturate(Duration::from_secs(1))?;
    let peak = chat.saturate(Duration::from_secs(if quick { 3 } else { 6 }))?;
    note(&format!("saturation: {}", rooms::in_words(&peak)));

    let (half, mut calm) = beside(&mut quiet, || chat.pace(peak.rate() / 2.0, time))?;
    note(&format!("half: {}", rooms::in_words(&half)));
    let before = node.memory()?;
    proc::forget_peak(node.pid())?;
    let (twice, mut stormy) = beside(&mut quiet, || chat.pace(peak.rate() * 2.0, time))?;
    note(&format!(
        "twice: {}, {} held back",
        rooms::in_words(&twice),
        twice.held_back
    ));
    let after = node.memory()?;

    let (calm, stormy) = (calm.percentile(0.99), stormy.percentile(0.99));
    let offered = (twice.sent + twice.held_back) as f64 / time.as_secs_f64();
    Ok(vec![
        Row {
            id: "P10",
            what: format!("goodput at {offered:.0} messages/s offered, twice saturation, SQLite"),
            measured: format!("{:.0} messages/s; {}", twice.rate(), twice.refusals()),
            reference: format!("peak {:.0} messages/s", peak.rate()),
            ratio: stats::times(twice.rate(), peak.rate()),
            goal: "≥ 0.9 × peak",
        },
        Row {
            id: "P10",
            what: "memory of the node meanwhile".into(),
            measured: format!("peak {}", stats::megabytes(after.peak)),
            reference: format!("before {}", stats::megabytes(before.rss)),
            ratio: stats::times(after.peak as f64, before.rss as f64),
            goal: "bounded",
        },
        Row {
            id: "P10",
            what: "publish to delivery in a quiet room meanwhile, p99".into(),
            measured: stats::millis(stormy),
            reference: format!("at half load {}", stats::millis(calm)),
            ratio: stats::times(stormy.as_secs_f64(), calm.as_secs_f64()),
            goal: "≤ 2 ×",
        },
    ])
}

/// Runs a load while the quiet room talks on a thread of its own.
fn beside(
    quiet: &mut Quiet,
    load: impl FnOnce() -> Outcome<Stretch>,
) -> Outcome<(Stretch, Latencies)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let talk = scope.spawn(|| quiet.talk(&stop).map_err(|error| error.to_string()));
        let stretch = load();
        stop.store(true, Ordering::Relaxed);
        let latencies = talk.join().map_err(|_| "the quiet room's thread died")??;
        Ok((stretch?, latencies))
    })
}
