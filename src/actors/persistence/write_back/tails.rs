//! The ends of all rooms that are not in the database yet: which are ours to write, what
//! the next batch holds, and what may be forgotten. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::tail::{Next, Removed, Settled, Source, Tail};
use crate::db::Placed;
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// What was flushed is remembered for so long.
const MEMORY: Duration = Duration::from_secs(10);

/// How much at once, and how much at all.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most rows in one write.
    pub batch_rows: usize,
    /// Most events of others that are kept, large ones counted as in the backlog; beyond it
    /// the oldest are forgotten.
    pub heard_events: usize,
    /// Most rooms that are read from the hot log at once.
    pub reads: usize,
    /// How long somebody waits for a place to be in the database before they are told that
    /// nobody knows.
    pub deadline: Duration,
    /// How often rooms are looked for that nobody writes.
    pub sweep_interval: Duration,
    /// How long `flushed` of a dirty room may stand still: a random time between these, so
    /// that not every node takes the room over.
    pub standstill: (Duration, Duration),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_rows: 500,
            heard_events: 200_000,
            reads: 16,
            deadline: Duration::from_secs(12),
            sweep_interval: Duration::from_secs(1),
            standstill: (Duration::from_secs(5), Duration::from_secs(10)),
        }
    }
}

/// All tails of one life.
#[derive(Debug)]
pub(super) struct Tails<W> {
    limits: Limits,
    tails: HashMap<RoomId, Tail<W>>,
    /// Rooms that something may have to be done for, each once, in the order of asking.
    ready: VecDeque<RoomId>,
    /// Those in `ready`.
    queued: HashSet<RoomId>,
    /// Rooms that are being written or read.
    busy: HashSet<RoomId>,
    /// Rooms whose next event nobody had; looked at again at the next tick.
    blocked: HashSet<RoomId>,
    /// Rooms that the database does not take; tried again at the next tick.
    refused: HashSet<RoomId>,
    /// Events of others in the order they came, and how much room each takes; some are gone
    /// already.
    heard: VecDeque<(RoomId, Seq, usize)>,
    /// The sum of that.
    heard_places: usize,
    /// How many rooms are being read.
    reading: usize,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// To be written in one transaction, by room.
    pub(super) batch: Vec<Placed>,
    /// To be read from the hot log: behind which places.
    pub(super) reads: Vec<(RoomId, Seq)>,
}

/// Everything that was held when a life ended.
#[derive(Debug)]
pub(super) struct Drained<W> {
    /// The events of each room, ascending.
    pub(super) rooms: Vec<(RoomId, Vec<Event>)>,
    /// Places in the backlog that they have.
    pub(super) own: usize,
    /// Who waited in which room.
    pub(super) waiters: Vec<(RoomId, W)>,
}

