//! The end of one room's log that is not in the database yet, as this node knows it: pure.
//!
//! Three numbers matter. Up to `flushed` the hot log knows that the database has it; up to
//! `written` this node knows so, and will tell the hot log; `newest` is as far as anybody
//! has been heard to have got. Whoever has the duty brings all three together.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::ids::Seq;
use crate::protocol::Event;

/// Where an event came from, which says whether it may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// This node appended it: its places in the backlog are reserved, and it is kept.
    Own,
    /// Another node's ring, or the hot log: it can be read again.
    Heard,
    /// A log that is about to be rebuilt: nobody else may have it.
    Survived,
}

#[derive(Debug)]
struct Held {
    event: Event,
    source: Source,
    since: Instant,
}

impl Held {
    /// The places in the backlog that are reserved for it.
    fn reserved(&self) -> usize {
        match self.source {
            Source::Own => self.event.draft.places(),
            Source::Heard | Source::Survived => 0,
        }
    }
}

/// One room's end. `W` waits for a place to be in the database.
#[derive(Debug)]
pub(super) struct Tail<W> {
    /// Everything up to here is in the database, and the hot log knows it.
    flushed: Seq,
    /// Everything up to here is in the database; `None` while nobody has asked it.
    written: Option<Seq>,
    /// The newest place that this node has heard of.
    newest: Seq,
    /// Events above `flushed`, perhaps with holes.
    held: BTreeMap<Seq, Held>,
    /// Places in the backlog that the own among them have.
    own: usize,
    /// Does this node write the room until it is clean?
    duty: bool,
    /// The first event of the newest append of ours that made a clean room dirty.
    dirtied: Seq,
    /// Is the database to be asked how far it is?
    asked: bool,
    /// Who waits for which place, and since when.
    waiters: Vec<(Seq, Instant, W)>,
    /// When `flushed` last moved, or this began.
    moved: Instant,
}

/// What has become of reservations and waiters.
#[derive(Debug, PartialEq)]
pub(super) struct Settled<W> {
    /// Places in the backlog to be released.
    pub(super) released: usize,
    /// To be told that it is in the database.
    pub(super) waiters: Vec<W>,
}

/// What is to be done for a room.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing at this moment.
    Nothing,
    /// Write these; none at all asks the database how far it is.
    Write(Vec<Event>),
    /// Read from the hot log what follows this place.
    Read(Seq),
}

/// What was taken out of a tail.
#[derive(Debug)]
pub(super) struct Removed<W> {
    /// The events, ascending.
    pub(super) events: Vec<Event>,
    /// Places in the backlog that they had.
    pub(super) own: usize,
    /// Who waited for any of it.
    pub(super) waiters: Vec<W>,
}

