//! How far is the log? Asked again and again, so that a lost last ring is found.
//!
//! One question at a time: while the log or the database is slow, they do not pile up. Rooms
//! that somebody looks at are asked for each time; of the others, which may be very many and
//! are mostly cold, so that the database has to answer, a slice each time.

use actix::prelude::*;

use super::{EpochEnded, Head, Registry};
use crate::error::Result;
use crate::ids::RoomId;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Comparing {
    /// Is there a question without an answer?
    asking: bool,
    /// Which slice of the rooms that nobody looks at is next.
    turn: usize,
    /// May something have been missed in any room? Then all are next.
    all: bool,
}

impl Registry {
    /// A connection was away: all rooms are compared, now or as soon as that is possible.
    pub(super) fn compare_all(&mut self, ctx: &mut Context<Self>) {
        self.comparing.all = true;
        self.compare_next(ctx);
    }

    /// It is time again. A node that is alone knows when a ring was lost, but not which.
    pub(super) fn compare_again(&mut self, ctx: &mut Context<Self>) {
        let missed = self.broker.may_have_missed();
        if self.cluster.is_none() {
            self.comparing.all |= missed;
        }
        if self.cluster.is_some() || self.comparing.all {
            self.compare_next(ctx);
        }
    }

    /// Compares those whose turn it is, unless an answer is still awaited.
    fn compare_next(&mut self, ctx: &mut Context<Self>) {
        if self.comparing.asking {
            return;
        }
        let all = std::mem::take(&mut self.comparing.all);
        let rooms: Vec<_> = match all {
            true => self.interest.rooms().collect(),
            false => self.interest.next_rooms(self.comparing.turn),
        };
        self.comparing.turn = self.comparing.turn.wrapping_add(1);
        if rooms.is_empty() {
            return;
        }
        self.comparing.asking = true;
        let asking = self.broker.heads(rooms);
        ctx.spawn(asking.into_actor(self).map(move |heads, registry, ctx| {
            registry.comparing.asking = false;
            registry.comparing.all |= all && heads.is_err();
            registry.compared(heads, ctx);
        }));
    }

    /// Asks the log how far these rooms are, and reads what was missed.
    pub(super) fn compare_heads(&mut self, rooms: Vec<RoomId>, ctx: &mut Context<Self>) {
        let asking = self.broker.heads(rooms);
        ctx.spawn(
            asking
                .into_actor(self)
                .map(|heads, registry, ctx| registry.compared(heads, ctx)),
        );
    }

    fn compared(&mut self, heads: Result<Vec<Head>>, ctx: &mut Context<Self>) {
        for Head { room, epoch, head } in heads.unwrap_or_default() {
            if let Some(over) = self.interest.epoch_over(room, epoch) {
                ctx.notify(EpochEnded { room, epoch: over });
            }
            if let Some(seen) = self.interest.head(room).filter(|seen| *seen < head) {
                self.refill(room, seen, ctx);
            }
        }
    }
}
