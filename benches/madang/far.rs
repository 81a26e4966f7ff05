//! P6: what one delivery costs a node when the message was sent on another, next to a node
//! that is alone; and how many envelopes travel for it.

use std::time::Duration;

use crate::client::{Load, accept};
use crate::cluster::Cluster;
use crate::crowd::{Crowd, OWNER};
use crate::doorbells::{self, Doorbells, Heard};
use crate::fanout::{self, MANY, Size, cost, deliver};
use crate::node::{Database, Node};
use crate::table::Row;
use crate::{Outcome, frames, note, stats};

/// The first of those who write from afar.
const FIRST_WRITER: usize = OWNER + 1;

/// Listeners on one node, and people on another who write to them.
struct Far {
    cluster: Cluster,
    writers: Load,
    crowd: Crowd,
}

/// Measures both figures of one room on a single node and on the far one, in turns.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let size = Size::of(quick);
    let alone = Node::start(&Database::sqlite()?)?;
    note(&format!("gathering {} listeners, twice", size.listeners));
    let mut near = Crowd::gather(&alone, 0, 1, size.listeners)?;
    let room = near.rooms[0].clone();
    fanout::event_bytes(&mut near.load, &room)?;
    let mut far = Far::start(size.listeners)?;
    far.deliver(1, 2)?;

    let publish = |load: &mut Load, number: u64| {
        load.send((number % MANY) as usize, &frames::publish(number, &room))
    };
    let mut costs = [const { Vec::new() }; 4];
    for turn in 1..=size.turns {
        let found = [
            cost(alone.pid(), &mut near.load, 1, size.single, publish)?,
            far.cost(1, size.single)?,
            cost(alone.pid(), &mut near.load, MANY, size.many, publish)?,
            far.cost(MANY, size.many)?,
        ];
        let [one, far_one, many, far_many] = found.map(stats::micros);
        note(&format!(
            "turn {turn} of {}: one under way {one}, far {far_one}; {MANY} under way {many}, \
             far {far_many}",
            size.turns
        ));
        for (costs, found) in costs.iter_mut().zip(found) {
            costs.push(found);
        }
    }
    let mut rows = rows(&costs, size.listeners);
    rows.push(far.envelopes(&size)?);
    Ok(rows)
}

fn rows([one, far_one, many, far_many]: &[Vec<f64>; 4], listeners: usize) -> Vec<Row> {
    let row = |what: String, far: &[f64], alone: &[f64]| Row {
        id: "P6",
        what,
        measured: stats::micros(stats::median(far.to_vec())),
        reference: format!(
            "the node alone {}",
            stats::micros(stats::median(alone.to_vec()))
        ),
        ratio: stats::median_ratio(far, alone),
        goal: "≤ 1.15 × P1, P2",
    };
    let room = format!("1 room × {listeners}");
    vec![
        row(
            format!("far node's CPU per delivery, one message in flight ({room})"),
            far_one,
            one,
        ),
        row(
            format!("the same, {MANY} messages in flight"),
            far_many,
            many,
        ),
    ]
}

impl Far {
    fn start(listeners: usize) -> Outcome<Self> {
        let cluster = Cluster::start(2, &[])?;
        let [near, far] = cluster.nodes.as_slice() else {
            return Err("two nodes were started".into());
        };
        let mut crowd = Crowd::gather(far, 0, 1, listeners)?;
        let mut writers = Load::new(near.address)?;
        writers.sign_in(MANY as usize, |link| frames::hello(FIRST_WRITER + link))?;
        let joins = (0..writers.count()).map(|link| (link, frames::join(&crowd.rooms[0])));
        writers.ask(joins, 1)?;
        crowd.load.settle(Duration::from_secs(2))?;
        Ok(Self {
            cluster,
            writers,
            crowd,
        })
    }

    /// Processor seconds of the listeners' node per delivery.
    fn cost(&mut self, window: u64, messages: u64) -> Outcome<f64> {
        let Self {
            cluster,
            writers,
            crowd,
        } = self;
        let room = &crowd.rooms[0];
        cost(
            cluster.nodes[1].pid(),
            &mut crowd.load,
            window,
            messages,
            |_, number| write(writers, number, room),
        )
    }

    fn deliver(&mut self, window: u64, messages: u64) -> Outcome<()> {
        let Self { writers, crowd, .. } = self;
        let room = &crowd.rooms[0];
        deliver(&mut crowd.load, window, messages, |_, number| {
            write(writers, number, room)
        })
    }

    /// Counts what Redis sends out: to how many connections, and how many envelopes.
    fn envelopes(&mut self, size: &Size) -> Outcome<Row> {
        let room = self.crowd.rooms[0].clone();
        let listeners = doorbells::listeners(&self.cluster.redis, &room)?;
        let mut count = |window: u64, messages: u64| -> Outcome<Heard> {
            let bells = Doorbells::listen(&self.cluster.redis, &room)?;
            self.deliver(window, messages)?;
            bells.end(&self.cluster.redis)
        };
        let (one, many) = (count(1, size.single)?, count(MANY, size.many)?);
        Ok(Row {
            id: "P6",
            what: "envelopes with events to each node, counted in Redis".into(),
            measured: format!(
                "{} for {} messages one by one; {} for {} messages, {MANY} in flight",
                one.envelopes, one.events, many.envelopes, many.events
            ),
            reference: format!(
                "{} sent one by one, {} so; {listeners} connections of nodes listen",
                size.single, size.many
            ),
            ratio: format!("{:.2} each", one.envelopes as f64 / size.single as f64),
            goal: "one per node and message",
        })
    }
}

/// Sends one message and takes the acks of earlier ones.
fn write(writers: &mut Load, number: u64, room: &str) -> Outcome<()> {
    let message = frames::publish(number, room);
    writers.send((number % MANY) as usize, &message)?;
    writers.turn_within(Duration::ZERO, |_, incoming, _| match incoming {
        crate::client::Incoming::Other(text) => accept(text),
        _ => Ok(()),
    })
}
