//! One chat room. Decides rights and membership; the log orders, persistence writes.
//! Owns: `RoomState` (members, applied head, newest events), `Appends`, its `Audience`.
//! Takes: `Command` (session, user, http, hub), `Deliver` `ReadOn` `EpochEnded` `Restart`
//! `EphemeralReceived` `SetPresence` `LookWhoIsThere` (registry).
//! Sends: `registry::Append` `RoomUp` `RoomDown` `Read`, `hub::Subscribe` `Unsubscribe`
//! `Deliver` `Lost` `Ephemeral`, `persistence::SaveMark`, `user::Command::Marked`.
//! Full mailbox: the directory refuses commands with `overloaded`. Restart: the next command
//! starts it again, and it reads its state from the database.

mod answer;
mod appends;
mod audience;
mod certainty;
mod command;
mod growing;
mod looking;
mod news;
mod order;
mod pages;
mod state;
mod subscribing;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

pub use self::answer::*;
use self::appends::Appends;
use self::audience::Audience;
use self::certainty::Doubts;
pub use self::command::*;
pub use self::news::*;
pub use self::state::{Applied, Asker, RoomChange, RoomState, SMALL_ROOM};
use super::backoff::Task;
use super::directory::RetireRoom;
use super::registry::{self, Known};
use super::{Refuse, Reply, Services, context, hub, send_always};
use crate::error::Error;
use crate::failpoint;
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{Event, MAX_EVENTS, Presence};

/// Commands that may wait for one room.
const MAILBOX: usize = 4096;

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
    refilling: Task,
    /// Events that came before those that go before them.
    early: BTreeMap<Seq, Event>,
    /// Commands that wait until the head of the log is known for sure.
    doubts: Doubts,
    /// Commands that wait for what the same people sent before.
    held: Vec<Command>,
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
            refilling: Task::default(),
            early: BTreeMap::new(),
            doubts: Doubts::default(),
            held: Vec::new(),
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

    /// Tells the registry that the room is here. When its doorbell rings, what the log has
    /// beyond the database is read, and who of the members can be reached is learned.
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
        let (reply_to, stands) = Reply::channel();
        let up = registry::RoomUp {
            known,
            address: ctx.address(),
            reply_to,
        };
        send_always(&self.services.registry, up);
        let standing = stands.into_actor(self);
        Box::pin(standing.then(move |stands, room, _| {
            room.tell_orphans(head);
            room.catch_up_and_look(stands)
        }))
    }

    /// Whoever still listens from before a failure is told to subscribe again.
    fn tell_orphans(&self, head: Seq) {
        for worker in self.services.workers.all() {
            if worker
                .hub
                .try_send(hub::Lost {
                    room: self.id,
                    head,
                })
                .is_err()
            {
                log::warn!("room={} a hub is busy, listeners may hang", self.id);
            }
        }
    }

    /// Nothing that is known here holds any more: who listens subscribes again, and the next
    /// command starts the room anew.
    fn begin_anew(&self, ctx: &mut Context<Self>) {
        if let Some(state) = &self.state {
            self.tell_orphans(state.head());
        }
        ctx.stop();
    }

    fn handle_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        if self.state.is_none() {
            return command.refuse(self.absent.clone());
        }
        if self.waits_for_own(&command) {
            return self.hold(command);
        }
        if self.is_in_doubt(&command) {
            return self.make_sure(command, ctx);
        }
        self.do_command(command, ctx);
    }

    fn do_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        match command {
            Command::Subscribe {
                asker,
                who,
                from,
                reference,
                reply_to,
            } => {
                self.subscribe(asker, who, from, reference.as_ref(), reply_to);
            }
            Command::Unsubscribe {
                asker,
                who,
                reply_to,
            } => {
                self.unsubscribe(asker, who, reply_to);
            }
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
            Command::HubEmpty {
                worker,
                incarnation,
                subscribed,
            } => self.audience.hub_empty(worker, incarnation, subscribed),
            appends => self.push_append(appends, ctx),
        }
    }

    /// Asks the directory to be forgotten when nobody has needed the room for a while.
    fn retire_if_idle(&mut self, ctx: &mut Context<Self>) {
        let idle = self.services.config.tuning.room_idle;
        let busy = self.used.elapsed() < idle && self.state.is_some();
        let waits = !self.appends.is_empty() || !self.doubts.is_empty();
        if busy || waits {
            return;
        }
        if !self.audience.is_empty() {
            let workers = &self.services.workers;
            return self.audience.ask_who_listens(workers, self.id);
        }
        let retire = RetireRoom {
            room: self.id,
            handled: self.handled,
        };
        let Some(home) = self.services.room(self.id).into_worker() else {
            return;
        };
        ctx.spawn(
            home.directory
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
        self.doubts.refuse(&Error::unavailable());
        for command in self.held.drain(..) {
            command.refuse(Error::unavailable());
        }
        let _ = ctx;
        send_always(&self.services.registry, registry::RoomDown(self.id));
    }
}

impl Handler<Command> for Room {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Context<Self>) {
        self.handled += 1;
        self.used = Instant::now();
        failpoint::at("room::command");
        self.handle_command(command, ctx);
        if self.state.is_none() {
            // It may be made, or be readable, the next time that somebody asks.
            self.retire_if_idle(ctx);
        }
    }
}

impl Handler<Deliver> for Room {
    type Result = ();

    fn handle(&mut self, Deliver { epoch, events }: Deliver, ctx: &mut Context<Self>) {
        if self.is_over(epoch.as_ref()) {
            return self.begin_anew(ctx);
        }
        self.deliver(events, ctx);
    }
}

impl Handler<EpochEnded> for Room {
    type Result = ();

    /// The next command starts the room again, and it reads everything anew.
    fn handle(&mut self, EpochEnded { epoch }: EpochEnded, ctx: &mut Context<Self>) {
        let ours = self.state.as_ref().map(|state| &state.record().epoch);
        if ours == Some(&epoch) {
            self.begin_anew(ctx);
        }
    }
}

impl Handler<Restart> for Room {
    type Result = ();

    fn handle(&mut self, _: Restart, ctx: &mut Context<Self>) {
        self.begin_anew(ctx);
    }
}

impl Handler<ReadOn> for Room {
    type Result = ();

    fn handle(&mut self, _: ReadOn, ctx: &mut Context<Self>) {
        self.refill(ctx);
    }
}

impl Handler<EphemeralReceived> for Room {
    type Result = ();

    fn handle(&mut self, EphemeralReceived(ephemeral): EphemeralReceived, ctx: &mut Context<Self>) {
        self.passed(ephemeral, ctx);
    }
}

impl Handler<LookWhoIsThere> for Room {
    type Result = ();

    fn handle(&mut self, _: LookWhoIsThere, ctx: &mut Context<Self>) {
        let looking = self.look_who_is_there();
        ctx.spawn(looking);
    }
}

impl Handler<SetPresence> for Room {
    type Result = ();

    fn handle(&mut self, set: SetPresence, ctx: &mut Context<Self>) {
        self.set_presence(set, ctx);
    }
}
