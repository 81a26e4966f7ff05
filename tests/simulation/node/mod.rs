//! A node: what it knows, what it listens to, what it does by the clock.

mod appends;
mod beat;
mod reading;
mod rebuild;
mod salvage;
mod writer;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::bugs::Bug;
use super::faults::{Fault, Point};
use super::log::{Draft, Epoch, Event, Fold, Life, Room, Seq};
use super::redis::{NodeId, Redis, Ring, version};
use super::scripts::{Fate, No, Seed};
use super::time::{Answer, Bell, Ms, Owner};
use super::world::{Inbox, Listener, SPANS, Trouble, World};

/// How long a lease lasts.
pub(crate) const LEASE: Ms = 6_000;

/// What somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It stands here.
    Done(Epoch, Seq),
    /// Not a member.
    Forbidden,
    /// No place is left.
    Full,
    /// Nobody knows; try again.
    Unavailable,
    /// Subscribed.
    Live,
    /// The numbers have a new life: begin again.
    NewEpoch(Epoch),
    /// A part of history.
    History(Epoch, Vec<Event>),
}

/// A draft that waits for its place.
pub(crate) struct Waiting {
    draft: Draft,
    /// In which life, and when, Redis said that the database should be asked.
    checked: (Life, Ms),
    reply: Option<Answer<Reply>>,
    tries: u32,
}

/// What a node knows of a room.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The life of the numbers below.
    pub(crate) epoch: Epoch,
    /// What has been applied, and delivered to those who listen.
    pub(crate) fold: Fold,
    /// Who listens.
    pub(crate) listeners: Vec<Listener>,
}

/// An event that may not be in the database yet.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The life in which it has its place.
    pub(crate) life: Life,
    /// What.
    pub(crate) event: Event,
}

/// What a node knows.
#[derive(Default)]
pub(crate) struct State {
    /// The life of Redis that it believes in.
    pub(crate) life: Life,
    /// Not while a new life is being begun.
    pub(crate) serving: bool,
    /// The rooms that it has loaded.
    pub(crate) rooms: BTreeMap<Room, View>,
    /// Drafts that wait.
    pub(crate) queues: BTreeMap<Room, VecDeque<Waiting>>,
    /// Rooms with an append in flight.
    pub(crate) appending: BTreeSet<Room>,
    /// What it has appended, heard or read above `flushed`.
    pub(crate) held: BTreeMap<(Room, Seq), Held>,
    /// What found its place taken.
    pub(crate) again: Vec<(Room, Event)>,
    /// Rooms that this node is writing.
    pub(crate) writing: BTreeSet<Room>,
    /// What each room was once seeded with; only a mistake looks at it.
    pub(crate) seeds: BTreeMap<Room, Seed>,
    /// When a write last failed.
    pub(crate) failed_at: Ms,
    /// Which nodes had a lease, and when that was seen.
    pub(crate) peers: BTreeMap<NodeId, Ms>,
}

/// A node's process.
pub(crate) struct Node {
    /// Which place.
    pub(crate) id: NodeId,
    /// Its tasks.
    pub(crate) owner: Owner,
    /// Where it is.
    pub(crate) world: Rc<World>,
    /// What it knows.
    pub(crate) state: RefCell<State>,
    inbox: Inbox,
    bell: Bell,
    ready: Bell,
}

impl Node {
    /// Starts it.
    pub(crate) fn start(world: &Rc<World>, id: NodeId, owner: Owner) -> Rc<Self> {
        let node = Rc::new(Self {
            id,
            owner,
            world: world.clone(),
            state: RefCell::default(),
            inbox: RefCell::default(),
            bell: Bell::default(),
            ready: Bell::default(),
        });
        node.spawn(node.clone().enter(0));
        node.spawn(node.clone().listen());
        node.spawn(node.clone().beat());
        node.spawn(node.clone().sweep());
        node
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.time.spawn(self.owner, task);
    }

    async fn pause(&self, from: Ms, to: Ms) {
        let time = &self.world.time;
        time.sleep(time.between(from, to)).await;
    }

    /// A place between two steps.
    async fn at(&self, point: Point) {
        if self.world.strikes(self.id, point) {
            match self.world.fault {
                Fault::SlowAt => self.pause(100, 3_000).await,
                Fault::LoseAt => self.pause(100, 12_000).await,
                _ => self.pause(1, 1).await,
            }
        }
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        self.world
            .trace(|| format!("node {} ({}): {}", self.id, self.owner, line()));
    }

    /// The life that it may work in now.
    fn life(&self) -> Option<Life> {
        let state = self.state.borrow();
        state.serving.then_some(state.life)
    }

    /// Waits until it may work.
    async fn life_to_serve(&self) -> Life {
        loop {
            if let Some(life) = self.life() {
                return life;
            }
            self.ready.heard(&self.world.time).await;
        }
    }

    /// A script of the present life. Raises the fence when that life is over.
    async fn call<T>(
        self: &Rc<Self>,
        life: Life,
        script: impl FnOnce(&mut Redis, Ms) -> Result<T, No>,
    ) -> Result<T, Trouble> {
        let answer = self.world.script(self.id, life, script).await;
        self.judged(life, answer).await
    }

