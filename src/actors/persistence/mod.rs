//! Writes to the database, many at a time. With the local broker its batch is the log.
//! Owns: the [`Batch`] of appends, the merged read marks, the one write in flight.
//! Takes: `Append` (broker), `SaveMark` (room), `Observe`.
//! Sends: nothing; it answers when a write is confirmed.
//! Full backlog: `Append` is refused with `overloaded`. Restart: whoever waited is told
//! `unavailable`, and repeats.

mod batch;
pub mod write_back;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

pub use self::batch::{Batch, Limits};
use super::{Reply, context};
use crate::clock;
use crate::db::{self, Appended, Mark, Store, StoreError};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::ids::{RoomId, UserId};
use crate::protocol::Draft;

/// Appends that may wait in the mailbox before they are counted in the backlog.
const MAILBOX: usize = 16_384;
/// Marks are merged for this long before they are written.
const MARKS_INTERVAL: Duration = Duration::from_millis(200);
/// How often those who wait in an outage are looked through.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);
/// When a sender may try again who met a full backlog.
const RETRY_AFTER_MS: u64 = 1000;

/// The writer of this node.
pub struct Persistence {
    store: Arc<dyn Store>,
    batch: Batch<db::Append, Reply<Appended>>,
    /// The newest mark of each reader that is not written yet.
    marks: HashMap<(RoomId, UserId), Mark>,
    /// Are marks being written?
    marks_in_flight: bool,
    /// After a failure: no write before this.
    pause_until: Option<Instant>,
    written: Written,
}

/// What has been written since the start.
#[derive(Debug, Default, Clone, Copy)]
pub struct Written {
    /// Writes that were confirmed.
    pub batches: u64,
    /// Appends in them.
    pub appends: u64,
    /// Writes that failed and were repeated.
    pub retries: u64,
}

/// Drafts for one room's log; answered when the transaction has committed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Append {
    /// What is to be appended.
    pub append: db::Append,
    /// Told what became of it.
    pub reply_to: Reply<Appended>,
}

/// Somebody has read on. Merged and written a little later; the highest wins.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SaveMark {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// How far.
    pub mark: Mark,
}

/// Writes the marks that wait and answers when nothing waits any more; used when stopping.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Flush {
    /// Told when everything is in the database.
    pub reply_to: Reply<()>,
}

/// What the writer holds; for metrics and tests.
#[derive(Message)]
#[rtype(result = "Holds")]
pub struct Observe;

/// The answer to [`Observe`].
#[derive(Debug, Default, Clone, Copy, MessageResponse)]
pub struct Holds {
    /// Events that wait or are being written, large ones counted for each begun KiB.
    pub backlog: usize,
    /// What has been written since the start.
    pub written: Written,
}

impl Persistence {
    /// Starts the writer on the current thread.
    pub fn start_here(store: Arc<dyn Store>, limits: Limits) -> Addr<Self> {
        let writer = Self {
            store,
            batch: Batch::new(limits),
            marks: HashMap::new(),
            marks_in_flight: false,
            pause_until: None,
            written: Written::default(),
        };
        context(MAILBOX).run(writer)
    }

    /// Begins the next write, if none is in flight and something waits.
    fn write(&mut self, ctx: &mut Context<Self>) {
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let Some(appends) = self.batch.take() else {
            return;
        };
        let store = self.store.clone();
        let writing = tokio::task::spawn_blocking(move || {
            failpoint::at("local::before_write");
            let appended = store.append(&appends, clock::now_ms());
            failpoint::at("local::after_write");
            appended
        });
        let done = writing.into_actor(self).map(|outcome, writer, ctx| {
            // A panic in the store is a failed write like any other: repeated.
            let outcome = outcome.unwrap_or_else(|failed| {
                Err(StoreError::Unavailable(format!(
                    "the writing thread failed: {failed}"
                )))
            });
            writer.finish(outcome, ctx);
        });
        ctx.spawn(done);
    }

