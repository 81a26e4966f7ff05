//! Somebody who writes without pause and repeats until every message is acknowledged.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::draft::Draft;
use super::wait::Deadline;
use super::{Claims, Doors, Published, TestNode, WsClient, seconds, sign};

/// Most messages that may wait for their ack: a good client does not go on for ever.
const MOST_WAITING: usize = 64;
/// A node that has said nothing for so long, though it was asked, is taken for dead.
const SILENCE: Duration = seconds(8);
/// How long one attempt to come back may take: it is several requests.
const ATTEMPT: Duration = seconds(20);

/// Everything that is to be acknowledged or read at the end has come by then.
const LAST_WORDS: Duration = seconds(60);

/// Who writes, where, and how fast.
pub struct Plan {
    /// Whom the token names.
    pub sub: String,
    /// The rooms that are written to, all of which this person is in.
    pub rooms: Vec<String>,
    /// Are they read, too?
    pub reads: bool,
    /// Between two messages.
    pub pace: Duration,
    /// The nodes, and which of them comes first.
    pub doors: Doors,
    pub first_door: usize,
    /// Which node comes next, which room is written to.
    pub random: StdRng,
}

/// Rooms with the epoch and place that a reader of them has to reach.
pub type Goals = HashMap<String, (String, u64)>;

/// A running publisher; [`Publisher::stop`] gives what it was promised.
pub struct Publisher {
    task: JoinHandle<(Vec<Published>, WsClient)>,
    watched: Arc<Watched>,
}

/// What a test sees of a publisher at work, and can tell it.
#[derive(Debug, Default)]
struct Watched {
    /// Nothing new is written.
    quiet: AtomicBool,
    /// Where every room has to have come to before the end; none until the end is near.
    goals: Mutex<Option<Goals>>,
    /// What is still to come to before the end.
    lacking: Mutex<String>,
    drop_out: AtomicBool,
    connected: AtomicBool,
    door: AtomicUsize,
    waiting: AtomicUsize,
    acknowledged: AtomicU64,
    /// How often which error said "not now".
    refusals: Mutex<BTreeMap<String, u64>>,
    moves: AtomicU64,
}

impl Publisher {
    /// Starts writing to the room, one message every `pace`, through whatever happens.
    pub async fn start(node: &TestNode, sub: &str, room: &str, pace: Duration) -> Self {
        let plan = Plan {
            sub: sub.to_owned(),
            rooms: vec![room.to_owned()],
            reads: false,
            pace,
            doors: Doors::of(node),
            first_door: 0,
            random: StdRng::seed_from_u64(0),
        };
        Self::follow(plan).await
    }

    /// Starts as planned; returns when it is connected.
    pub async fn follow(plan: Plan) -> Self {
        let token = sign(&Claims::of(&plan.sub));
        let (door, address) = plan.doors.get(plan.first_door);
        let mut client = WsClient::connect(&address, &token).await;
        for room in plan.rooms.iter().filter(|_| plan.reads) {
            client.subscribe(room).await;
        }
        let watched = Arc::new(Watched::default());
        watched.door.store(door, Ordering::Relaxed);
        watched.connected.store(true, Ordering::Relaxed);
        let work = Work {
            plan,
            token,
            client,
            door,
            waiting: VecDeque::new(),
            refused: 0,
            heard: Instant::now(),
            acknowledged: Vec::new(),
            watched: Arc::clone(&watched),
        };
        let task = tokio::spawn(work.run());
        Self { task, watched }
    }

    /// How many messages have been acknowledged so far.
    pub fn count(&self) -> u64 {
        self.watched.acknowledged.load(Ordering::Relaxed)
    }

