//! What a person's rooms are: read from the database, listened to in the registry.

use std::collections::HashSet;
use std::time::Duration;

use actix::dev::Request;
use actix::prelude::*;
use serde_json::json;

use super::{Arrival, User};
use crate::actors::registry::{self, Known, Registry};
use crate::actors::send_always;
use crate::db::{Membership, RoomList};
use crate::error::Error;
use crate::ids::{RoomId, UserId};
use crate::protocol::AccountNotice;

/// When a room is read again that had moved on: by then the database has what the log had.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How often at most, each time after twice as long: where everybody writes all the time it
/// would never end.
const READINGS: u32 = 4;

/// How far back a list of what has changed begins in a cluster, milliseconds: the database follows
/// the log, so that a room may come into it after others that changed later.
const OVERLAP: i64 = 300_000;

/// Why one room is read again.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// Who is in it has changed, by this person if that is known.
    Changed { by: Option<UserId> },
    /// Its mentions have to be counted; so often was that tried.
    Recount { turn: u32 },
}

impl User {
    /// Reads their rooms, then listens to them.
    pub(super) fn load(&mut self, arrival: Arrival, ctx: &mut Context<Self>) {
        let reading = self.services.db.rooms_of(self.id).into_actor(self);
        ctx.spawn(reading.map(move |read, user, ctx| match read {
            Ok(RoomList { memberships, names }) => {
                user.rooms.replace(memberships, &names);
                user.listen(arrival, ctx);
            }
            Err(error) => user.turn_away(arrival, error, ctx),
        }));
    }

    fn listen(&mut self, arrival: Arrival, ctx: &mut Context<Self>) {
        let known = |session| self.sessions.contains_key(&session);
        if !arrival.session.is_none_or(known) {
            // The socket went while its rooms were read.
            return arrival.reply_to.refuse(Error::unavailable());
        }
        let rooms = self.rooms.known();
        let asking = self.watch(rooms, ctx).into_actor(self);
        ctx.spawn(asking.map(move |overtaken, user, ctx| match overtaken {
            Ok(overtaken) => {
                user.read_again_soon(overtaken, 0, ctx);
                user.tell_all_quiet();
                let overlap = if user.services.is_shared() {
                    OVERLAP
                } else {
                    0
                };
                let since = arrival.since.map(|since| since.saturating_sub(overlap));
                arrival.reply_to.send(Ok(user.rooms.list(user.id, since)));
            }
            Err(_) => user.turn_away(arrival, Error::unavailable(), ctx),
        }));
    }

    fn watch(&self, rooms: Vec<Known>, ctx: &Context<Self>) -> Request<Registry, registry::Watch> {
        self.services.registry.send(registry::Watch {
            user: self.id,
            address: ctx.address(),
            rooms,
        })
    }

    /// Rooms had moved on before they could be listened to: what is unread there is not quite
    /// known. They are read again, for the first time or once more.
    fn read_again_soon(&mut self, rooms: Vec<RoomId>, before: u32, ctx: &mut Context<Self>) {
        let is_first = self.overtaken.is_empty();
        self.overtaken.extend(rooms);
        if is_first && !self.overtaken.is_empty() {
            let pause = READ_AGAIN * 2_u32.pow(before);
            ctx.run_later(pause, move |user, ctx| user.read_overtaken(before + 1, ctx));
        }
    }

    fn read_overtaken(&mut self, turn: u32, ctx: &mut Context<Self>) {
        let overtaken = std::mem::take(&mut self.overtaken);
        let reading = self.services.db.rooms_of(self.id).into_actor(self);
        ctx.spawn(reading.map(move |read, user, ctx| match read {
            Ok(read) => user.take_overtaken(&overtaken, read, turn, ctx),
            Err(error) => log::debug!("user={} rooms could not be read: {error}", user.id),
        }));
    }

