//! Who looks at the room: read marks, typing, presence. Merged, and told only to those who look.

use actix::prelude::*;

use super::answer::ReadMark;
use super::news::SetPresence;
use super::state::Asker;
use super::{Reply, Room};
use crate::actors::{persistence, registry, user};
use crate::db::Mark;
use crate::error::Result;
use crate::ids::{Seq, UserId};
use crate::protocol::Presence;
use crate::protocol::doorbell::Ephemeral;

impl Room {
    pub(super) fn read(
        &mut self,
        asker: Asker,
        seq: Seq,
        reply_to: Reply<ReadMark>,
        ctx: &mut Context<Self>,
    ) {
        let Some(state) = &self.state else {
            return reply_to.refuse(self.absent.clone());
        };
        if let Err(error) = state.require_member(asker) {
            return reply_to.refuse(error);
        }
        if let Some(mark) = state.mark_at(asker.user, seq) {
            return self.set_mark(asker, mark, reply_to, ctx);
        }
        let (room, user) = (self.id, asker.user);
        let asking = self
            .services
            .db
            .run(move |store| store.mark_at(room, user, seq));
        ctx.spawn(
            asking
                .into_actor(self)
                .map(move |mark, room, ctx| match mark {
                    Ok(mark) => room.set_mark(asker, mark, reply_to, ctx),
                    Err(error) => reply_to.refuse(error),
                }),
        );
    }

    fn set_mark(
        &mut self,
        asker: Asker,
        mark: Mark,
        reply_to: Reply<ReadMark>,
        ctx: &mut Context<Self>,
    ) {
        if self.note_mark(asker.user, mark, ctx) {
            self.save_mark(asker.user, mark);
        }
        let Some(state) = &self.state else { return };
        reply_to.send(state.require_member(asker).map(|(member, _)| ReadMark {
            read: member.mark.read,
            unread: state.unread(member),
            mark: member.mark,
        }));
    }

    /// Moves a mark forward and shows it to those who look. False when it has not moved.
    pub(super) fn note_mark(&mut self, user: UserId, mark: Mark, ctx: &mut Context<Self>) -> bool {
        let Some(state) = &mut self.state else {
            return false;
        };
        let Some(before) = state.set_mark(user, mark) else {
            return false;
        };
        let members = state.member_count();
        self.audience
            .note_read(user, Some(before), Some(mark.read), members);
        self.tell_news_soon(ctx);
        true
    }

    /// Writes a mark a little later, and tells the person's other devices of it.
    fn save_mark(&self, user: UserId, mark: Mark) {
        let room = self.id;
        let save = persistence::SaveMark { room, user, mark };
        if self.services.persistence.try_send(save).is_err() {
            log::debug!("room={room} a mark was not saved, the next one will be");
        }
        self.services
            .user(user)
            .tell(user::Command::Marked { room, mark });
        if !self.services.is_shared() {
            return;
        }
        let Mark { read, n, own } = mark;
        self.pass(Ephemeral::Read { user, read, n, own });
        let marked = registry::Marked { user, room, mark };
        // The next mark tells it, too.
        let _ = self.services.registry.try_send(marked);
    }

    /// Tells the other nodes that listen to the room of something that may be lost.
    fn pass(&self, ephemeral: Ephemeral) {
        let Some(state) = &self.state else { return };
        let pass = registry::SendEphemeral {
            room: self.id,
            epoch: state.record().epoch.clone(),
            ephemeral,
        };
        // It may be lost: that is what ephemeral means.
        let _ = self.services.registry.try_send(pass);
    }

    pub(super) fn typing(
        &mut self,
        asker: Asker,
        active: bool,
        ctx: &mut Context<Self>,
    ) -> Result<()> {
        let state = self.state.as_ref().ok_or_else(|| self.absent.clone())?;
        state.require_member(asker)?;
        if self.services.is_shared() {
            // It comes back by the doorbell, as on every node.
            let user = asker.user;
            self.pass(Ephemeral::Typing { user, active });
        } else {
            self.note_typing(asker.user, active, ctx);
        }
        Ok(())
    }

    /// Shows those who look that somebody writes, or has stopped.
    pub(super) fn note_typing(&mut self, user: UserId, active: bool, ctx: &mut Context<Self>) {
        let is_member = self
            .state
            .as_ref()
            .is_some_and(|state| state.member(user).is_some());
        if is_member && !self.audience.is_empty() {
            self.audience.note_typing(user, active);
            self.tell_news_soon(ctx);
        }
    }

    pub(super) fn set_presence(&mut self, set: SetPresence, ctx: &mut Context<Self>) {
        let Some(state) = &self.state else { return };
        if state.member(set.user).is_none() {
            return;
        }
        let before = match set.presence {
            Presence::Offline => self.online.remove(&set.user),
            presence => self.online.insert(set.user, presence),
        };
        if before == Some(set.presence) && set.text.is_none() {
            return;
        }
        let (online, members) = (self.online.len(), state.member_count());
        self.audience
            .note_presence(set.user, set.presence, set.text, online, members);
        self.tell_news_soon(ctx);
    }

    /// Ephemeral news are merged for a moment, and told only if somebody listens.
    pub(super) fn tell_news_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.audience.has_news() || std::mem::replace(&mut self.telling, true) {
            return;
        }
        ctx.run_later(self.services.config.tuning.merge, |room, _| {
            room.telling = false;
            room.audience.tell_news(&room.services.workers, room.id);
        });
    }
}
