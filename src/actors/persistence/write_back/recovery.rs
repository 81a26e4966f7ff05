//! What is left of a life that is over, room by room: what can be written, where a number
//! is missing, and what has to be appended again. Pure.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use super::message::Salvaged;
use crate::db::{Placed, SeedRecord, Written};
use crate::ids::{RoomId, Seq};
use crate::protocol::{Event, Place};

/// Most voids that are put into one room at once; more than a cluster's backlog holds.
const VOIDS_AT_ONCE: i64 = 1_000_000;

/// One room's events that are not known to be in the database.
#[derive(Debug, Default)]
struct Unwritten {
    held: BTreeMap<Seq, Event>,
    /// How far the database is, once it has said so.
    head: Option<Seq>,
    /// Since when the number behind it has been missing.
    missing_since: Option<Instant>,
}

/// A number behind the database's head that is missing, with events beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    /// Whose log.
    pub(super) room: RoomId,
    /// The head.
    pub(super) after: Seq,
    /// Since when.
    pub(super) since: Instant,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    rooms: BTreeMap<RoomId, Unwritten>,
    /// What contradicts the database, or comes too late.
    again: Vec<(RoomId, Vec<Event>)>,
    /// Rooms that the database does not know: what was held of them is nowhere now.
    unknown: HashSet<RoomId>,
    done: Salvaged,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Recovered {
    /// In numbers.
    pub(super) salvaged: Salvaged,
    /// What is to be appended again.
    pub(super) again: Vec<(RoomId, Vec<Event>)>,
    /// Rooms whose events are lost.
    pub(super) unknown: HashSet<RoomId>,
}

impl Recovery {
    /// Nothing is known of the database yet.
    pub(super) fn new(held: Vec<(RoomId, Vec<Event>)>) -> Self {
        let mut recovery = Self::default();
        for (room, events) in held {
            recovery.add(room, events);
        }
        recovery
    }

    /// More of a room has been found.
    pub(super) fn add(&mut self, room: RoomId, events: Vec<Event>) {
        let unwritten = self.rooms.entry(room).or_default();
        for event in events {
            unwritten.held.entry(event.seq()).or_insert(event);
        }
    }

    /// Is everything written, or known not to be?
    pub(super) fn is_done(&self) -> bool {
        self.rooms.is_empty()
    }

    /// What came of it.
    pub(super) fn finish(self) -> Recovered {
        Recovered {
            salvaged: self.done,
            again: self.again,
            unknown: self.unknown,
        }
    }

    /// All rooms' next events without a hole between them, by room, in writes of so many rows.
    pub(super) fn batches(&self, limit: usize) -> Vec<Vec<Placed>> {
        let mut batches = Vec::new();
        let (mut batch, mut rows) = (Vec::new(), 0);
        for (room, unwritten) in &self.rooms {
            let events = unwritten.dense(limit);
            rows += events.len();
            if rows > limit && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                rows = events.len();
            }
            let room = *room;
            batch.push(Placed { room, events });
        }
        batches.extend((!batch.is_empty()).then_some(batch));
        batches
    }

    /// What the database said of a room's next events. Answers whether that is progress.
    pub(super) fn learn(&mut self, asked: &Placed, written: &Written, now: Instant) -> bool {
        let room = asked.room;
        let Some(unwritten) = self.rooms.get_mut(&room) else {
            return false;
        };
        match written {
            Written::Done { head, new, .. } => {
                self.done.rows += new.len();
                // What is held between these and the head is still to be compared.
                let last = asked.events.last().map_or(Seq::ZERO, Event::seq);
                unwritten.held = unwritten.held.split_off(&last.next());
                unwritten.head = Some(*head);
                unwritten.missing_since = None;
            }
            Written::Behind { head } => {
                unwritten.missing_since.get_or_insert(now);
                let moved = unwritten.head < Some(*head);
                unwritten.head = Some(*head);
                return moved;
            }
            Written::Conflict { at, .. } => {
                let rest = unwritten.held.split_off(at);
                unwritten.held.clear();
                self.keep_for_later(room, rest.into_values().collect());
            }
            Written::NoRoom => {
                let lost = std::mem::take(&mut unwritten.held).len();
                log::error!("room={room} there is no such room: {lost} of its events are lost");
                self.unknown.insert(room);
                self.done.lost += lost;
            }
        }
        if self.rooms.get(&room).is_some_and(|w| w.held.is_empty()) {
            self.rooms.remove(&room);
        }
        true
    }

    /// The database is in another life: nothing of this one can be written any more.
    pub(super) fn give_up(&mut self) {
        for (room, unwritten) in std::mem::take(&mut self.rooms) {
            self.keep_for_later(room, unwritten.held.into_values().collect());
        }
    }

    fn keep_for_later(&mut self, room: RoomId, events: Vec<Event>) {
        self.done.again += events.len();
        self.again.push((room, events));
    }

    /// Where a number is missing that keeps others from being written.
    pub(super) fn holes(&self) -> Vec<Hole> {
        let hole = |(room, unwritten): (&RoomId, &Unwritten)| {
            let after = unwritten.head?;
            let first = *unwritten.held.keys().next()?;
            (first > after.next()).then_some(Hole {
                room: *room,
                after,
                since: unwritten.missing_since?,
            })
        };
        self.rooms.iter().filter_map(hole).collect()
    }

    /// Nobody has what is missing here: puts voids. What the database says of the room must
    /// be newer than the hole.
    pub(super) fn fill(&mut self, room: RoomId, row: &SeedRecord) {
        let Some(unwritten) = self.rooms.get_mut(&room) else {
            return;
        };
        if unwritten.head != Some(row.head) {
            unwritten.head = Some(row.head);
            return;
        }
        let Some(first) = unwritten.held.keys().next().copied() else {
            return;
        };
        log::warn!(
            "room={room} seq={} nobody has the events up to {first}",
            row.head.next()
        );
        let missing = row.head.0 + 1..first.0.min(row.head.0 + 1 + VOIDS_AT_ONCE);
        for seq in missing {
            let place = Place {
                seq: Seq(seq),
                n: row.messages,
                at: row.changed_at,
            };
            unwritten.held.insert(Seq(seq), Event::filler(room, place));
            self.done.voids += 1;
        }
    }
}

impl Unwritten {
    /// The next events, without a hole between them.
    fn dense(&self, limit: usize) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for event in self.held.values().take(limit) {
            if events
                .last()
                .is_some_and(|last| last.seq().next() != event.seq())
            {
                break;
            }
            events.push(event.clone());
        }
        events
    }
}
