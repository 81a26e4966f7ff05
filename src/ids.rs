//! Names of things: who, where, and which place in a room's log.
//!
//! Inside they are 64-bit integers; outside they are opaque strings, so that nobody
//! computes with them or guesses the next one. Parsing happens once, at the edge.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is not an id of the kind it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {0} id")]
pub struct InvalidId(&'static str);

/// A room, where messages are ordered.
pub type RoomId = Id<Room>;
/// A person's account on this system; not the `sub` of a token.
pub type UserId = Id<User>;
/// One connected socket. A user may have several.
pub type SessionId = Id<Session>;
/// One sign-in on one device: what a refresh token belongs to.
pub type LoginId = Id<Login>;

/// An id of one kind of thing; ids of different kinds cannot be mixed up.
///
/// Outside it is one letter and sixteen lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K> {
    raw: i64,
    kind: PhantomData<K>,
}

/// What an [`Id`] names: gives the letter it starts with and its word in errors.
pub trait Kind {
    /// First character of the outer form.
    const LETTER: char;
    /// How an error calls it.
    const WHAT: &'static str;
}

/// Marks [`RoomId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Room {}
/// Marks [`UserId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {}
/// Marks [`SessionId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Session {}
/// Marks [`LoginId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Login {}

impl Kind for Room {
    const LETTER: char = 'r';
    const WHAT: &'static str = "room";
}
impl Kind for User {
    const LETTER: char = 'u';
    const WHAT: &'static str = "user";
}
impl Kind for Session {
    const LETTER: char = 's';
    const WHAT: &'static str = "session";
}
impl Kind for Login {
    const LETTER: char = 'l';
    const WHAT: &'static str = "login";
}

impl<K> Id<K> {
    /// The id as the database holds it.
    pub const fn raw(self) -> i64 {
        self.raw
    }

    /// An id that came from the database.
    pub const fn from_raw(raw: i64) -> Self {
        Self {
            raw,
            kind: PhantomData,
        }
    }

    /// A fresh id that nobody can guess: 63 random bits.
    pub fn random() -> Self {
        Self::from_raw(rand::random::<i64>() & i64::MAX)
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", K::LETTER, self.raw)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix(K::LETTER)
            .and_then(parse_hex)
            .map(Self::from_raw)
            .ok_or(InvalidId(K::WHAT))
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Exactly sixteen lower-case hex digits below 2^63, so that an id has one spelling.
fn parse_hex(digits: &str) -> Option<i64> {
    let canonical = digits.len() == 16
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    canonical
        .then(|| i64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// A place in a room's log: 1, 2, 3 … without holes. 0 is "before everything".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Before the first event of a room.
    pub const ZERO: Seq = Seq(0);

    /// The place right behind this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which life of a room's log a place belongs to (`docs/PROTOCOL.md`, rule 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Arc<str>);

impl Epoch {
    /// The name of a log's new life.
    pub fn random() -> Self {
        Self(format!("{:08x}", rand::random::<u32>()).into())
    }
}

impl From<String> for Epoch {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_exactly_one_spelling() {
        let room = RoomId::from_raw(0x2a);
        assert_eq!(room.to_string(), "r000000000000002a");
        assert_eq!("r000000000000002a".parse(), Ok(room));
        for wrong in [
            "",
            "r",
            "r2a",
            "u000000000000002a",
            "r000000000000002A",
            "rffffffffffffffff",
        ] {
            assert!(
                wrong.parse::<RoomId>().is_err(),
                "{wrong} was taken for a room"
            );
        }
    }
}
