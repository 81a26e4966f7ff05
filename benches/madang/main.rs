//! What madang costs: the figures of the project's goals, measured on this machine.
//!
//! `cargo bench --bench madang -- [--quick] [name …]`; without a name, all of them. The table is
//! printed at the end and kept in `target/bench/table.md`. Nothing here passes or fails by a time:
//! only what could not be measured at all is an error.

#![expect(unreachable_pub, reason = "a benchmark exports nothing")]

mod acks;
mod bare;
mod build;
mod chat;
mod client;
mod cluster;
mod commit;
mod crowd;
mod doorbells;
mod drafts;
mod fanout;
mod far;
mod floor;
mod frames;
mod history;
mod idle;
mod link;
mod node;
mod overload;
mod persistence;
mod plain;
mod postgres;
mod probe;
mod proc;
mod quiet;
mod redis;
mod rest;
mod rooms;
mod sharing;
mod stats;
mod storm;
mod table;
mod token;
mod weight;
mod wire;
mod workers;
mod write_back;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use table::{Row, Table};

/// Anything that can stop a figure ends it with a sentence.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// One part of the benchmarks, selectable by its name.
struct Figure {
    name: &'static str,
    about: &'static str,
    /// Measures; `true` asks for the quick version.
    run: fn(bool) -> Outcome<Vec<Row>>,
}

/// All of them, in the order of the table.
const FIGURES: [Figure; 14] = [
    Figure {
        name: "fanout",
        about: "P1 P2: cost of a delivery, one large room",
        run: fanout::run,
    },
    Figure {
        name: "idle",
        about: "P3 P11: memory and time of idle connections",
        run: idle::run,
    },
    Figure {
        name: "rooms",
        about: "P4: many small rooms at saturation",
        run: rooms::run,
    },
    Figure {
        name: "workers",
        about: "P5: two worker threads against one",
        run: workers::run,
    },
    Figure {
        name: "far",
        about: "P6: cost of a delivery on another node",
        run: far::run,
    },
    Figure {
        name: "sharing",
        about: "round trips to Redis on three nodes",
        run: sharing::run,
    },
    Figure {
        name: "persistence",
        about: "P7: rows per second",
        run: persistence::run,
    },
    Figure {
        name: "acks",
        about: "P8: publish to ack at half load",
        run: acks::run,
    },
    Figure {
        name: "far-acks",
        about: "P8 on three nodes",
        run: acks::run_far,
    },
    Figure {
        name: "storm",
        about: "P9: everybody comes back at once",
        run: storm::run,
    },
    Figure {
        name: "overload",
        about: "P10: twice the saturation rate",
        run: overload::run,
    },
    Figure {
        name: "history",
        about: "P12: a page out of a million events",
        run: history::run,
    },
    Figure {
        name: "build",
        about: "P13: build, binary, start, empty node",
        run: build::run,
    },
    Figure {
        name: "weight",
        about: "P13 of a cluster: memory of nodes, Redis, Postgres",
        run: weight::run,
    },
];

fn main() -> ExitCode {
    match dispatch(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments; says whether everything could be measured.
fn dispatch(arguments: Vec<String>) -> Outcome<bool> {
    if let [first, bytes] = arguments.as_slice()
        && first == floor::ARGUMENT
    {
        return floor::serve(bytes.parse()?).map(|()| true);
    }
    if let [only] = arguments.as_slice()
        && only == bare::ARGUMENT
    {
        return bare::serve().map(|()| true);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let names: Vec<&String> = arguments
        .iter()
        .filter(|name| !name.starts_with("--"))
        .collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| FIGURES.iter().all(|it| it.name != **name))
    {
        return Err(format!("`{unknown}` is not one of the benchmarks:\n{}", list()).into());
    }
    // `cargo bench` adds `--bench`; without it this is a test run of all targets: nothing to do.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!(
            "benchmarks run with `cargo bench --bench madang -- [--quick] [name …]`:\n{}",
            list()
        );
        return Ok(true);
    }
    let chosen = FIGURES
        .iter()
        .filter(|it| names.is_empty() || names.iter().any(|n| *n == it.name));
    measure(chosen, quick)
}

fn measure<'a>(figures: impl Iterator<Item = &'a Figure>, quick: bool) -> Outcome<bool> {
    let file = output_folder().join("table.md");
    let mut table = Table::new(quick);
    let mut whole = true;
    for figure in figures {
        println!("\n{}: {}", figure.name, figure.about);
        let started = Instant::now();
        match (figure.run)(quick) {
            Ok(rows) => table.add(rows, &file)?,
            Err(error) => {
                whole = false;
                eprintln!("{}: not measured: {error}", figure.name);
            }
        }
        println!(
            "{}: took {:.0} s",
            figure.name,
            started.elapsed().as_secs_f64()
        );
    }
    println!("\n{}\nkept in {}", table.markdown(), file.display());
    Ok(whole)
}

fn list() -> String {
    FIGURES
        .iter()
        .map(|it| format!("  {:12} {}\n", it.name, it.about))
        .collect()
}

/// `target/bench`, wherever cargo's target folder is.
pub fn output_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench")
}

/// Cores that this machine gives us.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets time pass in which nothing is to be done.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement may take its time; nothing is decided by it"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Tells how a longer figure goes.
pub fn note(text: &str) {
    println!("  {text}");
}
