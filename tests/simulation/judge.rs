//! What must hold, whatever happened: nothing acknowledged is lost or there twice, one order
//! for all, no number for two events, nothing for who was removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::log::{Draft, Epoch, Event, Kind, Name, Person, Room, SYSTEM, Seq};
use super::people::ROOM;
use super::postgres::Row;
use super::time::Ms;
use super::world::World;

/// Who watches.
#[derive(Default)]
pub(crate) struct Judge {
    /// What was acknowledged, and where it was said to stand.
    acks: Vec<(Draft, Epoch, Seq, Ms)>,
    /// What was seen at a place.
    places: HashMap<(Epoch, Seq), Name>,
    /// Where something was seen.
    names: HashMap<(Epoch, Name), Seq>,
    /// Seen to differ; allowed only under an epoch that is over.
    differs: Vec<(Epoch, Seq, String)>,
    /// When somebody was told that they are in.
    joined: BTreeMap<Person, (Name, Ms)>,
    /// Who is being removed, by which event.
    removed: BTreeMap<Person, Name>,
    /// When a removal was acknowledged.
    removed_at: BTreeMap<Person, Ms>,
    /// What may be wrong only until an event that was late has its place again.
    until_again: Vec<(Name, String)>,
    /// What found another place in a later life.
    pub(crate) again: BTreeSet<Name>,
    /// How many were told that no place is left.
    pub(crate) full: usize,
    wrong: Vec<String>,
}

impl Judge {
    /// Something that may never happen.
    pub(crate) fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.wrong.push(what());
    }

    fn place(&mut self, epoch: Epoch, seq: Seq, name: Name) {
        let before = *self.places.entry((epoch, seq)).or_insert(name);
        if before != name {
            let what = format!("{before:?} and {name:?} both at {epoch}/{seq}");
            self.differs.push((epoch, seq, what));
        }
        let other = *self.names.entry((epoch, name)).or_insert(seq);
        if other != seq {
            let what = format!("{name:?} at {other} and {seq} of epoch {epoch}");
            self.differs.push((epoch, seq, what));
        }
    }

    /// Somebody was told that it stands.
    pub(crate) fn acked(&mut self, draft: &Draft, place: (Epoch, Seq), now: Ms) {
        self.acks.push((*draft, place.0, place.1, now));
        match draft.kind {
            // A join of who is in already is answered with the head.
            Kind::Join => {
                self.joined.entry(draft.target).or_insert((draft.name, now));
            }
            Kind::Kick => {
                self.removed_at.entry(draft.target).or_insert(now);
                self.place(place.0, place.1, draft.name);
            }
            _ => self.place(place.0, place.1, draft.name),
        }
    }

    /// Somebody received it.
    pub(crate) fn delivered(&mut self, _: Room, epoch: Epoch, event: &Event, _: Person) {
        self.place(epoch, event.seq, event.draft.name);
    }

    /// Somebody will be removed by this event.
    pub(crate) fn removing(&mut self, person: Person, by: Name) {
        self.removed.insert(person, by);
    }

    /// Somebody read the history; they asked for it at `started`.
    pub(crate) fn history(&mut self, person: Person, epoch: Epoch, events: &[Event], started: Ms) {
        for (index, event) in events.iter().enumerate() {
            if event.seq != index as Seq + 1 {
                self.wrong(|| format!("history has {} at {index}", event.seq));
                return;
            }
            self.place(epoch, event.seq, event.draft.name);
        }
        if self.removed_at.get(&person).is_some_and(|at| *at < started) {
            let what = format!("{person} reads after the removal");
            self.until_again.push((self.removed[&person], what));
        }
        let head = events.len() as Seq;
        let missing = self.acks.iter().find(|(draft, of, seq, at)| {
            let before = *at < started && draft.kind != Kind::Join;
            before && *of == epoch && *seq > head
        });
        if let Some((draft, _, seq, _)) = missing {
            let what = format!("history ends at {head}, {:?} stands at {seq}", draft.name);
            self.until_again.push((draft.name, what));
        }
    }

    /// Somebody was told that they are no member; they asked at `started`.
    pub(crate) fn forbidden(&mut self, person: Person, started: Ms) {
        if self.removed.contains_key(&person) {
            return;
        }
        let what = format!("{person} is a member and was refused");
        match self.joined.get(&person) {
            None if person <= 3 => self.wrong.push(what),
            Some((join, at)) if *at < started => self.until_again.push((*join, what)),
            _ => {}
        }
    }
}

/// What was wrong, when all is over.
pub(crate) fn verdict(world: &World) -> Vec<String> {
    let judge = world.judge.borrow();
    let mut wrong = judge.wrong.clone();
    let early = judge.until_again.iter();
    let early = early.filter(|(name, _)| !judge.again.contains(name));
    wrong.extend(early.map(|(_, what)| what.clone()));
    let postgres = world.postgres.borrow();
    let row = &postgres.rooms[&ROOM];
    whole(row, &mut wrong);
    acknowledged(&judge, row, &mut wrong);
    places(&judge, row, &mut wrong);
    removals(&judge, row, &mut wrong);
    capacity(world, &judge, row, &mut wrong);
    flushed(world, row, &mut wrong);
    readers(world, row, &mut wrong);
    if row.epoch != 1 && !world.fault.may_change_epoch() {
        wrong.push(format!("the epoch has changed to {}", row.epoch));
    }
    wrong
}

