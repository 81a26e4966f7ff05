//! The common case: many small rooms in which everyone writes, as fast as it goes or at a pace.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::client::Incoming;
use crate::crowd::Crowd;
use crate::node::Node;
use crate::stats::Latencies;
use crate::{Outcome, frames, proc, wire};

/// Rooms of the workload.
const ROOMS: usize = 200;

/// Rooms of a quick run.
const FEW_ROOMS: usize = 50;

/// Members of each room.
const MEMBERS: usize = 10;

/// Messages that each person has under way at saturation.
const EACH_IN_FLIGHT: usize = 4;

/// What is left of a stretch's answers is waited for at most this long.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// Nodes with the rooms full of people.
pub struct Chat<'a> {
    nodes: Vec<&'a Node>,
    crowd: Crowd,
    /// When each message that has no answer yet was due.
    waiting: HashMap<u64, Instant>,
    next: u64,
}

/// What happened in a stretch of time.
#[derive(Default)]
pub struct Stretch {
    /// How many rooms, with how many people each.
    pub people: String,
    /// How long it took.
    pub time: Duration,
    /// Messages that were sent.
    pub sent: u64,
    /// Messages that were due, but the node's socket was full.
    pub held_back: u64,
    /// Messages that were acknowledged.
    pub acked: u64,
    /// Messages that were refused, by the error's name.
    pub refused: HashMap<String, u64>,
    /// Deliveries to members.
    pub delivered: u64,
    /// From the moment a message was due to its ack.
    pub latencies: Latencies,
    /// Processor time of the nodes.
    pub cpu: Duration,
    /// Processor time of the generator, which has the same cores.
    pub own_cpu: Duration,
}

impl Stretch {
    /// Messages acknowledged in a second.
    pub fn rate(&self) -> f64 {
        self.acked as f64 / self.time.as_secs_f64()
    }

    /// Processor seconds of the nodes for one delivery.
    pub fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() / self.delivered.max(1) as f64
    }

    /// Cores that the nodes kept busy.
    pub fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.time.as_secs_f64()
    }

    /// All refusals, in words.
    pub fn refusals(&self) -> String {
        let mut parts: Vec<_> = self
            .refused
            .iter()
            .map(|(n, c)| format!("{c} {n}"))
            .collect();
        parts.sort_unstable();
        if parts.is_empty() {
            "none refused".into()
        } else {
            format!("refused {}", parts.join(", "))
        }
    }
}

impl<'a> Chat<'a> {
    /// Fills the rooms of one node.
    pub fn start(node: &'a Node, quick: bool) -> Outcome<Self> {
        Self::over(vec![node], quick)
    }

    /// Fills rooms whose members are spread over several nodes.
    pub fn over(nodes: Vec<&'a Node>, quick: bool) -> Outcome<Self> {
        let rooms = if quick { FEW_ROOMS } else { ROOMS };
        let crowd = Crowd::gather_over(&nodes, 0, rooms, MEMBERS)?;
        Ok(Self {
            nodes,
            crowd,
            waiting: HashMap::new(),
            next: 0,
        })
    }

    /// Everyone writes the next message as soon as an earlier one was answered: saturation.
    pub fn saturate(&mut self, time: Duration) -> Outcome<Stretch> {
        let people = self.crowd.load.count();
        self.stretch(time, |chat, stretch, freed| {
            if stretch.sent == 0 {
                let mut links = (0..people * EACH_IN_FLIGHT).map(|number| number % people);
                return links.try_for_each(|link| chat.publish(link, Instant::now(), stretch));
            }
            let mut freed = std::mem::take(freed).into_iter();
            freed.try_for_each(|link| chat.publish(link, Instant::now(), stretch))
        })
    }

    /// So many messages a second, whatever becomes of them; people write in turn.
    pub fn pace(&mut self, per_second: f64, time: Duration) -> Outcome<Stretch> {
        let started = Instant::now();
        self.stretch(time, |chat, stretch, freed| {
            freed.clear();
            loop {
                let number = stretch.sent + stretch.held_back;
                let due = started + Duration::from_secs_f64(number as f64 / per_second);
                if due > Instant::now() {
                    return Ok(());
                }
                // Neighbours in time are in different rooms.
                let (people, rooms) = (chat.crowd.load.count(), chat.crowd.rooms.len());
                let place = number as usize % people;
                let link = (place % rooms) * MEMBERS + place / rooms;
                if chat.crowd.load.is_clear(link) {
                    chat.publish(link, due, stretch)?;
                } else {
                    stretch.held_back += 1;
                }
            }
        })
    }

    fn cpu(&self) -> Outcome<Duration> {
        self.nodes.iter().map(|node| node.cpu()).sum()
    }

    fn publish(&mut self, link: usize, due: Instant, stretch: &mut Stretch) -> Outcome<()> {
        self.next += 1;
        self.waiting.insert(self.next, due);
        stretch.sent += 1;
        let message = frames::publish(self.next, self.crowd.room_of(link));
        self.crowd.load.send(link, &message)
    }

    /// Lets `write` send for some time, then takes the answers that are still due. Only what came
    /// within the time counts.
    fn stretch(
        &mut self,
        time: Duration,
        mut write: impl FnMut(&mut Self, &mut Stretch, &mut Vec<usize>) -> Outcome<()>,
    ) -> Outcome<Stretch> {
        let people = format!("{} rooms × {MEMBERS}", self.crowd.rooms.len());
        let mut stretch = Stretch {
            people,
            ..Stretch::default()
        };
        let mut freed = Vec::new();
        let own_pid = std::process::id();
        let (started, before, own) = (Instant::now(), self.cpu()?, proc::cpu(own_pid)?);
        while started.elapsed() < time {
            write(self, &mut stretch, &mut freed)?;
            self.turn(&mut stretch, &mut freed)?;
        }
        stretch.time = started.elapsed();
        stretch.cpu = self.cpu()? - before;
        stretch.own_cpu = proc::cpu(own_pid)? - own;
        self.finish()?;
        Ok(stretch)
    }

    fn finish(&mut self) -> Outcome<()> {
        let mut late = Stretch::default();
        let deadline = Instant::now() + LAST_ANSWERS;
        while !self.waiting.is_empty() {
            if Instant::now() > deadline {
                return Err(format!("{} messages were never answered", self.waiting.len()).into());
            }
            self.turn(&mut late, &mut Vec::new())?;
        }
        self.crowd.load.settle(Duration::from_millis(500))
    }

    /// One turn of the loop: counts what came, and notes whose message was answered.
    fn turn(&mut self, stretch: &mut Stretch, freed: &mut Vec<usize>) -> Outcome<()> {
        let waiting = &mut self.waiting;
        let wait = Duration::from_millis(1);
        self.crowd.load.turn_within(wait, |link, incoming, _| {
            let text = match incoming {
                Incoming::Open => return Ok(()),
                Incoming::Event(_) => {
                    stretch.delivered += 1;
                    return Ok(());
                }
                Incoming::Other(text) => text,
            };
            let Some(due) = wire::number(text, "ref").and_then(|r| waiting.remove(&r)) else {
                return Ok(());
            };
            freed.push(link);
            if wire::is(text, "ack") {
                stretch.acked += 1;
                stretch.latencies.record(due.elapsed());
            } else {
                let name = wire::string(text, "name").unwrap_or("unnamed").to_owned();
                *stretch.refused.entry(name).or_default() += 1;
            }
            Ok(())
        })
    }
}
