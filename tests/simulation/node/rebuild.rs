//! From one life of Redis to the next: fence, salvage, barrier, and what came too late.

use std::rc::Rc;

use super::super::bugs::Bug;
use super::super::faults::Point;
use super::super::log::{Event, Kind, Life, Room, Seq};
use super::super::postgres::{Postgres, Written};
use super::super::redis::{NodeId, Redis, Ring, version};
use super::super::scripts::{Append, No};
use super::super::time::Ms;
use super::super::world::Trouble;
use super::{LEASE, Node};

/// How long somebody may lead without a word.
const LEADS: Ms = 15_000;

impl Node {
    /// Nothing more in this life.
    pub(super) fn fence(self: &Rc<Self>, life: Life) {
        let mut state = self.state.borrow_mut();
        if state.life != life || !state.serving {
            return;
        }
        state.serving = false;
        drop(state);
        self.trace(|| format!("fence: life {life} is over"));
        self.spawn(self.clone().rebuild(life));
    }

    async fn rebuild(self: Rc<Self>, life: Life) {
        let salvaged = match self.world.bug {
            Bug::NoSalvage => {
                self.state.borrow_mut().held.clear();
                true
            }
            _ => self.salvage(life).await,
        };
        self.trace(|| format!("salvage of {life} is over, in time: {salvaged}"));
        self.at(Point::Salvaged).await;
        {
            let mut state = self.state.borrow_mut();
            let late = std::mem::take(&mut state.held);
            if self.world.bug != Bug::LateForgets {
                let late = late.into_iter().map(|((room, _), held)| (room, held.event));
                state.again.extend(late);
            }
        }
        let late = !salvaged || !self.state.borrow().again.is_empty();
        if late {
            let rooms: Vec<Room> = self.state.borrow().rooms.keys().copied().collect();
            rooms.into_iter().for_each(|room| self.forget(room));
        }
        self.enter(life).await;
    }

    /// Waits for the life behind `old`, or begins it.
    pub(super) async fn enter(self: Rc<Self>, old: Life) {
        loop {
            let Some(present) = self.world.postgres(|db| db.life).await else {
                self.pause(100, 500).await;
                continue;
            };
            // No answer says nothing about the life.
            match self.knows(present).await {
                Some(true) if present != old => {
                    let placed = self.append_again(present).await;
                    if placed {
                        return self.serve(present).await;
                    }
                }
                Some(known) => {
                    let id = self.id;
                    let report = |redis: &mut Redis, _| redis.stored.done.insert(id, present);
                    let _ = self.world.redis(id, report).await;
                    self.lead(present, known).await;
                }
                None => {}
            }
            self.pause(100, 500).await;
        }
    }

    /// Does Redis know this life?
    async fn knows(&self, life: Life) -> Option<bool> {
        let look = |redis: &mut Redis, _: Ms| redis.lives(life);
        match self.world.script(self.id, life, look).await {
            Err(Trouble::Lost) => None,
            Err(Trouble::NoScript) => self.load_own(life).await,
            answer => Some(answer.is_ok()),
        }
    }

    /// Gives Redis the scripts of this node's version, if the life has begun there: on one
    /// connection, which a restart in between would break.
    async fn load_own(&self, life: Life) -> Option<bool> {
        let probe = |redis: &mut Redis, _: Ms| {
            let begun = redis.markers.contains(&life) && redis.lives(life).is_ok();
            (begun, redis.run)
        };
        let (begun, run) = self.world.redis(self.id, probe).await.ok()?;
        if !begun {
            return Some(false);
        }
        self.at(Point::Probed).await;
        let own = (life, version(self.id));
        let reconnects = self.world.bug == Bug::CompletesTheLost;
        let load = move |redis: &mut Redis, _: Ms| {
            let same = redis.run == run || reconnects;
            if same {
                redis.scripts.insert(own);
            }
            same
        };
        let loaded = self.world.redis(self.id, load).await.ok()?;
        loaded.then_some(true)
    }

