//! What a room can be told or asked. Sent through the directory.

use std::sync::Arc;

use actix::prelude::*;

use super::answer::{Acked, Description, Joined, MemberPage, Page, ReadMark, Subscribed};
use super::state::{Asker, RoomChange};
use crate::actors::hub::Subscriber;
use crate::actors::{Refuse, Reply};
use crate::db::{Range, Role, Select};
use crate::error::Error;
use crate::ids::{Seq, UserId};
use crate::protocol::{ClientId, Place, Position, Ref};

/// A request to a room, with who asks.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum Command {
    /// The first events of a room whose row has just been made.
    Found {
        /// Who makes it.
        by: UserId,
        /// What it is called and how it works.
        change: RoomChange,
        /// Who is in it from the start, and as what.
        members: Vec<(UserId, Role)>,
        /// Told where they end in the log.
        reply_to: Reply<Seq>,
    },
    /// Become a member.
    Join {
        /// Who.
        asker: Asker,
        /// Told what came of it.
        reply_to: Reply<Joined>,
    },
    /// Make somebody a member.
    Add {
        /// Who adds.
        asker: Asker,
        /// Whom.
        user: UserId,
        /// Told what came of it.
        reply_to: Reply<Joined>,
    },
    /// Leave.
    Leave {
        /// Who.
        asker: Asker,
        /// Told where it stands in the log.
        reply_to: Reply<Place>,
    },
    /// The account of a member is gone.
    Resign {
        /// Whose.
        user: UserId,
        /// Told where it stands in the log.
        reply_to: Reply<Seq>,
    },
    /// Remove somebody.
    Kick {
        /// Who removes.
        asker: Asker,
        /// Whom.
        user: UserId,
        /// Told where it stands in the log.
        reply_to: Reply<Place>,
    },
    /// Give somebody another role.
    SetRole {
        /// Who gives.
        asker: Asker,
        /// To whom.
        user: UserId,
        /// Which.
        role: Role,
        /// Told where it stands in the log.
        reply_to: Reply<Seq>,
    },
    /// Change the room, or close it.
    Change {
        /// Who.
        asker: Asker,
        /// What is different from now on.
        change: RoomChange,
        /// Told where it stands in the log.
        reply_to: Reply<Seq>,
    },
    /// Write a message.
    Publish {
        /// Who.
        asker: Asker,
        /// What.
        message: Outgoing,
        /// Told where it stands in the log.
        reply_to: Reply<Acked>,
    },
    /// Hear the room.
    Subscribe {
        /// Who, and where their socket is.
        asker: Asker,
        /// The socket.
        who: Subscriber,
        /// From where.
        from: From,
        /// The client's number for the request.
        reference: Option<Ref>,
        /// Told when the frames are in the socket's lane.
        reply_to: Reply<Subscribed>,
    },
    /// Hear it no longer.
    Unsubscribe {
        /// Who.
        asker: Asker,
        /// Which socket.
        who: Subscriber,
        /// Told when nothing follows any more.
        reply_to: Reply<()>,
    },
    /// Everything up to here has been seen.
    Read {
        /// By whom.
        asker: Asker,
        /// Up to where.
        seq: Seq,
        /// Told where the mark stands now.
        reply_to: Reply<ReadMark>,
    },
    /// Somebody writes, or has stopped.
    Typing {
        /// Who.
        asker: Asker,
        /// Which.
        active: bool,
        /// Told that it is passed on.
        reply_to: Reply<()>,
    },
    /// A page of the log.
    GetHistory {
        /// Who asks.
        asker: Asker,
        /// Which part.
        span: Span,
        /// Messages only?
        select: Select,
        /// Most events.
        limit: usize,
        /// Told the page.
        reply_to: Reply<Page>,
    },
    /// A page of the members.
    GetMembers {
        /// Who asks.
        asker: Asker,
        /// Behind this person.
        after: Option<UserId>,
        /// Most people.
        limit: usize,
        /// Told the page; names are empty.
        reply_to: Reply<MemberPage>,
    },
    /// What the room is.
    Describe {
        /// Who asks.
        asker: Asker,
        /// Told.
        reply_to: Reply<Description>,
    },
    /// No socket of this thread hears the room any more.
    HubEmpty {
        /// Which thread.
        worker: usize,
        /// Which start of the room it listened to.
        incarnation: u64,
        /// Subscriptions that it had seen by then.
        subscribed: u64,
    },
}

impl Command {
    /// Who wants something appended.
    pub(super) fn asker(&self) -> Option<UserId> {
        match self {
            Command::Found { by: user, .. } | Command::Resign { user, .. } => Some(*user),
            Command::Join { asker, .. }
            | Command::Add { asker, .. }
            | Command::Leave { asker, .. }
            | Command::Kick { asker, .. }
            | Command::SetRole { asker, .. }
            | Command::Change { asker, .. }
            | Command::Publish { asker, .. } => Some(asker.user),
            _ => None,
        }
    }

    /// Does it want to append to the log?
    pub(super) fn appends(&self) -> bool {
        match self {
            Command::Found { .. }
            | Command::Join { .. }
            | Command::Add { .. }
            | Command::Leave { .. }
            | Command::Resign { .. }
            | Command::Kick { .. }
            | Command::SetRole { .. }
            | Command::Change { .. }
            | Command::Publish { .. } => true,
            Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::Read { .. }
            | Command::Typing { .. }
            | Command::GetHistory { .. }
            | Command::GetMembers { .. }
            | Command::Describe { .. }
            | Command::HubEmpty { .. } => false,
        }
    }
}

/// A message on its way into the log.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields of `publish` in docs/PROTOCOL.md")]
pub struct Outgoing {
    pub client_id: ClientId,
    pub body: Arc<str>,
    pub reply_to: Option<Seq>,
    pub thread: Option<Seq>,
    pub mentions: Vec<UserId>,
}

/// Where a subscription begins.
#[derive(Debug)]
pub enum From {
    /// With a snapshot of the newest events, at most this many.
    Last(usize),
    /// With a snapshot of what came behind this position.
    After(Position),
    /// With what came behind this position, as batches.
    Resume(Position),
}

/// A part of the log that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The newest events.
    Newest,
    /// One side of a place.
    Range(Range),
    /// Both sides of a place, which is among them.
    Around(Seq),
}

impl Refuse for Command {
    fn refuse(self, error: Error) {
        match self {
            Command::Found { reply_to, .. }
            | Command::Resign { reply_to, .. }
            | Command::SetRole { reply_to, .. }
            | Command::Change { reply_to, .. } => reply_to.refuse(error),
            Command::Unsubscribe { reply_to, .. } | Command::Typing { reply_to, .. } => {
                reply_to.refuse(error);
            }
            Command::Join { reply_to, .. } | Command::Add { reply_to, .. } => {
                reply_to.refuse(error);
            }
            Command::Leave { reply_to, .. } | Command::Kick { reply_to, .. } => {
                reply_to.refuse(error);
            }
            Command::Publish { reply_to, .. } => reply_to.refuse(error),
            Command::Subscribe { reply_to, .. } => reply_to.refuse(error),
            Command::Read { reply_to, .. } => reply_to.refuse(error),
            Command::GetHistory { reply_to, .. } => reply_to.refuse(error),
            Command::GetMembers { reply_to, .. } => reply_to.refuse(error),
            Command::Describe { reply_to, .. } => reply_to.refuse(error),
            // The room asks when it has nothing else to do.
            Command::HubEmpty { .. } => log::debug!("a room was not told something: {error}"),
        }
    }
}
