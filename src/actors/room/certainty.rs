//! A *no* to a person, and what is read over REST, comes only from a room that has just read
//! the head of its log and applied everything up to it: somebody who joined on one node is
//! not refused on another. One reading serves everybody who waits (`docs/CLUSTER.md`).

use actix::prelude::*;

use super::command::Command;
use super::state::{Asker, RoomState};
use super::{Reply, Room};
use crate::actors::{Refuse, registry};
use crate::error::{Error, Result};
use crate::ids::{Epoch, UserId};
use crate::protocol::doorbell::Ephemeral;
use crate::protocol::{Event, MAX_EVENTS, Presence};

/// Most commands that wait for a reading.
const MAX_DOUBTS: usize = 2048;
/// When somebody may try again who met a full queue.
const RETRY_AFTER_MS: u64 = 500;

/// Commands that wait until the head is known.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Those that the reading under way will serve.
    served: Vec<Command>,
    /// Those that came after it had begun.
    waiting: Vec<Command>,
    /// Is a reading under way?
    reading: bool,
}

impl Doubts {
    pub(super) fn is_empty(&self) -> bool {
        self.served.is_empty() && self.waiting.is_empty()
    }

    /// Does something of theirs wait? What they send behind it must not overtake it.
    pub(super) fn holds(&self, asker: Option<UserId>) -> bool {
        let waiting = self.served.iter().chain(&self.waiting);
        asker.is_some() && waiting.map(Command::asker).any(|of| of == asker)
    }

    /// Tells everybody who waits that it will not be known.
    pub(super) fn refuse(&mut self, error: &Error) {
        let waiting = std::mem::take(&mut self.waiting);
        for command in self.served.drain(..).chain(waiting) {
            command.refuse(error.clone());
        }
    }
}

impl Room {
    /// Would the answer to this rest on what may have changed on another node?
    pub(super) fn is_in_doubt(&self, command: &Command) -> bool {
        if !self.services.is_shared() {
            return false;
        }
        let Some(state) = &self.state else {
            return false;
        };
        let is_no_member = |asker: &Asker| state.require_member(*asker).is_err();
        match command {
            Command::GetHistory { .. } | Command::GetMembers { .. } | Command::Describe { .. } => {
                true
            }
            Command::Subscribe { asker, from, .. } => is_no_member(asker) || is_ahead(state, from),
            Command::Read { asker, .. } | Command::Typing { asker, .. } => is_no_member(asker),
            Command::Unsubscribe { asker, .. } => state.is_hidden_from(*asker),
            // Appends are decided when their turn comes.
            _ => false,
        }
    }

    /// Reads the head before the command is done.
    pub(super) fn make_sure(&mut self, command: Command, ctx: &mut Context<Self>) {
        if self.doubts.waiting.len() >= MAX_DOUBTS {
            return command.refuse(Error::overloaded(RETRY_AFTER_MS));
        }
        self.doubts.waiting.push(command);
        self.read_head(ctx);
    }

    fn read_head(&mut self, ctx: &mut Context<Self>) {
        if self.doubts.waiting.is_empty() || std::mem::replace(&mut self.doubts.reading, true) {
            return;
        }
        self.doubts.served = std::mem::take(&mut self.doubts.waiting);
        ctx.spawn(self.catch_up().map(|read, room, ctx| {
            room.doubts.reading = false;
            let served = std::mem::take(&mut room.doubts.served);
            match read {
                Ok(()) => served
                    .into_iter()
                    .for_each(|command| room.do_certain(command, ctx)),
                Err(error) => served
                    .into_iter()
                    .for_each(|command| command.refuse(error.clone())),
            }
            room.read_head(ctx);
            room.go_on_with_held(ctx);
        }));
    }

    fn do_certain(&mut self, command: Command, ctx: &mut Context<Self>) {
        if command.appends() {
            self.appends.push(command, true);
            self.append(ctx);
        } else {
            self.do_command(command, ctx);
        }
    }

