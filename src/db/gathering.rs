//! Questions of one kind that many ask at once, asked together: what comes while the database
//! is busy with some of them shares the next one. A question costs about as much for one person
//! as for a hundred.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::slice;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot::{self, Receiver, Sender};

use super::handle::Queue;
use super::{Store, StoreError};
use crate::error::{Error, Result};
use crate::locks::lock;

/// Most that are asked for in one question.
const AT_ONCE: usize = 200;
/// Most questions of one kind under way: a second one, so that one that hangs stops nobody.
const UNDER_WAY: usize = 2;
/// Most that wait to be asked for.
const WAITING: usize = 10_000;
/// What to tell whoever finds no place among them.
const RETRY_AFTER_MS: u64 = 500;

/// What is known of one of those that were asked for; `None` when there is no such thing.
pub(super) type Found<V> = Result<Option<V>>;
/// One question for many.
type Ask<K, V> = fn(&dyn Store, &[K]) -> Result<HashMap<K, V>, StoreError>;

/// Who wants to know what.
type Asked<K, V> = HashMap<K, Vec<Sender<Found<V>>>>;

/// One kind of question.
pub(super) struct Gathering<K, V> {
    /// How it is asked.
    ask: Ask<K, V>,
    /// Where it waits for a thread.
    queue: Queue,
    waiting: Mutex<Waiting<K, V>>,
}

/// What is to be asked for.
struct Waiting<K, V> {
    /// Each with who wants to know, in the order they came.
    keys: VecDeque<(K, Sender<Found<V>>)>,
    /// Questions that wait for a thread, or for the database.
    under_way: usize,
    /// Those that wait for a thread: they will take of `keys`.
    queued: usize,
}

impl<K, V> Gathering<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Nothing asked for yet.
    pub(super) fn new(queue: Queue, ask: Ask<K, V>) -> Arc<Self> {
        let waiting = Waiting {
            keys: VecDeque::new(),
            under_way: 0,
            queued: 0,
        };
        Arc::new(Self {
            ask,
            queue,
            waiting: Mutex::new(waiting),
        })
    }

    /// Asks for one, together with whoever else does. What comes back was read after this.
    pub(super) fn ask_for(self: &Arc<Self>, key: K) -> Result<Receiver<Found<V>>> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if waiting.keys.len() >= WAITING {
            return Err(Error::overloaded(RETRY_AFTER_MS));
        }
        waiting.keys.push_back((key, reply));
        self.begin(&mut waiting);
        Ok(answer)
    }

    /// Begins a question, unless enough are under way. When there is no place for any, nobody
    /// would ever ask for those that wait: they are told so.
    fn begin(self: &Arc<Self>, waiting: &mut Waiting<K, V>) {
        let suffices = waiting.queued * AT_ONCE >= waiting.keys.len();
        if suffices || waiting.under_way == UNDER_WAY {
            return;
        }
        let gathering = self.clone();
        let begun = self.queue.push(move |store| {
            let turn = Turn(&gathering);
            gathering.ask_next(store);
            drop(turn);
        });
        match begun {
            Ok(()) => {
                waiting.under_way += 1;
                waiting.queued += 1;
            }
            Err(error) if waiting.under_way == 0 => {
                for (_, reply) in waiting.keys.drain(..) {
                    let _ = reply.send(Err(error.clone()));
                }
            }
            Err(_) => {}
        }
    }

    /// Asks for those that have waited longest.
    fn ask_next(&self, store: &dyn Store) {
        let asked = self.take();
        let keys: Vec<K> = asked.keys().cloned().collect();
        if keys.is_empty() {
            return;
        }
        match (self.ask)(store, &keys) {
            Ok(found) => tell(asked, found),
            // What cannot be read for one keeps nobody else from an answer.
            Err(StoreError::Refused(_)) if keys.len() > 1 => {
                for (key, replies) in asked {
                    let one = HashMap::from([(key.clone(), replies)]);
                    match (self.ask)(store, slice::from_ref(&key)) {
                        Ok(found) => tell(one, found),
                        Err(cause) => refuse(one, cause),
                    }
                }
            }
            Err(cause) => refuse(asked, cause),
        }
    }

    /// Takes out what goes into one question; what nobody waits for any more is left out.
    fn take(&self) -> Asked<K, V> {
        let mut waiting = lock(&self.waiting);
        waiting.queued -= 1;
        let mut taken = Asked::new();
        while taken.len() < AT_ONCE
            && let Some((key, reply)) = waiting.keys.pop_front()
        {
            if !reply.is_closed() {
                let replies: &mut Vec<_> = taken.entry(key).or_default();
                replies.push(reply);
            }
        }
        taken
    }
}

fn tell<K: Eq + Hash, V: Clone>(asked: Asked<K, V>, mut found: HashMap<K, V>) {
    for (key, mut replies) in asked {
        let value = found.remove(&key);
        let last = replies.pop();
        for reply in replies {
            let _ = reply.send(Ok(value.clone()));
        }
        // They may have left meanwhile.
        let _ = last.map(|reply| reply.send(Ok(value)));
    }
}

fn refuse<K, V>(asked: Asked<K, V>, cause: StoreError) {
    let error = Error::from(cause);
    for reply in asked.into_values().flatten() {
        let _ = reply.send(Err(error.clone()));
    }
}

/// One question under way. Its end begins the next one, also when it panics.
struct Turn<'a, K, V>(&'a Arc<Gathering<K, V>>)
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static;

impl<K, V> Drop for Turn<'_, K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    fn drop(&mut self) {
        let mut waiting = lock(&self.0.waiting);
        waiting.under_way -= 1;
        self.0.begin(&mut waiting);
    }
}
