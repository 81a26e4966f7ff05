//! What every actor and HTTP handler can reach, and how they ask each other.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};

use super::directory::{Directory, ToRoom, ToUser};
use super::hub::Hub;
use super::persistence::Persistence;
use super::persistence::write_back::WriteBack;
use super::registry::redis::{Lease, RedisBroker};
use super::registry::{Order, Registry, WhenFlushed};
use super::room::RoomChange;
use super::{room, user};
use crate::config::Config;
use crate::db::{Db, NewRoom, Role};
use crate::error::{Error, Result};
use crate::identity::Identities;
use crate::ids::{RoomId, Seq, UserId};
use crate::limits::Rates;
use crate::protocol::Durability;
use crate::settings::Settings;

/// How long an asker waits for an actor. Storage gives up earlier, and says so.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
/// When somebody may ask again whose directory has too much to do.
const RETRY_AFTER_MS: u64 = 500;

/// Everything that is shared. Made once by the node, handed out by `Arc`.
pub struct Services {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// What this node says of itself, but how much it has to do.
    pub itself: Lease,
    /// What those who run the system want of the whole node.
    pub orders: mpsc::Sender<Order>,
    /// The database.
    pub db: Db,
    /// Who a token stands for.
    pub identities: Arc<Identities>,
    /// What may change while the node runs.
    pub settings: Arc<Settings>,
    /// Limits that are shared by all connections.
    pub rates: Arc<Rates>,
    /// Appends to logs; knows who is where.
    pub registry: Addr<Registry>,
    /// Writes to the database.
    pub persistence: Addr<Persistence>,
    /// The worker threads.
    pub workers: Workers,
    /// The other nodes; `None` on a node that is alone.
    pub cluster: Option<Cluster>,
    /// Is the node stopping? Load balancers are told, people are not.
    pub draining: AtomicBool,
}

/// What a node has that is not alone.
pub struct Cluster {
    /// The log, and the way to other nodes.
    pub broker: RedisBroker,
    /// Writes the log to the database.
    pub write_back: Addr<WriteBack>,
}

/// The worker threads of this node, filled as the HTTP server starts them.
pub struct Workers(Vec<RwLock<Option<Arc<Worker>>>>);

/// The actors that everybody on one worker thread shares. Not to be cloned: a mailbox takes one
/// message from each address beyond its limit, so that everybody has to send by the same one.
pub struct Worker {
    /// Hands frames to the sessions of this thread.
    pub hub: Addr<Hub>,
    /// Finds the rooms and users of this thread.
    pub directory: Addr<Directory>,
}

impl Workers {
    /// Places for this many threads.
    pub fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| RwLock::default()).collect())
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes a thread's place.
    pub fn set(&self, index: usize, worker: Worker) {
        if let Some(place) = self.0.get(index)
            && let Ok(mut place) = place.write()
        {
            *place = Some(Arc::new(worker));
        }
    }

    /// One thread's actors, once it has started.
    pub fn get(&self, index: usize) -> Option<Arc<Worker>> {
        self.0.get(index)?.read().ok()?.clone()
    }

    /// All threads that have started.
    pub fn all(&self) -> impl Iterator<Item = Arc<Worker>> + '_ {
        (0..self.count()).filter_map(|index| self.get(index))
    }

    /// The thread that a room or user lives on: by the hash of its id, which is random.
    fn home(&self, raw_id: i64) -> Option<Arc<Worker>> {
        self.get(raw_id.unsigned_abs() as usize % self.count())
    }
}

impl Services {
    /// May other nodes append to the same rooms?
    pub fn is_shared(&self) -> bool {
        self.cluster.is_some()
    }

    /// What an append stands for as soon as it is answered.
    pub fn durability(&self) -> Durability {
        if self.is_shared() {
            Durability::Log
        } else {
            Durability::Db
        }
    }

    /// Waits until everything up to this place is in the database: what one writes over
    /// REST, one reads. `unavailable` when it cannot get there in time.
    fn in_database(&self, room: RoomId, seq: Seq) -> Pending<()> {
        if !self.is_shared() {
            return Box::pin(std::future::ready(Ok(())));
        }
        let (reply_to, answer) = Reply::channel();
        let asked = WhenFlushed {
            room,
            seq,
            reply_to,
        };
        match self.registry.try_send(asked) {
            Ok(()) => answer,
            Err(_) => Box::pin(std::future::ready(Err(Error::unavailable()))),
        }
    }

