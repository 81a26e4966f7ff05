//! One signed-in person on this node: their sessions, presence, inbox, revocation.
//! Owns: their sessions here, their rooms with what is unread in each.
//! Takes: `Command` (session, room, registry), `News` (registry).
//! Sends: `registry::Watch` `Unwatch` `Quiet` `SetPresence` `Leave`, `hub::Tell` `Close`
//! `FindDevices`.
//! Full mailbox: commands are refused, news are lost (their numbers are absolute).
//! Restart: the directory starts it again at once, and the hubs tell it its sessions.

mod checking;
mod loading;
mod message;
mod rereading;
mod restoring;
mod rooms;
mod telling;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use serde_json::json;

use self::checking::Checking;
use self::loading::Reading;
pub use self::message::{Command, News};
use self::rereading::Rereading;
use self::restoring::EndNotice;
pub use self::rooms::{Listing, Rooms};
use super::directory::RetireUser;
use super::registry;
use super::{Reply, Services, context, send_always};
use crate::db::Mark;
use crate::error::Error;
use crate::failpoint;
use crate::ids::{LoginId, RoomId, SessionId, UserId};
use crate::protocol::{AccountNotice, ErrorCode, Presence};

/// Commands and news that may wait for one person.
const MAILBOX: usize = 1024;
/// How long somebody without sessions is remembered: most come back at once.
const IDLE: Duration = Duration::from_secs(5);
/// How long after a mark the rest of the mentions is counted again.
const RECOUNT_DELAY: Duration = Duration::from_millis(600);

/// A person on this node.
pub struct User {
    id: UserId,
    services: Arc<Services>,
    /// Their sockets here.
    sessions: HashMap<SessionId, Attached>,
    /// Their rooms, as the list of rooms shows them.
    rooms: Rooms,
    /// Those that had moved on when they were read, and are read again in a moment.
    overtaken: HashSet<RoomId>,
    /// How they want to be seen.
    presence: Presence,
    presence_text: Option<String>,
    /// Whether their sign-ins are being checked.
    checking: Checking,
    /// Whether it is being read which rooms are theirs.
    rereading: Rereading,
    /// Commands handled, for [`RetireUser`].
    handled: u64,
    /// Has an earlier start of it failed, and do sockets wait that it does not know?
    failed: bool,
    /// Tells the directory when this is gone.
    _end: EndNotice,
}

/// One of their sockets.
struct Attached {
    /// The thread it lives on.
    worker: usize,
    /// The sign-in that its token belongs to.
    login: Option<LoginId>,
    /// When its token was issued, Unix milliseconds.
    issued_at: Option<i64>,
    /// Rooms that it is subscribed to.
    subscribed: HashSet<RoomId>,
}

impl Attached {
    /// What revocations are compared with.
    fn signed_in(&self) -> (Option<LoginId>, Option<i64>) {
        (self.login, self.issued_at)
    }
}

/// A socket that waits for its welcome; none when only the list of rooms is wanted.
struct Arrival {
    session: Option<SessionId>,
    /// The cursor of an earlier list of rooms.
    since: Option<i64>,
    reply_to: Reply<Listing>,
}

impl User {
    /// Starts the actor of one person on the current thread. `failed`: an earlier start of it
    /// has, so that sockets may wait which are none of its commands.
    pub fn start_here(id: UserId, services: Arc<Services>, failed: bool) -> Addr<Self> {
        let end = EndNotice::of(id, &services);
        context(MAILBOX).run(Self {
            id,
            services,
            sessions: HashMap::new(),
            rooms: Rooms::default(),
            overtaken: HashSet::new(),
            presence: Presence::Online,
            presence_text: None,
            checking: Checking::default(),
            rereading: Rereading::default(),
            handled: 0,
            failed,
            _end: end,
        })
    }

    fn attach(
        &mut self,
        session: SessionId,
        arrival: Arrival,
        attached: Attached,
        ctx: &mut Context<Self>,
    ) {
        let limit = self.services.settings.now().live.limits;
        let limit = limit.connections_per_user as usize;
        if limit > 0 && self.sessions.len() >= limit {
            let message = format!("one person may have {limit} connections at a time");
            let error = Error::new(ErrorCode::RateLimited, message).retry_after(30_000);
            return arrival.reply_to.refuse(error);
        }
        if self.sessions.is_empty() {
            (self.presence, self.presence_text) = (Presence::Online, None);
            self.tell_presence();
        }
        self.sessions.insert(session, attached);
        self.load(arrival, ctx);
    }

    /// After a reading every room is loud; those that all sessions look at are not.
    fn tell_all_quiet(&self) {
        let looked_at: HashSet<_> = self
            .sessions
            .values()
            .flat_map(|session| session.subscribed.iter().copied())
            .collect();
        for room in looked_at {
            self.tell_quiet(room);
        }
    }

