//! P1 and P2: what one delivery costs the server, next to the floor.

use crate::client::{Deadline, Incoming, Load, accept};
use crate::crowd::Crowd;
use crate::floor::Floor;
use crate::node::{Database, Node};
use crate::table::Row;
use crate::{Outcome, frames, note, proc, stats};

/// Messages under way at once in the second figure.
pub const MANY: u64 = 32;

/// How much is measured.
pub struct Size {
    /// People in the room.
    pub listeners: usize,
    /// What is compared takes turns this often, so that noise hits both.
    pub turns: usize,
    /// Messages per turn with one under way.
    pub single: u64,
    /// Messages per turn with [`MANY`] under way.
    pub many: u64,
}

impl Size {
    /// All of it, or enough to see something.
    pub fn of(quick: bool) -> Self {
        let (listeners, turns) = if quick { (1000, 3) } else { (4000, 5) };
        Self {
            listeners,
            turns,
            single: 100,
            many: 480,
        }
    }
}

/// Measures both figures in one room.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let size = Size::of(quick);
    let node = Node::start(&Database::sqlite()?)?;
    note(&format!("gathering {} listeners", size.listeners));
    let mut crowd = Crowd::gather(&node, 0, 1, size.listeners)?;
    let room = crowd.rooms[0].clone();
    let bytes = event_bytes(&mut crowd.load, &room)?;

    let floor = Floor::start(bytes)?;
    let mut floor_load = Load::new(floor.address)?;
    floor_load.connect_raw(size.listeners)?;
    let order = |load: &mut Load, _| load.send_bytes(0, b"!");
    deliver(&mut floor_load, 1, 2, order)?;

    let publish = |load: &mut Load, number: u64| {
        load.send((number % MANY) as usize, &frames::publish(number, &room))
    };
    let mut costs = Costs::default();
    for turn in 1..=size.turns {
        costs
            .floor
            .push(cost(floor.pid(), &mut floor_load, 1, size.single, order)?);
        costs
            .single
            .push(cost(node.pid(), &mut crowd.load, 1, size.single, publish)?);
        costs
            .many
            .push(cost(node.pid(), &mut crowd.load, MANY, size.many, publish)?);
        note(&format!("turn {turn} of {}: {}", size.turns, costs.last()));
    }
    Ok(costs.rows(size.listeners, bytes))
}

/// Processor seconds per delivery, one value per turn.
#[derive(Default)]
struct Costs {
    floor: Vec<f64>,
    single: Vec<f64>,
    many: Vec<f64>,
}

impl Costs {
    fn last(&self) -> String {
        let last = |costs: &[f64]| stats::micros(costs.last().copied().unwrap_or_default());
        format!(
            "floor {}, one under way {}, {MANY} under way {}",
            last(&self.floor),
            last(&self.single),
            last(&self.many)
        )
    }

    fn rows(self, listeners: usize, bytes: usize) -> Vec<Row> {
        let Self {
            floor,
            single,
            many,
        } = self;
        let middle = |costs: &[f64]| stats::micros(stats::median(costs.to_vec()));
        let room = format!("1 room × {listeners}, frames of {bytes} bytes, SQLite");
        vec![
            Row {
                id: "P1",
                what: format!("server CPU per delivery, one message in flight ({room})"),
                measured: middle(&single),
                reference: format!("floor {}", middle(&floor)),
                ratio: stats::median_ratio(&single, &floor),
                goal: "≤ 1.25 × floor",
            },
            Row {
                id: "P2",
                what: format!("the same, {MANY} messages in flight"),
                measured: middle(&many),
                reference: format!("P1 {}", middle(&single)),
                ratio: stats::median_ratio(&many, &single),
                goal: "≤ 0.15 × P1",
            },
        ]
    }
}

/// The length of an event's text as a listener gets it, by sending one.
pub fn event_bytes(load: &mut Load, room: &str) -> Outcome<usize> {
    load.send(0, &frames::publish(0, room))?;
    let listener = load.count() - 1;
    let mut bytes = 0;
    let mut seen = 0;
    let mut deadline = Deadline::default();
    while seen < load.count() {
        let before = seen;
        load.turn(|link, incoming, _| {
            if let Incoming::Event(text) = incoming {
                seen += 1;
                if link == listener {
                    bytes = text.len();
                }
            }
            Ok(())
        })?;
        deadline.check(seen != before, || {
            format!("{seen} deliveries of the first message")
        })?;
    }
    Ok(bytes)
}

/// Processor seconds of `pid` per delivery.
pub fn cost(
    pid: u32,
    load: &mut Load,
    window: u64,
    messages: u64,
    publish: impl FnMut(&mut Load, u64) -> Outcome<()>,
) -> Outcome<f64> {
    let before = proc::cpu(pid)?;
    deliver(load, window, messages, publish)?;
    let spent = proc::cpu(pid)? - before;
    Ok(spent.as_secs_f64() / (messages * load.count() as u64) as f64)
}

/// Sends messages, `window` at once, until everyone has got all of them.
pub fn deliver(
    load: &mut Load,
    window: u64,
    messages: u64,
    mut publish: impl FnMut(&mut Load, u64) -> Outcome<()>,
) -> Outcome<()> {
    let listeners = load.count() as u64;
    let (mut sent, mut delivered) = (0, 0);
    let mut deadline = Deadline::default();
    while delivered < messages * listeners {
        while sent < messages && sent - delivered / listeners < window {
            publish(load, sent)?;
            sent += 1;
        }
        let before = delivered;
        load.turn(|_, incoming, _| match incoming {
            Incoming::Open => Ok(()),
            Incoming::Event(_) => {
                delivered += 1;
                Ok(())
            }
            Incoming::Other(text) => accept(text),
        })?;
        deadline.check(delivered != before, || {
            format!("{delivered} deliveries of {sent} messages to {listeners}")
        })?;
    }
    Ok(())
}