    async fn serve(self: &Rc<Self>, life: Life) {
        {
            let mut state = self.state.borrow_mut();
            state.life = life;
            state.serving = true;
        }
        self.trace(|| format!("serves in life {life}"));
        self.ready.ring(&self.world.time);
        let held: Vec<Room> = self.state.borrow().held.keys().map(|key| key.0).collect();
        held.into_iter().for_each(|room| self.adopt(room));
        self.compare_heads().await;
    }

    /// Begins a new life, if nobody else is at it.
    async fn lead(self: &Rc<Self>, old: Life, known: bool) {
        let token = self.world.number();
        let take = |redis: &mut Redis, now: Ms| {
            let free = redis.stored.barrier.is_none_or(|(_, until)| until <= now);
            if free {
                redis.stored.barrier = Some((token, now + LEADS));
            }
            free
        };
        if self.world.redis(self.id, take).await != Ok(true) {
            return;
        }
        // Whoever led before may have begun this very life meanwhile.
        let still = known || self.knows(old).await == Some(false);
        if !still && self.world.bug != Bug::LeadUnseen {
            return self.give_up(token).await;
        }
        self.trace(|| format!("leads from life {old}"));
        self.at(Point::Leading).await;
        if self.world.bug != Bug::NoBarrier {
            self.await_others(old).await;
        }
        if self.world.bug != Bug::NoSalvage && !self.write_survivors(old).await {
            return;
        }
        self.at(Point::Survivors).await;
        let new = self.world.number() as Life;
        let begin = self.world.postgres(|db| db.begin_life(old, new));
        if begin.await == Some(false) || !self.has_begun(new).await {
            return self.give_up(token).await;
        }
        self.at(Point::Begun).await;
        let mine = move |redis: &Redis| redis.stored.barrier.is_some_and(|(t, _)| t == token);
        let name = move |redis: &mut Redis, _: Ms| {
            if mine(redis) {
                redis.stored.keys.life.insert(0, new);
            }
            mine(redis)
        };
        if self.world.redis(self.id, name).await != Ok(true) {
            return;
        }
        self.at(Point::Named).await;
        let version = version(self.id);
        let load = move |redis: &mut Redis, _: Ms| {
            redis.scripts.insert((new, version));
            redis.markers.insert(new);
            redis.published.push(Ring::NewLife(new));
            if mine(redis) {
                redis.stored.barrier = None;
            }
        };
        let _ = self.world.redis(self.id, load).await;
        self.trace(|| format!("has begun life {new}"));
    }

    /// The answer may have been lost; the name says whose life it is.
    async fn has_begun(&self, new: Life) -> bool {
        loop {
            match self.world.postgres(|db| db.life).await {
                Some(present) => return present == new,
                None => self.pause(50, 300).await,
            }
        }
    }

    /// Lets somebody else lead.
    async fn give_up(&self, token: u64) {
        let free = |redis: &mut Redis, _: Ms| {
            if redis.stored.barrier.is_some_and(|(t, _)| t == token) {
                redis.stored.barrier = None;
            }
        };
        let _ = self.world.redis(self.id, free).await;
    }

    /// Until everybody who had a lease has salvaged, or a lease is over.
    async fn await_others(&self, old: Life) {
        let since = self.world.time.now();
        loop {
            let now = self.world.time.now();
            if now - since > LEASE {
                return;
            }
            let read = |redis: &mut Redis, now: Ms| {
                let leases = redis.stored.leases.iter().filter(|(_, at)| **at > now);
                let nodes: Vec<NodeId> = leases.map(|(id, _)| *id).collect();
                (nodes, redis.stored.done.clone())
            };
            if let Ok((mut nodes, done)) = self.world.redis(self.id, read).await {
                let state = self.state.borrow();
                let seen = state.peers.iter().filter(|(_, at)| **at > now - LEASE);
                nodes.extend(seen.map(|(id, _)| *id));
                let waits = |id: &NodeId| *id != self.id && done.get(id) != Some(&old);
                if !state.peers.is_empty() && !nodes.iter().any(waits) {
                    return;
                }
            }
            self.pause(100, 400).await;
        }
    }