    /// What an answer of this life is worth.
    async fn judged<T>(
        self: &Rc<Self>,
        life: Life,
        answer: Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        match answer {
            Err(Trouble::NoScript) if self.world.bug == Bug::LoadAgain => {
                let own = (life, version(self.id));
                let load = |redis: &mut Redis, _| redis.scripts.insert(own);
                self.world.redis(self.id, load).await?;
                return Err(Trouble::Lost);
            }
            Err(Trouble::NoScript | Trouble::No(No::OtherLife | No::Behind)) => self.fence(life),
            _ => {}
        }
        // What belongs to a life that is over has an unknown outcome.
        let over = self.life() != Some(life) && self.world.bug != Bug::LateAnswers;
        if over { Err(Trouble::Lost) } else { answer }
    }

    /// Something came out of a channel.
    pub(crate) fn hear(&self, ring: Ring) {
        self.inbox.borrow_mut().push_back(ring);
        self.bell.ring(&self.world.time);
    }

    async fn listen(self: Rc<Self>) {
        loop {
            let ring = self.inbox.borrow_mut().pop_front();
            match ring {
                None => self.bell.heard(&self.world.time).await,
                Some(ring) => {
                    self.world.travel().await;
                    self.heard(ring);
                }
            }
        }
    }

    fn heard(self: &Rc<Self>, ring: Ring) {
        let believes = |life: Life| {
            self.life() == Some(life)
                || self.world.bug == Bug::RingsWithoutLife && self.life().is_some()
        };
        match ring {
            Ring::Events(life, room, epoch, events) if believes(life) => {
                let loaded = self.state.borrow().rooms.contains_key(&room);
                if loaded {
                    self.hold(room, &events);
                    self.apply(room, epoch, &events);
                }
            }
            Ring::Flushed(life, room, seq) if believes(life) => self.flushed(room, seq),
            Ring::Epoch(life, room, epoch) if believes(life) => self.told_epoch(room, epoch),
            Ring::NewLife(life) => {
                if let Some(own) = self.life().filter(|own| *own != life) {
                    let node = self.clone();
                    self.spawn(async move {
                        let _ = node.probe(own).await;
                    });
                }
            }
            _ => {}
        }
    }

    /// Keeps events until they are in the database.
    fn hold(&self, room: Room, events: &[Event]) {
        let life = self.state.borrow().life;
        self.hold_in(life, room, events);
    }

    fn hold_in(&self, life: Life, room: Room, events: &[Event]) {
        let mut state = self.state.borrow_mut();
        for event in events {
            let held = Held {
                life,
                event: *event,
            };
            state.held.insert((room, event.seq), held);
        }
    }

    /// Everything up to here is in the database.
    fn flushed(&self, room: Room, seq: Seq) {
        let mut state = self.state.borrow_mut();
        state.held.retain(|(of, at), _| *of != room || *at > seq);
    }

    /// Applies what comes next, and hands it on.
    fn apply(self: &Rc<Self>, room: Room, epoch: Epoch, events: &[Event]) {
        self.told_epoch(room, epoch);
        let mut hole = false;
        if let Some(view) = self.state.borrow_mut().rooms.get_mut(&room) {
            for event in events.iter() {
                let next = view.fold.head + 1;
                let behind_hole = event.seq > next && self.world.bug != Bug::DeliverPastHole;
                if behind_hole {
                    hole = true;
                    break;
                }
                if event.seq >= next {
                    view.fold.apply(event, SPANS.ahead);
                    self.deliver(room, view, event);
                }
            }
        }
        if hole {
            let node = self.clone();
            self.spawn(async move {
                let _ = node.catch_up(room).await;
            });
        }
    }

    fn deliver(&self, room: Room, view: &mut View, event: &Event) {
        let removed = event.draft.target;
        let kick = event.draft.kind == super::log::Kind::Kick;
        view.listeners.retain(|listener| {
            self.hand(room, view.epoch, listener, event);
            !(kick && listener.0 == removed)
        });
    }

    fn hand(&self, room: Room, epoch: Epoch, listener: &Listener, event: &Event) {
        let reader = self.world.reader(listener.0);
        let took = reader.borrow_mut().take(listener.1, epoch, event);
        if took {
            let person = listener.0;
            self.trace(|| {
                format!(
                    "gives {person} {epoch}/{} {:?}",
                    event.seq, event.draft.name
                )
            });
            let mut judge = self.world.judge.borrow_mut();
            judge.delivered(room, epoch, event, person);
        }
    }

    /// A room whose numbers have a new life is loaded again; who listens is told.
    fn told_epoch(&self, room: Room, epoch: Epoch) {
        let differs = |view: &View| view.epoch != epoch;
        if self.state.borrow().rooms.get(&room).is_some_and(differs) {
            self.forget(room);
        }
    }

    fn forget(&self, room: Room) {
        let view = self.state.borrow_mut().rooms.remove(&room);
        for (person, connection) in view.into_iter().flat_map(|view| view.listeners) {
            let reader = self.world.reader(person);
            reader.borrow_mut().cut(&self.world.time, connection);
        }
    }
}

/// Where a draft came to stand, if it did.
fn stands(fate: Fate) -> Option<Seq> {
    match fate {
        Fate::New(seq, _) | Fate::Duplicate(seq, _) => Some(seq),
        Fate::Conflict(_) => None,
    }
}
