//! What a room can be told or asked. Sent through the directory.

use std::sync::Arc;

use actix::prelude::*;

use super::state::{Asker, RoomChange};
use crate::actors::hub::Subscriber;
use crate::actors::{Placed, Refuse, Reply};
use crate::db::{Range, Role, Select};
use crate::error::Error;
use crate::ids::{Epoch, Seq, UserId};
use crate::protocol::doorbell::Ephemeral;
use crate::protocol::{ClientId, Entry, Event, MemberView, Place, Position, Presence, Ref};

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

/// What became of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscribed {
    /// The socket hears the room.
    Live,
    /// The position is too far behind for one step: read the log up to the window first.
    Behind,
    /// The position cannot be resumed: not subscribed. Here is the `gap` frame, encoded.
    Gap(bytes::Bytes),
}

/// What became of a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Were they in already?
    pub already: bool,
    /// Their join in the log.
    pub seq: Seq,
    /// In which life of the log.
    pub epoch: Epoch,
}

impl Placed for Joined {
    fn seq(&self) -> Seq {
        self.seq
    }
}

impl Placed for Place {
    fn seq(&self) -> Seq {
        self.seq
    }
}

impl Placed for Seq {
    fn seq(&self) -> Seq {
        *self
    }
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Its place.
    pub place: Place,
    /// In which life of the log.
    pub epoch: Epoch,
    /// Was it there already?
    pub duplicate: bool,
    /// What the log holds; a repeat may have said it in other words.
    pub client_id: ClientId,
}

/// Where somebody's mark stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMark {
    /// Everything up to here has been seen.
    pub read: Seq,
    /// Messages of others behind it.
    pub unread: i64,
    /// The mark itself, for the database.
    pub mark: crate::db::Mark,
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

/// A page of the log.
#[derive(Debug)]
pub struct Page {
    /// In which life of the log.
    pub epoch: Epoch,
    /// The events, ascending.
    pub entries: Vec<Arc<Entry>>,
    /// Are there more in the direction that was asked for?
    pub more: bool,
}

/// A page of the members.
#[derive(Debug)]
pub struct MemberPage {
    /// The people, by id; their names are still to be looked up.
    pub members: Vec<MemberView>,
    /// Where the next page begins, if there is one.
    pub next: Option<UserId>,
}

/// A room as one member sees it.
#[derive(Debug, Clone)]
pub struct Description {
    /// What it is.
    pub record: crate::db::RoomRecord,
    /// The asker's role; `None` when they are not in it.
    pub role: Option<Role>,
    /// How far the asker has read.
    pub read: Seq,
    /// Messages of others behind it.
    pub unread: i64,
    /// How many members are connected.
    pub online: usize,
    /// The other person of a `dm`.
    pub peer: Option<UserId>,
}

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
