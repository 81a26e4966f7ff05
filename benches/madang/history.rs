//! P12: a page of a room's history, near its end and a million events back.

use std::time::{Duration, Instant};

use madang::ids::RoomId;

use crate::crowd::OWNER;
use crate::drafts::Log;
use crate::node::{Database, Node};
use crate::rest::Rest;
use crate::stats::Latencies;
use crate::table::Row;
use crate::{Outcome, note, stats};

/// Events of a page.
const PAGE: usize = 50;

/// Messages in one append: as many as a room may hand over at once.
const GATHERED: usize = 64;

/// Pages read at each depth, at most.
const PAGES: usize = 300;

/// Time spent at each depth, at most.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Pages at one depth.
struct Depth {
    /// Time of a page in the middle of all.
    time: Duration,
    /// Processor seconds of the node per page.
    cpu: f64,
}

/// Fills one room on each database and pages through it.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let events = if quick { 100_000 } else { 1_000_000 };
    let databases = [Database::sqlite, Database::postgres];
    databases
        .into_iter()
        .map(|database| page(&database()?, events))
        .collect()
}

fn page(database: &Database, events: usize) -> Outcome<Row> {
    let room = {
        let node = Node::start(database)?;
        Rest::new(node.address, OWNER)?.create_room("history")?
    };
    fill(database, room.parse()?, events)?;
    if let Database::Postgres(server) = database {
        // A log that has grown to this size has been analyzed many times.
        server.run("ANALYZE")?;
    }
    note(&format!("{}: {events} events are in", database.name()));

    let node = Node::start(database)?;
    let reader = Rest::new(node.address, OWNER)?;
    // Once through all depths, so that each finds the same warm caches.
    let depths = [events, events / 2, PAGES + PAGE];
    for depth in depths {
        read(&node, &reader, &room, depth)?;
    }
    let [newest, middle, oldest] = depths.map(|depth| read(&node, &reader, &room, depth));
    let (newest, middle, oldest) = (newest?, middle?, oldest?);
    Ok(Row {
        id: "P12",
        what: format!("page of {PAGE} out of {events} events, {}", database.name()),
        measured: format!(
            "oldest {}, {} CPU",
            stats::millis(oldest.time),
            stats::micros(oldest.cpu)
        ),
        reference: format!(
            "newest {}, {} CPU; middle {}, {} CPU",
            stats::millis(newest.time),
            stats::micros(newest.cpu),
            stats::millis(middle.time),
            stats::micros(middle.cpu)
        ),
        ratio: stats::times(oldest.time.as_secs_f64(), newest.time.as_secs_f64()),
        goal: "flat",
    })
}

/// Appends messages to a room that a node has made.
fn fill(database: &Database, room: RoomId, events: usize) -> Outcome<()> {
    let db = database.open()?;
    let store = db.store();
    let owner = store
        .user_by_sub(&crate::token::subject(OWNER))?
        .ok_or("the owner is gone")?;
    let log = Log {
        room,
        members: vec![owner.id],
    };
    let mut left = events;
    while left > 0 {
        let batch: Vec<_> = (0..16)
            .map_while(|_| {
                let count = left.min(GATHERED);
                left -= count;
                (count > 0).then(|| log.messages(count))
            })
            .collect();
        store.append(&batch, 1)?;
    }
    Ok(())
}

/// Reads pages that end at slightly different places around `depth` (a `seq`).
fn read(node: &Node, reader: &Rest, room: &str, depth: usize) -> Outcome<Depth> {
    let mut times = Latencies::default();
    let (begun, before) = (Instant::now(), node.cpu()?);
    for page in (0..PAGES).take_while(|_| begun.elapsed() < TIMEOUT) {
        let before = depth - page;
        let started = Instant::now();
        let path = format!("/rooms/{room}/messages?before={before}&limit={PAGE}");
        let answer = reader.get(&path)?;
        times.record(started.elapsed());
        if page == 0 && answer.windows(6).filter(|text| text == b"\"seq\":").count() < PAGE {
            return Err(format!("{path} gives {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    let cpu = (node.cpu()? - before).as_secs_f64() / times.count() as f64;
    Ok(Depth {
        time: times.percentile(0.5),
        cpu,
    })
}
