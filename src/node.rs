//! A whole node: everything is made here, handed out, and stopped in order.
//!
//! The only file that knows everyone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::web;

use crate::actors::persistence::{self, Flush, Persistence};
use crate::actors::registry::{LocalBroker, Registry};
use crate::actors::{Reply, Services, Workers, hub, tell_notices};
use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::db::{Db, OpenError, OpenOptions};
use crate::http;
use crate::identity::{Identities, Tokens};
use crate::limits::Rates;
use crate::settings::Settings;

/// How long an append may wait before its sender is told that nobody knows.
const APPEND_DEADLINE: Duration = Duration::from_secs(5);

/// How often it looks whether they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How often what was set for all nodes is asked for, if it was not to be had at the start.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(2);

/// How often logins that have run out are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// A running node. Lives on the thread that started it, which runs an actix system.
pub struct Node {
    services: web::Data<Services>,
    server: ServerHandle,
    address: SocketAddr,
    /// Small things that are done beside, until the node stops.
    helpers: Vec<JoinHandle<()>>,
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
        let (url, options) = (config.database.url(), OpenOptions::default());
        let db = web::block(move || Db::open(&url, &options))
            .await
            .map_err(blocked)??;
        let services = web::Data::new(services(&config, db, Tokens::new(&secret)));
        let settings = services.settings.clone();
        let mut helpers = vec![
            actix::spawn(sweep_logins(services.db.clone())),
            actix::spawn(tell_notices(services.clone().into_inner())),
        ];
        if let Err(error) = settings.reload().await {
            log::warn!("what was set for all nodes is missing for now: {error}");
            helpers.push(actix::spawn(load_settings(settings)));
        }
        let server = http::serve(services.clone(), listener).map_err(listen)?;
        let handle = server.handle();
        actix::spawn(server);
        Ok(Self {
            services,
            server: handle,
            address,
            helpers,
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

    /// Stops in order: not ready any more, everybody is sent away, what is not written yet is
    /// written. REST is served until the end.
    pub async fn stop(self) {
        self.stop_with(false).await;
    }

    /// The same; with `moves` there are other nodes that people can go to.
    pub async fn stop_with(self, moves: bool) {
        self.services.drain(moves);
        for helper in &self.helpers {
            helper.abort();
        }
        self.farewell().await;
        let (reply_to, flushed) = Reply::channel();
        let asked = self.services.persistence.send(Flush { reply_to }).await;
        if asked.is_err() || flushed.await.is_err() {
            log::error!("some read marks could not be written before the end");
        }
        self.server.stop(true).await;
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

/// Makes everyone but the workers, which the HTTP server starts.
fn services(config: &Arc<Config>, db: Db, tokens: Tokens) -> Services {
    let limits = persistence::Limits {
        batch_rows: config.tuning.batch_rows,
        backlog_rows: config.backlog_events,
        deadline: APPEND_DEADLINE,
    };
    let rates = Arc::new(Rates::new(&config.at_start.limits));
    let persistence = Persistence::start_here(db.store(), limits);
    let registry = Registry::start_here(|rings| {
        Arc::new(LocalBroker::new(persistence.clone(), db.clone(), rings))
    });
    Services {
        config: config.clone(),
        identities: Identities::new(db.clone(), tokens, config.auto_provision),
        settings: Settings::new(config.clone(), db.clone(), rates.clone()),
        rates,
        workers: Workers::new(config.workers),
        db,
        registry,
        persistence,
        draining: AtomicBool::new(false),
    }
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

/// Forgets logins that have run out, now and then.
async fn sweep_logins(db: Db) {
    let mut turns = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        turns.tick().await;
        let swept = db.run(|store| store.sweep_logins(now_ms())).await;
        match swept {
            Ok(0) => {}
            Ok(count) => log::info!("{count} logins and refresh tokens had run out"),
            Err(error) => log::warn!("logins that have run out stay for now: {error}"),
        }
    }
}

/// The thread that opened the database failed.
fn blocked(cause: actix_web::error::BlockingError) -> OpenError {
    OpenError::Unreachable {
        what: "that is configured".to_owned(),
        cause: cause.to_string(),
    }
}
