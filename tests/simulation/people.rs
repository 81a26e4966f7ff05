//! People: they write, repeat what they are not sure of, read from where they were, join,
//! and try to come back after they were removed.

use std::cell::RefCell;
use std::rc::Rc;

use super::log::{Draft, Epoch, Event, Kind, Name, Person, Room, Seq};
use super::node::{Node, Reply};
use super::redis::NodeId;
use super::time::{Answer, Bell, Ms, Time, question};
use super::world::{END, HEALED, NODES, SPANS, World};

/// Who may remove others.
const ADMIN: Person = 1;
/// Who is removed, where somebody is.
const REMOVED: Person = 3;
/// Who is a member from the beginning.
pub(crate) const MEMBERS: std::ops::RangeInclusive<Person> = 1..=3;
/// Who wants to join.
pub(crate) const JOINERS: std::ops::RangeInclusive<Person> = 4..=8;
/// The room.
pub(crate) const ROOM: Room = 0;

/// What somebody has seen of a room.
#[derive(Default)]
pub(crate) struct Reader {
    /// The names of what was received, from 1 on.
    pub(crate) seen: Vec<Name>,
    /// Of which life of the numbers.
    pub(crate) epoch: Epoch,
    /// What came out of order.
    pub(crate) wrong: Vec<String>,
    /// Not a member: told so.
    pub(crate) refused: bool,
    connection: u64,
    node: NodeId,
    bell: Rc<Bell>,
}

impl Reader {
    /// An event comes over a connection: is it the present one?
    pub(crate) fn take(&mut self, connection: u64, epoch: Epoch, event: &Event) -> bool {
        if connection != self.connection {
            return false;
        }
        if epoch != self.epoch || event.seq != self.seen.len() as Seq + 1 {
            let at = self.seen.len();
            let wrong = format!("{epoch}/{} came after {}/{at}", event.seq, self.epoch);
            self.wrong.push(wrong);
            return false;
        }
        self.seen.push(event.draft.name);
        true
    }

    /// The node has ended this connection.
    pub(crate) fn cut(&mut self, time: &Time, connection: u64) {
        if connection == self.connection {
            self.connection = 0;
            self.bell.ring(time);
        }
    }

    /// The node is gone.
    pub(crate) fn node_is_gone(&mut self, time: &Time, node: NodeId) {
        if node == self.node {
            self.cut(time, self.connection);
        }
    }
}

impl World {
    /// What this person has seen.
    pub(crate) fn reader(&self, person: Person) -> Rc<RefCell<Reader>> {
        self.readers.borrow()[usize::from(person)].clone()
    }

    /// Everybody begins.
    pub(crate) fn begin(self: &Rc<Self>) {
        let all = 0..=*JOINERS.end();
        *self.readers.borrow_mut() = all.map(|_| Rc::default()).collect();
        for person in MEMBERS {
            self.spawn(self.clone().writes(person));
            self.spawn(self.clone().reads(person));
        }
        for person in JOINERS {
            self.spawn(self.clone().joins(person));
        }
        if self.capacity > 10 {
            self.spawn(self.clone().removes());
        }
    }

    fn draft(&self, from: Person, kind: Kind, target: Person) -> Draft {
        let skew = match from {
            2 if self.weather.clocks => SPANS.ahead * 3,
            3 if self.weather.clocks => -SPANS.ahead * 3,
            _ => self.time.between(-500, 500),
        };
        let number = self.number();
        Draft {
            name: (from, number),
            made_at: self.time.now() + skew,
            kind,
            target,
            poison: kind == Kind::Message && self.time.once_in(self.weather.poison),
            // From some that are many to one that is too much for itself.
            bytes: [0, 20, 60, 200][number as usize % 4],
        }
    }

    /// Somewhere to go: any node that is there.
    async fn any_node(&self) -> Rc<Node> {
        loop {
            let id = self.time.between(1, NODES as i64) as usize;
            if let Some(node) = self.node(id) {
                return node;
            }
            self.time.sleep(50).await;
        }
    }

    async fn pause(&self, from: Ms, to: Ms) {
        self.time.sleep(self.time.between(from, to)).await;
    }

    /// Asks some node, and waits for a while.
    async fn ask(&self, ask: impl FnOnce(&Rc<Node>, Answer<Reply>)) -> Reply {
        let node = self.any_node().await;
        self.travel().await;
        let (answer, asked) = question(&self.time);
        ask(&node, answer);
        let reply = self.time.within(6_000, asked.answer(&self.time)).await;
        self.travel().await;
        match reply.flatten() {
            Some(reply) if !self.is_lost(self.weather.lost_acks) => reply,
            _ => Reply::Unavailable,
        }
    }