    /// Writes what is left in the logs of rooms that are dirty.
    async fn write_survivors(&self, old: Life) -> bool {
        let read = self.world.redis(self.id, |redis, _| {
            let rooms = redis.stored.keys.rooms.iter();
            let left = rooms.filter(|(_, hot)| hot.life == old && hot.flushed < hot.head);
            let left = left.map(|(room, hot)| (*room, hot.after(hot.flushed)));
            left.collect::<Vec<(Room, Vec<Event>)>>()
        });
        let Ok(left) = read.await else {
            return false;
        };
        for (room, mut events) in left {
            loop {
                let write = self.world.postgres(|db| db.write(old, room, &events));
                let written = write.await;
                self.trace(|| format!("survivors {events:?}: {written:?}"));
                match written {
                    Some(Written::Done(_)) => break,
                    Some(Written::Conflict(at)) => {
                        let (taken, rest) = events.into_iter().partition(|e| e.seq == at);
                        events = rest;
                        let taken: Vec<Event> = taken;
                        let taken = taken.into_iter().map(|event| (room, event));
                        self.state.borrow_mut().again.extend(taken);
                    }
                    Some(Written::Fenced | Written::Behind(_)) | None => return false,
                }
            }
        }
        true
    }

    /// What this node could not place in the old life gets a place in this one.
    async fn append_again(self: &Rc<Self>, life: Life) -> bool {
        loop {
            let next = self.state.borrow().again.first().copied();
            let Some((room, event)) = next else {
                return true;
            };
            let name = event.draft.name;
            let find = self.world.postgres(|db| db.find(room, &[name])[0]);
            let place = match find.await {
                None => return false,
                Some(place) => place.map(|(seq, _)| seq),
            };
            let drop_it = event.draft.kind == Kind::Void || place == Some(event.seq);
            if !drop_it && !self.move_event(life, room, &event).await {
                return false;
            }
            self.state.borrow_mut().again.remove(0);
        }
    }

    /// A new epoch, then a new place.
    async fn move_event(self: &Rc<Self>, life: Life, room: Room, event: &Event) -> bool {
        self.trace(|| format!("appends again {event:?}"));
        if self.world.bug != Bug::SameEpoch && !self.renew_epoch(life, room).await {
            return false;
        }
        self.at(Point::Renewed).await;
        self.world.judge.borrow_mut().again.insert(event.draft.name);
        if event.draft.kind == Kind::Join {
            // Decided again, as the room is now.
            self.queue_again(room, event.draft);
            return true;
        }
        let mut checked = 0;
        for _ in 0..20 {
            let call = Append {
                room,
                known: 0,
                rights: Seq::MAX,
                members: Seq::MAX,
                drafts: vec![(event.draft, checked)],
            };
            match self.append_script(life, call).await {
                Ok(done) => {
                    self.hold_in(life, room, &done.events);
                    return true;
                }
                Err(Trouble::No(No::Cold(now))) => self.seed(room, life, now).await,
                Err(Trouble::No(No::Ask(_, now))) => {
                    let name = event.draft.name;
                    match self.world.postgres(|db| db.find(room, &[name])[0]).await {
                        Some(Some(_)) => return true,
                        Some(None) => checked = now,
                        None => return false,
                    }
                }
                Err(Trouble::Lost) => self.pause(20, 200).await,
                Err(_) => return false,
            }
        }
        false
    }

    async fn renew_epoch(self: &Rc<Self>, life: Life, room: Room) -> bool {
        let epoch = self.world.number() as u32;
        let renew = |db: &mut Postgres| {
            if let Some(row) = db.rooms.get_mut(&room) {
                row.epoch = epoch;
            }
        };
        if self.world.postgres(renew).await.is_none() {
            return false;
        }
        let tell = |redis: &mut Redis, now: Ms| {
            redis.stored.keys.renew(now, life, room, epoch)?;
            redis.published.push(Ring::Epoch(life, room, epoch));
            Ok(())
        };
        let told = self.world.script(self.id, life, tell).await;
        matches!(told, Ok(()) | Err(Trouble::No(No::Cold(_))))
    }
}
