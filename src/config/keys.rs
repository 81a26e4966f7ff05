//! The list of everything that can be set: name, default, and what it means.
//!
//! `madang config`, `madang.example.toml` and the loader all read this one list.

use std::fmt::Write;

/// One thing that can be set.
#[derive(Debug)]
pub struct Key {
    /// Its name in the environment, in `madang.toml` and behind `--set`.
    pub name: &'static str,
    /// What it is when nobody sets it; empty for "nothing".
    pub default: &'static str,
    /// What it means, for a person who runs a node.
    pub about: &'static str,
    /// How much of its value may be shown.
    pub shown: Shown,
    /// May it change while a node runs?
    pub live: bool,
}

/// How much of a value `madang config` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// A URL without its password.
    WithoutPassword,
    /// Only that there is one.
    Hidden,
}

/// Every key, in the order in which it is shown.
pub const KEYS: &[Key] = &[
    key(
        "MADANG_LISTEN",
        "127.0.0.1:8080",
        "address and port to listen on; port 0 picks a free one",
    ),
    Key {
        shown: Shown::WithoutPassword,
        ..key(
            "DATABASE_URL",
            "sqlite://madang.db",
            "where everything is kept: sqlite://FILE or postgres://…",
        )
    },
    Key {
        shown: Shown::WithoutPassword,
        ..key(
            "REDIS_URL",
            "",
            "joins nodes to a cluster: redis://[USER:PASSWORD@]HOST:PORT, or rediss://… with TLS; needs postgres:// and MADANG_JWT_SECRET",
        )
    },
    Key {
        shown: Shown::Hidden,
        ..key(
            "MADANG_JWT_SECRET",
            "",
            "key that signs access tokens (HS256), at least 32 bytes; \
             without it one is made at the first start and kept in madang.secret",
        )
    },
    key(
        "MADANG_NODE_ID",
        "",
        "name of this node, at most 64 of a-z A-Z 0-9 . _ -; random when empty",
    ),
    key(
        "MADANG_ADVERTISE",
        "",
        "address of this node as others see it, shown in lists of nodes; empty: MADANG_LISTEN, \
         with the host's name where that is every address",
    ),
    live(
        "MADANG_ACK",
        "log",
        "when a message is acknowledged if its sender does not say: log or db \
         (the same on a node without Redis)",
    ),
    key(
        "MADANG_WORKERS",
        "0",
        "threads that serve connections; 0 is one per core",
    ),
    live(
        "MADANG_ALLOWED_ORIGINS",
        "",
        "browser origins beside the node's own, exact, separated by commas",
    ),
    key(
        "MADANG_AUTO_PROVISION",
        "false",
        "a token signed with the key whose sub is unknown makes that user",
    ),
    live(
        "MADANG_GUESTS",
        "false",
        "people may look around with a name and no password; true with --demo",
    ),
    key(
        "MADANG_TRUSTED_PROXIES",
        "",
        "addresses or networks (10.0.0.0/8) whose X-Forwarded-For is believed",
    ),
    key(
        "MADANG_BACKLOG_EVENTS",
        "200000",
        "events that may wait to be written before sends are refused; a large one counts for each KiB",
    ),
    key(
        "MADANG_DRAIN_SECONDS",
        "30",
        "time that a stopping node gives its connections to move",
    ),
    live(
        "MADANG_NOTICE",
        "",
        "words for everybody, such as when there will be a pause; at GET /v1/common/notice",
    ),
    live(
        "MADANG_MIN_CLIENT_VERSION",
        "0.1.0",
        "the oldest client that is served well; at GET /v1/common/min_client_version",
    ),
    live(
        "MADANG_LIMIT_CONNECTIONS",
        "10000",
        "sockets on this node; 0 is no limit, here and below",
    ),
    live(
        "MADANG_LIMIT_CONNECTIONS_PER_ADDRESS",
        "1000",
        "sockets from one address",
    ),
    live(
        "MADANG_LIMIT_CONNECTIONS_PER_USER",
        "50",
        "sockets of one user",
    ),
    live(
        "MADANG_LIMIT_SIGNUPS_PER_MINUTE",
        "60",
        "new accounts and guests from one address",
    ),
    live(
        "MADANG_LIMIT_SIGNIN_FAILURES_PER_MINUTE",
        "10",
        "wrong passwords for one account",
    ),
    live(
        "MADANG_LIMIT_SIGNIN_FAILURES_PER_ADDRESS_PER_MINUTE",
        "60",
        "wrong passwords from one address",
    ),
    live(
        "MADANG_LIMIT_JOINS_PER_SECOND",
        "20",
        "rooms that one user joins, leaves or makes",
    ),
    live(
        "MADANG_LIMIT_PUBLISH_PER_SECOND",
        "100",
        "messages on one connection, twice as many at once; one user has twice that",
    ),
    live(
        "MADANG_LIMIT_ROOM_PUBLISH_PER_SECOND",
        "1000",
        "messages in one room",
    ),
    live(
        "MADANG_LIMIT_FRAMES_PER_SECOND",
        "200",
        "frames of any kind on one connection",
    ),
    live(
        "MADANG_LIMIT_READS_PER_SECOND",
        "50",
        "pages of history and REST requests of one user",
    ),
    live(
        "MADANG_LIMIT_IN_FLIGHT",
        "32",
        "requests on one connection that wait for their answer",
    ),
];

const fn key(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key {
        name,
        default,
        about,
        shown: Shown::Whole,
        live: false,
    }
}

/// A key that may change while nodes run.
const fn live(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key {
        live: true,
        ..key(name, default, about)
    }
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// `madang.example.toml`: every key with its default, ready to be changed.
pub fn example() -> String {
    let mut text = String::from(
        "# Everything that a madang node can be told, with its default.\n\
         # Copy to madang.toml beside the node and change what you need. The environment and\n\
         # flags go before this file; `madang config` shows what holds and where it came from.\n",
    );
    for key in KEYS {
        let value = toml_value(key.default);
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {}\n#{} = {value}\n", key.about, key.name);
    }
    text
}

/// A default the way one would write it in TOML.
fn toml_value(default: &str) -> String {
    let plain = default.parse::<i64>().is_ok() || default.parse::<bool>().is_ok();
    if plain {
        default.to_owned()
    } else {
        format!("{default:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_lists_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/madang.example.toml");
        let file = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            file,
            example(),
            "renew it: madang config --example > madang.example.toml"
        );
    }
}
