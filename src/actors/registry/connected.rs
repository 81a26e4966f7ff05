//! Who is connected to this node, and what they are told.

use actix::prelude::*;

use super::message::{Leave, Notify, Quiet, Revoke, SetPresence, Unwatch, Watch};
use super::{Registry, tell};
use crate::actors::{room, user};
use crate::ids::{RoomId, UserId};
use crate::protocol::Presence;
use crate::protocol::envelope::{Payload, PresenceChange};

impl Registry {
    /// From now on these rooms ring here. What was appended between the reading and the
    /// subscription is found at once.
    fn listen_to(&mut self, rooms: Vec<RoomId>, ctx: &mut Context<Self>) {
        if rooms.is_empty() {
            return;
        }
        let standing: Vec<_> = rooms
            .iter()
            .map(|room| self.broker.subscribe(*room))
            .collect();
        let all = futures_util::future::join_all(standing);
        ctx.spawn(
            all.into_actor(self)
                .map(move |_, registry, ctx| registry.compare_heads(rooms, ctx)),
        );
    }

    /// How somebody here can be reached now: their rooms here are told, and the other nodes.
    fn tell_everybody(&mut self, user: UserId, rooms: &[RoomId]) {
        let (here, text) = self.interest.presence(user);
        let anywhere = self.presence_anywhere(user);
        self.tell_presence(rooms, user, anywhere, &text);
        if let Some(cluster) = &mut self.cluster {
            cluster.note(PresenceChange {
                user,
                presence: (here != Presence::Offline).then_some(here),
                text,
                rooms: rooms.to_vec(),
            });
        }
    }

    pub(super) fn tell_presence(
        &self,
        rooms: &[RoomId],
        user: UserId,
        presence: Presence,
        text: &Option<String>,
    ) {
        for room in rooms.iter().filter_map(|room| self.rooms.get(room)) {
            let news = room::SetPresence {
                user,
                presence,
                text: text.clone(),
            };
            // Presence may be lost under load; the next change or load puts it right.
            let _ = room.try_send(news);
        }
    }
}

impl Handler<Watch> for Registry {
    type Result = Vec<RoomId>;

    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) -> Vec<RoomId> {
        let rooms: Vec<_> = watch.rooms.iter().map(|known| known.room).collect();
        let is_fresh = |room: &RoomId| self.interest.head(*room).is_none();
        let fresh: Vec<_> = rooms.iter().copied().filter(is_fresh).collect();
        self.users.insert(watch.user, watch.address);
        let stale = self.interest.watch(watch.user, &watch.rooms);
        self.tell_everybody(watch.user, &rooms);
        self.listen_to(fresh, ctx);
        stale
    }
}

impl Handler<Unwatch> for Registry {
    type Result = ();

    fn handle(&mut self, Unwatch { user, room }: Unwatch, _: &mut Context<Self>) {
        if self.interest.unwatch(user, room) {
            self.broker.unsubscribe(room);
        }
    }
}

impl Handler<Quiet> for Registry {
    type Result = ();

    fn handle(&mut self, Quiet { user, room, quiet }: Quiet, _: &mut Context<Self>) {
        self.interest.set_quiet(user, room, quiet);
    }
}

impl Handler<SetPresence> for Registry {
    type Result = ();

    fn handle(&mut self, set: SetPresence, _: &mut Context<Self>) {
        let rooms = self.interest.set_presence(set.user, set.presence, set.text);
        self.tell_everybody(set.user, &rooms);
    }
}

impl Handler<Leave> for Registry {
    type Result = ();

    fn handle(&mut self, Leave(user): Leave, _: &mut Context<Self>) {
        self.users.remove(&user);
        for room in self.interest.leave(user) {
            self.broker.unsubscribe(room);
        }
    }
}

impl Handler<Revoke> for Registry {
    type Result = ();

    fn handle(&mut self, revoke: Revoke, _: &mut Context<Self>) {
        let Revoke {
            user,
            login,
            except,
        } = revoke;
        if let Some(address) = self.users.get(&user) {
            let command = user::Command::Revoke { login, except };
            tell(address, user::News::Command(command));
        }
        // To all: whoever connects elsewhere at this moment may not be known here yet.
        self.send_to_all(Payload::Revoke {
            user,
            login,
            except,
        });
    }
}

impl Handler<Notify> for Registry {
    type Result = ();

    fn handle(&mut self, Notify { user, frame }: Notify, _: &mut Context<Self>) {
        self.send_to_nodes_of(
            user,
            &Payload::Notify {
                user,
                frame: frame.clone(),
            },
        );
        if let Some(address) = self.users.get(&user) {
            let command = user::Command::Notify { frame };
            tell(address, user::News::Command(command));
        }
    }
}
