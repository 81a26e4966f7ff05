//! What a person's rooms are: read from the database, listened to in the registry.

use actix::prelude::*;
use serde_json::json;

use super::{Arrival, User};
use crate::actors::{registry, send_always};
use crate::db::Membership;
use crate::error::Error;
use crate::ids::{RoomId, UserId};
use crate::protocol::AccountNotice;

/// How often a reading that was overtaken is repeated before it is taken as it is.
pub(super) const MAX_LOADS: usize = 3;

impl User {
    /// Reads their rooms, then listens to them; reads again what has moved on meanwhile.
    pub(super) fn load(&mut self, arrival: Arrival, loads: usize, ctx: &mut Context<Self>) {
        let user = self.id;
        let reading = self.services.db.run(move |store| {
            let memberships = store.memberships(user)?;
            let peers: Vec<_> = memberships.iter().filter_map(|room| room.peer).collect();
            let peers = store.users(&peers)?;
            Ok((memberships, peers))
        });
        let loaded = reading
            .into_actor(self)
            .map(move |read, user, ctx| match read {
                Ok((memberships, peers)) => {
                    let names = peers.into_iter().map(|peer| (peer.id, peer.name)).collect();
                    user.rooms.replace(memberships, &names);
                    user.listen(arrival, loads, ctx);
                }
                Err(error) => user.turn_away(arrival, error, ctx),
            });
        ctx.spawn(loaded);
    }

    fn listen(&mut self, arrival: Arrival, loads: usize, ctx: &mut Context<Self>) {
        let known = |session| self.sessions.contains_key(&session);
        if !arrival.session.is_none_or(known) {
            // The socket went while its rooms were read.
            return arrival.reply_to.refuse(Error::unavailable());
        }
        let (rooms, address) = (self.rooms.known(), ctx.address());
        let watch = registry::Watch {
            user: self.id,
            address,
            rooms,
        };
        let asking = self.services.registry.send(watch).into_actor(self);
        ctx.spawn(asking.map(move |stale, user, ctx| match stale {
            Ok(stale) if !stale.is_empty() && loads > 1 => user.load(arrival, loads - 1, ctx),
            Ok(_) => {
                user.tell_all_quiet();
                arrival
                    .reply_to
                    .send(Ok(user.rooms.list(user.id, arrival.since)));
            }
            Err(_) => user.turn_away(arrival, Error::unavailable(), ctx),
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
    pub(super) fn reload_room(
        &mut self,
        room: RoomId,
        invited_by: Option<UserId>,
        ctx: &mut Context<Self>,
    ) {
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
                        user.enter(membership, name, invited_by, ctx);
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
        invited_by: Option<UserId>,
        ctx: &mut Context<Self>,
    ) {
        if self.sessions.is_empty() {
            // Everybody went while it was read: nobody is to be watched for.
            return;
        }
        let room = membership.room.id;
        self.rooms.put(membership, peer_name);
        let rooms = self.rooms.known_of(room);
        let watch = registry::Watch {
            user: self.id,
            address: ctx.address(),
            rooms,
        };
        let asking = self.services.registry.send(watch);
        ctx.spawn(asking.into_actor(self).map(move |stale, user, ctx| {
            if user.sessions.is_empty() {
                // A busy registry may have heard it after it had heard that they left.
                return user.leave();
            }
            if stale.is_ok_and(|stale| !stale.is_empty()) {
                user.reload_room(room, invited_by, ctx);
                return;
            }
            user.tell_quiet(room);
            if let Some(by) = invited_by.filter(|by| *by != user.id)
                && let Some(name) = user.rooms.name(room)
            {
                let data = json!({ "room": room, "name": name, "from": by });
                user.notify(AccountNotice::Invited, data);
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
