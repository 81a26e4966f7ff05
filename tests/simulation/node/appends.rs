//! From a draft to its place: decide, append, decide again when the log knows more.

use std::rc::Rc;

use super::super::bugs::Bug;
use super::super::faults::Point;
use super::super::log::{Draft, Kind, Life, Room, Seq};
use super::super::redis::{Redis, Ring};
use super::super::scripts::{Append, Done, Fate, No};
use super::super::time::{Answer, Ms};
use super::super::world::{SPANS, Trouble};
use super::{Node, Reply, Waiting, stands};

/// Drafts in one append.
const MOST: usize = 3;
/// How often one is tried before its sender is told that nobody knows.
const TRIES: u32 = 6;

impl Node {
    /// Somebody wants this in the log.
    pub(crate) fn publish(self: &Rc<Self>, room: Room, draft: Draft, reply: Answer<Reply>) {
        let reply = match self.world.bug {
            Bug::EarlyAck if draft.kind == Kind::Message => {
                let state = self.state.borrow();
                let guess = state.rooms.get(&room).map(|v| (v.epoch, v.fold.head + 1));
                match guess {
                    Some((epoch, seq)) => {
                        reply.give(Reply::Done(epoch, seq));
                        None
                    }
                    None => Some(reply),
                }
            }
            _ => Some(reply),
        };
        self.queue(room, draft, reply);
    }

    /// An event of an earlier life is decided again.
    pub(super) fn queue_again(self: &Rc<Self>, room: Room, draft: Draft) {
        self.queue(room, draft, None);
    }

    fn queue(self: &Rc<Self>, room: Room, draft: Draft, reply: Option<Answer<Reply>>) {
        let mut state = self.state.borrow_mut();
        state.queues.entry(room).or_default().push_back(Waiting {
            draft,
            checked: (0, 0),
            reply,
            tries: 0,
        });
        if state.appending.insert(room) {
            self.spawn(self.clone().append_all(room));
        }
    }

    async fn append_all(self: Rc<Self>, room: Room) {
        loop {
            let life = self.life_to_serve().await;
            if self.load(room).await.is_err() {
                self.tried(room, self.take(room));
                self.pause(50, 300).await;
                if self.finished(room) {
                    return;
                }
                continue;
            }
            let batch = self.take(room);
            let batch = self.decide(room, batch).await;
            if !batch.is_empty() {
                self.append(room, life, batch).await;
            }
            if self.finished(room) {
                return;
            }
        }
    }

    fn finished(&self, room: Room) -> bool {
        let mut state = self.state.borrow_mut();
        let empty = state.queues.get(&room).is_none_or(|queue| queue.is_empty());
        if empty {
            state.appending.remove(&room);
        }
        empty
    }

    /// What is appended next: at most one change of membership.
    fn take(&self, room: Room) -> Vec<Waiting> {
        let mut state = self.state.borrow_mut();
        let queue = state.queues.entry(room).or_default();
        let mut batch: Vec<Waiting> = Vec::new();
        while let Some(next) = queue.front() {
            let changes = |w: &Waiting| w.draft.kind != Kind::Message;
            // What comes behind a change is decided when the change is known.
            let decided_early = match self.world.bug {
                Bug::BatchBehindChange => changes(next) && batch.iter().any(changes),
                _ => batch.iter().any(changes),
            };
            if batch.len() == MOST || decided_early {
                break;
            }
            batch.extend(queue.pop_front());
        }
        batch
    }

    /// Puts drafts back in front; those that were tried too often are told.
    fn tried(&self, room: Room, batch: Vec<Waiting>) {
        let mut state = self.state.borrow_mut();
        let queue = state.queues.entry(room).or_default();
        for mut waiting in batch.into_iter().rev() {
            waiting.tries += 1;
            if waiting.tries > TRIES {
                waiting.answer(Reply::Unavailable);
            } else {
                queue.push_front(waiting);
            }
        }
    }

