//! What the scripts answer, read: plain data, no I/O.

use redis::Value;

use super::link::Fault;
use crate::ids::{Epoch, RoomId, Seq};
use crate::protocol::envelope::decode_event;
use crate::protocol::{Event, Place};

/// What `append.lua` answers.
#[derive(Debug, PartialEq)]
pub(super) enum AppendReply {
    /// Redis is in another life than this node thinks.
    NoLife,
    /// The room is not in Redis, or from an earlier life. When that was, by Redis' clock.
    Cold { now: i64 },
    /// The log ends before what this node has seen of it.
    Behind,
    /// There are newer rights.
    Stale { head: Seq, newer: Vec<Event> },
    /// Only the database knows these drafts (counted from 1).
    Ask { now: i64, drafts: Vec<usize> },
    /// Every draft has its fate.
    Done {
        dirty: bool,
        epoch: Epoch,
        placings: Vec<Placing>,
    },
}

/// Where a draft came to stand.
#[derive(Debug, PartialEq)]
pub(super) enum Placing {
    /// Here, now.
    New(Place),
    /// It had this place before.
    Same(Place),
    /// Another draft has its id.
    Other,
}

/// What `read.lua` answers.
#[derive(Debug, PartialEq)]
pub(super) enum ReadReply {
    /// Redis is in another life than this node thinks.
    NoLife,
    /// The room is not in Redis, or from an earlier life.
    Cold,
    /// A part of the log.
    Part {
        epoch: Epoch,
        head: Seq,
        /// The oldest event that Redis still has.
        first: Seq,
        events: Vec<Event>,
    },
}

/// What `flush.lua` answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FlushReply {
    /// Redis is in another life than this node thinks.
    NoLife,
    /// The room is not in Redis.
    Gone,
    /// The database is ahead of the log.
    Ahead,
    /// `flushed` stands here now.
    Moved { flushed: Seq, head: Seq },
}

impl AppendReply {
    pub(super) fn read(room: RoomId, answer: Value) -> Result<Self, Fault> {
        let words = texts(answer)?;
        let mut rest = words.iter().skip(1);
        Ok(match first(&words) {
            "NOLIFE" => Self::NoLife,
            "COLD" => Self::Cold {
                now: number(rest.next())?,
            },
            "BEHIND" => Self::Behind,
            "STALE" => Self::Stale {
                head: seq(rest.next())?,
                newer: events(room, rest)?,
            },
            "ASK" => Self::Ask {
                now: number(rest.next())?,
                drafts: rest
                    .map(|word| number(Some(word)))
                    .collect::<Result<_, _>>()?,
            },
            "DONE" => {
                let dirty = rest.next().is_some_and(|word| word == "1");
                let epoch = rest.next().cloned().ok_or_else(unexpected)?.into();
                let placings = rest.map(|word| placing(word)).collect::<Result<_, _>>()?;
                Self::Done {
                    dirty,
                    epoch,
                    placings,
                }
            }
            _ => return Err(unexpected()),
        })
    }
}

impl ReadReply {
    pub(super) fn read(room: RoomId, answer: Value) -> Result<Self, Fault> {
        let words = texts(answer)?;
        let mut rest = words.iter().skip(1);
        Ok(match first(&words) {
            "NOLIFE" => Self::NoLife,
            "COLD" => Self::Cold,
            "OK" => Self::Part {
                epoch: rest.next().cloned().ok_or_else(unexpected)?.into(),
                head: seq(rest.next())?,
                first: seq(rest.next())?,
                events: events(room, rest)?,
            },
            _ => return Err(unexpected()),
        })
    }
}

impl FlushReply {
    pub(super) fn read(answer: Value) -> Result<Self, Fault> {
        let words = texts(answer)?;
        Ok(match first(&words) {
            "NOLIFE" => Self::NoLife,
            "GONE" => Self::Gone,
            "AHEAD" => Self::Ahead,
            "OK" => Self::Moved {
                flushed: seq(words.get(1))?,
                head: seq(words.get(2))?,
            },
            _ => return Err(unexpected()),
        })
    }
}

/// An array of texts.
pub(super) fn texts(answer: Value) -> Result<Vec<String>, Fault> {
    redis::from_redis_value(answer).map_err(|_| unexpected())
}

/// Events that stand one behind the other. What this program cannot read ends them: it is
/// told in the log, and nothing behind it is acted on.
pub(super) fn events<'a>(
    room: RoomId,
    texts: impl Iterator<Item = &'a String>,
) -> Result<Vec<Event>, Fault> {
    texts
        .map(|text| {
            decode_event(room, text).map_err(|error| {
                Fault::Refused(format!("room={room} an event in the log: {error}"))
            })
        })
        .collect()
}

fn placing(word: &str) -> Result<Placing, Fault> {
    let mut parts = word.split(' ');
    let letter = parts.next();
    let mut number = || number::<i64>(parts.next());
    let place = Place {
        seq: Seq(number()?),
        n: number()?,
        at: number()?,
    };
    match letter {
        Some("N") => Ok(Placing::New(place)),
        Some("D") => Ok(Placing::Same(place)),
        Some("C") => Ok(Placing::Other),
        _ => Err(unexpected()),
    }
}

fn first(words: &[String]) -> &str {
    words.first().map_or("", String::as_str)
}

fn seq(word: Option<&String>) -> Result<Seq, Fault> {
    number(word).map(Seq)
}

fn number<T: std::str::FromStr>(word: Option<impl AsRef<str>>) -> Result<T, Fault> {
    word.and_then(|word| word.as_ref().parse().ok())
        .ok_or_else(unexpected)
}

fn unexpected() -> Fault {
    Fault::Refused("an answer that no script of ours gives".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> Value {
        let words = words
            .iter()
            .map(|word| Value::BulkString(word.as_bytes().to_vec()));
        Value::Array(words.collect())
    }

    const TEA: RoomId = RoomId::from_raw(1);

    #[test]
    fn fates_are_read_in_order() {
        let read = AppendReply::read(
            TEA,
            answer(&["DONE", "1", "a1", "N 4 2 9", "D 1 1 3", "C 2 1 4"]),
        );
        let place = |seq, n, at| Place {
            seq: Seq(seq),
            n,
            at,
        };
        let placings = vec![
            Placing::New(place(4, 2, 9)),
            Placing::Same(place(1, 1, 3)),
            Placing::Other,
        ];
        let epoch = Epoch::from("a1".to_owned());
        assert_eq!(
            read,
            Ok(AppendReply::Done {
                dirty: true,
                epoch,
                placings
            })
        );
    }

    #[test]
    fn what_no_script_of_ours_says_is_a_fault() {
        for words in [
            &["DONE", "1"][..],
            &["MAYBE"],
            &[],
            &["DONE", "0", "a", "N 1"],
        ] {
            assert!(AppendReply::read(TEA, answer(words)).is_err(), "{words:?}");
        }
        assert!(FlushReply::read(Value::Int(3)).is_err());
    }
}
