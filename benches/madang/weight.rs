//! What a cluster weighs when nobody is there.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::node::{Database, Node};
use crate::table::Row;
use crate::{Outcome, pause, proc, stats};

/// Nodes of the cluster.
const NODES: usize = 3;

/// After this long, everything that begins has begun.
const REST: Duration = Duration::from_secs(10);

/// Starts a cluster, lets it rest, weighs it.
pub fn run(_: bool) -> Outcome<Vec<Row>> {
    let cluster = Cluster::start(NODES, &[])?;
    pause(REST);
    let before = cluster.cpu()?;
    pause(REST);
    let share = (cluster.cpu()? - before).as_secs_f64() / REST.as_secs_f64();

    let nodes = cluster.nodes.iter().map(Node::memory);
    let nodes = nodes.collect::<Outcome<Vec<_>>>()?;
    let heaviest = nodes.iter().map(|node| node.rss).max().unwrap_or_default();
    let nodes: u64 = nodes.iter().map(|node| node.pss).sum();
    let redis = proc::memory(cluster.redis.pid())?.pss;
    let Database::Postgres(server) = &cluster.database else {
        return Err("a cluster stands on Postgres".into());
    };
    let mut postgres = proc::memory(server.pid())?.pss;
    for child in children(server.pid())? {
        postgres += proc::memory(child)?.pss;
    }
    let row = |what: String, measured: String, reference: String, ratio: String, goal| Row {
        id: "P13",
        what,
        measured,
        reference,
        ratio,
        goal,
    };
    Ok(vec![
        row(
            format!("empty node, cluster on, the heaviest of {NODES}"),
            format!("{} resident", stats::megabytes(heaviest)),
            "–".into(),
            "–".into(),
            "≤ 30 MB",
        ),
        row(
            format!("{NODES} empty nodes, Redis and Postgres together"),
            format!("{} (Pss)", stats::megabytes(nodes + redis + postgres)),
            format!(
                "nodes {}, Redis {}, Postgres {}",
                stats::megabytes(nodes),
                stats::megabytes(redis),
                stats::megabytes(postgres)
            ),
            "–".into(),
            "< 500 MB",
        ),
        row(
            format!("CPU of {NODES} empty nodes: leases, heads, sweeps"),
            format!("{:.2} % of one core", share * 100.0),
            "–".into(),
            "–".into(),
            "–",
        ),
    ])
}

/// The processes that a process has started.
fn children(pid: u32) -> Outcome<Vec<u32>> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(list
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect())
}
