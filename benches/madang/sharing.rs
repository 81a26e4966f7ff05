//! How much of the way to Redis messages share: script calls, round trips, its processor time.

use std::time::Duration;

use crate::chat::{Chat, Stretch};
use crate::cluster::Cluster;
use crate::redis::Done;
use crate::table::Row;
use crate::{Outcome, note, rooms, stats};

/// Nodes of the cluster.
const NODES: usize = 3;

/// So slow that one message has nothing to share with the next.
const ONE_BY_ONE: f64 = 40.0;

/// Lets people write now and then, and then as fast as it goes.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let cluster = Cluster::start(NODES, &[])?;
    let mut chat = Chat::over(cluster.nodes.iter().collect(), quick)?;
    let time = Duration::from_secs(if quick { 4 } else { 10 });
    let (calm, apart) = counted(&cluster, || chat.pace(ONE_BY_ONE, time))?;
    note(&format!("one by one: {}", rooms::in_words(&calm)));
    chat.saturate(Duration::from_secs(1))?;
    let (full, together) = counted(&cluster, || chat.saturate(time))?;
    note(&format!("saturation: {}", rooms::in_words(&full)));

    let people = format!("{} on {NODES} nodes", full.people);
    let row = |what: String, at: usize, show: fn(f64) -> String| Row {
        id: "–",
        what,
        measured: show(together[at]),
        reference: format!("one by one {}", show(apart[at])),
        ratio: stats::times(together[at], apart[at]),
        goal: "shared by many",
    };
    let plain = |value: f64| format!("{value:.3}");
    let rate = full.rate();
    Ok(vec![
        row(
            format!("reads of sockets by Redis per message at {rate:.0} messages/s ({people})"),
            1,
            plain,
        ),
        row(
            "script calls of nodes per message, write-back and all".into(),
            0,
            plain,
        ),
        row("CPU of Redis per message".into(), 2, stats::micros),
        Row {
            id: "P4",
            what: format!("{people}, all writing"),
            measured: format!("{} per delivery, all nodes", stats::micros(full.cost())),
            reference: format!("{:.2} cores busy", full.cores()),
            ratio: format!("{rate:.0} messages/s"),
            goal: "–",
        },
    ])
}

/// What Redis has done for each message of a stretch.
fn counted(
    cluster: &Cluster,
    load: impl FnOnce() -> Outcome<Stretch>,
) -> Outcome<(Stretch, [f64; 3])> {
    let before: Done = cluster.redis.done()?;
    let stretch = load()?;
    let done = cluster.redis.done()?;
    // The answers that came after the time was up were worked for, too.
    let each = done.each(before, stretch.sent);
    Ok((stretch, each))
}