fn whole(row: &Row, wrong: &mut Vec<String>) {
    for (index, event) in row.events.iter().enumerate() {
        if event.seq != index as Seq + 1 {
            wrong.push(format!("the log has {} at {index}", event.seq));
        }
    }
    let repeated = |(_, draft): &(&Seq, &Draft)| !draft.poison;
    for (seq, draft) in row.aside.iter().filter(repeated) {
        wrong.push(format!("{:?} a second time, at {seq}", draft.name));
    }
}

/// Where it stands at the end, or what stands for it.
fn place_of(row: &Row, name: Name) -> Option<Seq> {
    let aside = row.aside.iter().find(|(_, draft)| draft.name == name);
    let there = row.names.get(&name).copied();
    there.or(aside.map(|(seq, _)| *seq))
}

fn acknowledged(judge: &Judge, row: &Row, wrong: &mut Vec<String>) {
    for (draft, epoch, seq, at) in &judge.acks {
        if draft.kind == Kind::Join {
            continue;
        }
        match place_of(row, draft.name) {
            None => wrong.push(format!("{:?}, acknowledged at {at}, is lost", draft.name)),
            Some(there) if there != *seq && *epoch == row.epoch => {
                wrong.push(format!(
                    "{:?} was said to be at {seq}, is at {there}",
                    draft.name
                ));
            }
            Some(_) => {}
        }
    }
}

fn places(judge: &Judge, row: &Row, wrong: &mut Vec<String>) {
    for (epoch, seq, what) in &judge.differs {
        if *epoch == row.epoch && !row.aside.contains_key(seq) {
            wrong.push(what.clone());
        }
    }
    let seen = judge
        .places
        .iter()
        .filter(|((epoch, _), _)| *epoch == row.epoch);
    for ((_, seq), name) in seen {
        let there = row
            .events
            .get(*seq as usize - 1)
            .map(|event| event.draft.name);
        if there != Some(*name) && !row.aside.contains_key(seq) {
            wrong.push(format!(
                "{name:?} was seen at {seq}, where {there:?} stands"
            ));
        }
    }
}

fn removals(judge: &Judge, row: &Row, wrong: &mut Vec<String>) {
    for (person, by) in &judge.removed {
        let Some(kick) = place_of(row, *by) else {
            continue;
        };
        let behind = row.events.iter().filter(|event| event.seq > kick);
        let theirs = |event: &&Event| {
            let name = event.draft.name;
            name.0 == *person && name.0 != SYSTEM && !judge.again.contains(&name)
        };
        for event in behind.filter(theirs) {
            wrong.push(format!(
                "{person} wrote {} behind the removal at {kick}",
                event.seq
            ));
        }
    }
}

fn capacity(world: &World, judge: &Judge, row: &Row, wrong: &mut Vec<String>) {
    let mut members = BTreeSet::new();
    for event in &row.events {
        match event.draft.kind {
            Kind::Join => members.insert(event.draft.target),
            Kind::Kick => members.remove(&event.draft.target),
            _ => false,
        };
        if members.len() > world.capacity {
            wrong.push(format!("{} members at {}", members.len(), event.seq));
            return;
        }
    }
    if judge.full > 0 && members.len() < world.capacity {
        wrong.push(format!("told full with {} members", members.len()));
    }
}

fn flushed(world: &World, row: &Row, wrong: &mut Vec<String>) {
    let redis = world.redis.borrow();
    if !redis.stored.keys.dirty.is_empty() {
        wrong.push("a room is dirty for ever".into());
    }
    let hot = redis.stored.keys.rooms.get(&ROOM);
    let alive = hot.filter(|hot| redis.stored.keys.life.get(&ROOM) == Some(&hot.life));
    if let Some(hot) = alive
        && (hot.head, hot.flushed) != (row.fold.head, row.fold.head)
    {
        let what = format!("the log ends at {}, flushed {}", hot.head, hot.flushed);
        wrong.push(format!("{what}, database at {}", row.fold.head));
    }
}

fn readers(world: &World, row: &Row, wrong: &mut Vec<String>) {
    for (person, reader) in world.readers.borrow().iter().enumerate() {
        let reader = reader.borrow();
        wrong.extend(reader.wrong.iter().map(|what| format!("{person}: {what}")));
        let member = row.fold.members.contains(&(person as Person));
        // Whether a refusal was right is judged where it was given.
        let reads = reader.epoch != 0 && !reader.refused;
        if !member || !reads {
            continue;
        }
        if reader.epoch != row.epoch {
            wrong.push(format!(
                "{person} was not told that the epoch is {}",
                row.epoch
            ));
        } else if reader.seen.len() != row.events.len() {
            let (seen, there) = (reader.seen.len(), row.events.len());
            wrong.push(format!("{person} has seen {seen} of {there}"));
        }
    }
}