    fn take_overtaken(
        &mut self,
        overtaken: &HashSet<RoomId>,
        read: RoomList,
        turn: u32,
        ctx: &mut Context<Self>,
    ) {
        if self.sessions.is_empty() {
            return;
        }
        let told = overtaken.iter();
        let told: Vec<_> = told.map(|room| (*room, self.rooms.unread(*room))).collect();
        let RoomList { memberships, names } = read;
        for membership in memberships {
            let room = membership.room.id;
            // Who has left meanwhile has not come back by this.
            if overtaken.contains(&room) && self.rooms.name(room).is_some() {
                let peer_name = membership.peer.and_then(|peer| names.get(&peer).cloned());
                if self.rooms.put(membership, peer_name) {
                    self.recount_soon(room, 0, ctx);
                }
            }
        }
        let rooms = overtaken.iter();
        let rooms = rooms.flat_map(|room| self.rooms.known_of(*room)).collect();
        let asking = self.watch(rooms, ctx).into_actor(self);
        ctx.spawn(asking.map(move |overtaken, user, ctx| {
            if user.sessions.is_empty() {
                return user.leave();
            }
            if turn < READINGS {
                user.read_again_soon(overtaken.unwrap_or_default(), turn, ctx);
            }
            user.tell_all_quiet();
            let news = told.into_iter();
            for (room, _) in news.filter(|(room, before)| user.rooms.unread(*room) != *before) {
                user.tell_count(room);
            }
        }));
    }

    /// Their rooms cannot be read now: the socket is told, and is none of theirs.
    fn turn_away(&mut self, arrival: Arrival, error: Error, ctx: &mut Context<Self>) {
        if let Some(session) = arrival.session {
            self.detach(session, ctx);
        }
        arrival.reply_to.refuse(error);
    }

    /// Reads one room again: it is new, or gone, or its mentions have to be counted.
    pub(super) fn reload_room(&mut self, room: RoomId, why: Reading, ctx: &mut Context<Self>) {
        let user = self.id;
        let reading = self.services.db.run(move |store| {
            let membership = store.membership(user, room)?;
            let peer = membership.as_ref().and_then(|membership| membership.peer);
            let peer = peer.map(|peer| store.user(peer)).transpose()?.flatten();
            Ok((membership, peer))
        });
        ctx.spawn(
            reading
                .into_actor(self)
                .map(move |read, user, ctx| match read {
                    Ok((Some(membership), peer)) => {
                        let name = peer.map(|peer| peer.name);
                        user.enter(membership, name, why, ctx);
                    }
                    Ok((None, _)) => user.exit(room),
                    Err(error) => {
                        log::warn!("room={room} user={} could not be read: {error}", user.id)
                    }
                }),
        );
    }

    fn enter(
        &mut self,
        membership: Membership,
        peer_name: Option<String>,
        why: Reading,
        ctx: &mut Context<Self>,
    ) {
        if self.sessions.is_empty() {
            // Everybody went while it was read: nobody is to be watched for.
            return;
        }
        let room = membership.room.id;
        // It may be told twice, or have stood in the list that they were welcomed with.
        let is_new = self.rooms.name(room).is_none();
        let unread = self.rooms.unread(room);
        let recount = self.rooms.put(membership, peer_name);
        match why {
            Reading::Changed { .. } if recount => self.recount_soon(room, 0, ctx),
            Reading::Recount { turn } if recount && turn < READINGS => {
                self.recount_soon(room, turn, ctx);
            }
            Reading::Changed { .. } | Reading::Recount { .. } => {}
        }
        let asking = self.watch(self.rooms.known_of(room), ctx);
        ctx.spawn(asking.into_actor(self).map(move |overtaken, user, ctx| {
            if user.sessions.is_empty() {
                // A busy registry may have heard it after it had heard that they left.
                return user.leave();
            }
            user.read_again_soon(overtaken.unwrap_or_default(), 0, ctx);
            user.tell_quiet(room);
            if let Reading::Changed { by: Some(by) } = why
                && is_new
                && by != user.id
                && let Some(name) = user.rooms.name(room)
            {
                let data = json!({ "room": room, "name": name, "from": by });
                user.notify(AccountNotice::Invited, data);
            }
            if is_new {
                // What was written since they came in, and before this reading, rings no more.
                user.tell_unread(room);
            }
            let is_recount = matches!(why, Reading::Recount { .. });
            if is_recount && user.rooms.unread(room) != unread {
                user.tell_count(room);
            }
        }));
    }

    pub(super) fn exit(&mut self, room: RoomId) {
        self.rooms.remove(room);
        for session in self.sessions.values_mut() {
            session.subscribed.remove(&room);
        }
        let unwatch = registry::Unwatch {
            user: self.id,
            room,
        };
        send_always(&self.services.registry, unwatch);
    }
}
