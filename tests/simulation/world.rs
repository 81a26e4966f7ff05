//! Everybody and what lies between them: the network, with its delays and losses.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::bugs::Bug;
use super::faults::{Fault, Point, Weather};
use super::judge::Judge;
use super::log::{Draft, Event, Fold, Kind, Life, Person, Room, Seq};
use super::node::Node;
use super::people::Reader;
use super::postgres::{Postgres, Row};
use super::redis::{NodeId, Redis, Ring, version};
use super::scripts::{No, Spans};
use super::time::{Ms, NOBODY, Time};

/// How long things last here: the proportions are those of the real ones.
pub(crate) const SPANS: Spans = Spans {
    hot_events: 4,
    hot_bytes: 150,
    ids: 8_000,
    ahead: 4_000,
    idle: 20_000,
    reading: 2_000,
    checked: 4_000,
};
/// Nodes in a cluster.
pub(crate) const NODES: usize = 3;
/// When everything is well again.
pub(crate) const HEALED: Ms = 45_000;
/// When it is over.
pub(crate) const END: Ms = 100_000;

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody knows what became of it.
    Lost,
    /// Redis does not know the script.
    NoScript,
    /// The script says no.
    No(No),
}

/// A place where a node runs.
#[derive(Default)]
pub(crate) struct Host {
    /// The process, if there is one.
    pub(crate) node: Option<Rc<Node>>,
    /// Does it stand still?
    pub(crate) stopped: bool,
    /// Is its way to Redis cut?
    pub(crate) cut: bool,
}

/// Everything there is.
pub(crate) struct World {
    /// The scheduler.
    pub(crate) time: Rc<Time>,
    /// Redis.
    pub(crate) redis: RefCell<Redis>,
    /// Postgres.
    pub(crate) postgres: RefCell<Postgres>,
    /// The nodes.
    pub(crate) hosts: RefCell<Vec<Host>>,
    /// Who reads, by person.
    pub(crate) readers: RefCell<Vec<Rc<RefCell<Reader>>>>,
    /// Who watches.
    pub(crate) judge: RefCell<Judge>,
    /// The rule that is left out.
    pub(crate) bug: Bug,
    /// What goes wrong.
    pub(crate) fault: Fault,
    /// The place between two steps where it strikes, and how often it is passed before.
    pub(crate) aim: Cell<Option<(Point, i64)>>,
    /// How the network is.
    pub(crate) weather: Weather,
    /// Numbers that nobody gives out twice.
    pub(crate) counter: Cell<u64>,
    /// Most members of a room.
    pub(crate) capacity: usize,
    trace: Option<RefCell<Vec<String>>>,
}

impl World {
    /// A cluster that has just been set up, with one room.
    pub(crate) fn new(seed: u64, fault: Fault, bug: Bug, traced: bool) -> Rc<Self> {
        let time = Time::new(seed);
        let weather = Weather::of(fault, &time);
        let world = Self {
            redis: RefCell::new(Redis {
                up: true,
                ..Redis::default()
            }),
            postgres: RefCell::new(Postgres {
                up: true,
                ahead: SPANS.ahead,
                bug,
                ..Postgres::default()
            }),
            hosts: RefCell::new((0..=NODES).map(|_| Host::default()).collect()),
            readers: RefCell::default(),
            judge: RefCell::default(),
            bug,
            fault,
            aim: Cell::new(None),
            weather,
            counter: Cell::new(1_000),
            capacity: if time.once_in(2) { 5 } else { 50 },
            trace: traced.then(RefCell::default),
            time,
        };
        let world = Rc::new(world);
        world.make_room(0);
        world.postgres.borrow_mut().life = 1;
        world.redis.borrow_mut().scripts.insert((1, 0));
        world.redis.borrow_mut().markers.insert(1);
        world.redis.borrow_mut().stored.keys.life.insert(0, 1);
        for id in 1..=NODES {
            world.start_node(id);
        }
        world
    }

    /// A number that was not given out before.
    pub(crate) fn number(&self) -> u64 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    fn make_room(&self, room: Room) {
        let mut row = Row {
            epoch: 1,
            fold: Fold::default(),
            ..Row::default()
        };
        for person in 1..=3 {
            let draft = Draft {
                name: (person, u64::from(person)),
                made_at: -100_000,
                kind: Kind::Join,
                target: person,
                poison: false,
                bytes: 0,
            };
            let seq = Seq::from(person);
            row.insert(
                Event {
                    seq,
                    n: 0,
                    at: -100_000,
                    draft,
                },
                SPANS.ahead,
            );
        }
        self.postgres.borrow_mut().rooms.insert(room, row);
    }

    /// Starts a node's process.
    pub(crate) fn start_node(self: &Rc<Self>, id: NodeId) {
        let node = Node::start(self, id, self.time.process());
        self.hosts.borrow_mut()[id] = Host {
            node: Some(node),
            ..Host::default()
        };
    }

