//! Somebody who writes without pause and repeats until every message is acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::client::Draft;
use super::{Published, TestNode, WsClient};

/// Most messages that may wait for their ack: a good client does not go on for ever.
const MOST_WAITING: usize = 64;

/// A running publisher; [`Publisher::stop`] gives what it was promised.
pub struct Publisher {
    task: JoinHandle<Vec<Published>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Publisher {
    /// Starts writing to the room, one message every `pace`, through whatever happens.
    pub async fn start(node: &TestNode, sub: &str, room: &str, pace: Duration) -> Self {
        let work = Work {
            address: node.address.clone(),
            token: node.token(sub),
            client: node.connect(sub).await,
            name: sub.to_owned(),
            room: room.to_owned(),
            waiting: VecDeque::new(),
            refused: 0,
            acknowledged: Vec::new(),
        };
        let (stop, acknowledged) = (Arc::default(), Arc::default());
        let task = tokio::spawn(work.run(pace, Arc::clone(&stop), Arc::clone(&acknowledged)));
        Self {
            task,
            stop,
            acknowledged,
        }
    }

    /// How many messages have been acknowledged so far.
    pub fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops once everything is acknowledged, and gives it in the order of sending.
    pub async fn stop(self) -> Vec<Published> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("a publisher does not fail")
    }
}

struct Work {
    address: String,
    token: String,
    client: WsClient,
    name: String,
    room: String,
    /// Sent and not yet acknowledged, oldest first.
    waiting: VecDeque<Draft>,
    /// How many of them were refused for now.
    refused: usize,
    acknowledged: Vec<Published>,
}

impl Work {
    async fn run(
        mut self,
        pace: Duration,
        stop: Arc<AtomicBool>,
        count: Arc<AtomicU64>,
    ) -> Vec<Published> {
        let mut tick = interval(pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = 0;
        while !(stop.load(Ordering::Relaxed) && self.waiting.is_empty()) {
            let alive = tokio::select! {
                _ = tick.tick() => {
                    self.speak(&mut sent, stop.load(Ordering::Relaxed)).await;
                    true
                }
                read = self.client.read() => read.is_some(),
            };
            if !alive {
                self.client.come_back(&self.address, &self.token).await;
                self.repeat().await;
            }
            self.collect();
            count.store(self.acknowledged.len() as u64, Ordering::Relaxed);
        }
        self.acknowledged
    }

    /// One message more; or, once everything that waits was refused, all of it again.
    async fn speak(&mut self, sent: &mut u64, stopping: bool) {
        if self.refused > 0 {
            if self.refused >= self.waiting.len() {
                self.repeat().await;
            }
        } else if !stopping && self.waiting.len() < MOST_WAITING {
            *sent += 1;
            let draft = Draft::new(&self.room, &format!("{} {sent}", self.name));
            self.client.ask(draft.frame()).await;
            self.waiting.push_back(draft);
        }
    }

    /// Sends again what has no answer, in the order of the first time.
    async fn repeat(&mut self) {
        self.refused = 0;
        for draft in &self.waiting {
            self.client.ask(draft.frame()).await;
        }
    }

    fn collect(&mut self) {
        for frame in self.client.taken() {
            match frame["type"].as_str() {
                Some("ack") => {
                    let is_it = |draft: &Draft| draft.client_id == frame["client_id"];
                    let place = self.waiting.iter().position(is_it);
                    let place = place.unwrap_or_else(|| panic!("nobody sent this: {frame}"));
                    let draft = self.waiting.remove(place).expect("just found");
                    self.acknowledged
                        .push(draft.acked(&self.client.user, &frame));
                }
                Some("error") if frame["retry"] == true => self.refused += 1,
                Some("error") => panic!("a publisher was refused: {frame}"),
                _ => {}
            }
        }
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
