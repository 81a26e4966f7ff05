//! Which rooms matter to this node, and what is new in them for whom: no actix, no I/O.
//!
//! A room that a connected person is a member of costs its head here and a few numbers per
//! person, not a loaded room. Numbers are absolute, so that a notice may be merged or lost.

use std::collections::{HashMap, HashSet};

use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::{Event, Presence};

/// The rooms that this node listens to.
#[derive(Debug, Default)]
pub struct Interest {
    rooms: HashMap<RoomId, Watched>,
    people: HashMap<UserId, Person>,
    /// For whom something is new that they have not been told.
    dirty: HashMap<UserId, HashSet<RoomId>>,
}

/// About how many rooms without an actor here are compared with the log at once.
const LIGHT_AT_ONCE: usize = 2000;

/// One room, seen from this node.
#[derive(Debug, Default)]
struct Watched {
    /// Which life of its log was heard last; `None` before, and where it cannot change.
    epoch: Option<Epoch>,
    head: Seq,
    /// Messages up to `head`.
    messages: i64,
    /// The newest message.
    last: Option<Event>,
    /// Members who are connected here.
    here: HashMap<UserId, Here>,
    /// Those of them who want to be told of changes.
    loud: HashSet<UserId>,
    /// Is its actor loaded here?
    loaded: bool,
}

/// A member who is connected here.
#[derive(Debug)]
struct Here {
    /// What they counted themselves ends here.
    base: Seq,
    /// Their own messages since.
    own: i64,
    /// Messages since that call them by name.
    mentions: i64,
}

/// A person who is connected here.
#[derive(Debug, Default)]
struct Person {
    presence: Presence,
    text: Option<String>,
    rooms: HashSet<RoomId>,
}

/// A room that somebody wants to hear of, as they know it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Which room.
    pub room: RoomId,
    /// Its newest event.
    pub head: Seq,
    /// Its messages up to there.
    pub messages: i64,
}

/// What is new in a room for one person, counted from where they began to listen.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which room.
    pub room: RoomId,
    /// Its newest event.
    pub head: Seq,
    /// Its messages up to there.
    pub messages: i64,
    /// Their own messages since they began to listen.
    pub own: i64,
    /// Messages since then that call them by name.
    pub mentions: i64,
    /// The newest message, if one came since somebody began to listen.
    pub last: Option<Event>,
}

/// What became of a ring.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is counted, or was before.
    Counted,
    /// Nobody here cares for the room.
    Unwanted,
    /// Something is missing behind this place.
    Hole(Seq),
}

impl Interest {
    /// Counts new events of a room.
    pub fn hear(&mut self, room: RoomId, events: &[Event]) -> Heard {
        let Some(watched) = self.rooms.get_mut(&room) else {
            return Heard::Unwanted;
        };
        let mut removed = Vec::new();
        for event in events {
            let seq = event.seq();
            if seq <= watched.head {
                continue;
            }
            if seq > watched.head.next() && watched.head > Seq::ZERO {
                return Heard::Hole(watched.head);
            }
            watched.count(event);
            removed.extend(event.draft.removed());
        }
        for user in &watched.loud {
            self.dirty.entry(*user).or_default().insert(room);
        }
        for user in removed {
            // They hear nothing of it from here on; what they list is read again later.
            self.silence(user, room);
        }
        Heard::Counted
    }

    fn silence(&mut self, user: UserId, room: RoomId) {
        if let Some(watched) = self.rooms.get_mut(&room) {
            watched.here.remove(&user);
            watched.loud.remove(&user);
        }
        if let Some(dirty) = self.dirty.get_mut(&user) {
            dirty.remove(&room);
        }
    }

