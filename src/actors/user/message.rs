//! What a person's actor can be told or asked.

use actix::prelude::*;

use super::Listing;
use crate::actors::hub::Subscriber;
use crate::actors::registry::Change;
use crate::actors::{Refuse, Reply};
use crate::db::Mark;
use crate::error::Error;
use crate::ids::{LoginId, RoomId, SessionId, UserId};
use crate::protocol::Presence;

/// What a person can be told or asked. Sent through the directory.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum Command {
    /// A socket has signed in.
    Attach {
        /// Where it is.
        who: Subscriber,
        /// The sign-in that its token belongs to.
        login: Option<LoginId>,
        /// When its token was issued, Unix milliseconds.
        issued_at: Option<i64>,
        /// The cursor of an earlier list of rooms.
        since: Option<i64>,
        /// Their rooms.
        reply_to: Reply<Listing>,
    },
    /// A socket goes on with a fresh token.
    Renew {
        /// Which.
        session: SessionId,
        /// The sign-in that the token belongs to.
        login: Option<LoginId>,
        /// When it was issued, Unix milliseconds.
        issued_at: Option<i64>,
        /// Told when it is judged by this token from now on.
        reply_to: Reply<()>,
    },
    /// A socket has gone.
    Detach {
        /// Which.
        session: SessionId,
    },
    /// A socket has subscribed to a room, or has stopped.
    Looking {
        /// Which socket.
        session: SessionId,
        /// Which room.
        room: RoomId,
        /// Whether it is subscribed now.
        subscribed: bool,
    },
    /// How they want to be seen.
    SetStatus {
        /// How.
        status: Presence,
        /// In their own words.
        text: Option<String>,
    },
    /// They have joined or left a room, or were added or removed.
    MembershipChanged {
        /// Which room.
        room: RoomId,
        /// Who did it.
        by: UserId,
    },
    /// They have read on.
    Marked {
        /// Where.
        room: RoomId,
        /// How far.
        mark: Mark,
    },
    /// Their sessions end: all, or those of one login.
    Revoke {
        /// Only those of this one.
        login: Option<LoginId>,
        /// But not those of this one.
        except: Option<LoginId>,
    },
    /// What other nodes said may have been lost: are their sign-ins still good?
    Recheck,
    /// The same of their rooms: which are theirs?
    ReadRoomsAgain,
    /// A frame for all of their devices.
    Notify {
        /// The frame, as JSON.
        frame: String,
    },
}

/// What the registry tells; not counted by the directory.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum News {
    /// Something that others may say, too.
    Command(Command),
    /// Rooms have changed.
    Changes {
        /// Those that want telling.
        loud: Vec<Change>,
        /// The others, for the total.
        quiet: Vec<Change>,
    },
}

impl Refuse for Command {
    fn refuse(self, error: Error) {
        match self {
            Command::Attach { reply_to, .. } => reply_to.refuse(error),
            Command::Renew { reply_to, .. } => reply_to.refuse(error),
            Command::Detach { .. }
            | Command::Looking { .. }
            | Command::SetStatus { .. }
            | Command::MembershipChanged { .. }
            | Command::Marked { .. }
            | Command::Revoke { .. }
            | Command::Recheck
            | Command::ReadRoomsAgain
            | Command::Notify { .. } => log::debug!("a user was not told something: {error}"),
        }
    }
}