impl<W> Tail<W> {
    /// A room of which nothing is known.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            flushed: Seq::ZERO,
            written: None,
            newest: Seq::ZERO,
            held: BTreeMap::new(),
            own: 0,
            duty: false,
            dirtied: Seq::ZERO,
            asked: false,
            waiters: Vec::new(),
            moved: now,
        }
    }

    /// This node appended these. Answers how many places in the backlog are free at once.
    pub(super) fn appended(
        &mut self,
        events: Vec<Event>,
        became_dirty: bool,
        now: Instant,
    ) -> usize {
        if became_dirty && let Some(first) = events.first() {
            let before = Seq(first.seq().0 - 1);
            self.duty = true;
            self.dirtied = first.seq();
            // A clean room is in the database as far as it goes.
            self.flushed = self.flushed.max(before);
            self.written = self.written.max(Some(before));
        }
        let mut released = 0;
        for event in events {
            let places = event.draft.places();
            if !self.hold(event, Source::Own, now) {
                released += places;
            }
        }
        released
    }

    /// Others appended these. Answers which are new here, and how much room they take.
    pub(super) fn heard(
        &mut self,
        events: Vec<Event>,
        source: Source,
        now: Instant,
    ) -> Vec<(Seq, usize)> {
        let new = |event: Event| {
            let new = (event.seq(), event.draft.places());
            self.hold(event, source, now).then_some(new)
        };
        events.into_iter().filter_map(new).collect()
    }

    /// Keeps an event, unless it is here already, as good or better. What is own stays own.
    fn hold(&mut self, event: Event, source: Source, now: Instant) -> bool {
        let seq = event.seq();
        self.newest = self.newest.max(seq);
        if seq <= self.flushed {
            return false;
        }
        let before = self.held.get(&seq).map(|held| held.source);
        if before.is_some_and(|before| before == Source::Own || source == Source::Heard) {
            return false;
        }
        let since = now;
        let held = Held {
            event,
            source,
            since,
        };
        self.own += held.reserved();
        self.held.insert(seq, held);
        true
    }

    /// Forgets an event that can be read again; false when it is not here, or must stay.
    pub(super) fn forget(&mut self, seq: Seq) -> bool {
        let heard = |held: &Held| held.source == Source::Heard;
        self.held.get(&seq).is_some_and(heard) && self.held.remove(&seq).is_some()
    }

    /// From now on this node writes the room until it is clean.
    pub(super) fn adopt(&mut self) {
        self.duty = true;
        self.written = None;
    }

    /// Has the database asked how far it is, without taking the duty.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// What is to be done, with at most so many rows.
    pub(super) fn next(&self, limit: usize) -> Next {
        if !self.duty {
            return if self.asked {
                Next::Write(Vec::new())
            } else {
                Next::Nothing
            };
        }
        let Some(written) = self.written else {
            return Next::Write(self.dense_from(None, limit));
        };
        let events = self.dense_from(Some(written.next()), limit);
        if !events.is_empty() {
            Next::Write(events)
        } else if written < self.newest {
            Next::Read(written)
        } else {
            Next::Nothing
        }
    }

    /// Events without a hole between them, from this place or else from the first.
    fn dense_from(&self, first: Option<Seq>, limit: usize) -> Vec<Event> {
        let Some(mut next) = first.or_else(|| self.held.keys().next().copied()) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        for (seq, held) in self.held.range(next..).take(limit) {
            if *seq != next {
                break;
            }
            events.push(held.event.clone());
            next = next.next();
        }
        events
    }

    /// The database has everything up to here. Answers whether the hot log is to be told.
    pub(super) fn written(&mut self, head: Seq) -> bool {
        self.asked = false;
        self.written = self.written.max(Some(head));
        head > self.flushed || self.duty
    }

    /// The database has everything up to here and nothing behind it, whatever was thought
    /// before. Answers whether the hot log is to be told.
    pub(super) fn behind(&mut self, head: Seq) -> bool {
        self.asked = false;
        self.written = Some(head);
        let tell = head > self.flushed;
        // A database that was restored has lost what it had: it is brought again.
        self.flushed = self.flushed.min(head);
        tell
    }

    /// The hot log says that the database has everything up to here.
    pub(super) fn flushed_to(&mut self, seq: Seq, now: Instant) -> Settled<W> {
        if seq > self.flushed {
            self.flushed = seq;
            self.moved = now;
            self.newest = self.newest.max(seq);
        }
        if self.written.is_some_and(|written| written < seq) {
            self.written = Some(seq);
        }
        self.settle()
    }

    /// The hot log has moved `flushed`, and ends here. The room is clean when they are equal
    /// and this node has not made it dirty since.
    pub(super) fn moved(&mut self, flushed: Seq, head: Seq, now: Instant) -> Settled<W> {
        let settled = self.flushed_to(flushed, now);
        self.newest = self.newest.max(head);
        if flushed >= head && self.dirtied <= head {
            self.duty = false;
        }
        settled
    }

    /// The hot log does not know the room any more: what is written is settled, and what is
    /// not stays our duty.
    pub(super) fn gone(&mut self, now: Instant) -> Settled<W> {
        let settled = self.flushed_to(self.written.unwrap_or(self.flushed), now);
        self.newest = self
            .held
            .keys()
            .next_back()
            .map_or(self.flushed, |seq| *seq);
        self.duty = self.duty && !self.held.is_empty();
        settled
    }

    /// Drops what is flushed, and sees whom that concerns.
    fn settle(&mut self) -> Settled<W> {
        let rest = self.held.split_off(&self.flushed.next());
        let done = std::mem::replace(&mut self.held, rest);
        let released: usize = done.values().map(Held::reserved).sum();
        self.own -= released;
        Settled {
            released,
            waiters: self.take_waiters(self.flushed),
        }
    }

    /// Somebody waits for this place. They come back when it is in the database already.
    pub(super) fn wait(&mut self, seq: Seq, now: Instant, waiter: W) -> Option<W> {
        if seq <= self.flushed {
            return Some(waiter);
        }
        self.waiters.push((seq, now, waiter));
        None
    }

    /// Those who wait for places up to this one.
    pub(super) fn take_waiters(&mut self, until: Seq) -> Vec<W> {
        let taken = self.waiters.extract_if(.., |(seq, ..)| *seq <= until);
        taken.map(|(.., waiter)| waiter).collect()
    }

    /// Those who have waited since before this moment.
    pub(super) fn expire(&mut self, before: Instant) -> Vec<W> {
        let taken = self.waiters.extract_if(.., |(_, since, _)| *since < before);
        taken.map(|(.., waiter)| waiter).collect()
    }

    /// Takes out the events from this place on: they cannot be written as they are.
    pub(super) fn remove_from(&mut self, seq: Seq) -> Removed<W> {
        let taken = self.held.split_off(&seq);
        let own: usize = taken.values().map(Held::reserved).sum();
        self.own -= own;
        self.duty = false;
        let waiters = self.waiters.extract_if(.., |(at, ..)| *at >= seq);
        Removed {
            waiters: waiters.map(|(.., waiter)| waiter).collect(),
            events: taken.into_values().map(|held| held.event).collect(),
            own,
        }
    }

    /// Does this node write the room?
    pub(super) fn has_duty(&self) -> bool {
        self.duty
    }

    /// Is this event here?
    pub(super) fn holds(&self, seq: Seq) -> bool {
        self.held.contains_key(&seq)
    }

    /// How many places in the backlog its own events have.
    pub(super) fn own(&self) -> usize {
        self.own
    }

    /// Since when the oldest own event waits.
    pub(super) fn oldest_own(&self) -> Option<Instant> {
        if self.own == 0 {
            return None;
        }
        let mut own = self.held.values().filter(|held| held.source == Source::Own);
        own.next().map(|held| held.since)
    }

    /// Should somebody else have moved it long ago? Rings get lost, and writers die.
    pub(super) fn is_overdue(&self, before: Instant) -> bool {
        let waiting = self.waiters.iter().map(|(_, since, _)| *since);
        let oldest = waiting.chain(self.oldest_own()).min();
        !self.duty && oldest.is_some_and(|since| self.moved.max(since) < before)
    }

    /// Is there nothing to remember? What was flushed is, for a moment: messages about one
    /// room may overtake each other.
    pub(super) fn is_idle(&self, before: Instant) -> bool {
        !self.duty
            && !self.asked
            && self.held.is_empty()
            && self.waiters.is_empty()
            && self.moved < before
    }
}
