//! What a person's devices here are told, and how they are sent away.

use actix::prelude::*;
use serde_json::json;

use super::{Attached, User};
use crate::actors::registry::Change;
use crate::actors::{hub, send_always, wire};
use crate::ids::{LoginId, RoomId, SessionId};
use crate::protocol::{Account, AccountNotice, CloseCode, Entry, Inbox, ServerFrame};

impl User {
    pub(super) fn notify(&self, kind: AccountNotice, data: serde_json::Value) {
        self.tell_all(&ServerFrame::Account(Account { kind, data }).to_json());
    }

    pub(super) fn tell_all(&self, frame: &str) {
        let frame = wire::text(frame);
        for (session, attached) in &self.sessions {
            self.tell(*session, attached, frame.clone(), false);
        }
    }

    pub(super) fn tell(
        &self,
        session: SessionId,
        to: &Attached,
        frame: bytes::Bytes,
        ephemeral: bool,
    ) {
        if let Some(worker) = self.services.workers.get(to.worker)
            && worker
                .hub
                .try_send(hub::Tell {
                    session,
                    frame,
                    ephemeral,
                })
                .is_err()
        {
            log::debug!("session={session} was not told something, its hub is busy");
        }
    }

    pub(super) fn changed(&mut self, loud: &[Change], quiet: &[Change], ctx: &mut Context<Self>) {
        for change in loud.iter().chain(quiet) {
            if self.rooms.change(change) {
                self.recount_soon(change.room, 0, ctx);
            }
        }
        let total = self.rooms.total();
        for change in loud {
            self.tell_inbox(change, total);
        }
    }

    /// Tells of a room that is new in their list, if anything is unread there.
    pub(super) fn tell_unread(&self, room: RoomId) {
        let unread = self
            .rooms
            .unread(room)
            .is_some_and(|(unread, _)| unread > 0);
        if unread {
            self.tell_count(room);
        }
    }

    /// Tells what is unread in a room.
    pub(super) fn tell_count(&self, room: RoomId) {
        if let Some(change) = self.rooms.as_change(room) {
            self.tell_inbox(&change, self.rooms.total());
        }
    }

    pub(super) fn tell_inbox(&self, change: &Change, total: i64) {
        let Some((unread, mentions)) = self.rooms.unread(change.room) else {
            return;
        };
        let last = change.last.clone().and_then(|event| Entry::new(event).ok());
        let last = last.as_ref().map(|entry| entry.json_for(self.id));
        let inbox = Inbox {
            room: change.room,
            head: change.head,
            unread,
            mentions,
            last,
            total,
        };
        let frame = wire::text(&ServerFrame::Inbox(inbox).to_json());
        for (session, attached) in &self.sessions {
            if !attached.subscribed.contains(&change.room) {
                self.tell(*session, attached, frame.clone(), true);
            }
        }
    }

    pub(super) fn revoke(&self, login: Option<LoginId>, except: Option<LoginId>) {
        for (session, attached) in &self.sessions {
            let spared = except.is_some() && attached.login == except;
            let meant = login.is_none() || attached.login == login;
            if meant && !spared {
                self.close_revoked(*session, attached);
            }
        }
    }

    pub(super) fn close_revoked(&self, session: SessionId, attached: &Attached) {
        let data = json!({ "reason": "signed out" });
        let frame = ServerFrame::Account(Account {
            kind: AccountNotice::Revoked,
            data,
        });
        if let Some(worker) = self.services.workers.get(attached.worker) {
            let close = hub::Close {
                session,
                farewell: Some(wire::text(&frame.to_json())),
                code: CloseCode::Revoked,
            };
            send_always(&worker.hub, close);
        }
    }
}
