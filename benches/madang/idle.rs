//! P3 and P11: what a connection costs that does nothing.

use std::time::{Duration, Instant};

use crate::client::Load;
use crate::node::{Database, Node};
use crate::proc::Memory;
use crate::table::Row;
use crate::{Outcome, frames, note, proc, stats};

/// Bytes of a burst's frame: below the limit of 64 KiB with its framing.
const BURST_BYTES: usize = 64 * 1024;

/// Time in which the memory of a burst comes back.
const RECOVERY: Duration = Duration::from_secs(60);

/// Signs in, measures, bursts, measures again; then fills up and watches the clock.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let (some, all, watch) = match quick {
        false => (5000, 10_000, Duration::from_secs(60)),
        true => (1000, 2000, Duration::from_secs(10)),
    };
    let node = Node::start(&Database::sqlite()?)?;
    let mut load = Load::new(node.address)?;
    // The first few bring what is made once: threads' arenas, statements, connections.
    load.sign_in(64, frames::hello)?;
    load.settle(Duration::from_secs(1))?;
    let empty = node.memory()?;

    load.sign_in(some, frames::hello)?;
    load.settle(Duration::from_secs(1))?;
    let idle = node.memory()?;
    let each = per_connection(empty, idle, some);
    note(&format!(
        "{some} connections: {} each",
        stats::kilobytes(each.rss)
    ));

    proc::forget_peak(node.pid())?;
    burst(&mut load)?;
    let loaded = node.memory()?;
    note(&format!(
        "after a burst on each: {}",
        stats::megabytes(loaded.rss)
    ));
    let (after, waited) = recover(&node, &mut load, idle)?;
    let each_after = per_connection(empty, after, some);

    load.sign_in(all - load.count(), frames::hello)?;
    load.settle(Duration::from_secs(1))?;
    let (started, before) = (Instant::now(), node.cpu()?);
    load.idle(watch)?;
    let share = (node.cpu()? - before).as_secs_f64() / started.elapsed().as_secs_f64();

    Ok(vec![
        Row {
            id: "P3",
            what: format!("memory per idle signed-in connection ({some} users)"),
            measured: stats::kilobytes(each.rss),
            reference: format!("empty node {}", stats::megabytes(empty.rss)),
            ratio: format!("anonymous {}", stats::kilobytes(each.anonymous)),
            goal: "≤ 9 KB",
        },
        Row {
            id: "P3",
            what: format!(
                "the same after a frame of {} KB from each",
                BURST_BYTES / 1024
            ),
            measured: format!("{} after {:.0} s", stats::kilobytes(each_after.rss), waited),
            reference: format!("peak {}", stats::megabytes(after.peak)),
            ratio: stats::times(each_after.rss, each.rss),
            goal: "≤ 1.2 × within 60 s",
        },
        Row {
            id: "P11",
            what: format!(
                "{all} idle connections, heartbeats answered, {} s",
                watch.as_secs()
            ),
            measured: format!("{:.2} % of one core", share * 100.0),
            reference: "one core".into(),
            ratio: format!("{share:.4} ×"),
            goal: "≤ 1 % of one core",
        },
    ])
}

/// Bytes for one connection more.
struct Each {
    rss: f64,
    anonymous: f64,
}

fn per_connection(empty: Memory, full: Memory, connections: usize) -> Each {
    let share = |full: u64, empty: u64| full.saturating_sub(empty) as f64 / connections as f64;
    Each {
        rss: share(full.rss, empty.rss),
        anonymous: share(full.anonymous, empty.anonymous),
    }
}

/// One large frame on every connection; it is refused, which shows that it was read.
fn burst(load: &mut Load) -> Outcome<()> {
    let frame = frames::burst(BURST_BYTES);
    let everyone = 0..load.count();
    load.ask_and(everyone.map(|link| (link, frame.clone())), 64, |_| Ok(()))
}

/// Waits until the memory is back, at most as long as the goal says.
fn recover(node: &Node, load: &mut Load, idle: Memory) -> Outcome<(Memory, f64)> {
    let started = Instant::now();
    loop {
        load.idle(Duration::from_secs(2))?;
        let now = node.memory()?;
        let waited = started.elapsed();
        if now.rss <= idle.rss + idle.rss / 20 || waited > RECOVERY {
            return Ok((now, waited.as_secs_f64()));
        }
    }
}
