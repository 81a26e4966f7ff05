//! One per worker thread: starts the rooms and users that live there, and finds them.
//! Owns: the address of every room and user actor of its thread, and how much each was sent.
//! Takes: `ToRoom` `ToUser` (everybody), `RetireRoom` `RetireUser` `UserEnded` (those
//! actors), `Observe`.
//! Sends: `room::Command` and `user::Command`, in the order they came.
//! Full mailbox of a room or user: the command is refused with `overloaded`.
//!
//! Everything for a room or user passes through here, so that their commands keep one order,
//! one that failed is started again by the next command, and one that goes to sleep loses
//! none: it may only retire when it has handled all that it was sent.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::room::{self, Room};
use super::user::{self, User};
use super::{Refuse, Services, context};
use crate::error::Error;
use crate::ids::{RoomId, UserId};

/// Commands that may wait for one directory.
const MAILBOX: usize = 16_384;
/// When somebody may ask again whose room or user has too much to do.
const RETRY_AFTER_MS: u64 = 500;
/// How soon a user that failed is started again, if no command does it.
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// The directory of one worker thread.
pub struct Directory {
    rooms: Slots<RoomId, Room>,
    users: Slots<UserId, User>,
    services: Arc<Services>,
}

/// A command for a room, which is started if it is not there.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ToRoom(pub RoomId, pub room::Command);

/// A command for a user, who is started if they are not there.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ToUser(pub UserId, pub user::Command);

/// A room has nothing to do any more; true when it is forgotten and has to stop.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct RetireRoom {
    /// Which.
    pub room: RoomId,
    /// Commands that it has handled.
    pub handled: u64,
}

/// A user has nobody here any more; true when they are forgotten and have to stop.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct RetireUser {
    /// Which.
    pub user: UserId,
    /// Commands that it has handled.
    pub handled: u64,
}

/// The actor of a user is gone, whether it has retired or failed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct UserEnded(pub UserId);

/// What a directory holds; for metrics and tests.
#[derive(Message)]
#[rtype(result = "Holds")]
pub struct Observe;

/// The answer to [`Observe`].
#[derive(Debug, Default, Clone, Copy, MessageResponse)]
pub struct Holds {
    /// Loaded rooms.
    pub rooms: usize,
    /// Users with a session on this node, wherever it is.
    pub users: usize,
}

/// Actors of one kind, by what they stand for.
struct Slots<K, A: Actor>(HashMap<K, Slot<A>>);

struct Slot<A: Actor> {
    address: Addr<A>,
    /// Commands sent since it was started.
    sent: u64,
}

impl<K: Hash + Eq + Copy, A: Actor> Slots<K, A> {
    /// Sends a command on; the actor is started if it is absent or has failed. `start` is told
    /// whether it has.
    fn send<C>(&mut self, key: K, command: C, start: impl FnOnce(bool) -> Addr<A>)
    where
        C: Refuse + Message + Send + 'static,
        C::Result: Send,
        A: Handler<C>,
        A::Context: ToEnvelope<A, C>,
    {
        let failed = self.has_failed(key);
        if failed {
            log::warn!("an actor that had failed is started again");
            self.0.remove(&key);
        }
        let slot = self.0.entry(key).or_insert_with(|| Slot {
            address: start(failed),
            sent: 0,
        });
        match slot.address.try_send(command) {
            Ok(()) => slot.sent += 1,
            Err(SendError::Full(command)) => command.refuse(Error::overloaded(RETRY_AFTER_MS)),
            // It has failed just now; whoever asked learns it from the dropped reply.
            Err(SendError::Closed(_)) => {}
        }
    }

    /// Has it ended without having retired?
    fn has_failed(&self, key: K) -> bool {
        let slot = self.0.get(&key);
        slot.is_some_and(|slot| !slot.address.connected())
    }

    fn retire(&mut self, key: K, handled: u64) -> bool {
        let done = self.0.get(&key).is_some_and(|slot| slot.sent == handled);
        if done {
            self.0.remove(&key);
        }
        done
    }

    fn living(&self) -> usize {
        self.0
            .values()
            .filter(|slot| slot.address.connected())
            .count()
    }
}

impl Directory {
    /// Starts the directory of the current thread.
    pub fn start_here(services: Arc<Services>) -> Addr<Self> {
        let directory = Self {
            rooms: Slots(HashMap::new()),
            users: Slots(HashMap::new()),
            services,
        };
        context(MAILBOX).run(directory)
    }

    fn send_to_user(&mut self, user: UserId, command: user::Command) {
        let services = &self.services;
        let start = |failed| User::start_here(user, services.clone(), failed);
        self.users.send(user, command, start);
    }
}

impl Actor for Directory {
    type Context = Context<Self>;
}

impl Handler<ToRoom> for Directory {
    type Result = ();

    fn handle(&mut self, ToRoom(room, command): ToRoom, _: &mut Context<Self>) {
        let services = &self.services;
        self.rooms
            .send(room, command, |_| Room::start_here(room, services.clone()));
    }
}

impl Handler<ToUser> for Directory {
    type Result = ();

    fn handle(&mut self, ToUser(user, command): ToUser, _: &mut Context<Self>) {
        self.send_to_user(user, command);
    }
}

impl Handler<UserEnded> for Directory {
    type Result = ();

    /// Revocations have to reach their sockets: one that failed does not wait for a command. If
    /// it fails at once again, so it does a moment later.
    fn handle(&mut self, UserEnded(user): UserEnded, ctx: &mut Context<Self>) {
        if self.users.0.contains_key(&user) {
            ctx.run_later(RESTART_DELAY, move |directory, _| {
                if directory.users.has_failed(user) {
                    let again = user::Command::Recheck;
                    directory.send_to_user(user, again);
                }
            });
        }
    }
}

impl Handler<RetireRoom> for Directory {
    type Result = bool;

    fn handle(&mut self, retire: RetireRoom, _: &mut Context<Self>) -> bool {
        self.rooms.retire(retire.room, retire.handled)
    }
}

impl Handler<RetireUser> for Directory {
    type Result = bool;

    fn handle(&mut self, retire: RetireUser, _: &mut Context<Self>) -> bool {
        self.users.retire(retire.user, retire.handled)
    }
}

impl Handler<Observe> for Directory {
    type Result = Holds;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Holds {
        Holds {
            rooms: self.rooms.living(),
            users: self.users.living(),
        }
    }
}