impl<W> Tails<W> {
    /// No rooms yet.
    pub(super) fn new(mut limits: Limits) -> Self {
        // What has just been read must not push itself out.
        let read = limits.reads * limits.batch_rows;
        limits.heard_events = limits.heard_events.max(read);
        Self {
            limits,
            tails: HashMap::new(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            busy: HashSet::new(),
            blocked: HashSet::new(),
            refused: HashSet::new(),
            heard: VecDeque::new(),
            heard_places: 0,
            reading: 0,
        }
    }

    fn tail(&mut self, room: RoomId, now: Instant) -> &mut Tail<W> {
        self.tails.entry(room).or_insert_with(|| Tail::new(now))
    }

    /// See [`Tail::appended`].
    pub(super) fn appended(
        &mut self,
        room: RoomId,
        events: Vec<Event>,
        became_dirty: bool,
        now: Instant,
    ) -> usize {
        let released = self.tail(room, now).appended(events, became_dirty, now);
        self.look_at(room);
        released
    }

    /// Keeps what others appended, as long as there is room for it.
    pub(super) fn heard(&mut self, room: RoomId, events: Vec<Event>, source: Source, now: Instant) {
        let new = self.tail(room, now).heard(events, source, now);
        if source == Source::Heard {
            self.heard_places += new.iter().map(|(_, places)| places).sum::<usize>();
            let new = new.into_iter().map(|(seq, places)| (room, seq, places));
            self.heard.extend(new);
        }
        self.look_at(room);
        while self.heard_places > self.limits.heard_events {
            let Some((room, seq, places)) = self.heard.pop_front() else {
                return;
            };
            self.heard_places -= places;
            if let Some(tail) = self.tails.get_mut(&room) {
                tail.forget(seq);
            }
        }
    }

    /// This node writes these rooms until they are clean; answers how many are new to it.
    pub(super) fn adopt(&mut self, rooms: &[RoomId], now: Instant) -> usize {
        let mut new = 0;
        for room in rooms {
            let tail = self.tail(*room, now);
            new += usize::from(!tail.has_duty());
            tail.adopt();
            self.blocked.remove(room);
            self.look_at(*room);
        }
        new
    }

    /// Something may have to be done for this room.
    fn look_at(&mut self, room: RoomId) {
        if self.blocked.contains(&room) {
            // Unless what was missing has come, it would be asked for in vain.
            let next = self.tails.get(&room).map(|tail| tail.next(1));
            if !matches!(next, Some(Next::Write(_))) {
                return;
            }
            self.blocked.remove(&room);
        }
        if self.queued.insert(room) {
            self.ready.push_back(room);
        }
    }

    /// What is to be done now; its rooms are busy until the outcome is known.
    pub(super) fn take(&mut self) -> Work {
        let mut work = Work::default();
        let mut rows = 0;
        for _ in 0..self.ready.len() {
            let limit = self.limits.batch_rows - rows;
            if limit == 0 || work.batch.len() >= self.limits.batch_rows {
                break;
            }
            let Some(room) = self.ready.pop_front() else {
                break;
            };
            self.queued.remove(&room);
            if self.busy.contains(&room) || self.refused.contains(&room) {
                // It is looked at again when that is over.
                continue;
            }
            let next = self.tails.get(&room).map(|tail| tail.next(limit));
            match next.unwrap_or(Next::Nothing) {
                Next::Nothing => continue,
                Next::Write(events) => {
                    rows += events.len();
                    work.batch.push(Placed { room, events });
                }
                Next::Read(_) if self.reading >= self.limits.reads => {
                    self.look_at(room);
                    continue;
                }
                Next::Read(after) => {
                    self.reading += 1;
                    work.reads.push((room, after));
                }
            }
            self.busy.insert(room);
        }
        work.batch.sort_unstable_by_key(|placed| placed.room);
        work
    }

    /// The write of this room is over, whatever came of it.
    pub(super) fn finished(&mut self, room: RoomId) {
        self.busy.remove(&room);
        self.look_at(room);
    }

    /// The reading of this room is over; nothing found is asked for again a little later.
    pub(super) fn found(&mut self, room: RoomId, mut events: Vec<Event>, now: Instant) {
        self.reading -= 1;
        self.busy.remove(&room);
        if events.is_empty() {
            self.blocked.insert(room);
        }
        // What has just been read must not push itself out: the rest is read again.
        let most = self.limits.heard_events / self.limits.reads.max(1);
        let mut taken = 0;
        let fits = events.iter().take_while(|event| {
            taken += event.draft.places();
            taken <= most
        });
        let fits = fits.count().max(1);
        events.truncate(fits);
        self.heard(room, events, Source::Heard, now);
    }

    /// See [`Tail::written`].
    pub(super) fn written(&mut self, room: RoomId, head: Seq, now: Instant) -> bool {
        self.tail(room, now).written(head)
    }

    /// See [`Tail::behind`].
    pub(super) fn behind(&mut self, room: RoomId, head: Seq, now: Instant) -> bool {
        self.tail(room, now).behind(head)
    }

    /// The database does not take this room: it is tried again at the next tick.
    pub(super) fn refused(&mut self, room: RoomId) {
        self.refused.insert(room);
    }

    /// See [`Tail::remove_from`].
    pub(super) fn remove_from(&mut self, room: RoomId, seq: Seq, now: Instant) -> Removed<W> {
        self.tail(room, now).remove_from(seq)
    }

    /// See [`Tail::flushed_to`].
    pub(super) fn flushed_to(&mut self, room: RoomId, seq: Seq, now: Instant) -> Settled<W> {
        self.tail(room, now).flushed_to(seq, now)
    }

    /// See [`Tail::moved`].
    pub(super) fn moved(
        &mut self,
        room: RoomId,
        flushed: Seq,
        head: Seq,
        now: Instant,
    ) -> Settled<W> {
        let settled = self.tail(room, now).moved(flushed, head, now);
        self.look_at(room);
        settled
    }

    /// See [`Tail::gone`].
    pub(super) fn gone(&mut self, room: RoomId, now: Instant) -> Settled<W> {
        let settled = self.tail(room, now).gone(now);
        self.look_at(room);
        settled
    }

    /// See [`Tail::wait`]. Of a room that this node knows nothing of, the database is asked.
    pub(super) fn wait(&mut self, room: RoomId, seq: Seq, now: Instant, waiter: W) -> Option<W> {
        let known = self.tails.contains_key(&room);
        let tail = self.tail(room, now);
        let back = tail.wait(seq, now, waiter);
        if back.is_none() && !known {
            tail.ask();
            self.look_at(room);
        }
        back
    }

    /// Looks through everything: who has waited too long comes back. Blocked rooms get
    /// another try, and what is long settled is forgotten.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<W> {
        let blocked = std::mem::take(&mut self.blocked);
        let refused = std::mem::take(&mut self.refused);
        for room in blocked.into_iter().chain(refused) {
            self.look_at(room);
        }
        let mut late = Vec::new();
        if let Some(before) = now.checked_sub(self.limits.deadline) {
            let tails = self.tails.values_mut();
            late.extend(tails.flat_map(|tail| tail.expire(before)));
        }
        if let Some(before) = now.checked_sub(MEMORY) {
            let busy = &self.busy;
            self.tails
                .retain(|room, tail| busy.contains(room) || !tail.is_idle(before));
        }
        if self.heard_places > self.limits.heard_events / 2 {
            let tails = &self.tails;
            let held = |room: &RoomId, seq| tails.get(room).is_some_and(|tail| tail.holds(seq));
            self.heard.retain(|(room, seq, _)| held(room, *seq));
            self.heard_places = self.heard.iter().map(|(.., places)| places).sum();
        }
        late
    }

