//! The async side of the store: questions run on threads of their own, as many as are
//! allowed, and none waits for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::shared::Shared;
use super::{OpenError, OpenOptions, Store, StoreError, open};
use crate::error::{Error, Result};
use crate::locks::lock;
use crate::protocol::ErrorCode;

/// What to tell whoever finds the queue full.
const RETRY_AFTER_MS: u64 = 500;

type Job = Box<dyn FnOnce(&dyn Store) + Send>;

/// The database, for everybody who must not block. Cheap to clone; closed with the last.
#[derive(Clone)]
pub struct Db {
    store: Arc<dyn Store>,
    queue: Queue,
    /// Questions that are asked for many at once.
    pub(super) shared: Shared,
    deadline: Duration,
}

/// What waits for one of the threads.
#[derive(Clone)]
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    counts: Arc<Counts>,
}

/// What has happened since the start.
#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    waiting: AtomicUsize,
    failed: AtomicU64,
    busy_us: AtomicU64,
}

/// What has happened since the start, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Questions and changes that were asked for.
    pub asked: u64,
    /// Those that wait for a thread at the moment.
    pub waiting: usize,
    /// Those that failed, found no room to wait, or got no answer in time.
    pub failed: u64,
    /// How long threads have worked on them, all together.
    pub busy: Duration,
}

impl Db {
    /// Opens the database, brings its schema up to date and keeps other nodes away. Blocks;
    /// waits up to [`OpenOptions::wait`] for a database that does not answer yet.
    pub fn open(url: &str, options: &OpenOptions) -> Result<Self, OpenError> {
        let store = open::open(url, options)?;
        let (jobs, queue) = sync_channel(options.queue);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..options.threads {
            let (store, queue) = (store.clone(), queue.clone());
            std::thread::Builder::new()
                .name(format!("madang-db-{number}"))
                .spawn(move || work(&*store, &queue))
                .map_err(|cause| OpenError::unreachable(url, &cause))?;
        }
        let counts = Arc::default();
        let queue = Queue { jobs, counts };
        Ok(Self {
            store,
            shared: Shared::new(&queue),
            queue,
            deadline: options.deadline,
        })
    }

    /// What has happened since the start.
    pub fn counted(&self) -> Counted {
        let counts = &self.queue.counts;
        Counted {
            asked: counts.asked.load(Ordering::Relaxed),
            waiting: counts.waiting.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            busy: Duration::from_micros(counts.busy_us.load(Ordering::Relaxed)),
        }
    }

    /// The store itself, for a thread that may block.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Asks the store something, or has it change something.
    ///
    /// `overloaded` when too many wait already; `unavailable` when the database does not
    /// answer in time: what was asked may still happen.
    pub fn run<T, F>(&self, ask: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sent = self.queue.push(move |store| {
            // Nobody waits for it any more: spare the database.
            if !reply.is_closed() {
                // They may have left meanwhile.
                let _ = reply.send(ask(store).map_err(Error::from));
            }
        });
        self.wait(sent.map(|()| answer))
    }

    /// Waits for what was asked for together with others.
    pub(super) fn wait<T>(
        &self,
        asked: Result<oneshot::Receiver<Result<T>>>,
    ) -> impl Future<Output = Result<T>> + Send + use<T>
    where
        T: Send + 'static,
    {
        let (deadline, counts) = (self.deadline, self.queue.counts.clone());
        async move {
            let answer = match asked {
                Ok(answer) => until(deadline, answer).await,
                Err(refusal) => Err(refusal),
            };
            if answer.as_ref().is_err_and(is_failure) {
                counts.failed.fetch_add(1, Ordering::Relaxed);
            }
            answer
        }
    }
}

impl Queue {
    /// Has one of the threads ask something; `overloaded` when too much waits already.
    pub(super) fn push(&self, ask: impl FnOnce(&dyn Store) + Send + 'static) -> Result<()> {
        let counts = self.counts.clone();
        let job = Box::new(move |store: &dyn Store| {
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
            let start = Instant::now();
            ask(store);
            let took = start.elapsed().as_micros() as u64;
            counts.busy_us.fetch_add(took, Ordering::Relaxed);
        });
        let counts = &self.counts;
        counts.asked.fetch_add(1, Ordering::Relaxed);
        counts.waiting.fetch_add(1, Ordering::Relaxed);
        self.jobs.try_send(job).map_err(|error| {
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Error::overloaded(RETRY_AFTER_MS),
                TrySendError::Disconnected(_) => Error::unavailable(),
            }
        })
    }
}

/// Waits for an answer, but not for ever.
async fn until<T>(deadline: Duration, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(answer)) => answer,
        // It panicked; the panic is in the log.
        Ok(Err(_)) => Err(Error::internal()),
        Err(_) => {
            log::warn!("the database has not answered within {deadline:?}");
            Err(Error::unavailable())
        }
    }
}

/// Is it the database's fault, and not what was asked?
fn is_failure(error: &Error) -> bool {
    error.code != ErrorCode::Conflict
}

/// The life of one thread: takes a job, does it, until nobody can ask any more.
fn work(store: &dyn Store, queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = lock(queue).recv();
        let Ok(job) = next else { return };
        // A job that panics has dropped its reply: its asker is told, the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| job(store)));
    }
}

impl From<StoreError> for Error {
    /// Tells the log why, and the asker what it means for them.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                log::warn!("{error}");
                Error::unavailable()
            }
            StoreError::Refused(_) => {
                log::error!("{error}");
                Error::internal()
            }
            StoreError::Taken(_) | StoreError::Gone => {
                Error::new(ErrorCode::Conflict, error.to_string())
            }
        }
    }
}
