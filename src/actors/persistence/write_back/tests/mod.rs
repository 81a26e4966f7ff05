//! The write-back without a cluster: a pretended hot log, a real SQLite database.

mod actor;
mod fakes;
mod lives;
mod recovery;
mod tail;
mod tails;

use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{ClientId, Draft, Event, EventKind, Place};

const ROOM: RoomId = RoomId::from_raw(7);

/// A message at a place.
fn event_in(room: RoomId, seq: i64) -> Event {
    Event {
        room,
        place: Place {
            seq: Seq(seq),
            n: seq,
            at: seq,
        },
        draft: Draft {
            kind: EventKind::Message,
            from: UserId::from_raw(1),
            client_id: ClientId::generate(),
            target: None,
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
            body: format!(r#"{{"text":"{seq}"}}"#).into(),
        },
    }
}

/// A message of so many KiB, a little less.
fn large(room: RoomId, seq: i64, kib: usize) -> Event {
    let mut event = event_in(room, seq);
    event.draft.body = format!(r#"{{"text":"{}"}}"#, "x".repeat(1024 * kib - 100)).into();
    event
}

fn events_in(room: RoomId, seqs: impl IntoIterator<Item = i64>) -> Vec<Event> {
    seqs.into_iter().map(|seq| event_in(room, seq)).collect()
}

fn events(seqs: impl IntoIterator<Item = i64>) -> Vec<Event> {
    events_in(ROOM, seqs)
}

fn seqs<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<i64> {
    events.into_iter().map(|event| event.seq().0).collect()
}
