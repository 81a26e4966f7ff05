//! The common way: a batch, the database, the hot log, and those who waited.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use super::writer::interfere;
use super::{Flushed, Phase, WriteBack, refuse_all};
use crate::db::{Placed, StoreError, WriteError, Written};
use crate::error::Result;
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// Most rooms that the hot log is told of at once.
const FLUSH_ROOMS: usize = 1000;

impl WriteBack {
    /// Begins the next write, if none is under way and something waits.
    pub(super) fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.in_flight || self.paused || self.phase != Phase::Writing {
            return;
        }
        let work = self.tails.take();
        for (room, after) in work.reads {
            self.read(room, after, ctx);
        }
        if work.batch.is_empty() {
            return;
        }
        self.in_flight = true;
        let (writer, life) = (self.writer.clone(), self.life.clone());
        let (generation, batch) = (self.generation, Arc::new(work.batch));
        let asked = batch.clone();
        let writing = async move { writer.write(life, asked).await };
        let done = writing.into_actor(self).map(move |outcome, actor, ctx| {
            actor.in_flight = false;
            if actor.generation == generation {
                actor.finish(&batch, outcome, ctx);
            }
            actor.go_on_salvaging(ctx);
            actor.pump(ctx);
        });
        ctx.spawn(done);
    }

    fn finish(
        &mut self,
        batch: &[Placed],
        outcome: Result<Vec<Written>, WriteError>,
        ctx: &mut Context<Self>,
    ) {
        for placed in batch {
            self.tails.finished(placed.room);
        }
        match outcome {
            Ok(written) => {
                self.backoff.regained();
                self.confirm(batch, &written);
                self.flush(ctx);
                self.append_again(ctx);
            }
            Err(WriteError::Fenced { current }) => self.fenced(current.as_deref()),
            Err(WriteError::Store(cause)) => self.retry(&cause, ctx),
        }
    }

    fn confirm(&mut self, batch: &[Placed], written: &[Written]) {
        let now = Instant::now();
        let mut rows = 0;
        for (placed, written) in batch.iter().zip(written) {
            let room = placed.room;
            match written {
                Written::Done {
                    head,
                    new,
                    poisoned,
                } => {
                    rows += new.len();
                    self.counts.poisoned += poisoned.len() as u64;
                    if self.tails.written(room, *head, now) {
                        self.to_flush.insert(room, *head);
                    }
                }
                Written::Behind { head } => {
                    if self.tails.behind(room, *head, now) {
                        self.to_flush.insert(room, *head);
                    }
                }
                Written::Conflict { at, head } => self.conflict(room, *at, *head, now),
                Written::NoRoom => {
                    log::error!("room={room} there is no such room, and it has a log");
                    self.tails.refused(room);
                }
            }
        }
        if rows > 0 {
            self.counts.batch(rows);
        }
    }

    /// The log and the database contradict each other: never ignored. What is held from
    /// there on is appended again, in a new epoch.
    fn conflict(&mut self, room: RoomId, at: Seq, head: Seq, now: Instant) {
        log::error!("room={room} seq={at} another event stands there in the database");
        self.counts.conflicts += 1;
        let removed = self.tails.remove_from(room, at, now);
        self.tails.behind(room, head, now);
        self.backlog.release(removed.own);
        // Nobody knows their new places yet.
        refuse_all(removed.waiters);
        let before = self.tails.flushed_to(room, Seq(at.0 - 1), now);
        self.settle(before);
        self.again.entry(room).or_default().extend(removed.events);
    }

    fn retry(&mut self, cause: &StoreError, ctx: &mut Context<Self>) {
        self.counts.retries += 1;
        self.be_quiet();
        let pause = self.backoff.lost("a write", cause);
        self.paused = true;
        ctx.run_later(pause, |actor, ctx| {
            actor.paused = false;
            actor.pump(ctx);
        });
    }

    fn read(&mut self, room: RoomId, after: Seq, ctx: &mut Context<Self>) {
        let generation = self.generation;
        let reading = self.writer.hot.read(room, after, self.limits.batch_rows);
        let done = reading.into_actor(self).map(move |found, actor, ctx| {
            if actor.generation == generation {
                // Out of reach is the same as not there yet: it is asked again.
                let events: Vec<Event> = found.unwrap_or_default();
                actor.tails.found(room, events, Instant::now());
                actor.pump(ctx);
            }
        });
        ctx.spawn(done);
    }

    /// Tells the hot log what the database has, unless that is under way already.
    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.flushing || self.to_flush.is_empty() {
            return;
        }
        self.flushing = true;
        let mut rooms: Vec<(RoomId, Seq)> = Vec::new();
        while rooms.len() < FLUSH_ROOMS
            && let Some(next) = self.to_flush.pop_first()
        {
            rooms.push(next);
        }
        let (hot, asked, generation) = (self.writer.hot.clone(), rooms.clone(), self.generation);
        let telling = async move {
            interfere("write_back::before_flush").await;
            let flushed = hot.flush(asked).await;
            interfere("write_back::after_flush").await;
            flushed
        };
        let done = telling.into_actor(self).map(move |outcome, actor, ctx| {
            actor.flushing = false;
            if actor.generation == generation {
                actor.told(&rooms, outcome, ctx);
            }
            actor.flush(ctx);
            actor.pump(ctx);
        });
        ctx.spawn(done);
    }

    /// What the hot log made of it. When it is out of reach, what is in the database is in
    /// the database nevertheless; it is told later.
    fn told(
        &mut self,
        rooms: &[(RoomId, Seq)],
        outcome: Result<Vec<Flushed>>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        match outcome {
            Ok(answers) => {
                self.flush_backoff.regained();
                for ((room, _), answer) in rooms.iter().zip(answers) {
                    let settled = match answer {
                        Flushed::Moved { flushed, head } => {
                            self.tails.moved(*room, flushed, head, now)
                        }
                        Flushed::Gone => self.tails.gone(*room, now),
                    };
                    self.settle(settled);
                }
            }
            Err(cause) => {
                for (room, seq) in rooms {
                    let settled = self.tails.flushed_to(*room, *seq, now);
                    self.settle(settled);
                    self.to_flush.entry(*room).or_insert(*seq);
                }
                let pause = self.flush_backoff.lost("telling the log", &cause);
                self.flushing = true;
                ctx.run_later(pause, |actor, ctx| {
                    actor.flushing = false;
                    actor.flush(ctx);
                });
            }
        }
    }
}