    /// Somebody here is a member of these rooms. Answers with those that have moved on since
    /// they looked. They hear of those, too, and look again: what is between is not counted
    /// for them.
    pub fn watch(&mut self, user: UserId, rooms: &[Known]) -> Vec<RoomId> {
        let mut stale = Vec::new();
        for known in rooms {
            let watched = self.rooms.entry(known.room).or_default();
            if watched.head > known.head {
                stale.push(known.room);
            } else if watched.here.is_empty() && !watched.loaded || watched.head == Seq::ZERO {
                (watched.head, watched.messages) = (known.head, known.messages);
            }
            watched.here.insert(
                user,
                Here {
                    base: known.head,
                    own: 0,
                    mentions: 0,
                },
            );
            watched.loud.insert(user);
            self.people
                .entry(user)
                .or_default()
                .rooms
                .insert(known.room);
        }
        stale
    }

    /// Somebody is no longer a member, or no longer here. True when nobody cares any more.
    pub fn unwatch(&mut self, user: UserId, room: RoomId) -> bool {
        if let Some(person) = self.people.get_mut(&user) {
            person.rooms.remove(&room);
        }
        self.silence(user, room);
        self.forget_if_unwanted(room)
    }

    /// Somebody has gone. Answers with the rooms that nobody cares for any more.
    pub fn leave(&mut self, user: UserId) -> Vec<RoomId> {
        self.dirty.remove(&user);
        let Some(person) = self.people.remove(&user) else {
            return Vec::new();
        };
        person
            .rooms
            .into_iter()
            .filter(|room| self.unwatch(user, *room))
            .collect()
    }

    /// All of somebody's sessions look at the room: nothing of it goes to their inbox.
    pub fn set_quiet(&mut self, user: UserId, room: RoomId, quiet: bool) {
        let Some(watched) = self.rooms.get_mut(&room) else {
            return;
        };
        if quiet {
            watched.loud.remove(&user);
        } else if watched.here.contains_key(&user) {
            watched.loud.insert(user);
        }
    }

    /// The room's actor runs here, with this head.
    pub fn load(&mut self, known: Known) {
        let watched = self.rooms.entry(known.room).or_default();
        watched.loaded = true;
        if watched.head == Seq::ZERO {
            (watched.head, watched.messages) = (known.head, known.messages);
        }
    }

    /// The room's actor is gone. True when nobody cares any more.
    pub fn unload(&mut self, room: RoomId) -> bool {
        if let Some(watched) = self.rooms.get_mut(&room) {
            watched.loaded = false;
        }
        self.forget_if_unwanted(room)
    }

    fn forget_if_unwanted(&mut self, room: RoomId) -> bool {
        let unwanted = self
            .rooms
            .get(&room)
            .is_some_and(|watched| watched.here.is_empty() && !watched.loaded);
        if unwanted {
            self.rooms.remove(&room);
        }
        unwanted
    }

    /// How somebody wants to be seen; answers with their rooms.
    pub fn set_presence(
        &mut self,
        user: UserId,
        presence: Presence,
        text: Option<String>,
    ) -> Vec<RoomId> {
        let person = self.people.entry(user).or_default();
        (person.presence, person.text) = (presence, text);
        person.rooms.iter().copied().collect()
    }

    /// How somebody wants to be seen.
    pub fn presence(&self, user: UserId) -> (Presence, Option<String>) {
        let person = self.people.get(&user);
        person.map_or((Presence::Offline, None), |who| {
            (who.presence, who.text.clone())
        })
    }

    /// The members of a room who are connected here.
    pub fn present(&self, room: RoomId) -> Vec<(UserId, Presence)> {
        let Some(watched) = self.rooms.get(&room) else {
            return Vec::new();
        };
        let presence = |user| {
            self.people
                .get(user)
                .map_or(Presence::Online, |who| who.presence)
        };
        watched
            .here
            .keys()
            .map(|user| (*user, presence(user)))
            .collect()
    }

    /// How far this node has heard a room; `None` when it does not listen.
    pub fn head(&self, room: RoomId) -> Option<Seq> {
        self.rooms.get(&room).map(|watched| watched.head)
    }

