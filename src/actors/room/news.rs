//! What a room hears from the registry.

use actix::prelude::*;

use crate::ids::{Epoch, UserId};
use crate::protocol::doorbell::Ephemeral;
use crate::protocol::{Event, Presence};

/// New events of the room, as its doorbell rings.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Deliver {
    /// In which life of the log, where that can change.
    pub epoch: Option<Epoch>,
    /// What is new, ascending.
    pub events: Vec<Event>,
}

/// A [`Deliver`] was lost: what is missing stands in the log.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct ReadOn;

/// The room's log goes on in another epoch: everything is read again.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct EpochEnded {
    /// The epoch that has ended.
    pub epoch: Epoch,
}

/// What the room knows may be wrong: it is read again.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Restart;

/// Something that has no place in the log happened here or on another node.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct EphemeralReceived(pub Ephemeral);

/// Many people may have come or gone at once: look who of the members can be reached.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct LookWhoIsThere;

/// A member came, went, or changed how they want to be seen.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct SetPresence {
    /// Who.
    pub user: UserId,
    /// How.
    pub presence: Presence,
    /// In their own words.
    pub text: Option<String>,
}
