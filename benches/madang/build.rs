//! P13: how long it takes to have a node, and what it weighs when nobody is there.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::node::{Database, Node};
use crate::table::Row;
use crate::{Outcome, cores, note, output_folder, stats};

/// Starts that are measured.
const STARTS: usize = 5;

/// Builds from nothing (not when quick), weighs the binary, starts nodes.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    if !quick {
        note("building from nothing; this takes minutes");
        rows.push(row(
            "cold release build, sources already fetched",
            cold_build()?,
            "≤ 200 s",
        ));
    }
    let binary = fs::metadata(env!("CARGO_BIN_EXE_madang"))?.len();
    rows.push(row("binary", stats::megabytes(binary), "≤ 30 MB"));

    let database = Database::sqlite()?;
    let first = Node::start(&database)?;
    let memory = first.memory()?;
    rows.push(row(
        "start-up to ready, new database",
        stats::millis(first.start_up),
        "≤ 1 s",
    ));
    drop(first);
    let starts = (0..STARTS)
        .map(|_| Ok(Node::start(&database)?.start_up.as_secs_f64()))
        .collect::<Outcome<Vec<_>>>()?;
    let again = Duration::from_secs_f64(stats::median(starts));
    rows.push(row(
        "start-up to ready, database of before",
        stats::millis(again),
        "≤ 1 s",
    ));
    let weight = format!(
        "{} resident (its share {}), {} anonymous",
        stats::megabytes(memory.rss),
        stats::megabytes(memory.pss),
        stats::megabytes(memory.anonymous)
    );
    rows.push(row("empty node", weight, "≤ 30 MB"));
    Ok(rows)
}

/// The time of a release build in a folder of its own, which is removed afterwards.
fn cold_build() -> Outcome<String> {
    let target = output_folder().join("cold");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let started = Instant::now();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--bin", "madang"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &target)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let time = started.elapsed();
    fs::remove_dir_all(&target)?;
    if !status.success() {
        return Err("the cold build failed".into());
    }
    Ok(format!(
        "{:.0} s with {} cores",
        time.as_secs_f64(),
        cores()
    ))
}

fn row(what: &str, measured: String, goal: &'static str) -> Row {
    let none = || "–".to_owned();
    Row {
        id: "P13",
        what: what.into(),
        measured,
        reference: none(),
        ratio: none(),
        goal,
    }
}
