//! The broker of a cluster: its log is in Redis, and behind it in Postgres.
//!
//! The only folder that speaks to Redis. [`RedisBroker`] keeps the contract of
//! [`Broker`]; `append` `reading` `rebuilding` hold the three things that can go wrong and
//! what is done then; `lua/` holds the steps that are atomic.

mod append;
mod asking;
mod check;
mod console;
mod counts;
mod doubtful;
mod gate;
mod hearing;
mod hot_log;
mod keys;
mod limits;
mod link;
mod listener;
mod living;
mod nodes;
mod others;
mod reading;
mod rebuilding;
mod reply;
mod scripts;
mod values;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use actix::prelude::*;
pub use redis::Client;

pub use self::check::{RedisError, open};
pub use self::console::{CONSOLE, Console, Seen};
pub use self::counts::Counted;
use self::counts::Counts;
use self::doubtful::{Doubtful, Silence};
use self::gate::Gate;
use self::hearing::BrokerSubscriber;
pub use self::hearing::Subscribers;
pub use self::limits::share_limits;
use self::link::Link;
use self::listener::Listener;
pub(super) use self::nodes::Kept;
pub use self::nodes::{Lease, Load, NodeName};
use self::others::Others;
use self::scripts::Life;
use super::broker::{Broker, Head, PageOf};
use crate::actors::persistence::write_back::{self, Backlog, WriteBack};
use crate::actors::{Pending, Reply, send_always};
use crate::db::{Append, Appended, Db};
use crate::error::{Error, Result};
use crate::ids::{Epoch, RoomId, Seq};
use crate::locks;
use crate::protocol::doorbell::{At, Ephemeral, encode_ephemeral};
use crate::protocol::envelope::{Envelope, Payload};
use crate::protocol::{Event, MAX_EVENTS};

/// How long a reading waits for a life of Redis that is just beginning.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long somebody waits for a subscription while Redis is away.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a node that starts waits for Redis before it listens.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// The log of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct RedisBroker(Arc<Inner>);

struct Inner {
    /// Who we are to other nodes.
    node: NodeName,
    client: Client,
    link: Link,
    listener: Listener,
    db: Db,
    /// Which life of Redis we know, and whether anything may be appended there.
    gate: Gate,
    /// Is the database asked about ids at the moment?
    silence: Silence,
    /// Room for events that are not in the database yet.
    backlog: Arc<Backlog>,
    /// Who writes them there; set once, right after the start.
    write_back: OnceLock<Addr<WriteBack>>,
    /// Who hears what rings; set once, right after the start.
    subscribers: OnceLock<Subscribers>,
    /// Has a connection been away since the registry last asked?
    cut: AtomicBool,
    /// Other nodes. `None` before their leases were first read.
    others: RwLock<Option<Others>>,
    counts: Counts,
}

impl RedisBroker {
    /// A broker on this Redis. It connects in the background; [`RedisBroker::begin`] has to
    /// follow.
    pub fn new(client: Client, node: NodeName, db: Db, backlog: Arc<Backlog>) -> Self {
        Self(Arc::new(Inner {
            node,
            link: Link::new(client.clone()),
            client,
            listener: Listener::default(),
            db,
            gate: Gate::new(),
            silence: Silence::default(),
            backlog,
            write_back: OnceLock::new(),
            subscribers: OnceLock::new(),
            cut: AtomicBool::new(false),
            others: RwLock::default(),
            counts: Counts::default(),
        }))
    }

    /// Starts to listen, and joins the life of Redis or begins one. Both go on in the
    /// background for ever.
    pub fn begin(&self, write_back: Addr<WriteBack>, subscribers: Subscribers) {
        let inner = &self.0;
        // Both are set here only.
        let _ = inner.write_back.set(write_back);
        let _ = inner.subscribers.set(subscribers);
        drop(inner.listener.subscribe(keys::ALL.to_owned()));
        let own = keys::node_channel(&inner.node.id);
        drop(inner.listener.subscribe(own));
        inner
            .listener
            .start(inner.client.clone(), BrokerSubscriber(inner.clone()));
        actix::spawn(inner.clone().keep_rebuilt());
    }

    /// Is this our own name?
    pub fn is_this_node(&self, id: &str) -> bool {
        self.0.node.id == id
    }

    /// Which start of this node we are.
    pub fn generation(&self) -> &str {
        &self.0.node.generation
    }

    /// How many other nodes there are, as far as is known.
    pub fn count_others(&self) -> usize {
        let others = locks::read(&self.0.others);
        others.as_ref().map_or(0, Others::count)
    }

