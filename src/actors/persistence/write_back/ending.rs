//! When a life of the hot log is over: fence, salvage, and appending again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::recovery::Recovered;
use super::salvage::salvage;
use super::tails::Drained;
use super::writer::interfere;
use super::{Phase, Salvage, WriteBack};
use crate::actors::Reply;
use crate::error::Error;
use crate::ids::RoomId;

/// What was held when a life ended.
pub(super) struct EndedLife {
    /// Its name.
    life: Arc<str>,
    /// All of it.
    drained: Drained<Reply<()>>,
    /// Since when the oldest own event had waited.
    pub since: Option<Instant>,
}

impl WriteBack {
    /// Has the hot log begun another life? Then what is held belongs to the old one, and
    /// must not be written under the name of the new.
    pub(super) fn look_at_life(&mut self, ctx: &mut Context<Self>) {
        let life = self.writer.hot.life();
        if *life == *self.life {
            return;
        }
        self.end_life();
        self.life = life;
        self.phase = Phase::Writing;
        self.go_on_salvaging(ctx);
    }

    /// The database says that our life is over.
    pub(super) fn fenced(&mut self, current: Option<&str>) {
        log::warn!(
            "life={} is over, the database is in {current:?}: nothing is written until it is salvaged",
            self.life
        );
        if self.phase == Phase::Writing {
            self.phase = Phase::Fenced;
        }
        self.writer.hot.fence();
    }

    /// Puts everything aside that is held.
    fn end_life(&mut self) {
        self.generation += 1;
        self.to_flush.clear();
        let since = self.tails.oldest_own();
        let drained = self.tails.drain();
        if !drained.rooms.is_empty() || !drained.waiters.is_empty() {
            self.ended.push_back(EndedLife {
                life: self.life.clone(),
                drained,
                since,
            });
        }
    }

    /// Salvages what is left of lives that are over, one after the other; answers when
    /// nothing is left.
    pub(super) fn go_on_salvaging(&mut self, ctx: &mut Context<Self>) {
        if self.salvaging {
            return;
        }
        if self.phase == Phase::Salvaging {
            if self.in_flight {
                return;
            }
            // Also what has come since the last time.
            self.end_life();
        }
        if self.ended.is_empty() {
            self.end_salvage(ctx);
        } else {
            self.begin_salvage(ctx);
        }
    }

    fn begin_salvage(&mut self, ctx: &mut Context<Self>) {
        let Some(ended) = self.ended.front_mut() else {
            return;
        };
        self.salvaging = true;
        let held = std::mem::take(&mut ended.drained.rooms);
        let rooms: HashSet<RoomId> = held.iter().map(|(room, _)| *room).collect();
        let (writer, life) = (self.writer.clone(), ended.life.clone());
        let batch_rows = self.limits.batch_rows;
        let working = async move {
            interfere("write_back::before_salvage").await;
            let outcome = salvage(writer, life, held, batch_rows).await;
            interfere("write_back::after_salvage").await;
            outcome
        };
        let done = working.into_actor(self).map(move |outcome, actor, ctx| {
            actor.salvaging = false;
            actor.settle_ended(rooms, outcome);
            actor.append_again(ctx);
            actor.go_on_salvaging(ctx);
        });
        ctx.spawn(done);
    }

    fn settle_ended(&mut self, mut rooms: HashSet<RoomId>, recovered: Recovered) {
        let Recovered {
            salvaged,
            again,
            unknown,
        } = recovered;
        let Some(ended) = self.ended.pop_front() else {
            return;
        };
        log::info!(
            "life={} salvaged: {} events written, {} numbers void, {} events to be appended again, \
             {} lost",
            ended.life,
            salvaged.rows,
            salvaged.voids,
            salvaged.again,
            salvaged.lost
        );
        self.salvaged.rows += salvaged.rows;
        self.salvaged.voids += salvaged.voids;
        self.salvaged.again += salvaged.again;
        self.salvaged.lost += salvaged.lost;
        self.counts.lost += salvaged.lost as u64;
        self.backlog.release(ended.drained.own);
        rooms.retain(|room| !unknown.contains(room));
        for (room, events) in again {
            rooms.remove(&room);
            self.again.entry(room).or_default().extend(events);
        }
        for (room, waiter) in ended.drained.waiters {
            if rooms.contains(&room) {
                waiter.send(Ok(()));
            } else {
                // Nobody knows their new places yet, or there is no room for them.
                waiter.refuse(Error::unavailable());
            }
        }
        self.tell_stoppers();
    }

    fn end_salvage(&mut self, ctx: &mut Context<Self>) {
        let salvaged = std::mem::take(&mut self.salvaged);
        for reply_to in self.salvagers.drain(..) {
            reply_to.send(Ok(salvaged));
        }
        if self.phase == Phase::Salvaging {
            self.phase = Phase::Writing;
            self.pump(ctx);
        }
    }

    /// Appends again what has no place any more, room by room.
    pub(super) fn append_again(&mut self, ctx: &mut Context<Self>) {
        if self.appending_again {
            return;
        }
        let Some((room, events)) = self.again.pop_first() else {
            return self.tell_stoppers();
        };
        self.appending_again = true;
        let appending = self.writer.hot.append_again(room, events.clone());
        let done = appending.into_actor(self).map(move |outcome, actor, ctx| {
            let pause = match outcome {
                Ok(()) => {
                    actor.again_backoff.regained();
                    Duration::ZERO
                }
                Err(cause) => {
                    let newer = actor.again.remove(&room).unwrap_or_default();
                    let all = events.into_iter().chain(newer).collect();
                    actor.again.insert(room, all);
                    actor.again_backoff.lost("appending again", &cause)
                }
            };
            ctx.run_later(pause, |actor, ctx| {
                actor.appending_again = false;
                actor.append_again(ctx);
            });
        });
        ctx.spawn(done);
    }
}

impl Handler<Salvage> for WriteBack {
    type Result = ();

    fn handle(&mut self, Salvage { life, reply_to }: Salvage, ctx: &mut Context<Self>) {
        self.look_at_life(ctx);
        self.salvagers.push(reply_to);
        if *life == *self.life {
            self.phase = Phase::Salvaging;
        }
        self.go_on_salvaging(ctx);
    }
}
