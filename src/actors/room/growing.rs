//! How the room grows: appends what has gathered, applies what the log says, hands it on.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::appends::Plan;
use super::command::Command;
use super::state::{Applied, RoomState};
use super::{Reply, Room};
use crate::actors::{Refuse, registry};
use crate::clock;
use crate::db::{Append, Appended, Fate, new_events};
use crate::error::Error;
use crate::ids::Seq;
use crate::protocol::{Draft, Entry, Event};

/// How long an event waits for those that go before it, before they are read.
const EARLY_PATIENCE: Duration = Duration::from_millis(50);
/// Most events that wait like that.
const MAX_EARLY: usize = 256;
/// How soon a hub that was too busy is served again.
const HAND_AGAIN: Duration = Duration::from_millis(5);
/// When somebody may try again who met a registry with too much to do.
const RETRY_AFTER_MS: u64 = 1000;

impl Room {
    /// Takes a command that appends.
    pub(super) fn push_append(&mut self, command: Command, ctx: &mut Context<Self>) {
        if let Command::Publish { .. } = command
            && let Err(error) = self.services.rates.room_publish.check(&self.id)
        {
            return command.refuse(error);
        }
        if self.doubts.holds(command.asker()) {
            return self.make_sure(command, ctx);
        }
        let certain = !self.services.is_shared();
        self.appends.push(command, certain);
        self.append(ctx);
    }

    /// Appends what has gathered, unless an append is in flight or the room is reading on.
    pub(super) fn append(&mut self, ctx: &mut Context<Self>) {
        let Some(state) = self.state.as_ref().filter(|_| !self.refilling.is_busy()) else {
            return;
        };
        let basis = state.basis();
        let Plan { drafts, doubtful } = self.appends.plan(state, clock::now_ms());
        for command in doubtful {
            self.make_sure(command, ctx);
        }
        if drafts.is_empty() {
            if self.appends.is_empty() {
                self.go_on_with_held(ctx);
            }
            return;
        }
        let append = Append {
            room: self.id,
            basis,
            drafts: drafts.clone(),
        };
        let (reply_to, answer) = Reply::channel();
        let sent = self
            .services
            .registry
            .try_send(registry::Append { append, reply_to });
        if sent.is_err() {
            self.appends.fail(&Error::overloaded(RETRY_AFTER_MS));
            return self.go_on_with_held(ctx);
        }
        ctx.spawn(answer.into_actor(self).map(move |appended, room, ctx| {
            match appended {
                Ok(appended) => room.appended(appended, drafts, ctx),
                Err(error) => room.appends.fail(&error),
            }
            room.go_on_with_held(ctx);
        }));
    }

    fn appended(&mut self, appended: Appended, drafts: Vec<Draft>, ctx: &mut Context<Self>) {
        match appended {
            Appended::Done(fates) => {
                let events = new_events(self.id, drafts, &fates);
                self.deliver(events, ctx);
                if let Some(state) = &self.state {
                    self.appends.settle(&fates, state);
                }
                if fates.iter().any(|fate| self.is_ahead_of(fate)) {
                    // It is there already, and not here: an answer to us was lost on its way.
                    self.refill(ctx);
                }
            }
            Appended::Stale { newer, head } => return self.learn(newer, head, ctx),
            Appended::NoRoom => self.appends.fail(&Error::room_not_found()),
        }
        self.append(ctx);
    }

    /// The log has moved on further than the decision rested on. It is decided again when all
    /// of that is known: what the refusal brought may end before the head, or be nothing at
    /// all, where the log has been trimmed.
    fn learn(&mut self, newer: Vec<Event>, head: Seq, ctx: &mut Context<Self>) {
        self.deliver(newer, ctx);
        if self.has_reached(head) {
            self.appends.decide_again();
            return self.append(ctx);
        }
        ctx.spawn(self.catch_up().map(move |read, room, ctx| {
            match read {
                Ok(()) if room.has_reached(head) => room.appends.decide_again(),
                Ok(()) => room.appends.fail(&Error::unavailable()),
                Err(error) => room.appends.fail(&error),
            }
            room.append(ctx);
            room.go_on_with_held(ctx);
        }));
    }

