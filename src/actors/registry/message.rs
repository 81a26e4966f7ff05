//! What the registry can be told or asked by the actors of this node.

use actix::prelude::*;

use super::broker::PageOf;
use super::interest::Known;
use crate::actors::Reply;
use crate::actors::room::Room;
use crate::actors::user::User;
use crate::db::{self, Appended, Mark};
use crate::ids::{Epoch, LoginId, RoomId, Seq, UserId};
use crate::protocol::doorbell::Ephemeral;
use crate::protocol::{Event, Presence};

/// Drafts for a room's log (see [`super::Broker::append`]).
#[derive(Message)]
#[rtype(result = "()")]
pub struct Append {
    /// What is to be appended.
    pub append: db::Append,
    /// Told what became of it.
    pub reply_to: Reply<Appended>,
}

/// What stands in a room's log behind a place.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Read {
    /// Which room.
    pub room: RoomId,
    /// Behind which place.
    pub after: Seq,
    /// At most so many events.
    pub limit: usize,
    /// Told the events, ascending.
    pub reply_to: Reply<Vec<Event>>,
}

/// A page of a room's history.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Page {
    /// Which part.
    pub page: PageOf,
    /// Told the events, ascending.
    pub reply_to: Reply<Vec<Event>>,
}

/// Tell me when everything up to this place is in the database.
#[derive(Message)]
#[rtype(result = "()")]
pub struct WhenFlushed {
    /// In which room.
    pub room: RoomId,
    /// Up to where.
    pub seq: Seq,
    /// Told then.
    pub reply_to: Reply<()>,
}

/// A room's actor runs on this node from now on. Answered when its doorbell rings here.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoomUp {
    /// The room and what it has loaded.
    pub known: Known,
    /// Where it is.
    pub address: Addr<Room>,
    /// Told then.
    pub reply_to: Reply<()>,
}

/// Who of these members can be reached, on any node?
#[derive(Message)]
#[rtype(result = "Vec<(UserId, Presence)>")]
pub struct GetPresent {
    /// Which room.
    pub room: RoomId,
    /// Its members; on a node that is alone it is known who of them is here.
    pub members: Vec<UserId>,
}

/// Something that passes has happened in a room: tell the other nodes that listen to it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SendEphemeral {
    /// In which room.
    pub room: RoomId,
    /// In which life of its log.
    pub epoch: Epoch,
    /// What.
    pub ephemeral: Ephemeral,
}

/// Somebody has read on: their devices on other nodes are told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Marked {
    /// Who.
    pub user: UserId,
    /// Where.
    pub room: RoomId,
    /// How far.
    pub mark: Mark,
}

/// A room's actor stops.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoomDown(pub RoomId);

/// A connected person is a member of these rooms. Answers with those that have moved on
/// since they were read: look again.
#[derive(Message)]
#[rtype(result = "Vec<RoomId>")]
pub struct Watch {
    /// Who.
    pub user: UserId,
    /// Where they are.
    pub address: Addr<User>,
    /// Their rooms, as they know them.
    pub rooms: Vec<Known>,
}

/// A connected person is no longer a member of this room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unwatch {
    /// Who.
    pub user: UserId,
    /// Of which room.
    pub room: RoomId,
}

/// Do all of somebody's sessions look at this room, so that their inbox can be quiet?
#[derive(Message)]
#[rtype(result = "()")]
pub struct Quiet {
    /// Who.
    pub user: UserId,
    /// Which room.
    pub room: RoomId,
    /// Whether.
    pub quiet: bool,
}

/// How somebody wants to be seen; `Offline` when their last session here has gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetPresence {
    /// Who.
    pub user: UserId,
    /// How.
    pub presence: Presence,
    /// In their own words.
    pub text: Option<String>,
}

/// Somebody has no session on this node any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub UserId);

/// Somebody's tokens are worth nothing any more: their sockets close with 4403.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Revoke {
    /// Whose.
    pub user: UserId,
    /// Only those of this login; `None` for all.
    pub login: Option<LoginId>,
    /// But not those of this one.
    pub except: Option<LoginId>,
}

/// What is the matter with a person's account, for all of their devices.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Notify {
    /// Whose.
    pub user: UserId,
    /// The frame, as JSON.
    pub frame: String,
}
