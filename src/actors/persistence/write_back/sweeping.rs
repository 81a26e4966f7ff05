//! Every second: rooms that nobody writes, people who have waited too long, the end.

use std::time::{Duration, Instant};

use actix::prelude::*;

use super::{Flush, Phase, WriteBack, refuse_all};
use crate::failpoint;
use crate::ids::RoomId;

/// How long a node that stops goes on writing rooms in which others append.
pub(super) const GRACE: Duration = Duration::from_secs(2);

impl WriteBack {
    /// What is looked after from time to time.
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        let late = self.tails.tick(Instant::now());
        refuse_all(late);
        self.sweep(ctx);
        self.flush(ctx);
        self.append_again(ctx);
        self.pump(ctx);
        self.tell_stoppers();
    }

    /// Writes fail: whoever else has not written for a while is in the same trouble, and
    /// needs nobody to take over.
    pub(super) fn be_quiet(&mut self) {
        self.quiet_until = Some(Instant::now() + self.standstill());
    }

    fn standstill(&self) -> Duration {
        let (least, most) = self.limits.standstill;
        rand::random_range(least..=most)
    }

    /// Looks for dirty rooms that nobody has written for a while, and takes them over.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        if quiet || self.paused || self.sweeping || self.phase != Phase::Writing {
            return;
        }
        let standstill = self.standstill();
        if let Some(before) = now.checked_sub(standstill) {
            let overdue = self.tails.overdue(before);
            self.take_over(&overdue);
        }
        self.sweeping = true;
        let generation = self.generation;
        let asking = self.writer.hot.stuck(standstill);
        let done = asking.into_actor(self).map(move |stuck, actor, ctx| {
            actor.sweeping = false;
            if let Ok(rooms) = stuck
                && actor.generation == generation
            {
                actor.take_over(&rooms);
                actor.pump(ctx);
            }
        });
        ctx.spawn(done);
    }

    fn take_over(&mut self, rooms: &[RoomId]) {
        if rooms.is_empty() {
            return;
        }
        failpoint::at("write_back::before_sweep");
        self.counts.swept += self.tails.adopt(rooms, Instant::now()) as u64;
    }

    /// Is this node done? What others append meanwhile is for others to write.
    pub(super) fn tell_stoppers(&mut self) {
        let pending = !self.again.is_empty() || self.appending_again || !self.ended.is_empty();
        if self.stoppers.is_empty() || pending || self.tails.has_own() {
            return;
        }
        let clean = self.tails.is_clean();
        let done = |(since, _): &mut (Instant, _)| clean || since.elapsed() >= GRACE;
        for (_, reply_to) in self.stoppers.extract_if(.., done) {
            reply_to.send(Ok(()));
        }
    }
}

impl Handler<Flush> for WriteBack {
    type Result = ();

    fn handle(&mut self, Flush { reply_to }: Flush, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        // The others may write them, or not: this node does not wait for that.
        let own = self.tails.own_without_duty();
        self.tails.adopt(&own, Instant::now());
        self.stoppers.push((Instant::now(), reply_to));
        self.pump(ctx);
        self.tell_stoppers();
    }
}
