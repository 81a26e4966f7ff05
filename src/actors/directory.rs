//! One per worker thread: starts the rooms and users that live there, and finds them.
//! Owns: the address of every room and user actor of its thread, and how much each was sent.
//! Takes: `ToRoom` `ToUser` (everybody), `RetireRoom` `RetireUser` (those actors), `Observe`.
//! Sends: `room::Command` and `user::Command`, in the order they came.
//! Full mailbox of a room or user: the command is refused with `overloaded`.
//!
//! Everything for a room or user passes through here, so that their commands keep one order,
//! one that failed is started again by the next command, and one that goes to sleep loses
//! none: it may only retire when it has handled all that it was sent.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

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
    /// Sends a command on; the actor is started if it is absent or has failed.
    fn send<C>(&mut self, key: K, command: C, start: impl FnOnce() -> Addr<A>)
    where
        C: Refuse + Message + Send + 'static,
        C::Result: Send,
        A: Handler<C>,
        A::Context: ToEnvelope<A, C>,
    {
        if self
            .0
            .get(&key)
            .is_some_and(|slot| !slot.address.connected())
        {
            log::warn!("an actor that had failed is started again");
            self.0.remove(&key);
        }
        let slot = self.0.entry(key).or_insert_with(|| Slot {
            address: start(),
            sent: 0,
        });
        match slot.address.try_send(command) {
            Ok(()) => slot.sent += 1,
            Err(SendError::Full(command)) => command.refuse(Error::overloaded(RETRY_AFTER_MS)),
            // It has failed just now; whoever asked learns it from the dropped reply.
            Err(SendError::Closed(_)) => {}
        }
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
}

impl Actor for Directory {
    type Context = Context<Self>;
}

impl Handler<ToRoom> for Directory {
    type Result = ();

    fn handle(&mut self, ToRoom(room, command): ToRoom, _: &mut Context<Self>) {
        let services = &self.services;
        self.rooms
            .send(room, command, || Room::start_here(room, services.clone()));
    }
}

impl Handler<ToUser> for Directory {
    type Result = ();

    fn handle(&mut self, ToUser(user, command): ToUser, _: &mut Context<Self>) {
        let services = &self.services;
        self.users
            .send(user, command, || User::start_here(user, services.clone()));
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