    /// Has a room write something, and waits until that is in the database.
    pub fn commit<T: Placed + Send + 'static>(
        &self,
        room: RoomId,
        command: impl FnOnce(Reply<T>) -> room::Command,
    ) -> impl Future<Output = Result<T>> {
        let written = self.room(room).ask(command);
        async move {
            let written = written.await?;
            self.in_database(room, written.seq()).await?;
            Ok(written)
        }
    }

    /// Waits until an append is as durable as its sender wants, or as the configuration says
    /// when they do not; answers how durable it is.
    pub fn durability_of(
        &self,
        wanted: Option<Durability>,
        room: RoomId,
        seq: Seq,
    ) -> Pending<Durability> {
        let now = self.durability();
        if wanted.unwrap_or_else(|| self.settings.now().live.ack) == Durability::Log
            || now == Durability::Db
        {
            return Box::pin(std::future::ready(Ok(now)));
        }
        let in_database = self.in_database(room, seq);
        Box::pin(async move { in_database.await.map(|()| Durability::Db) })
    }

    /// A room, to tell or ask it something.
    pub fn room(&self, room: RoomId) -> Handle<RoomId> {
        Handle {
            id: room,
            worker: self.workers.home(room.raw()),
        }
    }

    /// Makes a room, or finds the one that the same pair has, and writes its first events
    /// if it has none yet.
    pub async fn found(
        &self,
        new: NewRoom,
        by: UserId,
        change: RoomChange,
        members: Vec<(UserId, Role)>,
    ) -> Result<RoomId> {
        let room = self.db.run(move |store| store.create_room(&new)).await?.id;
        let found = |reply_to| room::Command::Found {
            by,
            change,
            members,
            reply_to,
        };
        self.commit(room, found).await?;
        Ok(room)
    }

    /// A user, to tell or ask them something.
    pub fn user(&self, user: UserId) -> Handle<UserId> {
        Handle {
            id: user,
            worker: self.workers.home(user.raw()),
        }
    }

    /// A page of a room's members, with their names.
    pub fn list_members(
        &self,
        asker: room::Asker,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
    ) -> Pending<room::MemberPage> {
        let command = move |reply_to| room::Command::GetMembers {
            asker,
            after,
            limit,
            reply_to,
        };
        let asking = self.room(room).ask(command);
        let db = self.db.clone();
        Box::pin(async move {
            let mut page = asking.await?;
            let ids: Vec<_> = page.members.iter().map(|member| member.user).collect();
            let people = db.run(move |store| store.users(&ids)).await?;
            let mut names: HashMap<_, _> = people
                .into_iter()
                .map(|person| (person.id, person.name))
                .collect();
            for member in &mut page.members {
                member.name = names.remove(&member.user).unwrap_or_default();
            }
            Ok(page)
        })
    }
}

/// The way to one room or user.
pub struct Handle<K> {
    id: K,
    worker: Option<Arc<Worker>>,
}

impl<K> Handle<K> {
    /// The thread that the actor lives on, once that has started.
    pub fn into_worker(self) -> Option<Arc<Worker>> {
        self.worker
    }

    fn directory(&self) -> Option<&Addr<Directory>> {
        self.worker.as_ref().map(|worker| &worker.directory)
    }
}

impl Handle<RoomId> {
    /// Asks, and waits for the answer. The command is on its way when this returns; what it
    /// returns is only the wait.
    pub fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(Reply<T>) -> room::Command,
    ) -> Pending<T> {
        let (reply_to, answer) = Reply::channel();
        self.tell(command(reply_to));
        answer
    }

    /// Tells something that needs no answer; refused when there is no room in the queue.
    pub fn tell(&self, command: room::Command) {
        send(self.directory(), ToRoom(self.id, command), |message| {
            message.1
        });
    }
}

impl Handle<UserId> {
    /// Asks, and waits for the answer.
    pub fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(Reply<T>) -> user::Command,
    ) -> Pending<T> {
        let (reply_to, answer) = Reply::channel();
        self.tell(command(reply_to));
        answer
    }

    /// Tells something that needs no answer; refused when there is no room in the queue.
    pub fn tell(&self, command: user::Command) {
        send(self.directory(), ToUser(self.id, command), |message| {
            message.1
        });
    }
}

fn send<M, C: Refuse>(directory: Option<&Addr<Directory>>, message: M, command: fn(M) -> C)
where
    Directory: Handler<M>,
    M: Message<Result = ()> + Send + 'static,
{
    let Some(directory) = directory else {
        return command(message).refuse(Error::unavailable());
    };
    match directory.try_send(message) {
        Ok(()) => {}
        Err(SendError::Full(message)) => command(message).refuse(Error::overloaded(RETRY_AFTER_MS)),
        Err(SendError::Closed(message)) => command(message).refuse(Error::unavailable()),
    }
}

/// An answer that says how far the log of the room is with what was asked for.
pub trait Placed {
    /// The newest event of it.
    fn seq(&self) -> Seq;
}

/// A command that can be answered with an error before it was handled.
pub trait Refuse {
    /// Tells whoever asked that nothing was done, and why.
    fn refuse(self, error: Error);
}

/// An answer that is on its way.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Where an answer goes.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T>>);

impl<T> Reply<T> {
    /// A place for an answer, and the wait for it (with a deadline).
    pub fn channel() -> (Self, Pending<T>)
    where
        T: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let answer = async move {
            match tokio::time::timeout(ANSWER_DEADLINE, receiver).await {
                Ok(Ok(answer)) => answer,
                // The actor failed, or takes too long: nobody knows what came of it.
                Ok(Err(_)) | Err(_) => Err(Error::unavailable()),
            }
        };
        (Self(sender), Box::pin(answer))
    }

    /// Answers. Whoever asked may have gone; that is their business.
    pub fn send(self, answer: Result<T>) {
        let _ = self.0.send(answer);
    }

    /// Answers with an error.
    pub fn refuse(self, error: Error) {
        self.send(Err(error));
    }
}

/// A context whose mailbox takes so many messages from the beginning; by default it is 16,
/// and what comes before an actor has started would be refused.
pub fn context<A: Actor<Context = Context<A>>>(mailbox: usize) -> Context<A> {
    let mut context = Context::new();
    context.set_mailbox_capacity(mailbox);
    context
}

/// Sends past the mailbox's limit: for the few things that must not be lost and are bounded
/// otherwise, such as one farewell for every session that there was.
pub fn send_always<A, M>(address: &Addr<A>, message: M)
where
    A: Actor + Handler<M>,
    A::Context: actix::dev::ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "see the doc comment; each caller is bounded"
    )]
    address.do_send(message);
}
