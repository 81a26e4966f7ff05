//! A pretended Postgres: every function is one transaction.

use std::collections::{BTreeMap, HashMap};

use super::bugs::Bug;
use super::log::{Draft, Epoch, Event, Fold, Life, Name, Room, Seq};
use super::scripts::Seed;
use super::time::Ms;

/// One room, with its part of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    /// The life of its numbers.
    pub(crate) epoch: Epoch,
    /// The log, from 1 on.
    pub(crate) events: Vec<Event>,
    /// What it has come to.
    pub(crate) fold: Fold,
    /// Where an id stands.
    pub(crate) names: HashMap<Name, Seq>,
    /// What was set aside: a row that could not be written, or a repeat that became void.
    pub(crate) aside: BTreeMap<Seq, Draft>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// All of it stands there, up to `head`.
    Done(Seq),
    /// Something is missing below it.
    Behind(Seq),
    /// Another event stands here. Nothing was written.
    Conflict(Seq),
    /// The life is over. Nothing was written.
    Fenced,
}

/// The server.
#[derive(Debug, Default)]
pub(crate) struct Postgres {
    /// Does it answer?
    pub(crate) up: bool,
    /// Which process it is.
    pub(crate) run: u32,
    /// Redis' present life.
    pub(crate) life: Life,
    /// The rooms.
    pub(crate) rooms: BTreeMap<Room, Row>,
    /// How far a clock may be ahead.
    pub(crate) ahead: Ms,
    /// The mistake that is switched on.
    pub(crate) bug: Bug,
}

impl Postgres {
    /// Writes events of one room that have their places, if `life` is still the present one.
    pub(crate) fn write(&mut self, life: Life, room: Room, events: &[Event]) -> Written {
        if life != self.life && self.bug != Bug::NoLifeInDatabase {
            return Written::Fenced;
        }
        let (ahead, bug) = (self.ahead, self.bug);
        let row = self.rooms.entry(room).or_default();
        let head = row.fold.head;
        let other = |event: &&Event| event.seq <= head && !row.holds(event, bug);
        if let Some(event) = events.iter().find(other) {
            return Written::Conflict(event.seq);
        }
        if events.first().is_some_and(|first| first.seq > head + 1) {
            return Written::Behind(head);
        }
        for event in events.iter().filter(|event| event.seq > head) {
            row.insert(*event, ahead);
        }
        Written::Done(row.fold.head)
    }

    /// Where these stand.
    pub(crate) fn find(&self, room: Room, names: &[Name]) -> Vec<Option<(Seq, Ms)>> {
        let row = &self.rooms[&room];
        let place = |name: &Name| {
            let aside = row.aside.iter().find(|(_, draft)| draft.name == *name);
            let seq = row.names.get(name).or(aside.map(|(seq, _)| seq))?;
            Some((*seq, row.events[*seq as usize - 1].at))
        };
        names.iter().map(place).collect()
    }

    /// What a room is seeded with.
    pub(crate) fn seed_of(&self, room: Room) -> Seed {
        let row = &self.rooms[&room];
        Seed {
            epoch: row.epoch,
            fold: row.fold.clone(),
        }
    }

    /// The part of a log behind `after`.
    pub(crate) fn read(&self, room: Room, after: Seq) -> Vec<Event> {
        let events = &self.rooms[&room].events;
        events[(after as usize).min(events.len())..].to_vec()
    }

    /// Begins a new life, if the old one is still the present one.
    pub(crate) fn begin_life(&mut self, old: Life, new: Life) -> bool {
        let won = self.life == old;
        if won {
            self.life = new;
        }
        won
    }
}

impl Row {
    /// What an event that is no message gets at the end: how many messages, and when.
    pub(crate) fn last(&self) -> (i64, Ms) {
        (self.fold.n, self.fold.at)
    }

    /// Does this event stand at its place, or what was put there for it?
    fn holds(&self, event: &Event, bug: Bug) -> bool {
        let here = &self.events[event.seq as usize - 1].draft;
        let aside = self.aside.get(&event.seq);
        let same = here.name == event.draft.name && here.kind == event.draft.kind;
        let stands_for = aside.is_some_and(|draft| draft.name == event.draft.name);
        same || (stands_for && bug != Bug::PlaceholderConflicts)
    }

    /// Writes the next event, or what has to stand for it.
    pub(crate) fn insert(&mut self, mut event: Event, ahead: Ms) {
        let repeated = self.names.contains_key(&event.draft.name);
        if event.draft.poison || repeated {
            self.aside.insert(event.seq, event.draft);
            // The id counts all the same: its repeat has to be recognised.
            let made_at = event.draft.made_at;
            event.draft = Draft::void(event.seq);
            event.draft.made_at = made_at;
        }
        self.names.insert(event.draft.name, event.seq);
        self.fold.apply(&event, ahead);
        self.events.push(event);
    }
}
