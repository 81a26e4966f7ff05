//! What one connection sends to a room keeps its order: who asks for something that they may
//! only when what they sent before has worked, waits for that. A join, and a subscription right
//! behind it, are the usual case.

use actix::prelude::*;

use super::Room;
use super::command::Command;
use super::state::RoomState;
use crate::actors::Refuse;
use crate::error::Error;

/// Most commands that wait like that.
const MAX_HELD: usize = 2048;
/// When somebody may try again who met a full queue.
const RETRY_AFTER_MS: u64 = 500;

impl Room {
    /// Would this be refused only because something of the same person has no place yet?
    pub(super) fn waits_for_own(&self, command: &Command) -> bool {
        let asker = match command {
            Command::Subscribe { asker, .. }
            | Command::Unsubscribe { asker, .. }
            | Command::Read { asker, .. }
            | Command::Typing { asker, .. }
            | Command::GetHistory { asker, .. }
            | Command::GetMembers { asker, .. }
            | Command::Describe { asker, .. } => *asker,
            // Appends wait in their own line.
            _ => return false,
        };
        let is_no = |state: &RoomState| state.require_member(asker).is_err();
        self.state.as_ref().is_some_and(is_no)
            && (self.appends.holds(asker.user) || self.doubts.holds(Some(asker.user)))
    }

    /// Keeps a command until what its sender sent before is settled.
    pub(super) fn hold(&mut self, command: Command) {
        if self.held.len() >= MAX_HELD {
            return command.refuse(Error::overloaded(RETRY_AFTER_MS));
        }
        self.held.push(command);
    }

    /// Something is settled: whoever waited for it goes on.
    pub(super) fn go_on_with_held(&mut self, ctx: &mut Context<Self>) {
        for command in std::mem::take(&mut self.held) {
            self.handle_command(command, ctx);
        }
    }
}
