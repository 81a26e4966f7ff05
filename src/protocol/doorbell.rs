//! What is said of a room to every node that listens to it: the room's doorbell.

use serde::{Deserialize, Serialize};

use super::Event;
use super::envelope::{Malformed, VERSION, versioned};
use super::stored::decode_event;
use crate::ids::{Epoch, RoomId, Seq, UserId};

/// What a room's doorbell says.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomNews {
    /// These events are in the log now, ascending.
    Events(Vec<Event>),
    /// Everything up to here is in the database.
    Flushed(Seq),
    /// The log of this epoch is over: read everything again.
    EpochEnded,
    /// Something that may be lost.
    Ephemeral(Ephemeral),
}

/// What happens in a room and has no place in its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Ephemeral {
    /// Somebody has read on.
    Read {
        /// Who.
        user: UserId,
        /// How far.
        read: Seq,
        /// Messages of the room up to there.
        n: i64,
        /// Their own among them.
        own: i64,
    },
    /// Somebody writes, or has stopped.
    Typing {
        /// Who.
        user: UserId,
        /// Which.
        active: bool,
    },
}

/// When something was said of a room: which life of Redis, and which of the room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The name of Redis' life.
    pub life: String,
    /// The room's epoch.
    pub epoch: Epoch,
}

/// What a doorbell says: `1` and a letter, Redis' life, the epoch, a line's end, and the rest.
pub fn decode_news(room: RoomId, bytes: &[u8]) -> Result<(At, RoomNews), Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Content("not UTF-8"))?;
    let (head, rest) = versioned(text)?
        .split_once('\n')
        .ok_or(Malformed::Content("no line"))?;
    let mut words = head.split(' ');
    let (Some(what), Some(life), Some(epoch)) = (words.next(), words.next(), words.next()) else {
        return Err(Malformed::Content("no epoch"));
    };
    let news = match what {
        "E" => RoomNews::Events(decode_events(room, rest)?),
        "F" => RoomNews::Flushed(Seq(rest
            .parse()
            .map_err(|_| Malformed::Content("no number"))?)),
        "X" => RoomNews::EpochEnded,
        "P" => RoomNews::Ephemeral(
            serde_json::from_str(rest).map_err(|_| Malformed::Content("nothing that passes"))?,
        ),
        _ => return Err(Malformed::Content("unknown news")),
    };
    let (life, epoch) = (life.to_owned(), Epoch::from(epoch.to_owned()));
    Ok((At { life, epoch }, news))
}

/// A doorbell's words for something that may be lost.
pub fn encode_ephemeral(at: &At, ephemeral: &Ephemeral) -> serde_json::Result<String> {
    let At { life, epoch } = at;
    let ephemeral = serde_json::to_string(ephemeral)?;
    Ok(format!("{VERSION}P {life} {epoch}\n{ephemeral}"))
}

/// Events one behind the other, each with its length in bytes on a line before it.
fn decode_events(room: RoomId, mut text: &str) -> Result<Vec<Event>, Malformed> {
    const CUT: Malformed = Malformed::Content("events are cut");
    let mut events = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once('\n').ok_or(CUT)?;
        let length = length.parse().map_err(|_| CUT)?;
        let (event, rest) = rest.split_at_checked(length).ok_or(CUT)?;
        events.push(decode_event(room, event)?);
        text = rest;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::stored::encode_draft;
    use crate::protocol::{Draft, EventKind, Place};

    const TEA: RoomId = RoomId::from_raw(7);
    const ANN: UserId = UserId::from_raw(1);

    fn event(seq: i64, body: &str) -> Event {
        let mut draft = Draft::system(EventKind::Message, ANN, &"").unwrap();
        draft.body = body.into();
        draft.reply_to = Some(Seq(1));
        draft.mentions = vec![ANN];
        Event {
            room: TEA,
            place: Place {
                seq: Seq(seq),
                n: seq,
                at: 5,
            },
            draft,
        }
    }

    fn stored(event: &Event) -> String {
        let Place { seq, n, at } = event.place;
        format!("1 {seq} {n} {at} {}", encode_draft(&event.draft).unwrap())
    }

    fn rung(events: &[Event]) -> String {
        let events = events.iter().map(stored);
        let events: String = events.map(|it| format!("{}\n{it}", it.len())).collect();
        format!("1E life a1\n{events}")
    }

    #[test]
    fn an_event_comes_out_of_the_log_as_it_went_in() {
        let events = [
            event(8, "{\"text\":\"a\\nb\"}"),
            event(9, "{ \"text\":\n\"한글 👍\" }"),
        ];
        let (at, news) = decode_news(TEA, rung(&events).as_bytes()).unwrap();
        assert_eq!((at.life.as_str(), &*at.epoch.0), ("life", "a1"));
        assert_eq!(news, RoomNews::Events(events.to_vec()));
    }

    #[test]
    fn what_is_newer_or_cut_is_refused() {
        let whole = stored(&event(8, "{}"));
        assert_eq!(
            decode_event(TEA, &whole.replacen('1', "2", 1)),
            Err(Malformed::Version('2'))
        );
        let ring = rung(&[event(8, "{}")]);
        for cut in 0..ring.len() {
            let news = decode_news(TEA, &ring.as_bytes()[..cut]);
            let is_empty = matches!(&news, Ok((_, RoomNews::Events(events))) if events.is_empty());
            assert!(news.is_err() || is_empty, "cut at {cut}: {news:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_news(TEA, &bytes);
        }

        #[test]
        fn no_text_makes_it_panic(text in "1[EFXP]? ?[a-z0-9 \n{}\":]{0,60}") {
            let _ = decode_news(TEA, text.as_bytes());
        }
    }
}
