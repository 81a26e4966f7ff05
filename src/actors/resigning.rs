//! Takes people who gave their account up out of their rooms, in whatever order things fail.

use std::sync::Arc;
use std::time::Duration;

use super::{Services, room};
use crate::error::{Error, Result};
use crate::ids::{RoomId, UserId};

/// When it is looked again: what they had joined is in the database by then.
const LATER: Duration = Duration::from_secs(10);
/// Most people of one sweep.
const AT_ONCE: usize = 100;

/// Takes somebody out of every room that they are known to be in. One room that cannot be
/// left keeps them in no other; the first error comes back then. Repeating it is harmless.
pub async fn leave_every_room(services: &Services, user: UserId) -> Result<()> {
    let reading = services.db.run(move |store| store.memberships(user));
    let mut first: Option<Error> = None;
    for membership in reading.await? {
        if let Err(error) = leave(services, membership.room.id, user).await {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

async fn leave(services: &Services, room: RoomId, user: UserId) -> Result<()> {
    let resign = |reply_to| room::Command::Resign { user, reply_to };
    services.commit(room, resign).await.map(drop)
}

/// The same for somebody whose account has just ended: at once, and again a little later, as
/// what they joined a moment ago may not be in the database yet.
pub async fn leave_what_is_left(services: Arc<Services>, user: UserId) {
    for wait in [Duration::ZERO, LATER] {
        tokio::time::sleep(wait).await;
        if let Err(error) = leave_every_room(&services, user).await {
            log::warn!("user={user} has resigned and is still in a room: {error}");
        }
    }
}

/// Finishes what a node that ended, or an outage, has left half done.
pub async fn sweep_resigned(services: &Services) {
    let reading = services.db.run(|store| store.resigned_members(AT_ONCE));
    let users = match reading.await {
        Ok(users) => users,
        Err(error) => return log::warn!("who has resigned is not known: {error}"),
    };
    for user in users {
        match leave_every_room(services, user).await {
            Ok(()) => log::info!("user={user} had resigned and has left their rooms now"),
            Err(error) => log::warn!("user={user} has resigned and is still in a room: {error}"),
        }
    }
}
