//! A whole node: everything is made here, handed out, and stopped in order.
//!
//! The only folder that knows everyone: `builder` makes them, `peers` is how settings reach
//! the other nodes.

mod builder;
mod peers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::web;
use tokio::sync::mpsc;

use self::builder::NodeBuilder;
use self::peers::Refusals;
use crate::actors::persistence::{Flush, write_back};
use crate::actors::registry::redis::{self, Lease, NodeName, RedisError};
use crate::actors::registry::{Order, keep_lease, watch_accounts};
use crate::actors::{Cluster, Reply, Services, hub, sweep_resigned, tell_notices};
use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::db::{Db, OpenError, OpenOptions};
use crate::http;
use crate::identity::Tokens;
use crate::settings::Settings;

/// Orders that may wait.
const ORDERS: usize = 64;

/// How often a node that stops looks whether its clients have closed.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How often what was set for all nodes is asked for, if it was not to be had at the start.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(2);

/// How often logins that have run out are forgotten, and resignations finished.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long after its start a node does so first: rooms can be asked by then.
const SWEEP_DELAY: Duration = Duration::from_secs(30);

/// A running node. Lives on the thread that started it, which runs an actix system.
pub struct Node {
    services: web::Data<Services>,
    server: ServerHandle,
    address: SocketAddr,
    /// Small things that are done beside, until the node stops.
    helpers: Vec<JoinHandle<()>>,
    /// Keeps the lease of a node that is not alone; ends when another takes over.
    lease: Option<JoinHandle<()>>,
    /// What other nodes, or those who run the system, want of this one.
    orders: mpsc::Receiver<Order>,
    /// Who cannot take new settings, for whoever changes them here.
    refusals: Arc<Refusals>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (MADANG_LISTEN): {cause}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
}

