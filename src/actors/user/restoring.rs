//! After a failure: the directory is told, and what was known is learned again.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;

use super::{Arrival, Attached, User};
use crate::actors::directory::UserEnded;
use crate::actors::hub::{Device, FindDevices, SignIn};
use crate::actors::{Reply, Services, Worker};
use crate::ids::UserId;

/// How soon rooms are read again that could not be read.
const RELOAD_DELAY: Duration = Duration::from_secs(2);

/// Tells the directory when its owner is gone, also by a panic.
pub(super) struct EndNotice {
    user: UserId,
    home: Option<Arc<Worker>>,
}

impl EndNotice {
    pub(super) fn of(user: UserId, services: &Services) -> Self {
        Self {
            user,
            home: services.user(user).into_worker(),
        }
    }
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            // When it is too busy, or gone, the next command finds that the user has ended.
            let _ = home.directory.try_send(UserEnded(self.user));
        }
    }
}

impl User {
    /// Learns from the hubs which sockets are theirs, before anything else is done.
    pub(super) fn restore(&mut self, ctx: &mut Context<Self>) {
        let user = self.id;
        let asked = self.services.workers.all();
        let asked: Vec<_> = asked
            .map(|worker| worker.hub.send(FindDevices(user)))
            .collect();
        ctx.wait(
            join_all(asked)
                .into_actor(self)
                .map(|found, user, ctx| user.restored(found.into_iter().flatten().flatten(), ctx)),
        );
    }

    fn restored(&mut self, devices: impl Iterator<Item = Device>, ctx: &mut Context<Self>) {
        for device in devices {
            let SignIn {
                login, issued_at, ..
            } = device.sign_in;
            let attached = Attached {
                worker: device.worker,
                login,
                issued_at,
                subscribed: device.subscribed,
            };
            self.sessions.insert(device.session, attached);
        }
        log::warn!(
            "user={} has failed and is back with {} sessions",
            self.id,
            self.sessions.len()
        );
        if self.sessions.is_empty() {
            // Whoever was here has gone while nobody could be told.
            self.leave();
        } else {
            self.load_again(ctx);
        }
    }

    /// Reads their rooms until that works. What was revoked meanwhile stands in the database.
    fn load_again(&mut self, ctx: &mut Context<Self>) {
        if self.sessions.is_empty() {
            return;
        }
        let (reply_to, listed) = Reply::channel();
        let arrival = Arrival {
            session: None,
            since: None,
            reply_to,
        };
        self.load(arrival, ctx);
        ctx.spawn(listed.into_actor(self).map(|listed, user, ctx| {
            if listed.is_err() {
                ctx.run_later(RELOAD_DELAY, |user, ctx| user.load_again(ctx));
            }
            user.recheck(ctx);
        }));
    }
}
