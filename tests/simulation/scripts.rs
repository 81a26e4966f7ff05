//! The scripts that run inside Redis, as functions on its keys.
//!
//! `tests/it/scripts.rs` holds them against the real ones, call by call.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::bugs::Bug;
use super::log::{Draft, Epoch, Event, Fold, Kind, Life, Ms, Name, Person, Room, Seq};

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spans {
    /// Newest events that stay hot.
    pub(crate) hot_events: usize,
    /// And so many bytes of them.
    pub(crate) hot_bytes: usize,
    /// Ids stay so long after their append.
    pub(crate) ids: Ms,
    /// A clock may be ahead by so much.
    pub(crate) ahead: Ms,
    /// A clean room stays so long.
    pub(crate) idle: Ms,
    /// A reading of the database is good for a seed so long.
    pub(crate) reading: Ms,
    /// A look-up in the database is good for an append so long.
    pub(crate) checked: Ms,
}

/// One room's keys.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    /// In which life it was seeded.
    pub(crate) life: Life,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// The newest event.
    pub(crate) head: Seq,
    /// How many messages.
    pub(crate) n: i64,
    /// Everything up to here is in the database.
    pub(crate) flushed: Seq,
    /// No id that has left is newer than this, but for those in `ahead`.
    pub(crate) floor: Ms,
    /// The newest event that took a right away.
    pub(crate) rights: Seq,
    /// The newest change of membership.
    pub(crate) members: Seq,
    /// When the newest event was appended.
    pub(crate) at: Ms,
    /// The newest id per sender that left with a time from the future.
    pub(crate) ahead: BTreeMap<Person, Ms>,
    /// The newest events.
    pub(crate) log: VecDeque<Event>,
    /// What they weigh, if they are weighed up to the head.
    pub(crate) bytes: usize,
    /// Up to where they are weighed.
    pub(crate) weighed: Seq,
    /// Where they stand, by name.
    pub(crate) ids: HashMap<Name, (Seq, Ms, Kind)>,
    /// Those names in order.
    pub(crate) order: VecDeque<(Seq, Ms, Ms, Name)>,
    /// When all this goes.
    pub(crate) expires: Option<Ms>,
}

impl Hot {
    /// The oldest event that is here, or will be.
    pub(crate) fn first(&self) -> Seq {
        self.head - self.log.len() as Seq + 1
    }

    /// The part behind `after`.
    pub(crate) fn after(&self, after: Seq) -> Vec<Event> {
        self.log.iter().filter(|e| e.seq > after).copied().collect()
    }
}

/// Everything that the scripts work on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// The life that each bucket knows.
    pub(crate) life: BTreeMap<Room, Life>,
    /// Rooms with events that are not in the database, by when `flushed` last moved.
    pub(crate) dirty: BTreeMap<Room, Ms>,
    /// The rooms.
    pub(crate) rooms: BTreeMap<Room, Hot>,
}

/// Why a script did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum No {
    /// The bucket belongs to another life.
    OtherLife,
    /// The room is not here in this life. Redis' time comes along, for the seed.
    Cold(Ms),
    /// The asker has seen more than the log has.
    Behind,
    /// Decided on old knowledge.
    Stale,
    /// These may be in the database; Redis' time comes along, for the second try.
    Ask(Vec<usize>, Ms),
    /// The reading is too old.
    Old,
    /// `flushed` would pass the head.
    Ahead,
}

/// What became of a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stands here now.
    New(Seq, Ms),
    /// It stood here before.
    Duplicate(Seq, Ms),
    /// Another one under the same name stands here.
    Conflict(Seq),
}

/// An append.
#[derive(Debug, Clone)]
pub(crate) struct Append {
    /// Whose log.
    pub(crate) room: Room,
    /// The newest event that the asker has applied.
    pub(crate) known: Seq,
    /// The newest restriction that the asker has applied.
    pub(crate) rights: Seq,
    /// The newest change of membership that the asker has applied.
    pub(crate) members: Seq,
    /// What to append, and when Redis said that the database should be asked (0: it was not).
    pub(crate) drafts: Vec<(Draft, Ms)>,
}

/// An append that took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// The room's epoch.
    pub(crate) epoch: Epoch,
    /// Was the room clean before?
    pub(crate) became_dirty: bool,
    /// One per draft.
    pub(crate) fates: Vec<Fate>,
    /// What is new.
    pub(crate) events: Vec<Event>,
}