    /// A room is in this epoch now. Answers with the one that was before, if it has ended.
    pub fn epoch_over(&mut self, room: RoomId, epoch: Option<Epoch>) -> Option<Epoch> {
        let (watched, epoch) = (self.rooms.get_mut(&room)?, epoch?);
        if watched.epoch.as_ref() == Some(&epoch) {
            return None;
        }
        watched.epoch.replace(epoch)
    }

    /// A room's log begins anew: what was counted says nothing any more. Answers with the
    /// members who are connected here.
    pub fn restart(&mut self, room: RoomId) -> Vec<UserId> {
        let Some(watched) = self.rooms.get_mut(&room) else {
            return Vec::new();
        };
        watched.head = Seq::ZERO;
        watched.here.keys().copied().collect()
    }

    /// Everybody who is connected here, and how they want to be seen.
    pub fn everybody(&self) -> impl Iterator<Item = (UserId, Presence)> + '_ {
        let people = self.people.iter();
        people.map(|(user, person)| (*user, person.presence))
    }

    /// The rooms that this node listens to.
    pub fn rooms(&self) -> impl Iterator<Item = RoomId> + '_ {
        self.rooms.keys().copied()
    }

    /// Those to compare with the log at this turn: all that are loaded here, and a slice of the
    /// others, each of which has its turn again and again.
    pub fn next_rooms(&self, turn: usize) -> Vec<RoomId> {
        let light = self.rooms.values().filter(|room| !room.loaded).count();
        let slices = light.div_ceil(LIGHT_AT_ONCE).max(1) as u64;
        let is_next = |room: &RoomId| room.raw().unsigned_abs() % slices == turn as u64 % slices;
        let rooms = self.rooms.iter();
        let next = rooms.filter(|(room, watched)| watched.loaded || is_next(room));
        next.map(|(room, _)| *room).collect()
    }

    /// What is new for whom since the last time: the rooms that want telling, and with them
    /// the quiet ones, whose numbers belong to the person's total.
    pub fn take_changes(&mut self) -> Vec<(UserId, Vec<Change>, Vec<Change>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut news = Vec::with_capacity(dirty.len());
        for (user, rooms) in dirty {
            let loud: Vec<_> = rooms
                .iter()
                .filter_map(|room| self.change(user, *room))
                .collect();
            let Some(person) = self.people.get(&user).filter(|_| !loud.is_empty()) else {
                continue;
            };
            let quiet = person
                .rooms
                .iter()
                .filter(|room| self.is_quiet(user, **room));
            let quiet = quiet.filter_map(|room| self.change(user, *room)).collect();
            news.push((user, loud, quiet));
        }
        news
    }

    fn is_quiet(&self, user: UserId, room: RoomId) -> bool {
        self.rooms
            .get(&room)
            .is_some_and(|watched| !watched.loud.contains(&user))
    }

    fn change(&self, user: UserId, room: RoomId) -> Option<Change> {
        let watched = self.rooms.get(&room)?;
        let Here { own, mentions, .. } = *watched.here.get(&user)?;
        let (head, messages) = (watched.head, watched.messages);
        Some(Change {
            room,
            head,
            messages,
            own,
            mentions,
            last: watched.last.clone(),
        })
    }
}

impl Watched {
    fn count(&mut self, event: &Event) {
        self.head = event.seq();
        self.messages = event.place.n;
        if !event.draft.kind.is_message() {
            return;
        }
        if let Some(sender) = self.here.get_mut(&event.draft.from)
            && event.seq() > sender.base
        {
            sender.own += 1;
        }
        for user in &event.draft.mentions {
            if let Some(mentioned) = self.here.get_mut(user)
                && event.seq() > mentioned.base
            {
                mentioned.mentions += 1;
            }
        }
        self.last = Some(event.clone());
    }
}

#[cfg(test)]
mod tests;
