//! Which rooms are a person's? Read again when another node may have said something that was
//! lost. What has stayed is left as it is: its numbers are the registry's.

use std::collections::HashSet;
use std::time::Duration;

use actix::prelude::*;

use super::User;
use super::loading::Reading;
use crate::actors::backoff::{Backoff, Task};
use crate::db::{Range, Select, Store, StoreError};
use crate::ids::{RoomId, Seq, UserId};

/// How soon it is tried again when the database could not be asked.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One reading at a time, however often it is asked for.
#[derive(Debug)]
pub(super) struct Rereading {
    task: Task,
    /// Asked for while one was under way, which may have read what is old now?
    wanted: bool,
}

impl Default for Rereading {
    fn default() -> Self {
        Self {
            task: Task::with(Backoff::between(FIRST_PAUSE, LONGEST_PAUSE)),
            wanted: false,
        }
    }
}

/// What differs from the rooms that are known here.
struct Difference {
    /// Rooms that are new, and who brought the person in.
    new: Vec<(RoomId, Option<UserId>)>,
    /// Rooms that are not theirs any more.
    gone: Vec<RoomId>,
}

impl Difference {
    fn read(store: &dyn Store, user: UserId, known: &HashSet<RoomId>) -> Result<Self, StoreError> {
        let (mut gone, mut new) = (known.clone(), Vec::new());
        for membership in store.memberships(user)? {
            let room = membership.room.id;
            if !gone.remove(&room) {
                new.push((room, brought_by(store, room, membership.member.joined)?));
            }
        }
        let gone = gone.into_iter().collect();
        Ok(Self { new, gone })
    }
}

/// Who wrote the event by which somebody has joined.
fn brought_by(store: &dyn Store, room: RoomId, joined: Seq) -> Result<Option<UserId>, StoreError> {
    let there = Range::Before(joined.next());
    let events = store.events(room, there, joined, Select::All, 1)?;
    Ok(events.first().map(|event| event.draft.from))
}

impl User {
    /// Reads which rooms are theirs; each that is new or gone is then read by itself, as if its
    /// news had just come.
    pub(super) fn read_rooms_again(&mut self, ctx: &mut Context<Self>) {
        self.rereading.wanted = !self.rereading.task.begin();
        if self.rereading.wanted {
            return;
        }
        let (user, known) = (self.id, self.rooms.ids().collect());
        let reading = self
            .services
            .db
            .run(move |store| Difference::read(store, user, &known));
        ctx.spawn(
            reading
                .into_actor(self)
                .map(|read, user, ctx| user.rooms_read_again(read, ctx)),
        );
    }

    fn rooms_read_again(
        &mut self,
        read: crate::error::Result<Difference>,
        ctx: &mut Context<Self>,
    ) {
        let difference = match read {
            Ok(difference) => difference,
            Err(cause) => {
                let pause = self.rereading.task.pause("reading rooms again", &cause);
                ctx.run_later(pause, |user, ctx| {
                    user.rereading.task.end();
                    user.read_rooms_again(ctx);
                });
                return;
            }
        };
        self.rereading.task.works();
        self.rereading.task.end();
        for (room, by) in difference.new {
            // Its news may have come while this was read.
            if self.rooms.name(room).is_none() {
                self.reload_room(room, Reading::Changed { by }, ctx);
            }
        }
        for room in difference.gone {
            self.reload_room(room, Reading::Changed { by: None }, ctx);
        }
        if self.rereading.wanted {
            self.read_rooms_again(ctx);
        }
    }
}
