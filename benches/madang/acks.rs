//! P8: how long a writer waits for the ack, at half of what the node can take.

use std::time::Duration;

use crate::chat::{Chat, Stretch};
use crate::cluster::Cluster;
use crate::node::{Database, Node};
use crate::probe::Probe;
use crate::stats::Latencies;
use crate::table::Row;
use crate::{Outcome, commit, note, rooms, stats};

/// Nodes of the cluster.
const NODES: usize = 3;

/// Script calls without a load.
const CALM_CALLS: usize = 300;

/// How long a batch may gather before it is written.
const BATCH_WINDOW: Duration = Duration::from_millis(10);

/// Finds each database's saturation, then writes at half the rate.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    [Database::sqlite, Database::postgres]
        .into_iter()
        .map(|make| half_load(&make()?, quick))
        .collect()
}

/// The same on a cluster, for each kind of ack.
pub fn run_far(quick: bool) -> Outcome<Vec<Row>> {
    Ok(vec![far_log(quick)?, far_db(quick)?])
}

fn half_load(database: &Database, quick: bool) -> Outcome<Row> {
    let commit = commit::commits(database)?.percentile(0.5);
    let node = Node::start(database)?;
    let mut chat = Chat::start(&node, quick)?;
    let half = half(&mut chat, quick)?;
    note(&format!("{}: {}", database.name(), rooms::in_words(&half)));
    Ok(durable(half, commit, database.name()))
}

/// Acks when a message is in the log, next to script calls at the same time.
fn far_log(quick: bool) -> Outcome<Row> {
    let cluster = Cluster::start(NODES, &[("MADANG_ACK", "log".into())])?;
    let mut probe = Probe::new(&cluster.redis)?;
    let mut calm = probe.calls(CALM_CALLS)?;
    let mut chat = Chat::over(cluster.nodes.iter().collect(), quick)?;
    let rate = saturation(&mut chat)? / 2.0;
    let (half, mut calls) = probe.beside(|| chat.pace(rate, time(quick)))?;
    note(&format!("`log`: {}", rooms::in_words(&half)));
    let what = format!("publish to ack (`log`) at {:.0} messages/s", half.rate());
    let mut latencies = half.latencies;
    let (p99, bare) = (latencies.percentile(0.99), calls.percentile(0.99));
    Ok(Row {
        id: "P8",
        what: format!("{what}, half of saturation, {NODES} nodes"),
        measured: quantiles(&mut latencies),
        reference: format!(
            "a bare script call meanwhile {}, without the load {}",
            quantiles(&mut calls),
            quantiles(&mut calm)
        ),
        ratio: stats::times(p99.as_secs_f64(), bare.as_secs_f64()),
        goal: "p99 ≤ 3 ×",
    })
}

/// Acks when a message is in the database.
fn far_db(quick: bool) -> Outcome<Row> {
    let cluster = Cluster::start(NODES, &[("MADANG_ACK", "db".into())])?;
    let commit = commit::commits(&cluster.database)?.percentile(0.5);
    let mut chat = Chat::over(cluster.nodes.iter().collect(), quick)?;
    let half = half(&mut chat, quick)?;
    note(&format!("`db`: {}", rooms::in_words(&half)));
    Ok(durable(half, commit, &format!("{NODES} nodes")))
}

/// Writes at half of what the nodes can take.
fn half(chat: &mut Chat<'_>, quick: bool) -> Outcome<Stretch> {
    let rate = saturation(chat)? / 2.0;
    chat.pace(rate, time(quick))
}

fn saturation(chat: &mut Chat<'_>) -> Outcome<f64> {
    chat.saturate(Duration::from_secs(1))?;
    Ok(chat.saturate(Duration::from_secs(4))?.rate())
}

fn time(quick: bool) -> Duration {
    Duration::from_secs(if quick { 4 } else { 15 })
}

fn quantiles(latencies: &mut Latencies) -> String {
    let [half, most] = [0.5, 0.99].map(|share| stats::millis(latencies.percentile(share)));
    format!("p50 {half}, p99 {most}")
}

/// The row of a stretch whose acks waited for the database.
fn durable(half: Stretch, commit: Duration, on: &str) -> Row {
    let time = half.time.as_secs_f64();
    let mut latencies = half.latencies;
    let p99 = latencies.percentile(0.99);
    let reference = BATCH_WINDOW + commit;
    Row {
        id: "P8",
        what: format!(
            "publish to ack (`db`) at {:.0} messages/s, half of saturation, {on}",
            latencies.count() as f64 / time
        ),
        measured: quantiles(&mut latencies),
        reference: format!("batch window 10 ms + one commit {}", stats::millis(commit)),
        ratio: stats::times(p99.as_secs_f64(), reference.as_secs_f64()),
        goal: "p99 ≤ 2 ×",
    }
}
