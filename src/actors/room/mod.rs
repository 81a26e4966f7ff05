//! One chat room. Decides rights and membership; the log orders, persistence writes.
//! Owns: `RoomState` (members, applied head, newest events), `Appends`, its `Audience`.
//! Takes: `Command` (session, user, http, hub), `Deliver` `SetPresence` (registry).
//! Sends: `registry::Append` `RoomUp` `RoomDown` `Read`, `hub::Subscribe` `Unsubscribe`
//! `Deliver` `Lost` `Ephemeral`, `persistence::SaveMark`, `user::Command::Marked`.
//! Full mailbox: the directory refuses commands with `overloaded`. Restart: the next command
//! starts it again, and it reads its state from the database.

mod appends;
mod audience;
mod command;
mod pages;
mod state;
mod subscribing;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use self::appends::Appends;
use self::audience::Audience;
pub use self::command::*;
pub use self::state::{Applied, Asker, RoomChange, RoomState, SMALL_ROOM};
use super::directory::RetireRoom;
use super::registry::{self, Known};
use super::{Refuse, Reply, Services, context, persistence, send_always, user};
use crate::clock;
use crate::db::{Append, Appended, Mark};
use crate::error::{Error, Result};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{Entry, Event, MAX_EVENTS, Presence};

/// Commands that may wait for one room.
const MAILBOX: usize = 4096;
/// How soon a hub that was too busy is served again.
const HAND_AGAIN: Duration = Duration::from_millis(5);

/// A room that somebody on this node cares for.
pub struct Room {
    id: RoomId,
    services: Arc<Services>,
    /// Everything the room is; `None` when there is no such room, or it cannot be read.
    state: Option<RoomState>,
    /// Why there is no state.
    absent: Error,
    appends: Appends,
    audience: Audience,
    /// Members who are connected, on any node.
    online: HashMap<UserId, Presence>,
    /// Is a timer running that tells ephemeral news?
    telling: bool,
    /// Is a timer running that serves busy hubs again?
    handing: bool,
    /// Is what was missed being read?
    refilling: bool,
    /// When a command last came.
    used: Instant,
    /// Commands handled, for [`RetireRoom`].
    handled: u64,
}

impl Room {
    /// Starts the actor of one room on the current thread. It reads its state first.
    pub fn start_here(id: RoomId, services: Arc<Services>) -> Addr<Self> {
        context(MAILBOX).run(Self {
            id,
            services,
            state: None,
            absent: Error::room_not_found(),
            appends: Appends::default(),
            audience: Audience::default(),
            online: HashMap::new(),
            telling: false,
            handing: false,
            refilling: false,
            used: Instant::now(),
            handled: 0,
        })
    }

    /// Reads the state; commands wait in the mailbox meanwhile: one reading for many askers.
    fn load(&mut self, ctx: &mut Context<Self>) {
        let room = self.id;
        let reading = self
            .services
            .db
            .run(move |store| store.load_room(room, MAX_EVENTS));
        let loading = reading.into_actor(self).then(move |loaded, room, ctx| {
            match loaded.map(|loaded| loaded.map(RoomState::load)) {
                Ok(Some(Ok(state))) => room.state = Some(state),
                Ok(None) => {}
                Ok(Some(Err(cause))) => {
                    log::error!("room={} cannot be read: {cause}", room.id);
                    room.absent = Error::internal();
                }
                Err(error) => room.absent = error,
            }
            room.register(ctx)
        });
        ctx.wait(loading);
    }

    /// Tells the registry that the room is here, and learns who of its members is.
    fn register(&self, ctx: &mut Context<Self>) -> ResponseActFuture<Self, ()> {
        let Some(state) = &self.state else {
            return Box::pin(actix::fut::ready(()));
        };
        let (head, messages) = (state.head(), state.record().messages);
        let known = Known {
            room: self.id,
            head,
            messages,
        };
        let up = registry::RoomUp {
            known,
            address: ctx.address(),
        };
        let asking = self.services.registry.send(up).into_actor(self);
        Box::pin(asking.map(|present, room, _| {
            room.online = present.unwrap_or_default().into_iter().collect();
        }))
    }

