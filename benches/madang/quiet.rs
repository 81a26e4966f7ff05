//! Two people in a room of their own, whose few messages show what others feel of a load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Deadline, Incoming, accept};
use crate::crowd::Crowd;
use crate::node::Node;
use crate::stats::Latencies;
use crate::{Outcome, frames};

/// The first of the two users; the loads' users have lower numbers.
const FIRST_USER: usize = 900_000;

/// From one message's delivery to the next message.
const PAUSE: Duration = Duration::from_millis(20);

/// The room.
pub struct Quiet {
    crowd: Crowd,
    next: u64,
}

impl Quiet {
    /// Brings the two people in.
    pub fn start(node: &Node) -> Outcome<Self> {
        Ok(Self {
            crowd: Crowd::gather(node, FIRST_USER, 1, 2)?,
            next: 0,
        })
    }

    /// Lets one write to the other, from publish to delivery, until told to stop.
    pub fn talk(&mut self, stop: &AtomicBool) -> Outcome<Latencies> {
        let mut latencies = Latencies::default();
        while !stop.load(Ordering::Relaxed) {
            let sent = Instant::now();
            self.say_one()?;
            latencies.record(sent.elapsed());
            self.crowd.load.idle(PAUSE)?;
        }
        Ok(latencies)
    }

    /// Sends one message and waits until the other one has it.
    fn say_one(&mut self) -> Outcome<()> {
        self.next += 1;
        let message = frames::publish(self.next, self.crowd.room_of(0));
        self.crowd.load.send(0, &message)?;
        let mut heard = false;
        let mut deadline = Deadline::default();
        while !heard {
            self.crowd.load.turn(|link, incoming, _| match incoming {
                Incoming::Event(_) => {
                    heard |= link == 1;
                    Ok(())
                }
                Incoming::Other(text) => accept(text),
                Incoming::Open => Ok(()),
            })?;
            deadline.check(false, || "a quiet room's message is not delivered".into())?;
        }
        Ok(())
    }
}
