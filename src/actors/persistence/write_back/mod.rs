//! Brings what stands in the hot log into the database: in batches, for ever, exactly once.
//! Owns: the ends of all rooms' logs above `flushed`, the reservations of own events.
//! Takes: `Appended` `Heard` `FlushedTo` `Survived` (broker), `WhenFlushed` (http, session),
//! `Salvage` `Adopt` (rebuilding), `Flush` (node), `Observe`.
//! Sends: [`Landed`], when rows are in the database.
//! Full mailbox: rings are lost, and read from the hot log when they are needed; what this
//! node appended is sent past the limit, and bounded by the [`Backlog`]. Restart: there is
//! none; another node's sweep finds what was not written.
//!
//! The node whose append made a clean room dirty writes it until it is clean, whoever
//! appends meanwhile. A room whose `flushed` stands still is taken over by whoever notices.

mod backlog;
mod ending;
mod hot_log;
mod message;
mod recovery;
mod salvage;
mod sweeping;
mod tail;
mod tails;
#[cfg(test)]
mod tests;
mod writer;
mod writing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

pub use self::backlog::Backlog;
pub use self::hot_log::{Flushed, HotLog};
pub use self::message::{
    Adopt, Appended, Counts, Flush, FlushedTo, Heard, Holds, Landed, Observe, ROW_BUCKETS, Salvage,
    Salvaged, Survived, WhenFlushed,
};
pub use self::tails::Limits;

use self::ending::EndedLife;
use self::tail::{Settled, Source};
use self::tails::Tails;
use self::writer::Writer;
use crate::actors::backoff::Backoff;
use crate::actors::{Reply, context};
use crate::db::Store;
use crate::error::Error;
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// Messages that may wait for the write-back.
const MAILBOX: usize = 65_536;

/// The write-back of this node.
pub struct WriteBack {
    /// Database and hot log, for the futures that do the work.
    writer: Writer,
    /// Reservations, shared with whoever appends.
    backlog: Arc<Backlog>,
    limits: Limits,
    /// What is not in the database yet, of the present life.
    tails: Tails<Reply<()>>,
    /// The life that the tails belong to.
    life: Arc<str>,
    /// Counts the lives of the tails: an answer to a question of an earlier one is ignored.
    generation: u64,
    phase: Phase,
    /// Is a write under way? There is one at a time, while the next gathers.
    in_flight: bool,
    /// Are writes failing? Then none begins before the pause is over.
    paused: bool,
    /// How long writes have been failing.
    backoff: Backoff,
    /// What the hot log is to be told: the database has these rooms up to there.
    to_flush: BTreeMap<RoomId, Seq>,
    /// Is the hot log being told?
    flushing: bool,
    /// How long the hot log has been out of reach.
    flush_backoff: Backoff,
    /// No sweep before this: writes failed a moment ago, and the others' did, too.
    quiet_until: Option<Instant>,
    /// Is the hot log being asked for rooms that nobody writes?
    sweeping: bool,
    /// Lives that are over and not salvaged yet, the oldest first.
    ended: VecDeque<EndedLife>,
    /// Is one of them being salvaged?
    salvaging: bool,
    /// What the salvages came to since somebody asked.
    salvaged: Salvaged,
    /// Who asked for a salvage.
    salvagers: Vec<Reply<Salvaged>>,
    /// What has to be appended again, by room.
    again: BTreeMap<RoomId, Vec<Event>>,
    /// Is some of it being appended?
    appending_again: bool,
    /// How long that has been failing.
    again_backoff: Backoff,
    /// Who waits for the end, and since when.
    stoppers: Vec<(Instant, Reply<()>)>,
    counts: Counts,
}

/// What may be done with the present life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Writes are taken.
    Writing,
    /// The database is in another life: nothing is written until this one is salvaged.
    Fenced,
    /// It is being salvaged, or is about to be.
    Salvaging,
}

impl WriteBack {
    /// Starts the write-back on the current thread. `notify` hears of what has landed.
    pub fn start_here(
        store: Arc<dyn Store>,
        hot: Arc<dyn HotLog>,
        backlog: Arc<Backlog>,
        notify: Recipient<Landed>,
        limits: Limits,
    ) -> Addr<Self> {
        let life = hot.life();
        let writer = Writer { store, hot, notify };
        context(MAILBOX).run(Self {
            writer,
            backlog,
            limits,
            tails: Tails::new(limits),
            life,
            generation: 0,
            phase: Phase::Writing,
            in_flight: false,
            paused: false,
            backoff: Backoff::default(),
            to_flush: BTreeMap::new(),
            flushing: false,
            flush_backoff: Backoff::default(),
            quiet_until: None,
            sweeping: false,
            ended: VecDeque::new(),
            salvaging: false,
            salvaged: Salvaged::default(),
            salvagers: Vec::new(),
            again: BTreeMap::new(),
            appending_again: false,
            again_backoff: Backoff::default(),
            stoppers: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Releases what is flushed, and tells who waited for it.
    fn settle(&mut self, settled: Settled<Reply<()>>) {
        self.backlog.release(settled.released);
        for waiter in settled.waiters {
            waiter.send(Ok(()));
        }
        self.tell_stoppers();
    }
}

fn refuse_all(waiters: impl IntoIterator<Item = Reply<()>>) {
    for waiter in waiters {
        waiter.refuse(Error::unavailable());
    }
}

impl Actor for WriteBack {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(self.limits.sweep_interval, |actor, ctx| actor.tick(ctx));
    }
}

impl Handler<Appended> for WriteBack {
    type Result = ();

    fn handle(&mut self, message: Appended, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        let Appended {
            room,
            events,
            became_dirty,
        } = message;
        let now = Instant::now();
        let released = self.tails.appended(room, events, became_dirty, now);
        self.backlog.release(released);
        self.pump(ctx);
    }
}

impl Handler<Heard> for WriteBack {
    type Result = ();

    fn handle(&mut self, Heard { room, events }: Heard, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        let now = Instant::now();
        self.tails.heard(room, events, Source::Heard, now);
        self.pump(ctx);
    }
}

impl Handler<Survived> for WriteBack {
    type Result = ();

    fn handle(&mut self, Survived { room, events }: Survived, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        let now = Instant::now();
        self.tails.heard(room, events, Source::Survived, now);
    }
}

impl Handler<FlushedTo> for WriteBack {
    type Result = ();

    fn handle(&mut self, FlushedTo { room, seq }: FlushedTo, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        let settled = self.tails.flushed_to(room, seq, Instant::now());
        self.settle(settled);
    }
}

impl Handler<WhenFlushed> for WriteBack {
    type Result = ();

    fn handle(&mut self, message: WhenFlushed, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        let WhenFlushed {
            room,
            seq,
            reply_to,
        } = message;
        match self.tails.wait(room, seq, Instant::now(), reply_to) {
            Some(reply_to) => reply_to.send(Ok(())),
            None => self.pump(ctx),
        }
    }
}

impl Handler<Adopt> for WriteBack {
    type Result = ();

    fn handle(&mut self, Adopt { rooms }: Adopt, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        self.tails.adopt(&rooms, Instant::now());
        self.pump(ctx);
    }
}

impl Handler<Observe> for WriteBack {
    type Result = Holds;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Holds {
        let since = self.tails.oldest_own();
        let ended = self.ended.iter().filter_map(|ended| ended.since);
        let oldest = since.into_iter().chain(ended).min();
        Holds {
            backlog: self.backlog.taken(),
            oldest_unflushed: oldest.map(|since| since.elapsed()).unwrap_or_default(),
            counts: self.counts,
        }
    }
}