    /// Was something appended before that is not known here?
    fn is_ahead_of(&self, fate: &Fate) -> bool {
        matches!(fate, Fate::Duplicate(place) if !self.has_reached(place.seq))
    }

    fn has_reached(&self, head: Seq) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| state.head() >= head)
    }

    /// Applies new events and hands them on. A hole is filled from the log first.
    pub(super) fn deliver(&mut self, events: Vec<Event>, ctx: &mut Context<Self>) {
        for event in events {
            let Some(head) = self.state.as_ref().map(RoomState::head) else {
                return;
            };
            if event.seq() <= head {
                continue;
            }
            if event.seq() > head.next() {
                self.keep_early(event, ctx);
                continue;
            }
            self.apply(event, ctx);
            self.apply_early(ctx);
        }
        self.hand_over(ctx);
    }

    /// What goes before it is most likely on its way: another node appended at the same
    /// moment. It is read when it does not come.
    fn keep_early(&mut self, event: Event, ctx: &mut Context<Self>) {
        let is_first = self.early.is_empty();
        self.early.insert(event.seq(), event);
        if self.early.len() > MAX_EARLY || !self.services.is_shared() {
            self.early.clear();
            return self.refill(ctx);
        }
        if is_first {
            ctx.run_later(EARLY_PATIENCE, |room, ctx| {
                if !room.early.is_empty() {
                    room.refill(ctx);
                }
            });
        }
    }

    fn apply_early(&mut self, ctx: &mut Context<Self>) {
        while let Some(head) = self.state.as_ref().map(RoomState::head)
            && let Some(entry) = self.early.first_entry()
            && *entry.key() <= head.next()
        {
            let event = entry.remove();
            if event.seq() > head {
                self.apply(event, ctx);
            }
        }
    }

    fn apply(&mut self, event: Event, ctx: &mut Context<Self>) {
        let Some(state) = &mut self.state else { return };
        let seq = event.seq();
        let entry = match Entry::new(event) {
            Ok(entry) => Arc::new(entry),
            Err(cause) => {
                // Bodies are checked before they are appended; a foreign row is shown as nothing.
                log::error!("room={} seq={seq} is not readable: {cause}", self.id);
                return ctx.stop();
            }
        };
        let Applied { removed, joined } = state.apply(entry);
        let members = state.member_count();
        if let Some(user) = joined {
            self.audience.note_read(user, None, Some(seq), members);
        }
        if let Some(user) = removed {
            self.online.remove(&user);
            let before = state.mark_of(user);
            self.audience.note_read(user, before, None, members);
        }
        self.tell_news_soon(ctx);
    }

    /// Reads what is missing behind the head, again and again until that works: nothing else
    /// may ever say that it is missing.
    pub(super) fn refill(&mut self, ctx: &mut Context<Self>) {
        if self.state.is_none() || !self.refilling.begin() {
            return;
        }
        ctx.spawn(self.catch_up().map(|read, room, ctx| {
            match read {
                Ok(()) if room.early.is_empty() => {
                    room.refilling.works();
                    room.refilling.end();
                }
                // It came after the log was read, or before what it stands on could be.
                Ok(()) => room.refill_later(&"something is still missing", ctx),
                Err(error) => room.refill_later(&error, ctx),
            }
            room.append(ctx);
        }));
    }

    fn refill_later(&mut self, cause: &dyn std::fmt::Display, ctx: &mut Context<Self>) {
        let what = format!("room={} reading on", self.id);
        let pause = self.refilling.pause(&what, cause);
        ctx.run_later(pause, |room, ctx| {
            room.refilling.end();
            room.refill(ctx);
        });
    }

    fn hand_over(&mut self, ctx: &mut Context<Self>) {
        let Some(state) = &self.state else { return };
        let (epoch, head) = (&state.record().epoch, state.head());
        let workers = &self.services.workers;
        let served = self
            .audience
            .deliver(workers, self.id, epoch, state.window(), head);
        if !served && !std::mem::replace(&mut self.handing, true) {
            ctx.run_later(HAND_AGAIN, |room, ctx| {
                room.handing = false;
                room.hand_over(ctx);
            });
        }
    }
}
