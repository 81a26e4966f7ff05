//! The whole log protocol in one process: pretended Redis, Postgres, network, nodes, people.
//!
//! Every run is decided by a seed. `SIM_SEEDS` says how many per kind of fault; a seed that
//! is not clean is printed, and `SIM_FAULT=… SIM_SEED=… SIM_TRACE=1 cargo test --test
//! simulation` shows its steps (`SIM_BUG=…` with a rule left out).

mod bugs;
mod faults;
mod judge;
mod log;
mod node;
mod people;
mod postgres;
mod redis;
mod scripts;
mod time;
mod trouble;
mod world;

use std::env;
use std::fmt::Debug;

use bugs::Bug;
use faults::{BUGS, Fault};
use world::{END, World};

/// Runs per kind of fault, unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 30;
/// A rule that is left out has to show within so many runs.
const SHOWS_WITHIN: u64 = 4_000;

/// One run: what was wrong, and its steps.
fn run(seed: u64, fault: Fault, bug: Bug, traced: bool) -> (Vec<String>, Vec<String>) {
    let world = World::new(seed, fault, bug, traced);
    world.begin();
    world.spawn(world.clone().goes_wrong());
    world.spawn(world.clone().heals());
    world.time.run(END);
    let wrong = judge::verdict(&world);
    let trace = world.traced();
    world.end();
    (wrong, trace)
}

/// The seed of one run of a kind of fault.
fn seed_of(fault: Fault, index: u64) -> u64 {
    index * 1_000 + fault as u64
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn one_of<T: Copy + Debug>(all: &[T], name: &str) -> Option<T> {
    let wanted = env::var(name).ok()?;
    let found = all.iter().find(|one| format!("{one:?}") == wanted);
    assert!(found.is_some(), "{name} is one of {all:?}");
    found.copied()
}

/// The runs that were asked for: all kinds of fault, or one, or one seed of it.
fn asked_for() -> Vec<(Fault, u64)> {
    let faults = one_of(Fault::ALL, "SIM_FAULT").map_or(Fault::ALL.to_vec(), |one| vec![one]);
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let all = |fault: &Fault| {
        let fault = *fault;
        (0..seeds).map(move |index| (fault, seed_of(fault, index)))
    };
    match number("SIM_SEED") {
        Some(seed) => faults.iter().map(|fault| (*fault, seed)).collect(),
        None => faults.iter().flat_map(all).collect(),
    }
}

#[test]
fn whatever_goes_wrong_it_is_clean_in_the_end() {
    let bugs: Vec<Bug> = BUGS.iter().map(|(bug, _)| *bug).collect();
    let bug = one_of(&bugs, "SIM_BUG").unwrap_or(Bug::None);
    let traced = env::var("SIM_TRACE").is_ok();
    let (mut runs, mut failures) = (0, Vec::new());
    for (fault, seed) in asked_for() {
        let (wrong, trace) = run(seed, fault, bug, traced);
        runs += 1;
        trace.iter().for_each(|step| println!("{step}"));
        if !wrong.is_empty() {
            failures.push(format!("SIM_FAULT={fault:?} SIM_SEED={seed}: {wrong:?}"));
        }
    }
    println!("{} of {runs} runs were not clean", failures.len());
    failures.truncate(20);
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_rule_is_needed() {
    let mut unnoticed = Vec::new();
    for (bug, fault) in BUGS {
        let mut seeds = (0..SHOWS_WITHIN).map(|index| seed_of(*fault, index));
        let shows = seeds.find_map(|seed| {
            let wrong = run(seed, *fault, *bug, false).0;
            wrong.into_iter().next().map(|what| (seed, what))
        });
        match shows {
            Some((seed, what)) => println!("{bug:?}: {fault:?} {seed}: {what}"),
            None => unnoticed.push(bug),
        }
    }
    assert!(unnoticed.is_empty(), "nobody notices {unnoticed:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let once = || run(7, Fault::LostTwice, Bug::None, true).1;
    let steps = once();
    assert!(steps.len() > 100, "{} steps", steps.len());
    assert_eq!(steps, once());
}
