//! The scripts of one life of Redis.
//!
//! The life's name stands in their text, so that a Redis that has forgotten them (it was
//! restarted, or is another one) does not know their digest: `NOSCRIPT` is the fence. They
//! are called by digest only, and loaded by whoever begins a life. The last of them is the
//! marker, whose text is the same in every version of this program: a node with other texts
//! of the rest knows by it that the life has begun, and loads its own (`living.rs`).

use std::sync::Arc;

use redis::{Cmd, Script};

use crate::failpoint;

/// The text of the marker.
const MARKER: &str = include_str!("lua/marker.lua");

/// One life of Redis, with the scripts that are good for it.
#[derive(Debug)]
pub(super) struct Life {
    /// Its name.
    pub name: Arc<str>,
    /// Appends drafts to a room's log.
    pub append: Called,
    /// Moves `flushed`.
    pub flush: Called,
    /// Takes a room in from the database.
    pub seed: Called,
    /// Reads a part of a log.
    pub read: Called,
    /// Reads many heads.
    pub heads: Called,
    /// Finds rooms that nobody writes.
    pub stuck: Called,
    /// Lets go of a log that contradicts the database.
    pub drop: Called,
    /// Lets a log go on in a new epoch.
    pub epoch: Called,
    /// Keeps a node's lease; the same in every life.
    pub lease: Called,
    /// Does nothing: Redis knows it if the life has begun there. Its text never changes.
    pub marker: Called,
}

/// A script that is called by its digest.
#[derive(Debug)]
pub(super) struct Called {
    text: String,
    digest: String,
}

impl Life {
    /// The scripts of the life with this name.
    pub(super) fn new(name: &str) -> Self {
        let of_life = |text: &str| text.replace("%LIFE%", name);
        let called = |text: &str| of_version(of_life(text));
        Self {
            name: name.into(),
            append: called(include_str!("lua/append.lua")),
            flush: called(include_str!("lua/flush.lua")),
            seed: called(include_str!("lua/seed.lua")),
            read: called(include_str!("lua/read.lua")),
            heads: called(include_str!("lua/heads.lua")),
            stuck: called(include_str!("lua/stuck.lua")),
            drop: called(include_str!("lua/drop.lua")),
            epoch: called(include_str!("lua/epoch.lua")),
            lease: lease(),
            marker: Called::new(of_life(MARKER)),
        }
    }

    /// Those of this version; `append` last, as it is the one that people wait for.
    pub(super) fn own(&self) -> [&Called; 9] {
        [
            &self.lease,
            &self.stuck,
            &self.heads,
            &self.read,
            &self.drop,
            &self.epoch,
            &self.seed,
            &self.flush,
            &self.append,
        ]
    }
}

/// Keeps a node's lease, in whatever life.
pub(super) fn lease() -> Called {
    of_version(include_str!("lua/lease.lua").to_owned())
}

fn of_version(text: String) -> Called {
    // A test makes another version of this program so.
    let is_other = failpoint::loses("redis::same_scripts");
    let more = if is_other { "\n-- Another.\n" } else { "" };
    Called::new(text + more)
}

/// Gives Redis a new life: sent whole, as no life knows it.
pub(super) fn begin<K: AsRef<str>>(keys: &[K], name: &str) -> Cmd {
    let mut call = redis::cmd("EVAL");
    call.arg(include_str!("lua/begin.lua")).arg(keys.len());
    for key in keys {
        call.arg(key.as_ref());
    }
    call.arg(name);
    call
}

impl Called {
    pub(super) fn new(text: String) -> Self {
        let digest = Script::new(&text).get_hash().to_owned();
        Self { text, digest }
    }

    /// The call, with its keys; arguments follow.
    pub(super) fn call<K: AsRef<str>>(&self, keys: &[K]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.digest).arg(keys.len());
        for key in keys {
            call.arg(key.as_ref());
        }
        call
    }

    /// What it is called by.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// The command that makes it known.
    pub(super) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(&self.text);
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_say_the_version_that_is_read() {
        let version = crate::protocol::envelope::VERSION;
        for (text, letter) in [
            (include_str!("lua/append.lua"), "E"),
            (include_str!("lua/flush.lua"), "F"),
            (include_str!("lua/drop.lua"), "X"),
            (include_str!("lua/epoch.lua"), "X"),
        ] {
            let ring = format!("'{version}{letter} ' .. LIFE");
            assert!(text.contains(&ring), "no {ring}");
        }
        let event = format!("local event = '{version} ' .. place");
        assert!(include_str!("lua/append.lua").contains(&event));
    }

    #[test]
    fn the_marker_is_the_same_in_every_version() {
        // Nodes of two versions find each other's life by it. It must not be changed, not even
        // a comment: then each would end the life of the other, without end.
        assert_eq!(
            Life::new("1").marker.digest(),
            "d45b8ec01a97c2b5db73441fea40d4b47c755cc1"
        );
    }
}