    fn detach(&mut self, session: SessionId, ctx: &mut Context<Self>) {
        let Some(gone) = self.sessions.remove(&session) else {
            return;
        };
        if self.sessions.is_empty() {
            self.leave();
            ctx.run_later(IDLE, |user, ctx| user.retire(ctx));
        } else {
            // What only this session did not look at may be quiet now, and the other way round.
            let rooms: Vec<_> = self.rooms.ids().chain(gone.subscribed).collect();
            rooms.into_iter().for_each(|room| self.tell_quiet(room));
        }
    }

    /// Nobody of theirs is here any more.
    fn leave(&mut self) {
        self.presence = Presence::Offline;
        self.tell_presence();
        send_always(&self.services.registry, registry::Leave(self.id));
    }

    fn retire(&mut self, ctx: &mut Context<Self>) {
        if !self.sessions.is_empty() {
            return;
        }
        let retire = RetireUser {
            user: self.id,
            handled: self.handled,
        };
        let Some(home) = self.services.user(self.id).into_worker() else {
            return;
        };
        ctx.spawn(
            home.directory
                .send(retire)
                .into_actor(self)
                .map(|retired, user, ctx| match retired {
                    Ok(false) if user.sessions.is_empty() => {
                        ctx.run_later(IDLE, |user, ctx| user.retire(ctx));
                    }
                    Ok(false) => {}
                    Ok(true) | Err(_) => ctx.stop(),
                }),
        );
    }

    fn looking(&mut self, session: SessionId, room: RoomId, subscribed: bool) {
        let Some(attached) = self.sessions.get_mut(&session) else {
            return;
        };
        let changed = if subscribed {
            attached.subscribed.insert(room)
        } else {
            attached.subscribed.remove(&room)
        };
        if changed {
            self.tell_quiet(room);
        }
    }

    fn tell_quiet(&self, room: RoomId) {
        let quiet = self
            .sessions
            .values()
            .all(|session| session.subscribed.contains(&room));
        let message = registry::Quiet {
            user: self.id,
            room,
            quiet,
        };
        send_always(&self.services.registry, message);
    }

    fn tell_presence(&self) {
        let (presence, text) = (self.presence, self.presence_text.clone());
        let message = registry::SetPresence {
            user: self.id,
            presence,
            text,
        };
        send_always(&self.services.registry, message);
    }

    fn marked(&mut self, room: RoomId, mark: Mark, ctx: &mut Context<Self>) {
        let Some(recount) = self.rooms.mark(room, mark) else {
            return;
        };
        if recount {
            self.recount_soon(room, 0, ctx);
        }
        let Some((unread, mentions)) = self.rooms.unread(room) else {
            return;
        };
        let total = self.rooms.total();
        let data = json!({
            "room": room, "read": mark.read, "unread": unread, "mentions": mentions, "total": total,
        });
        self.notify(AccountNotice::Read, data);
    }

    /// Counts the mentions of a room again, once the mark is in the database.
    fn recount_soon(&self, room: RoomId, before: u32, ctx: &mut Context<Self>) {
        let turn = before + 1;
        ctx.run_later(RECOUNT_DELAY * 2_u32.pow(before), move |user, ctx| {
            user.reload_room(room, Reading::Recount { turn }, ctx);
        });
    }

    fn handle_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        match command {
            Command::Attach {
                who,
                login,
                issued_at,
                since,
                reply_to,
            } => {
                let attached = Attached {
                    worker: who.worker,
                    login,
                    issued_at,
                    subscribed: HashSet::new(),
                };
                let arrival = Arrival {
                    session: Some(who.session),
                    since,
                    reply_to,
                };
                self.attach(who.session, arrival, attached, ctx);
            }
            Command::Renew {
                session,
                login,
                issued_at,
                reply_to,
            } => reply_to.send(self.renew(session, (login, issued_at), ctx)),
            Command::Detach { session } => self.detach(session, ctx),
            Command::Looking {
                session,
                room,
                subscribed,
            } => {
                self.looking(session, room, subscribed);
            }
            Command::SetStatus { status, text } => {
                failpoint::at("user::status");
                (self.presence, self.presence_text) = (status, text);
                self.tell_presence();
            }
            Command::MembershipChanged { room, by } => {
                self.reload_room(room, Reading::Changed { by: Some(by) }, ctx);
            }
            Command::Marked { room, mark } => self.marked(room, mark, ctx),
            Command::Revoke { login, except } => self.revoke(login, except),
            Command::Recheck => self.recheck(ctx),
            Command::ReadRoomsAgain => self.read_rooms_again(ctx),
            Command::Notify { frame } => self.tell_all(&frame),
        }
    }
}

impl Actor for User {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.failed {
            self.restore(ctx);
        }
        ctx.run_later(IDLE, |user, ctx| user.retire(ctx));
    }
}

impl Handler<Command> for User {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Context<Self>) {
        self.handled += 1;
        self.handle_command(command, ctx);
    }
}

impl Handler<News> for User {
    type Result = ();

    fn handle(&mut self, news: News, ctx: &mut Context<Self>) {
        match news {
            News::Command(command) => self.handle_command(command, ctx),
            News::Changes { loud, quiet } => self.changed(&loud, &quiet, ctx),
        }
    }
}
