//! What nodes say to each other through Redis, and how events stand in its logs.
//!
//! Everything begins with a version byte. What is malformed, or of a version that this
//! program does not know, is refused by [`Malformed`]; whoever reads counts it and goes on.
//! Plain data: a page of text one can read with any Redis client.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ClientId, Draft, Event, EventKind, Place, Presence};
use crate::ids::{Epoch, LoginId, RoomId, Seq, UserId};

/// The version that this program writes, and the newest that it understands.
pub const VERSION: u8 = 1;

/// Bytes from another node, or from the log, that say nothing to this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Written by a newer program.
    #[error("version {0:?} is not known here")]
    Version(char),
    /// Not what we write.
    #[error("malformed: {0}")]
    Content(&'static str),
}

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

/// What one node tells another, or all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who sends it.
    pub node: String,
    /// Which life of that node.
    pub generation: String,
    /// What it says.
    pub payload: Payload,
}

/// What an [`Envelope`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Payload {
    /// Somebody joined or left a room, or was added or removed; it is in the database.
    MembershipChanged {
        /// Whom it is about.
        user: UserId,
        /// Which room.
        room: RoomId,
        /// Who did it.
        by: UserId,
    },
    /// Somebody's tokens are worth nothing any more.
    Revoke {
        /// Whose.
        user: UserId,
        /// Only those of this login.
        login: Option<LoginId>,
        /// But not those of this one.
        except: Option<LoginId>,
    },
    /// An account has changed in a way that ends nothing: what is remembered of it is old.
    AccountChanged {
        /// Whose.
        user: UserId,
    },
    /// A frame for all devices of somebody.
    Notify {
        /// Whose.
        user: UserId,
        /// The frame, as JSON.
        frame: String,
    },
    /// Somebody has read on, on another node.
    Marked {
        /// Who.
        user: UserId,
        /// Where.
        room: RoomId,
        /// How far.
        read: Seq,
        /// Messages of the room up to there.
        n: i64,
        /// Their own among them.
        own: i64,
    },
    /// Who came to the sender, went, or changed.
    People {
        /// Counts these envelopes of one generation: 1, 2, 3 …
        number: u64,
        /// The changes.
        changes: Vec<PresenceChange>,
    },
    /// The settings have a new version in the database.
    Settings {
        /// Which.
        version: i64,
    },
    /// A node could not apply a version of the settings.
    SettingsRefused {
        /// Which.
        version: i64,
        /// Why.
        reason: String,
    },
    /// Redis has begun a new life, or is being given one.
    Life {
        /// Its name.
        life: String,
    },
    /// The receiver is to drain.
    Drain,
}

/// One person who came to a node, went, or changed how they want to be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresenceChange {
    /// Who.
    pub user: UserId,
    /// How they want to be seen; `None` when they went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
    /// In their own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The rooms that they are a member of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<RoomId>,
}

/// A draft as it stands in the log.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    k: &'a str,
    f: UserId,
    c: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<Seq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    m: Vec<UserId>,
    #[serde(borrow)]
    b: &'a RawValue,
}

/// A draft, ready for the log; its place is put before it there. Fails only when its body
/// is not JSON.
pub fn encode_draft(draft: &Draft) -> serde_json::Result<String> {
    serde_json::to_string(&Stored {
        k: draft.kind.as_str(),
        f: draft.from,
        c: draft.client_id.as_str(),
        t: draft.target,
        r: draft.reply_to,
        h: draft.thread,
        m: draft.mentions.clone(),
        b: serde_json::from_str(&draft.body)?,
    })
}

/// An event as it stands in the log of this room: `1 SEQ N AT DRAFT`.
pub fn decode_event(room: RoomId, text: &str) -> Result<Event, Malformed> {
    let rest = versioned(text)?
        .strip_prefix(' ')
        .ok_or(Malformed::Content("no place"))?;
    let mut parts = rest.splitn(4, ' ');
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
    let (seq, n, at) = (number(), number(), number());
    let (Some(seq), Some(n), Some(at)) = (seq, n, at) else {
        return Err(Malformed::Content("no place"));
    };
    let draft = parts.next().ok_or(Malformed::Content("no draft"))?;
    Ok(Event {
        room,
        place: Place {
            seq: Seq(seq),
            n,
            at,
        },
        draft: decode_draft(draft)?,
    })
}

fn decode_draft(text: &str) -> Result<Draft, Malformed> {
    let stored: Stored<'_> =
        serde_json::from_str(text).map_err(|_| Malformed::Content("not a draft"))?;
    Ok(Draft {
        kind: EventKind::from_str(stored.k).map_err(|_| Malformed::Content("unknown kind"))?,
        from: stored.f,
        client_id: ClientId::from_stored(stored.c.to_owned()),
        target: stored.t,
        reply_to: stored.r,
        thread: stored.h,
        mentions: stored.m,
        body: stored.b.get().into(),
    })
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

impl Envelope {
    /// As it travels.
    pub fn encode(&self) -> serde_json::Result<String> {
        Ok(format!("{VERSION}{}", serde_json::to_string(self)?))
    }

    /// Reads what another node sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Content("not UTF-8"))?;
        serde_json::from_str(versioned(text)?).map_err(|_| Malformed::Content("not an envelope"))
    }
}

/// What follows the version, if it is one that we know.
fn versioned(text: &str) -> Result<&str, Malformed> {
    let mut rest = text.chars();
    let version = rest.next().ok_or(Malformed::Content("empty"))?;
    match version.to_digit(10) {
        Some(digit) if digit == u32::from(VERSION) => Ok(rest.as_str()),
        Some(_) => Err(Malformed::Version(version)),
        None => Err(Malformed::Content("no version")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    #[test]
    fn an_envelope_comes_back() {
        let envelope = Envelope {
            node: "n1".into(),
            generation: "g".into(),
            payload: Payload::Revoke {
                user: ANN,
                login: None,
                except: Some(LoginId::from_raw(3)),
            },
        };
        let text = envelope.encode().unwrap();
        assert_eq!(Envelope::decode(text.as_bytes()), Ok(envelope));
        assert!(Envelope::decode(b"1{}").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_news(TEA, &bytes);
            let _ = Envelope::decode(&bytes);
        }

        #[test]
        fn no_text_makes_it_panic(text in "1[EFXP]? ?[a-z0-9 \n{}\":]{0,60}") {
            let _ = decode_news(TEA, text.as_bytes());
            let _ = decode_event(TEA, &text);
        }
    }
}