    /// Rooms with something of ours that nobody has moved since before this moment.
    pub(super) fn overdue(&self, before: Instant) -> Vec<RoomId> {
        let overdue = self
            .tails
            .iter()
            .filter(|(_, tail)| tail.is_overdue(before));
        overdue.map(|(room, _)| *room).collect()
    }

    /// Rooms with own events that another node was to write.
    pub(super) fn own_without_duty(&self) -> Vec<RoomId> {
        let own = self.tails.iter();
        let own = own.filter(|(_, tail)| tail.own() > 0 && !tail.has_duty());
        own.map(|(room, _)| *room).collect()
    }

    /// Are all own events in the database, and all rooms of this node clean?
    pub(super) fn is_clean(&self) -> bool {
        let mut tails = self.tails.values();
        tails.all(|tail| tail.own() == 0 && !tail.has_duty())
    }

    /// Is any own event not in the database yet?
    pub(super) fn has_own(&self) -> bool {
        self.tails.values().any(|tail| tail.own() > 0)
    }

    /// Since when the oldest own event waits.
    pub(super) fn oldest_own(&self) -> Option<Instant> {
        self.tails.values().filter_map(Tail::oldest_own).min()
    }

    /// Takes everything out: this life is over.
    pub(super) fn drain(&mut self) -> Drained<W> {
        let mut drained = Drained {
            rooms: Vec::new(),
            own: 0,
            waiters: Vec::new(),
        };
        for (room, mut tail) in self.tails.drain() {
            let removed = tail.remove_from(Seq::ZERO);
            drained.own += removed.own;
            let waiters = removed.waiters.into_iter();
            drained.waiters.extend(waiters.map(|waiter| (room, waiter)));
            if !removed.events.is_empty() {
                drained.rooms.push((room, removed.events));
            }
        }
        let limits = self.limits;
        *self = Self::new(limits);
        drained
    }
}