    /// Are there other nodes, as far as is known?
    pub fn has_others(&self) -> bool {
        self.count_others() > 0
    }

    /// Can this node append at the moment?
    pub fn is_ready(&self) -> bool {
        self.0.link.is_up() && self.0.gate.life_if_open().is_some()
    }

    /// Waits until it can, or for a quarter of a minute: then people are told `unavailable`.
    pub async fn until_ready(&self) {
        let ready = async {
            while !self.is_ready() {
                self.0.link.up(START_PATIENCE).await;
                self.0.gate.opened(START_PATIENCE).await;
            }
        };
        // Late is not too late: it goes on in the background.
        let _ = tokio::time::timeout(START_PATIENCE, ready).await;
    }

    /// Was a connection away since this was last asked? Then what came from other nodes
    /// meanwhile is lost.
    pub fn was_cut(&self) -> bool {
        self.0.cut.swap(false, Ordering::Relaxed)
    }

    /// Sends an envelope to one node, or to all.
    pub async fn send(&self, to: Option<&str>, payload: Payload) -> Result<()> {
        self.0.send(to, payload).await
    }
}

impl Inner {
    /// The present life; waits a moment for one that is just beginning.
    async fn open_life(&self) -> Result<Arc<Life>> {
        let life = self.gate.opened(TIMEOUT).await;
        life.ok_or_else(Error::unavailable)
    }

    /// Tells the write-back what it must not miss; every caller is bounded by the backlog,
    /// or by what Redis holds.
    fn tell_write_back<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        WriteBack: Handler<M>,
    {
        if let Some(write_back) = self.write_back.get() {
            send_always(write_back, message);
        }
    }

    async fn send(&self, to: Option<&str>, payload: Payload) -> Result<()> {
        let channel = to.map_or_else(|| keys::ALL.to_owned(), keys::node_channel);
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(self.envelope(payload)?);
        self.ask(&publish, values::ignored).await
    }

    /// The text of an envelope from this node.
    fn envelope(&self, payload: Payload) -> Result<String> {
        let envelope = Envelope {
            node: self.node.id.clone(),
            generation: self.node.generation.clone(),
            payload,
        };
        envelope.encode().map_err(|error| {
            log::error!("an envelope cannot be written: {error}");
            Error::internal()
        })
    }
}

impl Broker for RedisBroker {
    fn append(&self, append: Append) -> Pending<Appended> {
        let inner = self.0.clone();
        Box::pin(async move { inner.append(append, Doubtful::LeaveOut).await })
    }

    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.read(room, after, limit.min(MAX_EVENTS)).await })
    }

    fn page(&self, page: PageOf) -> Pending<Vec<Event>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.page(page).await })
    }

    fn heads(&self, rooms: Vec<RoomId>) -> Pending<Vec<Head>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.heads(rooms).await })
    }

    fn may_have_missed(&self) -> bool {
        // The last ring of a room can be lost without anything that follows to show it.
        true
    }

    fn subscribe(&self, room: RoomId) -> Pending<()> {
        let stands = self.0.listener.subscribe(keys::channel(room));
        Box::pin(async move {
            match tokio::time::timeout(SUBSCRIBE_PATIENCE, stands).await {
                Ok(Ok(())) => Ok(()),
                // It stands as soon as Redis is back.
                Ok(Err(_)) | Err(_) => Err(Error::unavailable()),
            }
        })
    }

    fn unsubscribe(&self, room: RoomId) {
        self.0.listener.unsubscribe(keys::channel(room));
    }

    fn when_flushed(&self, room: RoomId, seq: Seq) -> Pending<()> {
        let (reply_to, answer) = Reply::channel();
        match self.0.write_back.get() {
            Some(write_back) => {
                let asked = write_back.try_send(write_back::WhenFlushed {
                    room,
                    seq,
                    reply_to,
                });
                if asked.is_err() {
                    log::warn!("room={room} seq={seq} the write-back is too busy to be asked");
                }
            }
            None => reply_to.refuse(Error::unavailable()),
        }
        answer
    }

    fn pass(&self, room: RoomId, epoch: &Epoch, ephemeral: &Ephemeral) {
        let inner = self.0.clone();
        let Some(life) = inner.gate.life() else {
            return;
        };
        let at = At {
            life: life.name.to_string(),
            epoch: epoch.clone(),
        };
        let Ok(text) = encode_ephemeral(&at, ephemeral) else {
            return;
        };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::channel(room)).arg(text);
        actix::spawn(async move {
            // It may be lost: that is what ephemeral means.
            let _ = inner.link.run(&publish).await;
        });
    }
}
