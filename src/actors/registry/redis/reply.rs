//! What Redis answers, read: plain data, no I/O.
//!
//! What is none of the answers that a script gives is a fault. It is never taken for one of
//! them: "nobody is there", "the log has nothing" and "it is not stored" must be said.

use redis::Value;

use super::link::Fault;
use super::nodes::Kept;
use super::values::{events, text, texts, unexpected};
use crate::ids::{Epoch, RoomId, Seq};
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
    Done { dirty: bool, placings: Vec<Placing> },
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
    Part(Part),
}

/// A part of a room's log.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    /// Everything from here on is in the log.
    pub first: Seq,
    /// What was asked for of it, ascending.
    pub events: Vec<Event>,
}

/// What `heads.lua` answers.
#[derive(Debug, PartialEq)]
pub(super) enum HeadsReply {
    /// Redis is in another life than this node thinks.
    NoLife,
    /// For each room that was asked for; `None` is not in Redis.
    Heads(Vec<Option<(Epoch, Seq)>>),
}

/// What `seed.lua` answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SeedReply {
    /// Redis is in another life than this node thinks.
    NoLife,
    /// The reading has become old.
    Old,
    /// The room is in Redis.
    Here,
}

/// What `epoch.lua` and `drop.lua` answer.
#[derive(Debug, PartialEq)]
pub(super) enum DropReply {
    /// Redis is in another life than this node thinks.
    NoLife,
    /// These were not in the database.
    Done(Vec<Event>),
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
    /// Of an append of so many drafts.
    pub(super) fn read(room: RoomId, count: usize, answer: Value) -> Result<Self, Fault> {
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
            "ASK" => {
                let now = number(rest.next())?;
                let drafts: Vec<usize> = rest
                    .map(|word| number(Some(word)))
                    .collect::<Result<_, _>>()?;
                let fits = |draft: &usize| (1..=count).contains(draft);
                if drafts.is_empty() || !drafts.iter().all(fits) {
                    return Err(unexpected("ASK"));
                }
                Self::Ask { now, drafts }
            }
            "DONE" => {
                let dirty = flag(rest.next())?;
                // The room's epoch.
                rest.next().ok_or_else(|| unexpected("DONE"))?;
                let placings: Vec<_> = rest.map(|word| placing(word)).collect::<Result<_, _>>()?;
                if placings.len() != count {
                    return Err(unexpected("DONE"));
                }
                Self::Done { dirty, placings }
            }
            word => return Err(unexpected(word)),
        })
    }
}

impl ReadReply {
    pub(super) fn read(room: RoomId, answer: Value) -> Result<Self, Fault> {
        let words = texts(answer)?;
        // Behind the word: epoch, head, first, events.
        Ok(match first(&words) {
            "NOLIFE" => Self::NoLife,
            "COLD" => Self::Cold,
            "OK" => Self::Part(Part {
                first: seq(words.get(3))?,
                events: events(room, words.iter().skip(4))?,
            }),
            word => return Err(unexpected(word)),
        })
    }
}

impl HeadsReply {
    /// Of so many rooms.
    pub(super) fn read(count: usize, answer: Value) -> Result<Self, Fault> {
        let words = texts(answer)?;
        match first(&words) {
            "NOLIFE" => Ok(Self::NoLife),
            "OK" if words.len() == count + 1 => {
                let heads = words.iter().skip(1).map(|word| head(word));
                Ok(Self::Heads(heads.collect::<Result<_, _>>()?))
            }
            word => Err(unexpected(word)),
        }
    }
}

impl SeedReply {
    pub(super) fn read(answer: Value) -> Result<Self, Fault> {
        match first(&texts(answer)?) {
            "NOLIFE" => Ok(Self::NoLife),
            "OLD" => Ok(Self::Old),
            "OK" => Ok(Self::Here),
            word => Err(unexpected(word)),
        }
    }
}

impl DropReply {
    pub(super) fn read(room: RoomId, answer: Value) -> Result<Self, Fault> {
        let words = texts(answer)?;
        match first(&words) {
            "NOLIFE" => Ok(Self::NoLife),
            "OK" => Ok(Self::Done(events(room, words.iter().skip(1))?)),
            word => Err(unexpected(word)),
        }
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
            word => return Err(unexpected(word)),
        })
    }
}

/// What `lease.lua` answers.
pub(super) fn kept(answer: Value) -> Result<Kept, Fault> {
    match text(answer)?.as_deref() {
        Some("KEPT") => Ok(Kept::Yes),
        Some("NEW") => Ok(Kept::New),
        Some("TAKEN") => Ok(Kept::Taken),
        word => Err(unexpected(word.unwrap_or_default())),
    }
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
        _ => Err(unexpected(word)),
    }
}

/// `EPOCH HEAD`, or nothing for a room that is not here.
fn head(word: &str) -> Result<Option<(Epoch, Seq)>, Fault> {
    if word.is_empty() {
        return Ok(None);
    }
    let (epoch, head) = word.split_once(' ').ok_or_else(|| unexpected(word))?;
    Ok(Some((epoch.to_owned().into(), Seq(number(Some(head))?))))
}

fn first(words: &[String]) -> &str {
    words.first().map_or("", String::as_str)
}

fn flag(word: Option<&String>) -> Result<bool, Fault> {
    match word.map(String::as_str) {
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(unexpected("a flag")),
    }
}

fn seq(word: Option<&String>) -> Result<Seq, Fault> {
    number(word).map(Seq)
}

fn number<T: std::str::FromStr>(word: Option<impl AsRef<str>>) -> Result<T, Fault> {
    word.and_then(|word| word.as_ref().parse().ok())
        .ok_or_else(|| unexpected("a number"))
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
        let words = ["DONE", "1", "a1", "N 4 2 9", "D 1 1 3", "C 2 1 4"];
        let read = AppendReply::read(TEA, 3, answer(&words));
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
        assert_eq!(
            read,
            Ok(AppendReply::Done {
                dirty: true,
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
            &["DONE", "2", "a", "N 4 2 9"],
            // Fates of more or fewer drafts than were sent.
            &["DONE", "0", "a"],
            &["DONE", "0", "a", "N 4 2 9", "N 5 3 9"],
            &["ASK", "1"],
            &["ASK", "1", "0"],
            &["ASK", "1", "2"],
        ] {
            let read = AppendReply::read(TEA, 1, answer(words));
            assert!(matches!(read, Err(Fault::Malformed(_))), "{words:?}");
        }
        assert!(FlushReply::read(Value::Int(3)).is_err());
        for words in [&["OK"][..], &["OK", "a 1", ""], &["OK", "a"], &["WHAT"]] {
            assert!(HeadsReply::read(1, answer(words)).is_err(), "{words:?}");
        }
        assert!(SeedReply::read(answer(&["LATER"])).is_err());
        assert!(DropReply::read(TEA, answer(&["GONE"])).is_err());
        assert!(kept(Value::SimpleString("WHAT".into())).is_err());
        assert!(kept(Value::Nil).is_err());
    }

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_read() {
        let here = ("a1".to_owned().into(), Seq(7));
        let read = HeadsReply::read(2, answer(&["OK", "", "a1 7"]));
        assert_eq!(read, Ok(HeadsReply::Heads(vec![None, Some(here)])));
    }
}
