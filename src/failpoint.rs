//! Named places where a test may end, delay or confuse a node; nothing at all in a release.
//!
//! Built with the feature `failpoints`, a node reads `FAILPOINTS` as the `fail` crate writes it:
//! `redis::after_append=50*off->1*return(abort);write_back::before_flush=sleep(200)` ends the
//! process at the 51st append, and delays each flush.

use std::process::{Command, abort};
use std::sync::Once;

/// Ends the process as `kill -9` would.
const ABORT: &str = "abort";
/// Stops the whole process until somebody sends it `SIGCONT`.
const STOP: &str = "stop";
/// What was about to happen here does not happen, as if it had been lost on the way.
const LOSE: &str = "lose";

/// A place where a test may end the process (`return(abort)`), stop it (`return(stop)`) or delay
/// it (`sleep(ms)`).
#[inline]
pub fn at(name: &str) {
    if fail::has_failpoints() {
        act(name);
    }
}

/// The same before something that may be lost: true when it shall be (`return(lose)`).
#[inline]
#[must_use]
pub fn loses(name: &str) -> bool {
    fail::has_failpoints() && act(name).is_some_and(|word| word == LOSE)
}

/// Does here what `FAILPOINTS` says; gives the word that a `return` holds.
fn act(name: &str) -> Option<String> {
    static READ: Once = Once::new();
    READ.call_once(read_environment);
    let word = fail::eval(name, |word| word)??;
    if word == ABORT || word == STOP {
        log::warn!("failpoint={name} action={word}");
    }
    if word == ABORT {
        abort();
    }
    if word == STOP {
        stop();
    }
    Some(word)
}

/// `SIGSTOP` to this process. A shell does it, and is waited for, so that nothing happens after
/// the point before the signal has come.
fn stop() {
    let sent = Command::new("sh")
        .args(["-c", "kill -s STOP $PPID"])
        .status();
    if !sent.is_ok_and(|status| status.success()) {
        log::error!("the process cannot be stopped");
        abort();
    }
}

/// Sets every point that `FAILPOINTS` names, for as long as the process lives.
fn read_environment() {
    let settings = std::env::var("FAILPOINTS").unwrap_or_default();
    for setting in settings.split(';').filter(|setting| !setting.is_empty()) {
        let set = match setting.split_once('=') {
            Some((name, actions)) => fail::cfg(name.trim(), actions),
            None => Err("it has no `=`".to_owned()),
        };
        if let Err(cause) = set {
            // A test that meant to hurt the node and did not would pass for no reason.
            log::error!("FAILPOINTS: `{setting}` cannot be used: {cause}");
            abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_nobody_sets_does_nothing() {
        at("nobody::sets_this");
        assert!(!loses("nobody::sets_this"));
    }

    #[test]
    fn a_point_can_lose_what_follows_so_many_times() {
        if !fail::has_failpoints() {
            return;
        }
        let actions = format!("1*off->2*return({LOSE})");
        fail::cfg("failpoint::tests", &actions).unwrap();
        let lost: Vec<_> = (0..4).map(|_| loses("failpoint::tests")).collect();
        assert_eq!(lost, [false, true, true, false]);
    }
}