    fn finish(&mut self, outcome: Result<Vec<Appended>, StoreError>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(appended) => {
                self.written.batches += 1;
                self.written.appends += appended.len() as u64;
                for (reply_to, appended) in self.batch.written().into_iter().zip(appended) {
                    reply_to.send(Ok(appended));
                }
                self.write(ctx);
            }
            Err(cause) => self.retry(&cause, ctx),
        }
    }

    fn retry(&mut self, cause: &StoreError, ctx: &mut Context<Self>) {
        if self.written.retries.is_multiple_of(10) {
            log::warn!("a write failed and is repeated: {cause}");
        }
        self.written.retries += 1;
        let (late, pause) = self.batch.failed(Instant::now());
        refuse_all(late);
        self.pause_until = Some(Instant::now() + pause);
        ctx.run_later(pause, |writer, ctx| {
            writer.pause_until = None;
            writer.write(ctx);
        });
    }

    /// Writes the merged marks. What fails stays, unless a newer one has come meanwhile.
    fn write_marks(&mut self, ctx: &mut Context<Self>) {
        if self.marks_in_flight || self.marks.is_empty() {
            return;
        }
        self.marks_in_flight = true;
        let taken = std::mem::take(&mut self.marks);
        let rows: Vec<_> = taken
            .iter()
            .map(|((room, user), mark)| (*room, *user, *mark))
            .collect();
        let store = self.store.clone();
        let writing = tokio::task::spawn_blocking(move || store.save_marks(&rows));
        let done = writing.into_actor(self).map(|outcome, writer, _| {
            writer.marks_in_flight = false;
            if !matches!(outcome, Ok(Ok(()))) {
                for (key, mark) in taken {
                    writer.marks.entry(key).or_insert(mark);
                }
            }
        });
        ctx.spawn(done);
    }

    fn is_clean(&self) -> bool {
        self.batch.backlog() == 0 && self.marks.is_empty() && !self.marks_in_flight
    }
}

impl Actor for Persistence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(MARKS_INTERVAL, |writer, ctx| writer.write_marks(ctx));
        ctx.run_interval(EXPIRY_INTERVAL, |writer, _| {
            refuse_all(writer.batch.expire(Instant::now()));
        });
    }
}

fn refuse_all(waiters: Vec<Reply<Appended>>) {
    for reply_to in waiters {
        reply_to.refuse(Error::unavailable());
    }
}

impl Handler<Append> for Persistence {
    type Result = ();

    fn handle(&mut self, Append { append, reply_to }: Append, ctx: &mut Context<Self>) {
        let places = append.drafts.iter().map(Draft::places).sum();
        match self.batch.push(append, places, reply_to, Instant::now()) {
            Ok(()) => self.write(ctx),
            Err(batch::Full(reply_to)) => reply_to.refuse(Error::overloaded(RETRY_AFTER_MS)),
        }
    }
}

impl Handler<SaveMark> for Persistence {
    type Result = ();

    fn handle(&mut self, SaveMark { room, user, mark }: SaveMark, _: &mut Context<Self>) {
        let newest = self.marks.entry((room, user)).or_insert(mark);
        if mark.read > newest.read {
            *newest = mark;
        }
    }
}

impl Handler<Flush> for Persistence {
    type Result = ();

    fn handle(&mut self, Flush { reply_to }: Flush, ctx: &mut Context<Self>) {
        self.write_marks(ctx);
        self.write(ctx);
        if self.is_clean() {
            reply_to.send(Ok(()));
        } else {
            ctx.run_later(Duration::from_millis(20), move |_, ctx| {
                ctx.notify(Flush { reply_to });
            });
        }
    }
}

impl Handler<Observe> for Persistence {
    type Result = Holds;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Holds {
        Holds {
            backlog: self.batch.backlog(),
            written: self.written,
        }
    }
}
