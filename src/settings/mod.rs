//! Settings that change while nodes run: one set of values for all nodes, kept in the database.
//!
//! Owns: what is in force on this node ([`Snapshot`]), and what the sources said below it.
//! A node starts without the database's values if it has to: what is missing then is laid over
//! later by [`Settings::reload`], which whoever hears of a newer version calls.

mod change;

use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;

pub use self::change::{Change, Changed};
use crate::config::{Config, ConfigError, Live, Setting};
use crate::db::{Db, SettingsRecord};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::limits::Rates;
use crate::locks::lock;

/// The settings of one node.
pub struct Settings {
    /// What file, environment and flags say; SIGHUP reads them again.
    base: Mutex<Arc<Config>>,
    /// Where the versions are kept.
    db: Db,
    /// Follow every change.
    rates: Arc<Rates>,
    /// What is in force; who wants to know of changes listens here.
    now: watch::Sender<Arc<Snapshot>>,
    /// The other nodes, if there are any.
    peers: OnceLock<Arc<dyn Peers>>,
}

/// What is in force on a node at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// What may change.
    pub live: Live,
    /// Every value with where it came from.
    pub settings: Vec<Setting>,
    /// What was set for all nodes, by whom; none when nobody ever did.
    pub record: Option<SettingsRecord>,
}

/// The other nodes of a cluster, as far as settings are concerned.
pub trait Peers: Send + Sync {
    /// Tells all of them that this version stands in the database, and waits a moment for
    /// those who cannot take it ([`Settings::take`]). Who does not answer is not asked again:
    /// nodes compare versions anyway.
    fn announce(&self, version: i64) -> crate::settings::Answers;
}

/// Who refused, once all have had time to answer.
pub type Answers = std::pin::Pin<Box<dyn Future<Output = Vec<Refusal>> + Send>>;

/// A node that cannot take a version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// Which node.
    pub node: String,
    /// Why, for a person.
    pub reason: String,
}

impl Snapshot {
    /// Which version of what was set for all nodes; 0 when nobody ever did.
    pub fn version(&self) -> i64 {
        version_of(self.record.as_ref())
    }
}

impl Settings {
    /// What the sources say, and nothing laid over it yet.
    pub fn new(config: Arc<Config>, db: Db, rates: Arc<Rates>) -> Arc<Self> {
        let now = Arc::new(in_force(&config, None));
        Arc::new(Self {
            base: Mutex::new(config),
            db,
            rates,
            now: watch::Sender::new(now),
            peers: OnceLock::new(),
        })
    }

    /// Makes the other nodes known; once.
    pub fn join(&self, peers: Arc<dyn Peers>) {
        if self.peers.set(peers).is_err() {
            log::error!("the other nodes were made known twice");
        }
    }

    /// What is in force.
    pub fn now(&self) -> Arc<Snapshot> {
        self.now.borrow().clone()
    }

    /// Which version of what was set for all nodes is in force here; 0 for none.
    pub fn version(&self) -> i64 {
        self.now.borrow().version()
    }

    /// Hears of every change.
    pub fn follow(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.now.subscribe()
    }

    /// Reads the newest version, and puts it in force if it is newer than what is. What this
    /// program does not understand is left out, with a line in the log.
    pub async fn reload(&self) -> Result<i64> {
        let newest = self.newest().await?;
        if version_of(newest.as_ref()) > self.version() {
            self.put_in_force(newest);
        }
        Ok(self.version())
    }

    /// Puts the newest version in force, which is this one or a later, or says why this node
    /// cannot: nothing has changed then.
    pub async fn take(&self, version: i64) -> Result<()> {
        if failpoint::loses("settings::take") {
            return Err(Error::bad_field("a test has this node refuse"));
        }
        let newest = self.newest().await?;
        if version_of(newest.as_ref()) < version {
            // The database that this node reads from does not have it yet.
            return Err(Error::unavailable());
        }
        if let Some(record) = &newest
            && let Some(error) = self.base().overlay(&record.values).left_out.first()
        {
            return Err(refused(error));
        }
        self.put_in_force(newest);
        Ok(())
    }

    /// Reads file and environment again. What was set for all nodes still wins.
    ///
    /// # Errors
    /// Says what is wrong there; everything stays as it is then.
    pub fn reread(&self) -> Result<(), ConfigError> {
        let (config, later) = self.base().reread()?;
        for name in later {
            log::warn!("{name} is different now; it holds from the next start");
        }
        *lock(&self.base) = Arc::new(config);
        self.put_in_force(self.now().record.clone());
        log::info!("file and environment were read again");
        Ok(())
    }

    /// The newest versions of what was set for all nodes, newest first.
    pub async fn versions(&self, limit: usize) -> Result<Vec<SettingsRecord>> {
        self.db.run(move |store| store.settings(limit)).await
    }

    async fn newest(&self) -> Result<Option<SettingsRecord>> {
        Ok(self.versions(1).await?.pop())
    }

    fn base(&self) -> Arc<Config> {
        lock(&self.base).clone()
    }

    /// Never goes back to an older version.
    fn put_in_force(&self, record: Option<SettingsRecord>) {
        let base = self.base();
        self.now.send_if_modified(|now| {
            let is_older = version_of(record.as_ref()) < now.version();
            if !is_older {
                let fresh = in_force(&base, record);
                self.rates.follow(&fresh.live.limits);
                *now = Arc::new(fresh);
            }
            !is_older
        });
    }
}

fn in_force(base: &Config, record: Option<SettingsRecord>) -> Snapshot {
    let none = Default::default();
    let values = record.as_ref().map_or(&none, |record| &record.values);
    let overlaid = base.overlay(values);
    for error in &overlaid.left_out {
        log::warn!("a setting that holds for all nodes is left out: {error}");
    }
    Snapshot {
        live: overlaid.live,
        settings: overlaid.settings,
        record,
    }
}

fn version_of(record: Option<&SettingsRecord>) -> i64 {
    record.map_or(0, |record| record.version)
}

/// A value that cannot hold, as its sender is told.
fn refused(error: &ConfigError) -> Error {
    let mut detail = serde_json::json!({ "key": error.key() });
    if let ConfigError::Value { allowed, .. } = error {
        detail["allowed"] = allowed.as_str().into();
    }
    Error::bad_field(error.to_string()).detail(detail)
}
