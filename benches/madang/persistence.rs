//! P7: rows per second of persistence and write-back, next to what Postgres does without it.

use std::time::{Duration, Instant};

use actix::System;
use futures_util::future::try_join_all;
use madang::actors::Reply;
use madang::actors::persistence::{Append, Limits, Persistence};

use crate::drafts::Log;
use crate::node::Database;
use crate::table::Row;
use crate::{Outcome, note, plain, stats, write_back};

/// Rooms that write at once, each with one append in flight.
pub const ROOMS: usize = 200;

/// Members of each.
pub const MEMBERS: usize = 10;

/// Messages in one append: what a busy room gathers during the one before.
pub const GATHERED: usize = 10;

/// Rows of a batch, and so of one `COPY`.
pub const BATCH_ROWS: usize = 500;

/// What one turn found, in rows per second.
struct Rates {
    actor: f64,
    /// Events that have their places already, through the write-back actor.
    write_back: f64,
    /// The same, straight into the store.
    write: f64,
    copy: f64,
    copy_whole: f64,
    insert: f64,
}

/// Writes the same rows in each way, in turns.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let (turns, rows, inserts) = if quick {
        (1, 40_000, 2000)
    } else {
        (3, 100_000, 5000)
    };
    let database = Database::postgres()?;
    let mut found = Vec::new();
    for turn in 1..=turns {
        let rates = turn_on(&database, rows, inserts)?;
        note(&format!(
            "turn {turn} of {turns}: actor {:.0}, write-back {:.0} (store alone {:.0}), \
             COPY {:.0} (in one {:.0}), insert {:.0} rows/s",
            rates.actor, rates.write_back, rates.write, rates.copy, rates.copy_whole, rates.insert
        ));
        found.push(rates);
    }
    let sqlite = write_all(&Database::sqlite()?, rows)?;
    note(&format!("SQLite: actor {sqlite:.0} rows/s"));
    Ok(table(&found, sqlite))
}

fn table(found: &[Rates], sqlite: f64) -> Vec<Row> {
    let all = |rate: fn(&Rates) -> f64| found.iter().map(rate).collect::<Vec<_>>();
    let row = |what: &str, measured: &[f64], reference: &str, of: Vec<f64>, goal| Row {
        id: "P7",
        what: format!("{what}, Postgres"),
        measured: format!("{:.0} rows/s", stats::median(measured.to_vec())),
        reference: format!("{reference} {:.0} rows/s", stats::median(of.clone())),
        ratio: stats::median_ratio(measured, &of),
        goal,
    };
    let (actor, back) = (all(|rates| rates.actor), all(|rates| rates.write_back));
    let batched = format!("`COPY` by {BATCH_ROWS} rows");
    let (copy, insert) = (all(|rates| rates.copy), all(|rates| rates.insert));
    let write = all(|rates| rates.write);
    let local = "persistence actor";
    let whole = all(|rates| rates.copy_whole);
    vec![
        row(local, &actor, &batched, copy.clone(), "≥ 0.5 × `COPY`"),
        row(local, &actor, "one `COPY` of all", whole, "–"),
        row(
            local,
            &actor,
            "one insert per message",
            insert.clone(),
            "≥ 40 ×",
        ),
        row(
            "write-back actor",
            &back,
            &batched,
            copy.clone(),
            "≥ 0.5 × `COPY`",
        ),
        row(
            "write-back actor",
            &back,
            "one insert per message",
            insert,
            "≥ 40 ×",
        ),
        row("write-back, store alone", &write, &batched, copy, "–"),
        Row {
            id: "P7",
            what: "persistence actor, SQLite".into(),
            measured: format!("{sqlite:.0} rows/s"),
            reference: "–".into(),
            ratio: "–".into(),
            goal: "–",
        },
    ]
}

fn turn_on(database: &Database, rows: usize, inserts: usize) -> Outcome<Rates> {
    let Database::Postgres(server) = database else {
        return Err("the comparison needs Postgres".into());
    };
    let anew = || server.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    anew()?;
    let write = write_back::store(database, rows)?;
    anew()?;
    let write_back = write_back::actor(database, rows)?;
    anew()?;
    let actor = write_all(database, rows)?;
    let written = plain::dump(server)?;
    Ok(Rates {
        actor,
        write_back,
        write,
        copy: plain::copy(server, &written, BATCH_ROWS)?,
        copy_whole: plain::copy(server, &written, usize::MAX)?,
        insert: plain::insert(server, inserts)?,
    })
}

/// Rows per second through the actor, from an append's handing over to its answer.
fn write_all(database: &Database, rows: usize) -> Outcome<f64> {
    let db = database.open()?;
    let store = db.store();
    let logs: Vec<Log> = (0..ROOMS)
        .map(|_| Log::create(store.as_ref(), MEMBERS))
        .collect::<Outcome<_>>()?;
    let appends = rows / ROOMS / GATHERED;
    let limits = Limits {
        batch_rows: BATCH_ROWS,
        backlog_rows: 200_000,
        deadline: Duration::from_secs(30),
    };
    System::new().block_on(async move {
        let writer = Persistence::start_here(store, limits);
        let started = Instant::now();
        let room = async |log: &Log| -> Outcome<()> {
            for _ in 0..appends {
                let (reply_to, answer) = Reply::channel();
                writer.try_send(Append {
                    append: log.messages(GATHERED),
                    reply_to,
                })?;
                answer
                    .await
                    .map_err(|error| format!("an append failed: {error:?}"))?;
            }
            Ok(())
        };
        try_join_all(logs.iter().map(room)).await?;
        Ok((appends * GATHERED * ROOMS) as f64 / started.elapsed().as_secs_f64())
    })
}