    /// `kill -9`, between two of its steps.
    pub(crate) fn kill_node(&self, id: NodeId) {
        let gone = std::mem::take(&mut self.hosts.borrow_mut()[id]);
        self.redis.borrow_mut().listening.remove(&id);
        if let Some(node) = gone.node {
            self.trace(|| format!("node {id} is killed"));
            self.time.kill(node.owner);
        }
        for reader in &*self.readers.borrow() {
            reader.borrow_mut().node_is_gone(&self.time, id);
        }
    }

    /// `SIGSTOP`, or `SIGCONT`.
    pub(crate) fn stop_node(&self, id: NodeId, stopped: bool) {
        let host = &mut self.hosts.borrow_mut()[id];
        host.stopped = stopped;
        self.trace(|| format!("node {id} is stopped: {stopped}"));
        if let Some(owner) = host.node.as_ref().map(|node| node.owner) {
            match stopped {
                true => self.time.stop(owner),
                false => self.time.go_on(owner),
            }
        }
    }

    /// The process at this place.
    pub(crate) fn node(&self, id: NodeId) -> Option<Rc<Node>> {
        self.hosts.borrow()[id].node.clone()
    }

    /// A task of nobody's.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.time.spawn(NOBODY, future);
    }

    /// Is this one lost? Only until everything is well again.
    pub(crate) fn is_lost(&self, once_in: i64) -> bool {
        self.time.now() < HEALED && self.time.once_in(once_in)
    }

    /// The way of one packet.
    pub(crate) async fn travel(&self) {
        let slow = self.weather.slow && self.time.now() < HEALED;
        let ms = match self.time.below(100) {
            0..=2 if slow => self.time.between(500, 4_000),
            3..=6 if slow => self.time.between(20, 300),
            _ => self.time.below(4),
        };
        self.time.sleep(ms).await;
    }

    /// A command to Redis, there and back.
    pub(crate) async fn redis<T>(
        &self,
        node: NodeId,
        command: impl FnOnce(&mut Redis, Ms) -> T,
    ) -> Result<T, Trouble> {
        self.travel().await;
        let reachable = self.redis.borrow().up && !self.hosts.borrow()[node].cut;
        if !reachable {
            self.time.sleep(self.time.between(50, 300)).await;
            return Err(Trouble::Lost);
        }
        let (run, answer) = {
            let mut redis = self.redis.borrow_mut();
            let now = self.time.now() + redis.clock;
            (redis.run, command(&mut redis, now))
        };
        self.hand_on();
        self.travel().await;
        let broken = self.redis.borrow().run != run || self.hosts.borrow()[node].cut;
        if broken && self.time.once_in(2) || self.is_lost(self.weather.lost_answers) {
            self.time.sleep(self.time.between(50, 300)).await;
            return Err(Trouble::Lost);
        }
        Ok(answer)
    }

    /// A script of a life.
    pub(crate) async fn script<T>(
        &self,
        node: NodeId,
        life: Life,
        script: impl FnOnce(&mut Redis, Ms) -> Result<T, No>,
    ) -> Result<T, Trouble> {
        let called = (life, version(node));
        self.redis(node, |redis, now| match redis.scripts.contains(&called) {
            true => script(redis, now).map_err(Trouble::No),
            false => Err(Trouble::NoScript),
        })
        .await?
    }

    /// Hands what was published to those who listen.
    fn hand_on(&self) {
        let (rings, listening) = {
            let mut redis = self.redis.borrow_mut();
            let listening = redis.listening.clone();
            (std::mem::take(&mut redis.published), listening)
        };
        for ring in rings {
            for id in &listening {
                let lost = self.is_lost(self.weather.lost_rings);
                if let Some(node) = self.node(*id).filter(|_| !lost) {
                    node.hear(ring.clone());
                }
            }
        }
    }

    /// A transaction, there and back; `None`: nobody knows.
    pub(crate) async fn postgres<T>(
        &self,
        transaction: impl FnOnce(&mut Postgres) -> T,
    ) -> Option<T> {
        self.travel().await;
        if !self.postgres.borrow().up {
            self.time.sleep(self.time.between(20, 200)).await;
            return None;
        }
        let (run, answer) = {
            let mut postgres = self.postgres.borrow_mut();
            (postgres.run, transaction(&mut postgres))
        };
        self.travel().await;
        if self.postgres.borrow().run != run || self.is_lost(self.weather.lost_commits) {
            return None;
        }
        Some(answer)
    }

    /// Notes a step, if anybody wants to know.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = format!("{:>7} {}", self.time.now(), line());
            trace.borrow_mut().push(line);
        }
    }

    /// Everybody holds the world and is held by it: lets go, or a long run fills the memory.
    pub(crate) fn end(&self) {
        self.time.end();
        self.hosts.borrow_mut().clear();
        self.readers.borrow_mut().clear();
    }

    /// The steps so far.
    pub(crate) fn traced(&self) -> Vec<String> {
        self.trace.as_ref().map(RefCell::take).unwrap_or_default()
    }
}

/// What came for a node and was not read yet.
pub(crate) type Inbox = RefCell<VecDeque<Ring>>;
/// Where a reader's connection ends.
pub(crate) type Listener = (Person, u64);