    /// Refuses what may not be, on what the log says now.
    async fn decide(self: &Rc<Self>, room: Room, batch: Vec<Waiting>) -> Vec<Waiting> {
        let refused = |batch: &[Waiting]| {
            let all = batch
                .iter()
                .map(|waiting| self.verdict(room, &waiting.draft));
            all.collect::<Vec<_>>()
        };
        let mut verdicts = refused(&batch);
        let no = verdicts.iter().any(Option::is_some);
        if no && self.world.bug != Bug::StaleNo {
            if self.catch_up(room).await.is_err() {
                self.tried(room, batch);
                self.pause(20, 100).await;
                return Vec::new();
            }
            verdicts = refused(&batch);
        }
        let mut allowed = Vec::new();
        for (waiting, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Some(no) => waiting.answer(no),
                None => allowed.push(waiting),
            }
        }
        allowed
    }

    /// Why this may not be, if it may not.
    pub(super) fn verdict(&self, room: Room, draft: &Draft) -> Option<Reply> {
        let state = self.state.borrow();
        let Some(view) = state.rooms.get(&room) else {
            return Some(Reply::Unavailable);
        };
        let fold = &view.fold;
        match draft.kind {
            Kind::Join if fold.banned.contains(&draft.target) => Some(Reply::Forbidden),
            Kind::Join if fold.members.contains(&draft.target) => {
                Some(Reply::Done(view.epoch, fold.head))
            }
            Kind::Join if fold.members.len() >= self.world.capacity => Some(Reply::Full),
            Kind::Message if !fold.members.contains(&draft.name.0) => Some(Reply::Forbidden),
            _ => None,
        }
    }

    async fn append(self: &Rc<Self>, room: Room, life: Life, mut batch: Vec<Waiting>) {
        let Some(call) = self.basis(room, life, &batch) else {
            return self.tried(room, batch);
        };
        match self.append_call(life, call).await {
            Ok(done) => {
                let fates = done.fates.clone();
                let epoch = done.epoch;
                self.appended(room, done);
                if !self.has_all(room, &fates).await {
                    return self.tried(room, batch);
                }
                for (waiting, fate) in batch.into_iter().zip(fates) {
                    let seq = stands(fate);
                    waiting.answer(seq.map_or(Reply::Unavailable, |s| Reply::Done(epoch, s)));
                }
                self.at(Point::Acked).await;
            }
            Err(Trouble::No(No::Cold(now))) => {
                self.seed(room, life, now).await;
                self.tried(room, batch);
            }
            Err(Trouble::No(No::Stale)) => {
                let _ = self.catch_up(room).await;
                self.tried(room, batch);
            }
            Err(Trouble::No(No::Ask(which, now))) => {
                let left = self.look_up(room, batch, which, (life, now)).await;
                self.at(Point::Checked).await;
                self.tried(room, left);
            }
            Err(_) => {
                for waiting in &mut batch {
                    if self.world.bug == Bug::NewNameAfterLoss {
                        waiting.draft.name.1 = self.world.number();
                    }
                }
                self.tried(room, batch);
                self.pause(20, 400).await;
            }
        }
    }

    /// What was there before is acknowledged only by who holds it: its first answer may have
    /// been lost, and its ring too.
    async fn has_all(self: &Rc<Self>, room: Room, fates: &[Fate]) -> bool {
        let newest = fates.iter().filter_map(|fate| stands(*fate)).max();
        let reached = |node: &Node| {
            let state = node.state.borrow();
            let head = state.rooms.get(&room).map(|view| view.fold.head);
            head.is_some_and(|head| newest.is_none_or(|newest| newest <= head))
        };
        reached(self)
            || self.world.bug == Bug::AckUnheld
            || self.catch_up(room).await.is_ok() && reached(self)
    }

    fn basis(&self, room: Room, life: Life, batch: &[Waiting]) -> Option<Append> {
        // What the database did not know in another life may have been salvaged since.
        let any_life = self.world.bug == Bug::CheckedForEver;
        let checked = |waiting: &Waiting| match waiting.checked {
            (of, at) if of == life || any_life => at,
            _ => 0,
        };
        let state = self.state.borrow();
        let fold = &state.rooms.get(&room)?.fold;
        Some(Append {
            room,
            known: fold.head,
            rights: fold.rights,
            members: fold.membership,
            drafts: batch.iter().map(|w| (w.draft, checked(w))).collect(),
        })
    }

    async fn append_call(self: &Rc<Self>, life: Life, call: Append) -> Result<Done, Trouble> {
        let answer = self.append_script(life, call).await;
        self.at(Point::Appended).await;
        self.judged(life, answer).await
    }

    /// The append script, which also rings.
    pub(super) async fn append_script(&self, life: Life, call: Append) -> Result<Done, Trouble> {
        let (bug, id) = (self.world.bug, self.id);
        let world = self.world.clone();
        let script = move |redis: &mut Redis, now: Ms| {
            let done = redis.stored.keys.append(now, &SPANS, bug, life, &call)?;
            world.trace(|| format!("log: node {id} life {life} {call:?} -> {done:?}"));
            if !done.events.is_empty() {
                let ring = Ring::Events(life, call.room, done.epoch, done.events.clone());
                redis.published.push(ring);
            }
            Ok(done)
        };
        self.world.script(id, life, script).await
    }

    /// What this node has appended: held, applied, and written by it if nobody does.
    pub(super) fn appended(self: &Rc<Self>, room: Room, done: Done) {
        self.hold(room, &done.events);
        self.apply(room, done.epoch, &done.events);
        if done.became_dirty {
            self.adopt(room);
        }
    }

    /// Asks the database for these ids; what it does not know comes again.
    async fn look_up(
        &self,
        room: Room,
        mut batch: Vec<Waiting>,
        which: Vec<usize>,
        asked: (Life, Ms),
    ) -> Vec<Waiting> {
        let names: Vec<_> = which.iter().map(|index| batch[*index].draft.name).collect();
        let found = self.world.postgres(|db| {
            let epoch = db.rooms[&room].epoch;
            (epoch, db.find(room, &names))
        });
        let Some((epoch, found)) = found.await else {
            return batch;
        };
        let mut there: Vec<(usize, Seq)> = Vec::new();
        for (index, place) in which.into_iter().zip(found) {
            match place {
                Some((seq, _)) => there.push((index, seq)),
                None => batch[index].checked = asked,
            }
        }
        for (index, seq) in there.into_iter().rev() {
            batch.remove(index).answer(Reply::Done(epoch, seq));
        }
        batch
    }

    /// Takes a room into Redis.
    pub(super) async fn seed(&self, room: Room, life: Life, now: Ms) {
        let bug = self.world.bug;
        let Some(seed) = self.world.postgres(|db| db.seed_of(room)).await else {
            return self.pause(20, 200).await;
        };
        self.at(Point::SeedRead).await;
        let seed = match bug {
            Bug::OldSeed => {
                let mut state = self.state.borrow_mut();
                state.seeds.entry(room).or_insert(seed).clone()
            }
            _ => seed,
        };
        let script = |redis: &mut Redis, time: Ms| {
            let keys = &mut redis.stored.keys;
            keys.seed(time, &SPANS, bug, life, (room, now, &seed))
        };
        let seeded = self.world.script(self.id, life, script).await;
        self.trace(|| format!("seeds at {} in {life}: {seeded:?}", seed.fold.head));
    }
}

impl Waiting {
    fn answer(self, reply: Reply) {
        if let Some(answer) = self.reply {
            answer.give(reply);
        }
    }
}