/// What a room is seeded with.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// What its log has come to.
    pub(crate) fold: Fold,
}

impl Keys {
    /// The room, if it is here in this life.
    fn hot(&mut self, now: Ms, life: Life, room: Room) -> Result<&mut Hot, No> {
        if self.life.get(&room) != Some(&life) {
            return Err(No::OtherLife);
        }
        self.expire(now, room);
        match self.rooms.get_mut(&room) {
            Some(hot) if hot.life == life => Ok(hot),
            _ => Err(No::Cold(now)),
        }
    }

    /// Lets go of a clean room whose hour is over.
    pub(crate) fn expire(&mut self, now: Ms, room: Room) {
        let over = |hot: &Hot| hot.expires.is_some_and(|at| at <= now);
        if self.rooms.get(&room).is_some_and(over) {
            self.rooms.remove(&room);
        }
    }

    /// `append.lua`
    pub(crate) fn append(
        &mut self,
        now: Ms,
        spans: &Spans,
        bug: Bug,
        life: Life,
        append: &Append,
    ) -> Result<Done, No> {
        let hot = self.hot(now, life, append.room)?;
        if append.known > hot.head {
            return Err(No::Behind);
        }
        let joins = append.drafts.iter().any(|(d, _)| d.kind == Kind::Join);
        let old_rights = append.rights < hot.rights && bug != Bug::NoBasis;
        let old_members = joins && append.members < hot.members && bug != Bug::NoMembers;
        if old_rights || old_members {
            return Err(No::Stale);
        }
        let asks = asks(hot, now, spans, bug, &append.drafts);
        if !asks.is_empty() {
            return Err(No::Ask(asks, now));
        }
        let before = hot.head;
        let at = hot.at.max(now);
        let fates = append.drafts.iter().map(|(draft, _)| place(hot, draft, at));
        let fates = fates.collect();
        let events = hot.after(before);
        if hot.weighed == before {
            hot.bytes += events.iter().map(Event::bytes).sum::<usize>();
            hot.weighed = hot.head;
        }
        let became_dirty = !events.is_empty() && before == hot.flushed;
        if became_dirty {
            hot.expires = None;
        }
        let epoch = hot.epoch;
        if became_dirty {
            self.dirty.insert(append.room, now);
        }
        Ok(Done {
            epoch,
            became_dirty,
            fates,
            events,
        })
    }

    /// `flush.lua`: answers `flushed` and the head.
    pub(crate) fn flush(
        &mut self,
        now: Ms,
        spans: &Spans,
        bug: Bug,
        life: Life,
        (room, seq): (Room, Seq),
    ) -> Result<(Seq, Seq), No> {
        let hot = self.hot(now, life, room)?;
        if seq > hot.head {
            return Err(No::Ahead);
        }
        if seq > hot.flushed {
            hot.flushed = seq;
            let unflushed = match bug {
                Bug::TrimPastFlushed => 0,
                _ => (hot.head - hot.flushed) as usize,
            };
            trim(hot, spans, unflushed);
            forget(hot, now, spans, bug);
            let clean = hot.flushed == hot.head;
            hot.expires = clean.then_some(now + spans.idle);
            let answer = (hot.flushed, hot.head);
            if clean {
                self.dirty.remove(&room);
            } else {
                self.dirty.insert(room, now);
            }
            return Ok(answer);
        }
        Ok((hot.flushed, hot.head))
    }

    /// `seed.lua`
    pub(crate) fn seed(
        &mut self,
        now: Ms,
        spans: &Spans,
        bug: Bug,
        life: Life,
        (room, read_at, seed): (Room, Ms, &Seed),
    ) -> Result<(), No> {
        match self.hot(now, life, room) {
            Err(No::Cold(_)) => {}
            other => return other.map(|_| ()),
        }
        if now - read_at > spans.reading && bug != Bug::OldSeed {
            return Err(No::Old);
        }
        let fold = &seed.fold;
        self.dirty.remove(&room);
        let hot = Hot {
            life,
            epoch: seed.epoch,
            head: fold.head,
            n: fold.n,
            flushed: fold.head,
            floor: match bug {
                Bug::SeedWithoutFloor => 0,
                _ => fold.newest_id_at,
            },
            rights: fold.rights,
            members: fold.membership,
            at: fold.at,
            ahead: match bug {
                Bug::FutureForgotten => BTreeMap::new(),
                _ => fold.ahead.clone(),
            },
            log: VecDeque::new(),
            bytes: 0,
            weighed: fold.head,
            ids: HashMap::new(),
            order: VecDeque::new(),
            expires: Some(now + spans.idle),
        };
        self.rooms.insert(room, hot);
        Ok(())
    }