    /// Sends until somebody knows what became of it.
    async fn send(&self, draft: Draft) -> Reply {
        let patient = self.time.once_in(4);
        loop {
            let started = self.time.now();
            let reply = self
                .ask(|node, answer| node.publish(ROOM, draft, answer))
                .await;
            self.trace(|| format!("{:?} {:?}: {reply:?}", draft.name, draft.kind));
            let mut judge = self.judge.borrow_mut();
            match reply {
                Reply::Done(epoch, seq) => judge.acked(&draft, (epoch, seq), self.time.now()),
                Reply::Forbidden => judge.forbidden(draft.name.0, started),
                Reply::Full => judge.full += 1,
                _ => {
                    drop(judge);
                    self.pause(50, if patient { 20_000 } else { 1_500 }).await;
                    continue;
                }
            }
            return reply;
        }
    }

    async fn writes(self: Rc<Self>, person: Person) {
        for _ in 0..self.time.between(5, 12) {
            self.pause(0, 5_000).await;
            if self.time.now() > HEALED + 10_000 {
                return;
            }
            let draft = self.draft(person, Kind::Message, 0);
            let reply = self.send(draft).await;
            if matches!(reply, Reply::Done(..)) {
                if self.time.once_in(3) {
                    self.spawn(self.clone().repeats(draft));
                }
                if self.time.once_in(2) {
                    self.look_back(person).await;
                }
            }
        }
    }

    /// The answer was lost, or so the client thinks.
    async fn repeats(self: Rc<Self>, draft: Draft) {
        self.pause(0, 4 * SPANS.ids).await;
        self.send(draft).await;
    }

    /// Reads the history over REST.
    async fn look_back(&self, person: Person) {
        let started = self.time.now();
        let read = |node: &Rc<Node>, answer: Answer<Reply>| {
            let (node, reader) = (node.clone(), person);
            let owner = node.owner;
            self.time.spawn(owner, async move {
                answer.give(node.history(ROOM, reader).await);
            });
        };
        let reply = self.ask(read).await;
        self.trace(|| format!("{person} looks back: {reply:?}"));
        let mut judge = self.judge.borrow_mut();
        match reply {
            Reply::History(epoch, events) => judge.history(person, epoch, &events, started),
            Reply::Forbidden => judge.forbidden(person, started),
            _ => {}
        }
    }

    async fn joins(self: Rc<Self>, person: Person) {
        self.pause(2_000, 30_000).await;
        let draft = self.draft(person, Kind::Join, person);
        let joined = self.send(draft).await;
        if matches!(joined, Reply::Done(..)) {
            self.spawn(self.clone().reads(person));
            self.writes(person).await;
        }
    }

    async fn removes(self: Rc<Self>) {
        self.pause(5_000, 35_000).await;
        let kick = self.draft(ADMIN, Kind::Kick, REMOVED);
        self.judge.borrow_mut().removing(REMOVED, kick.name);
        self.send(kick).await;
        for _ in 0..6 {
            let draft = self.draft(REMOVED, Kind::Message, 0);
            self.send(draft).await;
            self.look_back(REMOVED).await;
            self.pause(0, 2_000).await;
        }
    }

    /// Listens, and comes back from where it was.
    async fn reads(self: Rc<Self>, person: Person) {
        let reader = self.reader(person);
        while self.time.now() < END - 5_000 {
            let connection = self.number();
            let (position, bell) = {
                let mut reader = reader.borrow_mut();
                reader.connection = connection;
                (
                    (reader.epoch, reader.seen.len() as Seq),
                    reader.bell.clone(),
                )
            };
            let subscribe = |node: &Rc<Node>, answer: Answer<Reply>| {
                reader.borrow_mut().node = node.id;
                let node = node.clone();
                self.time.spawn(node.owner, async move {
                    let listener = (person, connection);
                    answer.give(node.subscribe(ROOM, listener, position).await);
                });
            };
            let started = self.time.now();
            match self.ask(subscribe).await {
                Reply::Live => self.stay(&bell, &reader).await,
                Reply::NewEpoch(epoch) => {
                    let mut reader = reader.borrow_mut();
                    reader.epoch = epoch;
                    reader.seen.clear();
                }
                Reply::Forbidden => {
                    self.judge.borrow_mut().forbidden(person, started);
                    reader.borrow_mut().refused = true;
                    return;
                }
                _ => self.pause(100, 1_000).await,
            }
            reader.borrow_mut().connection = 0;
        }
    }

    /// Stays connected until something happens.
    async fn stay(&self, bell: &Bell, reader: &RefCell<Reader>) {
        while self.time.now() < END && reader.borrow().connection != 0 {
            let wait = self.time.between(2_000, 12_000);
            let cut = self.time.within(wait, bell.heard(&self.time)).await;
            let node = reader.borrow().node;
            let silent = self.hosts.borrow()[node].stopped;
            let moves = self.time.now() < HEALED && self.time.once_in(4);
            if cut.is_some() || silent && self.time.once_in(2) || moves {
                return;
            }
        }
    }
}