    /// How often which error has said "not now".
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        let refusals = self.watched.refusals.lock();
        refusals.expect("nobody panics with it").clone()
    }

    /// How often it had to connect again.
    pub fn moves(&self) -> u64 {
        self.watched.moves.load(Ordering::Relaxed)
    }

    /// The node that it is at, if it is at any.
    pub fn door(&self) -> Option<usize> {
        let connected = self.watched.connected.load(Ordering::Relaxed);
        connected.then(|| self.watched.door.load(Ordering::Relaxed))
    }

    /// Has it drop its connection, and come back at once.
    pub fn drop_out(&self) {
        self.watched.drop_out.store(true, Ordering::Relaxed);
    }

    /// Has it write nothing new; it goes on to read, and to repeat what is not acknowledged.
    pub fn be_quiet(&self) {
        self.watched.quiet.store(true, Ordering::Relaxed);
    }

    /// Has it write again.
    pub fn speak_up(&self) {
        self.watched.quiet.store(false, Ordering::Relaxed);
    }

    /// How many of its messages are not acknowledged yet.
    pub fn waiting(&self) -> usize {
        self.watched.waiting.load(Ordering::Relaxed)
    }

    /// Stops once everything is acknowledged, and gives it in the order of sending.
    pub async fn stop(self) -> Vec<Published> {
        self.leave_at(Goals::new()).await.0
    }

    /// Stops once everything is acknowledged and it has read up to these places. Its connection
    /// still stands.
    pub async fn leave_at(self, goals: Goals) -> (Vec<Published>, WsClient) {
        self.be_quiet();
        *self.watched.goals.lock().expect("nobody panics with it") = Some(goals);
        let left = timeout(3 * LAST_WORDS, self.task)
            .await
            .unwrap_or_else(|_| {
                let lacking = self.watched.lacking.lock();
                panic!("never came to the end: {}", lacking.expect("a text"))
            });
        left.expect("a publisher does not fail")
    }
}

struct Work {
    plan: Plan,
    token: String,
    client: WsClient,
    door: usize,
    /// Sent and not yet acknowledged, oldest first.
    waiting: VecDeque<Draft>,
    /// How many of them were refused for now.
    refused: usize,
    /// When something was last heard, or nothing was waited for.
    heard: Instant,
    acknowledged: Vec<Published>,
    watched: Arc<Watched>,
}