    /// `read.lua`: epoch, head, `flushed`, and what of the log lies behind `after`.
    pub(crate) fn read(&mut self, now: Ms, life: Life, room: Room) -> Result<&Hot, No> {
        self.hot(now, life, room).map(|hot| &*hot)
    }

    /// `epoch.lua`: tells a room that is here of its new epoch.
    pub(crate) fn renew(
        &mut self,
        now: Ms,
        life: Life,
        room: Room,
        epoch: Epoch,
    ) -> Result<(), No> {
        self.hot(now, life, room)?.epoch = epoch;
        Ok(())
    }
}

/// Which drafts only the database can tell anything about.
fn asks(hot: &Hot, now: Ms, spans: &Spans, bug: Bug, drafts: &[(Draft, Ms)]) -> Vec<usize> {
    let unknown = |draft: &Draft| {
        let ahead = draft.made_at > now + spans.ahead && bug != Bug::FutureForgotten;
        let was_ahead = hot.ahead.get(&draft.name.0);
        draft.made_at <= hot.floor || ahead || was_ahead.is_some_and(|at| draft.made_at <= *at)
    };
    let fresh =
        |checked: Ms| checked != 0 && (now - checked < spans.checked || bug == Bug::CheckedForEver);
    let mut asks = Vec::new();
    let mut here = Vec::new();
    for (index, (draft, checked)) in drafts.iter().enumerate() {
        let known = hot.ids.contains_key(&draft.name) || here.contains(&draft.name);
        if !known && unknown(draft) && !fresh(*checked) && bug != Bug::DedupeByTime {
            asks.push(index);
        } else {
            here.push(draft.name);
        }
    }
    asks
}

/// Gives one draft its place, or the one that it has.
fn place(hot: &mut Hot, draft: &Draft, at: Ms) -> Fate {
    if let Some((seq, at, kind)) = hot.ids.get(&draft.name) {
        return match *kind == draft.kind {
            true => Fate::Duplicate(*seq, *at),
            false => Fate::Conflict(*seq),
        };
    }
    hot.head += 1;
    hot.n += i64::from(draft.kind == Kind::Message);
    hot.at = at;
    let (seq, n, draft) = (hot.head, hot.n, *draft);
    match draft.kind {
        Kind::Kick => (hot.rights, hot.members) = (seq, seq),
        Kind::Join => hot.members = seq,
        Kind::Message | Kind::Void => {}
    }
    hot.log.push_back(Event { seq, n, at, draft });
    hot.ids.insert(draft.name, (seq, at, draft.kind));
    hot.order.push_back((seq, at, draft.made_at, draft.name));
    Fate::New(seq, at)
}

/// Keeps the newest events: so many, of so many bytes, and all that are not in the database.
fn trim(hot: &mut Hot, spans: &Spans, unflushed: usize) {
    let surplus = hot
        .log
        .len()
        .saturating_sub(spans.hot_events.max(unflushed));
    let popped: usize = hot.log.drain(..surplus).map(|e| e.bytes()).sum();
    if hot.weighed == hot.head {
        hot.bytes -= popped;
    } else if hot.log.len() <= spans.hot_events {
        hot.bytes = hot.log.iter().map(Event::bytes).sum();
    } else {
        return;
    }
    while hot.bytes > spans.hot_bytes && hot.log.len() > unflushed {
        hot.bytes -= hot.log.pop_front().map_or(0, |e| e.bytes());
    }
    hot.weighed = hot.head;
}

/// Lets ids go whose time is over.
fn forget(hot: &mut Hot, now: Ms, spans: &Spans, bug: Bug) {
    while let Some(&(seq, at, made_at, name)) = hot.order.front() {
        if seq > hot.flushed || at > now - spans.ids {
            break;
        }
        hot.order.pop_front();
        hot.ids.remove(&name);
        match bug {
            Bug::FloorStays => {}
            _ if made_at <= at + spans.ahead => hot.floor = hot.floor.max(made_at),
            Bug::FutureForgotten => {}
            _ => {
                let ahead = hot.ahead.entry(name.0).or_insert(0);
                *ahead = (*ahead).max(made_at);
            }
        }
    }
}
