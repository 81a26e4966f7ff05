//! The async side of the store: questions run on threads of their own, as many as are
//! allowed, and none waits for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{OpenError, OpenOptions, Store, StoreError, open};
use crate::error::{Error, Result};
use crate::protocol::ErrorCode;

/// What to tell whoever finds the queue full.
const RETRY_AFTER_MS: u64 = 500;

type Job = Box<dyn FnOnce(&dyn Store) + Send>;

/// The database, for everybody who must not block. Cheap to clone; closed with the last.
#[derive(Clone)]
pub struct Db {
    store: Arc<dyn Store>,
    jobs: SyncSender<Job>,
    deadline: Duration,
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
        Ok(Self {
            store,
            jobs,
            deadline: options.deadline,
        })
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
        let job = Box::new(move |store: &dyn Store| {
            // Nobody waits for it any more: spare the database.
            if !reply.is_closed() {
                // They may have left meanwhile.
                let _ = reply.send(ask(store));
            }
        });
        let sent = self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::overloaded(RETRY_AFTER_MS),
            TrySendError::Disconnected(_) => Error::unavailable(),
        });
        let deadline = self.deadline;
        async move {
            sent?;
            match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(answer)) => answer.map_err(Error::from),
                // It panicked; the panic is in the log.
                Ok(Err(_)) => Err(Error::internal()),
                Err(_) => {
                    log::warn!("the database has not answered within {deadline:?}");
                    Err(Error::unavailable())
                }
            }
        }
    }
}

/// The life of one thread: takes a job, does it, until nobody can ask any more.
fn work(store: &dyn Store, queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
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