    /// Reads the log behind the head until there is no more, and applies it.
    pub(super) fn catch_up(&self) -> ResponseActFuture<Self, Result<()>> {
        let Some(after) = self.state.as_ref().map(RoomState::head) else {
            return Box::pin(actix::fut::ready(Err(self.absent.clone())));
        };
        let (reply_to, answer) = Reply::channel();
        let read = registry::Read {
            room: self.id,
            after,
            limit: MAX_EVENTS,
            reply_to,
        };
        if self.services.registry.try_send(read).is_err() {
            return Box::pin(actix::fut::ready(Err(Error::overloaded(RETRY_AFTER_MS))));
        }
        Box::pin(answer.into_actor(self).then(|read, room, ctx| match read {
            Ok(events) => room.caught_up(events, ctx),
            Err(error) => Box::pin(actix::fut::ready(Err(error))),
        }))
    }

    fn caught_up(
        &mut self,
        events: Vec<Event>,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, Result<()>> {
        let more = events.len() == MAX_EVENTS;
        self.deliver(events, ctx);
        if more {
            self.catch_up()
        } else {
            Box::pin(actix::fut::ready(Ok(())))
        }
    }

    /// After a start: what the log has beyond the database, then who can be reached.
    pub(super) fn catch_up_and_look(&self, stands: Result<()>) -> ResponseActFuture<Self, ()> {
        let caught_up = match stands {
            Ok(()) if self.services.is_shared() => self.catch_up(),
            stands => Box::pin(actix::fut::ready(stands)),
        };
        Box::pin(caught_up.then(|caught_up, room, _| {
            if let Err(error) = caught_up {
                // It is not known how far the log is: nobody can be answered.
                room.state = None;
                room.absent = error;
            }
            room.look_who_is_there()
        }))
    }

    /// Asks the registry who of the members can be reached, on any node.
    pub(super) fn look_who_is_there(&self) -> ResponseActFuture<Self, ()> {
        let Some(state) = &self.state else {
            return Box::pin(actix::fut::ready(()));
        };
        let members = if self.services.is_shared() {
            state.members().map(|(member, _)| member.user).collect()
        } else {
            Vec::new()
        };
        let asked = registry::GetPresent {
            room: self.id,
            members,
        };
        let asking = self.services.registry.send(asked).into_actor(self);
        Box::pin(asking.map(|present, room, ctx| {
            let Ok(present) = present else { return };
            let gone: Vec<_> = room
                .online
                .keys()
                .filter(|user| !present.iter().any(|(there, _)| there == *user))
                .map(|user| (*user, Presence::Offline))
                .collect();
            for (user, presence) in gone.into_iter().chain(present) {
                room.set_presence(
                    super::SetPresence {
                        user,
                        presence,
                        text: None,
                    },
                    ctx,
                );
            }
        }))
    }

    /// Does what came belong to another life of the log than what is here?
    pub(super) fn is_over(&self, epoch: Option<&Epoch>) -> bool {
        let ours = self.state.as_ref().map(|state| &state.record().epoch);
        matches!((epoch, ours), (Some(epoch), Some(ours)) if epoch != ours)
    }

    /// Something passed on another node, or, in a cluster, on this one.
    pub(super) fn passed(&mut self, ephemeral: Ephemeral, ctx: &mut Context<Self>) {
        match ephemeral {
            Ephemeral::Read { user, read, n, own } => {
                let mark = crate::db::Mark { read, n, own };
                self.note_mark(user, mark, ctx);
            }
            Ephemeral::Typing { user, active } => self.note_typing(user, active, ctx),
        }
    }
}

/// Is the position that somebody comes from beyond what is known here?
fn is_ahead(state: &RoomState, from: &super::From) -> bool {
    let position = match from {
        super::From::Last(_) => return false,
        super::From::After(position) | super::From::Resume(position) => position,
    };
    position.seq > state.head() || position.epoch != state.record().epoch
}