impl Work {
    async fn run(mut self) -> (Vec<Published>, WsClient) {
        let mut tick = interval(self.plan.pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = 0;
        while !self.is_done() {
            let step = tokio::select! {
                _ = tick.tick() => {
                    // A node that hangs takes nothing, and so does its socket in the end.
                    timeout(SILENCE, self.speak(&mut sent)).await.ok()
                }
                read = self.client.read() => {
                    self.heard = Instant::now();
                    read
                }
            };
            if self.waiting.is_empty() {
                self.heard = Instant::now();
            }
            let dropped = self.watched.drop_out.swap(false, Ordering::Relaxed);
            let lost = step.is_none() || dropped || self.heard.elapsed() > SILENCE;
            if lost || !self.read_on().await {
                self.come_back().await;
            }
            self.collect();
        }
        (self.acknowledged, self.client)
    }

    fn is_done(&self) -> bool {
        let goals = self.watched.goals.lock().expect("nobody panics with it");
        let Some(goals) = goals.as_ref() else {
            return false;
        };
        let lacks = |(room, (epoch, seq)): (&String, &(String, u64))| {
            let view = self.client.rooms.get(room)?;
            let is_there = view.subscribed && (&view.epoch, view.last) == (epoch, *seq);
            (!is_there).then(|| {
                let (last, subscribed) = (view.last, view.subscribed);
                let here = format!("{last} of {}, subscribed: {subscribed}", view.epoch);
                format!(
                    "at n{} in {room} at {here}; goal {seq} of {epoch}",
                    self.door
                )
            })
        };
        let lacking = goals.iter().find_map(lacks);
        let done = self.waiting.is_empty() && lacking.is_none();
        *self.watched.lacking.lock().expect("nobody panics with it") = lacking.unwrap_or_default();
        done
    }

    /// One message more; or, once everything that waits was refused, all of it again.
    async fn speak(&mut self, sent: &mut u64) {
        if self.refused > 0 {
            if self.refused >= self.waiting.len() {
                self.repeat().await;
            }
        } else if !self.watched.quiet.load(Ordering::Relaxed) && self.waiting.len() < MOST_WAITING {
            *sent += 1;
            let room = self.plan.random.random_range(0..self.plan.rooms.len());
            let text = format!("{} {sent}", self.plan.sub);
            let draft = Draft::new(&self.plan.rooms[room], &text);
            self.client.ask(draft.frame()).await;
            self.waiting.push_back(draft);
            self.watched.waiting.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends again what has no answer, in the order of the first time.
    async fn repeat(&mut self) {
        self.refused = 0;
        for draft in &self.waiting {
            self.client.ask(draft.frame()).await;
        }
    }

    /// Goes on at another node, or at the same if there is no other.
    async fn come_back(&mut self) {
        self.watched.connected.store(false, Ordering::Relaxed);
        self.watched.moves.fetch_add(1, Ordering::Relaxed);
        let mut deadline = Deadline::new("the client is back", seconds(60));
        loop {
            let (door, address) = self.plan.doors.other(self.door, &mut self.plan.random);
            self.door = door;
            let attempt = async {
                self.client.try_come_back(&address, &self.token).await?;
                self.repeat().await;
                Some(())
            };
            if let Ok(Some(())) = timeout(ATTEMPT, attempt).await {
                break;
            }
            deadline.wait().await;
        }
        deadline.rewarded();
        self.heard = Instant::now();
        self.watched.door.store(self.door, Ordering::Relaxed);
        self.watched.connected.store(true, Ordering::Relaxed);
    }

    fn collect(&mut self) {
        for frame in self.client.taken() {
            match frame["type"].as_str() {
                Some("ack") => {
                    let is_it = |draft: &Draft| draft.client_id == frame["client_id"];
                    // A repeat whose first ack was only late is acknowledged twice, in any order.
                    let Some(place) = self.waiting.iter().position(is_it) else {
                        let is_known = self.acknowledged.iter().any(|known| {
                            known.client_id == frame["client_id"] && known.seq == frame["seq"]
                        });
                        assert!(is_known, "nobody sent this: {frame}");
                        continue;
                    };
                    let draft = self.waiting.remove(place).expect("just found");
                    self.acknowledged
                        .push(draft.acked(&self.client.user, &frame));
                }
                Some("error") if frame["retry"] == true => {
                    self.refused += 1;
                    let name = frame["name"].as_str().expect("an error has a name");
                    let refusals = self.watched.refusals.lock();
                    let mut refusals = refusals.expect("nobody panics with it");
                    *refusals.entry(name.to_owned()).or_default() += 1;
                }
                // A good client goes when it is asked to, before it has to.
                Some("move") => self.watched.drop_out.store(true, Ordering::Relaxed),
                Some("error") => panic!("a publisher was refused: {frame}"),
                _ => {}
            }
        }
        self.refused = self.refused.min(self.waiting.len());
        let count = self.acknowledged.len() as u64;
        self.watched.acknowledged.store(count, Ordering::Relaxed);
        let waiting = self.waiting.len();
        self.watched.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Subscribes again to what a `gap` has ended, unless that is refused for now. False when
    /// the connection is lost.
    async fn read_on(&mut self) -> bool {
        let ended = self.client.rooms.iter();
        let ended = ended.filter(|(_, view)| view.wanted && !view.subscribed);
        let ended: Vec<_> = ended.map(|(room, _)| room.clone()).collect();
        for room in ended {
            let again = self.client.try_subscribe_on(&room);
            if !matches!(timeout(SILENCE, again).await, Ok(Some(_))) {
                return false;
            }
        }
        true
    }
}

/// Fails unless the messages of one sender stand in the order in which they were sent.
pub fn assert_in_order(sent: &[Published]) {
    let number = |message: &Published| -> u64 {
        let (_, number) = message
            .text
            .rsplit_once(' ')
            .expect("texts end in a number");
        number.parse().expect("a number")
    };
    let mut by_place: Vec<_> = sent.iter().collect();
    by_place.sort_by_key(|message| message.seq);
    for pair in by_place.windows(2) {
        assert!(number(pair[0]) < number(pair[1]), "out of order: {pair:?}");
    }
}
