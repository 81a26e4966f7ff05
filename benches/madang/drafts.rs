//! Events for the store, made without a node: rooms with members, and messages in them.

use std::sync::Arc;

use madang::db::{Append, Basis, NewRoom, RoomKind, Store};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{ClientId, Draft, EventKind, MemberChange};

use crate::{Outcome, frames};

/// A room that is written to directly.
#[derive(Clone)]
pub struct Log {
    /// Which room.
    pub room: RoomId,
    /// Who writes in it, in turn.
    pub members: Vec<UserId>,
}

impl Log {
    /// Makes a room in the store with so many members.
    pub fn create(store: &dyn Store, members: usize) -> Outcome<Self> {
        let room = RoomId::random();
        store.create_room(&NewRoom {
            id: room,
            kind: RoomKind::Open,
            pair: None,
            created_at: 1,
        })?;
        let log = Self {
            room,
            members: (0..members).map(|_| UserId::random()).collect(),
        };
        for &user in &log.members {
            let change = MemberChange {
                user,
                role: Some("member".into()),
                until: None,
            };
            let join = Draft::system(EventKind::Join, user, &change)?;
            store.append(&[log.append(vec![join])], 1)?;
        }
        Ok(log)
    }

    /// The next `count` messages, from everyone in turn.
    pub fn messages(&self, count: usize) -> Append {
        let body: Arc<str> = frames::body().into();
        let message = |number: usize| Draft {
            kind: EventKind::Message,
            from: self.members[number % self.members.len()],
            client_id: ClientId::generate(),
            target: None,
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
            body: body.clone(),
        };
        self.append((0..count).map(message).collect())
    }

    /// Drafts that no right stands against.
    fn append(&self, drafts: Vec<Draft>) -> Append {
        let newest = Seq(i64::MAX);
        let basis = Basis {
            head: newest,
            rights: newest,
            membership: newest,
        };
        Append {
            room: self.room,
            basis,
            drafts,
        }
    }
}
