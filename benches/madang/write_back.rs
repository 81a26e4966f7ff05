//! The write-back half of P7: events that have their places already, straight into the store
//! and through the actor, with a hot log that costs nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::future::try_join_all;
use madang::actors::persistence::write_back::{
    Appended, Backlog, Flushed, HotLog, Landed, Limits, WhenFlushed, WriteBack,
};
use madang::actors::{Pending, Reply};
use madang::clock;
use madang::db::{Placed, Store, Written};
use madang::ids::{RoomId, Seq};
use madang::protocol::{Event, Place};

use crate::Outcome;
use crate::drafts::Log;
use crate::node::Database;
use crate::persistence::{BATCH_ROWS, GATHERED, MEMBERS, ROOMS};

/// The life that everything is written in.
const LIFE: &str = "bench";

/// A room whose next messages get places here.
struct Placer {
    log: Log,
    head: i64,
    messages: i64,
}

impl Placer {
    /// The next messages, with their places.
    fn next(&mut self, count: usize) -> Vec<Event> {
        let drafts = self.log.messages(count).drafts.into_iter();
        let place = |draft| {
            self.head += 1;
            self.messages += 1;
            Event {
                room: self.log.room,
                place: Place {
                    seq: Seq(self.head),
                    n: self.messages,
                    at: clock::now_ms(),
                },
                draft,
            }
        };
        drafts.map(place).collect()
    }
}

fn rooms(store: &dyn Store) -> Outcome<Vec<Placer>> {
    if !store.begin_life(None, LIFE)? {
        return Err("the database has a life already".into());
    }
    let room = |_| {
        Ok(Placer {
            log: Log::create(store, MEMBERS)?,
            // Everybody's join.
            head: MEMBERS as i64,
            messages: 0,
        })
    };
    (0..ROOMS).map(room).collect()
}

/// Rows per second of [`Store::write`], one batch after the other.
pub fn store(database: &Database, rows: usize) -> Outcome<f64> {
    let db = database.open()?;
    let store = db.store();
    let mut rooms = rooms(store.as_ref())?;
    let batches: Vec<Vec<Placed>> = (0..rows / BATCH_ROWS)
        .map(|number| {
            let per_batch = BATCH_ROWS / GATHERED;
            let first = number * per_batch % ROOMS;
            let some = rooms[first..first + per_batch].iter_mut();
            let placed = some.map(|placer| Placed {
                room: placer.log.room,
                events: placer.next(GATHERED),
            });
            placed.collect()
        })
        .collect();
    let started = Instant::now();
    for batch in &batches {
        let written = store.write(LIFE, batch)?;
        let done = |written: &Written| matches!(written, Written::Done { .. });
        if !written.iter().all(done) {
            return Err("a batch was not written".into());
        }
    }
    Ok((batches.len() * BATCH_ROWS) as f64 / started.elapsed().as_secs_f64())
}

/// Rows per second through the actor, from an append's handing over to its being flushed.
pub fn actor(database: &Database, rows: usize) -> Outcome<f64> {
    let db = database.open()?;
    let store = db.store();
    let mut rooms = rooms(store.as_ref())?;
    let appends = rows / ROOMS / GATHERED;
    System::new().block_on(async move {
        let backlog = Backlog::new(200_000);
        let nobody = Nobody.start().recipient();
        let limits = Limits::default();
        let writer = WriteBack::start_here(store, Arc::new(NoLog), backlog.clone(), nobody, limits);
        let started = Instant::now();
        let room = async |placer: &mut Placer| -> Outcome<()> {
            for _ in 0..appends {
                backlog
                    .reserve(GATHERED)
                    .map_err(|error| format!("the backlog is full: {error:?}"))?;
                let room = placer.log.room;
                let events = placer.next(GATHERED);
                let seq = Seq(placer.head);
                writer.try_send(Appended {
                    room,
                    events,
                    became_dirty: true,
                })?;
                let (reply_to, answer) = Reply::channel();
                writer.try_send(WhenFlushed {
                    room,
                    seq,
                    reply_to,
                })?;
                answer
                    .await
                    .map_err(|error| format!("an append was not flushed: {error:?}"))?;
            }
            Ok(())
        };
        try_join_all(rooms.iter_mut().map(room)).await?;
        Ok((appends * GATHERED * ROOMS) as f64 / started.elapsed().as_secs_f64())
    })
}

/// A hot log that is clean again after every flush, and keeps nothing.
struct NoLog;

impl HotLog for NoLog {
    fn read(&self, _: RoomId, _: Seq, _: usize) -> Pending<Vec<Event>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn flush(&self, rooms: Vec<(RoomId, Seq)>) -> Pending<Vec<Flushed>> {
        let moved = |(_, seq): (RoomId, Seq)| Flushed::Moved {
            flushed: seq,
            head: seq,
        };
        Box::pin(async move { Ok(rooms.into_iter().map(moved).collect()) })
    }

    fn stuck(&self, _: Duration) -> Pending<Vec<RoomId>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn append_again(&self, _: RoomId, _: Vec<Event>) -> Pending<()> {
        Box::pin(async { Ok(()) })
    }

    fn fence(&self) {}

    fn life(&self) -> Arc<str> {
        LIFE.into()
    }
}

/// Hears of what has landed, and does nothing with it.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Landed> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Landed, _: &mut Context<Self>) {}
}