    fn handle_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        if self.state.is_none() {
            return command.refuse(self.absent.clone());
        }
        match command {
            Command::Subscribe {
                asker,
                who,
                from,
                reference,
                reply_to,
            } => {
                self.subscribe(asker, who, from, reference.as_ref(), reply_to, ctx);
            }
            Command::Unsubscribe { who, reply_to } => self.unsubscribe(who, reply_to, ctx),
            Command::Read {
                asker,
                seq,
                reply_to,
            } => self.read(asker, seq, reply_to, ctx),
            Command::Typing {
                asker,
                active,
                reply_to,
            } => {
                reply_to.send(self.typing(asker, active, ctx));
            }
            Command::GetHistory {
                asker,
                span,
                select,
                limit,
                reply_to,
            } => {
                self.get_history(asker, span, select, limit, reply_to, ctx);
            }
            Command::GetMembers {
                asker,
                after,
                limit,
                reply_to,
            } => {
                reply_to.send(self.get_members(asker, after, limit));
            }
            Command::Describe { asker, reply_to } => reply_to.send(self.describe(asker)),
            Command::HubEmpty { worker, subscribed } => self.audience.hub_empty(worker, subscribed),
            Command::Publish {
                asker,
                message,
                reply_to,
            } => match self.services.rates.room_publish.check(&self.id) {
                Ok(()) => {
                    self.appends.push(Command::Publish {
                        asker,
                        message,
                        reply_to,
                    });
                    self.append(ctx);
                }
                Err(error) => reply_to.refuse(error),
            },
            Command::Found { .. }
            | Command::Join { .. }
            | Command::Add { .. }
            | Command::Leave { .. }
            | Command::Resign { .. }
            | Command::Kick { .. }
            | Command::SetRole { .. }
            | Command::Change { .. } => {
                self.appends.push(command);
                self.append(ctx);
            }
        }
    }

    // -- appending -------------------------------------------------------------------

    /// Appends what has gathered, unless an append is in flight or the room is reading on.
    fn append(&mut self, ctx: &mut Context<Self>) {
        let Some(state) = self.state.as_ref().filter(|_| !self.refilling) else {
            return;
        };
        let drafts = self.appends.plan(state, clock::now_ms());
        if drafts.is_empty() {
            return;
        }
        let append = Append {
            room: self.id,
            basis: state.basis(),
            drafts: drafts.clone(),
        };
        let (reply_to, answer) = Reply::channel();
        let sent = self
            .services
            .registry
            .try_send(registry::Append { append, reply_to });
        if sent.is_err() {
            return self.appends.fail(&Error::overloaded(1000));
        }
        ctx.spawn(
            answer
                .into_actor(self)
                .map(move |appended, room, ctx| match appended {
                    Ok(appended) => room.appended(appended, drafts, ctx),
                    Err(error) => room.appends.fail(&error),
                }),
        );
    }

    fn appended(
        &mut self,
        appended: Appended,
        drafts: Vec<crate::protocol::Draft>,
        ctx: &mut Context<Self>,
    ) {
        match appended {
            Appended::Done(fates) => {
                let placed =
                    drafts
                        .into_iter()
                        .zip(&fates)
                        .filter_map(|(draft, fate)| match fate {
                            crate::db::Fate::New(place) => Some(Event {
                                room: self.id,
                                place: *place,
                                draft,
                            }),
                            _ => None,
                        });
                let events: Vec<_> = placed.collect();
                self.deliver(events, ctx);
                if let Some(state) = &self.state {
                    self.appends.settle(&fates, state);
                }
            }
            Appended::Stale { newer, .. } => {
                self.appends.decide_again();
                self.deliver(newer, ctx);
            }
            Appended::NoRoom => self.appends.fail(&Error::room_not_found()),
        }
        self.append(ctx);
    }

    /// Applies new events and hands them on. A hole is filled from the log first.
    fn deliver(&mut self, events: Vec<Event>, ctx: &mut Context<Self>) {
        for event in events {
            let Some(head) = self.state.as_ref().map(RoomState::head) else {
                return;
            };
            if event.seq() <= head {
                continue;
            }
            if event.seq() > head.next() {
                self.refill(ctx);
                break;
            }
            self.apply(event, ctx);
        }
        self.hand_over(ctx);
    }

    fn apply(&mut self, event: Event, ctx: &mut Context<Self>) {
        let Some(state) = &mut self.state else { return };
        let seq = event.seq();
        let entry = match Entry::new(event) {
            Ok(entry) => Arc::new(entry),
            Err(cause) => {
                // Bodies are checked before they are appended; a foreign row is shown as nothing.
                log::error!("room={} seq={seq} is not readable: {cause}", self.id);
                return ctx.stop();
            }
        };
        let Applied { removed, joined } = state.apply(entry);
        let members = state.member_count();
        if let Some(user) = joined {
            self.audience.note_read(user, None, Some(seq), members);
        }
        if let Some(user) = removed {
            self.online.remove(&user);
            let before = state.mark_of(user);
            self.audience.note_read(user, before, None, members);
        }
        self.tell_news_soon(ctx);
    }

    /// Reads what is missing behind the head.
    fn refill(&mut self, ctx: &mut Context<Self>) {
        let Some(after) = self.state.as_ref().map(RoomState::head) else {
            return;
        };
        if std::mem::replace(&mut self.refilling, true) {
            return;
        }
        let (reply_to, answer) = Reply::channel();
        let read = registry::Read {
            room: self.id,
            after,
            limit: MAX_EVENTS,
            reply_to,
        };
        if self.services.registry.try_send(read).is_err() {
            log::warn!(
                "room={} seq={after} the registry is too busy to read on",
                self.id
            );
        }
        ctx.spawn(answer.into_actor(self).map(|missed, room, ctx| {
            room.refilling = false;
            match missed {
                Ok(events) => room.deliver(events, ctx),
                // The next ring, or the next comparison of heads, tries again.
                Err(error) => log::warn!("room={} could not read on: {error}", room.id),
            }
            room.append(ctx);
        }));
    }

    fn hand_over(&mut self, ctx: &mut Context<Self>) {
        let Some(state) = &self.state else { return };
        let (epoch, head) = (&state.record().epoch, state.head());
        let workers = &self.services.workers;
        let served = self
            .audience
            .deliver(workers, self.id, epoch, state.window(), head);
        if !served && !std::mem::replace(&mut self.handing, true) {
            ctx.run_later(HAND_AGAIN, |room, ctx| {
                room.handing = false;
                room.hand_over(ctx);
            });
        }
    }

    // -- reading marks, presence -----------------------------------------------------

    fn read(&mut self, asker: Asker, seq: Seq, reply_to: Reply<ReadMark>, ctx: &mut Context<Self>) {
        let Some(state) = &self.state else {
            return reply_to.refuse(self.absent.clone());
        };
        if let Err(error) = state.require_member(asker) {
            return reply_to.refuse(error);
        }
        if let Some(mark) = state.mark_at(asker.user, seq) {
            return self.set_mark(asker, mark, reply_to, ctx);
        }
        let (room, user) = (self.id, asker.user);
        let asking = self
            .services
            .db
            .run(move |store| store.mark_at(room, user, seq));
        ctx.spawn(
            asking
                .into_actor(self)
                .map(move |mark, room, ctx| match mark {
                    Ok(mark) => room.set_mark(asker, mark, reply_to, ctx),
                    Err(error) => reply_to.refuse(error),
                }),
        );
    }

    fn set_mark(
        &mut self,
        asker: Asker,
        mark: Mark,
        reply_to: Reply<ReadMark>,
        ctx: &mut Context<Self>,
    ) {
        let Some(state) = &mut self.state else {
            return reply_to.refuse(self.absent.clone());
        };
        if let Some(before) = state.set_mark(asker.user, mark) {
            let members = state.member_count();
            self.audience
                .note_read(asker.user, Some(before), Some(mark.read), members);
            let (room, user) = (self.id, asker.user);
            let save = persistence::SaveMark { room, user, mark };
            if self.services.persistence.try_send(save).is_err() {
                log::debug!("room={room} a mark was not saved, the next one will be");
            }
            self.services
                .user(user)
                .tell(user::Command::Marked { room, mark });
            self.tell_news_soon(ctx);
        }
        let Some(state) = &self.state else { return };
        reply_to.send(state.require_member(asker).map(|(member, _)| ReadMark {
            read: member.mark.read,
            unread: state.unread(member),
            mark: member.mark,
        }));
    }

    fn typing(&mut self, asker: Asker, active: bool, ctx: &mut Context<Self>) -> Result<()> {
        let state = self.state.as_ref().ok_or_else(|| self.absent.clone())?;
        state.require_member(asker)?;
        if !self.audience.is_empty() {
            self.audience.note_typing(asker.user, active);
            self.tell_news_soon(ctx);
        }
        Ok(())
    }

    fn set_presence(&mut self, set: SetPresence, ctx: &mut Context<Self>) {
        let Some(state) = &self.state else { return };
        if state.member(set.user).is_none() {
            return;
        }
        let before = match set.presence {
            Presence::Offline => self.online.remove(&set.user),
            presence => self.online.insert(set.user, presence),
        };
        if before == Some(set.presence) && set.text.is_none() {
            return;
        }
        let (online, members) = (self.online.len(), state.member_count());
        self.audience
            .note_presence(set.user, set.presence, set.text, online, members);
        self.tell_news_soon(ctx);
    }

    /// Ephemeral news are merged for a moment, and told only if somebody listens.
    fn tell_news_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.audience.has_news() || std::mem::replace(&mut self.telling, true) {
            return;
        }
        ctx.run_later(self.services.config.tuning.merge, |room, _| {
            room.telling = false;
            room.audience.tell_news(&room.services.workers, room.id);
        });
    }

    // -- coming and going ------------------------------------------------------------

    /// Asks the directory to be forgotten when nobody has needed the room for a while.
    fn retire_if_idle(&mut self, ctx: &mut Context<Self>) {
        let idle = self.services.config.tuning.room_idle;
        let busy = self.used.elapsed() < idle && self.state.is_some();
        if busy || !self.audience.is_empty() || !self.appends.is_empty() {
            return;
        }
        let retire = RetireRoom {
            room: self.id,
            handled: self.handled,
        };
        let Some(directory) = self.services.room(self.id).into_directory() else {
            return;
        };
        ctx.spawn(
            directory
                .send(retire)
                .into_actor(self)
                .map(|retired, _, ctx| {
                    if retired.unwrap_or(true) {
                        ctx.stop();
                    }
                }),
        );
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.load(ctx);
        let idle = self.services.config.tuning.room_idle;
        ctx.run_interval(idle, |room, ctx| room.retire_if_idle(ctx));
    }

    fn stopped(&mut self, ctx: &mut Context<Self>) {
        self.appends.fail(&Error::unavailable());
        let _ = ctx;
        send_always(&self.services.registry, registry::RoomDown(self.id));
    }
}

impl Handler<Command> for Room {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Context<Self>) {
        self.handled += 1;
        self.used = Instant::now();
        self.handle_command(command, ctx);
        if self.state.is_none() {
            // It may be made, or be readable, the next time that somebody asks.
            self.retire_if_idle(ctx);
        }
    }
}

impl Handler<Deliver> for Room {
    type Result = ();

    fn handle(&mut self, Deliver(events): Deliver, ctx: &mut Context<Self>) {
        self.deliver(events, ctx);
    }
}

impl Handler<SetPresence> for Room {
    type Result = ();

    fn handle(&mut self, set: SetPresence, ctx: &mut Context<Self>) {
        self.set_presence(set, ctx);
    }
}