impl Node {
    /// Starts everything and listens.
    ///
    /// # Errors
    /// Says what is in the way and what to do about it; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let secret = config.signing_secret()?;
        let listen = |cause| StartError::Listen {
            address: config.listen,
            cause,
        };
        let listener = http::bind(config.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let options = OpenOptions {
            shared: config.redis.is_some(),
            ..OpenOptions::default()
        };
        let url = config.database.url();
        let db = web::block(move || Db::open(&url, &options))
            .await
            .map_err(blocked)??;
        let redis = match &config.redis {
            Some(url) => Some(redis::open(url.expose_text()).await?),
            None => None,
        };
        let name = NodeName::new(&config.node_id);
        let (order, orders) = mpsc::channel(ORDERS);
        let itself = Lease::new(name, advertised(&config, address));
        let builder = NodeBuilder::new(config.clone(), itself, order, db, Tokens::new(&secret));
        let services = web::Data::new(match redis {
            Some(redis) => builder.together(redis),
            None => builder.alone(),
        });
        let refusals = peers::join(&services);
        let settings = services.settings.clone();
        let mut helpers = vec![
            actix::spawn(sweep(services.clone().into_inner())),
            actix::spawn(tell_notices(services.clone().into_inner())),
        ];
        if let Err(error) = settings.reload().await {
            log::warn!("what was set for all nodes is missing for now: {error}");
            helpers.push(actix::spawn(load_settings(settings)));
        }
        if let Some(cluster) = &services.cluster {
            cluster.broker.until_ready().await;
            helpers.push(actix::spawn(watch_accounts(services.clone().into_inner())));
        }
        let server = http::serve(services.clone(), listener).map_err(listen)?;
        let handle = server.handle();
        actix::spawn(server);
        let lease = services.cluster.as_ref().map(|cluster| {
            let (services, broker) = (services.clone().into_inner(), cluster.broker.clone());
            actix::spawn(keep_lease(services, broker))
        });
        Ok(Self {
            services,
            server: handle,
            address,
            helpers,
            lease,
            orders,
            refusals,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that is shared; for tests and for programs that embed a node.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Waits until another node, or those who run the system, want this one to end.
    pub async fn until_told(&mut self) {
        let lease_taken = async {
            match &mut self.lease {
                // It only returns when the lease is another's.
                Some(lease) => drop(lease.await),
                None => std::future::pending().await,
            }
        };
        let told = async {
            while let Some(order) = self.orders.recv().await {
                if obey(&self.services, &self.refusals, order) {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = lease_taken => {}
            () = told => {}
        }
    }

    /// Stops in order: not ready any more, everybody is sent away, to other nodes if there
    /// are any; what is not written yet is written. REST is served until the end.
    pub async fn stop(self) {
        let moves = match &self.services.cluster {
            Some(cluster) => others_stay(cluster).await,
            None => false,
        };
        self.stop_with(moves).await;
    }

    /// The same; with `moves` there are other nodes that people can go to.
    pub async fn stop_with(mut self, moves: bool) {
        self.services.drain(moves);
        self.obey_to_the_end();
        self.farewell().await;
        self.write_what_is_left().await;
        for helper in &self.helpers {
            helper.abort();
        }
        self.server.stop(true).await;
        if let Some(cluster) = &self.services.cluster {
            if let Some(lease) = &self.lease {
                lease.abort();
            }
            cluster.broker.give_up_lease().await;
        }
    }

    /// Until it has ended it takes part: in settings that all nodes change, for instance.
    fn obey_to_the_end(&mut self) {
        let (_, nothing) = mpsc::channel(1);
        let mut orders = std::mem::replace(&mut self.orders, nothing);
        let (services, refusals) = (self.services.clone(), self.refusals.clone());
        self.helpers.push(actix::spawn(async move {
            while let Some(order) = orders.recv().await {
                obey(&services, &refusals, order);
            }
        }));
    }

    async fn write_what_is_left(&self) {
        if let Some(cluster) = &self.services.cluster {
            let (reply_to, flushed) = Reply::channel();
            let asked = cluster
                .write_back
                .send(write_back::Flush { reply_to })
                .await;
            if asked.is_err() || flushed.await.is_err() {
                log::warn!("the log could not be written back before the end: other nodes will");
            }
        }
        let (reply_to, flushed) = Reply::channel();
        let asked = self.services.persistence.send(Flush { reply_to }).await;
        if asked.is_err() || flushed.await.is_err() {
            log::error!("some read marks could not be written before the end");
        }
    }

    /// Waits until everybody has gone, but not for ever.
    async fn farewell(&self) {
        let sessions = async || {
            let mut sessions = 0;
            for worker in self.services.workers.all() {
                let holds = worker.hub.send(hub::Observe).await;
                sessions += holds.map_or(0, |holds| holds.sessions);
            }
            sessions
        };
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let gone = async {
            while sessions().await > 0 {
                looks.tick().await;
            }
        };
        if tokio::time::timeout(self.services.config.drain, gone)
            .await
            .is_err()
        {
            log::info!("some clients did not close in time");
        }
    }
}

/// Where others find a node that listens here. Every address of a machine is none to others.
fn advertised(config: &Config, address: SocketAddr) -> String {
    match &config.advertise {
        Some(advertise) => advertise.clone(),
        None if address.ip().is_unspecified() => {
            let host = rustix::system::uname();
            let host = host.nodename().to_string_lossy().into_owned();
            format!("{host}:{}", address.port())
        }
        None => address.to_string(),
    }
}

/// Is there a node that people can move to, and that is not about to stop itself?
async fn others_stay(Cluster { broker, .. }: &Cluster) -> bool {
    match broker.nodes().await {
        Ok(leases) => leases
            .iter()
            .any(|lease| !broker.is_this_node(&lease.id) && !lease.load.draining),
        Err(_) => broker.has_others(),
    }
}

/// Does what others want of this node; true when it is to end.
fn obey(services: &web::Data<Services>, refusals: &Refusals, order: Order) -> bool {
    match order {
        Order::Drain => {
            log::info!("node={} was told to drain", services.config.node_id);
            return true;
        }
        Order::Settings(version) => peers::take(services.clone(), version),
        Order::ReloadSettings => peers::reload(services.clone()),
        Order::SettingsRefused {
            node,
            version,
            reason,
        } => refusals.note(version, node, reason),
    }
    false
}

/// Lays over what was set for all nodes, once the database answers.
async fn load_settings(settings: Arc<Settings>) {
    let mut turns = tokio::time::interval(SETTINGS_INTERVAL);
    loop {
        turns.tick().await;
        if let Ok(version) = settings.reload().await {
            return log::info!("settings version={version} hold now");
        }
    }
}

/// Tidies up, now and then.
async fn sweep(services: Arc<Services>) {
    let start = tokio::time::Instant::now() + SWEEP_DELAY;
    let mut turns = tokio::time::interval_at(start, SWEEP_INTERVAL);
    loop {
        turns.tick().await;
        sweep_logins(&services.db).await;
        sweep_resigned(&services).await;
    }
}

/// Forgets logins that have run out.
async fn sweep_logins(db: &Db) {
    let swept = db.run(|store| store.sweep_logins(now_ms())).await;
    match swept {
        Ok(0) => {}
        Ok(count) => log::info!("{count} logins and refresh tokens had run out"),
        Err(error) => log::warn!("logins that have run out stay for now: {error}"),
    }
}

/// The thread that opened the database failed.
fn blocked(cause: actix_web::error::BlockingError) -> OpenError {
    OpenError::Unreachable {
        what: "that is configured".to_owned(),
        cause: cause.to_string(),
    }
}
