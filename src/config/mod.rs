//! How a node shall be: defaults < `madang.toml` < environment < flags, checked once.
//!
//! Nothing here is global: a [`Config`] is made at the start and handed down.

mod keys;
mod live;
mod secret;
mod source;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;
use redis::IntoConnectionInfo;

pub use keys::{KEYS, Key, Shown, example};
pub use live::{Limits, Live, Overlaid};
pub use source::{ConfigError, Origin, Setting, Sources};
pub use values::{Database, Secret};

use source::Settings;

/// Everything that a node has been told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `MADANG_LISTEN`
    pub listen: SocketAddr,
    /// `DATABASE_URL`
    pub database: Database,
    /// `REDIS_URL`; `None` on a node that is alone.
    pub redis: Option<Secret>,
    /// `MADANG_JWT_SECRET`; see [`Config::signing_secret`].
    pub jwt_secret: Option<Secret>,
    /// `MADANG_NODE_ID`
    pub node_id: String,
    /// `MADANG_ADVERTISE`; `None` when it follows from where the node listens.
    pub advertise: Option<String>,
    /// `MADANG_WORKERS`, with 0 already counted out.
    pub workers: usize,
    /// `MADANG_AUTO_PROVISION`
    pub auto_provision: bool,
    /// `MADANG_TRUSTED_PROXIES`
    pub trusted_proxies: Vec<IpNet>,
    /// `MADANG_BACKLOG_EVENTS`
    pub backlog_events: usize,
    /// `MADANG_DRAIN_SECONDS`
    pub drain: Duration,
    /// What may change while the node runs, as the sources said when they were read: at the
    /// start, or in the copy that the node's `Settings` keep, at the last SIGHUP. What holds
    /// now, only they know.
    pub at_start: Live,
    /// What nobody needs to set, but tests may.
    pub tuning: Tuning,
    settings: Settings,
    /// Where all of it came from, to be read again; none for a node inside another program.
    sources: Option<Sources>,
}

/// Intervals and sizes inside a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Between two pings to a client.
    pub heartbeat: Duration,
    /// A socket that takes nothing for this long is cut.
    pub stall_cut: Duration,
    /// A socket must say `hello`, and a request its head, within this.
    pub hello: Duration,
    /// Most events in one transaction.
    pub batch_rows: usize,
    /// Typing, presence and receipts of a room are merged over this.
    pub merge: Duration,
    /// A room that nobody needs leaves memory after this.
    pub room_idle: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(25_000),
            stall_cut: Duration::from_secs(30),
            hello: Duration::from_secs(10),
            batch_rows: 500,
            merge: Duration::from_millis(250),
            room_idle: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// The configuration that these sources come to.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let settings = sources.settle()?;
        let config = Self::check(settings)?;
        Ok(Self {
            sources: Some(sources),
            ..config
        })
    }

    /// Defaults and these values, no file and no environment: for tests and programs that
    /// use the library.
    pub fn with<'a, V: AsRef<str>>(
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::defaults();
        let values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.as_ref().to_owned()));
        settings.set_all(values, Origin::Flag)?;
        Self::check(settings)
    }

    /// Only the Redis that these sources name: what a command needs to look at a cluster.
    pub fn load_redis(sources: &Sources) -> Result<Secret, ConfigError> {
        let settings = sources.settle()?;
        let redis = settings.read("REDIS_URL", REDIS, redis)?;
        redis.ok_or_else(|| settings.refusal("REDIS_URL", NO_REDIS))
    }

    /// Every effective value with where it came from.
    pub fn settings(&self) -> Vec<Setting> {
        self.settings.in_order()
    }

    fn check(settings: Settings) -> Result<Self, ConfigError> {
        use values::*;
        let redis = settings.read("REDIS_URL", REDIS, redis)?;
        let flag = |name| settings.read(name, FLAG, flag);
        let checked = Self {
            listen: settings.read("MADANG_LISTEN", ADDRESS, address)?,
            database: settings.read("DATABASE_URL", DATABASE, database)?,
            redis,
            jwt_secret: settings.read("MADANG_JWT_SECRET", SECRET, |text| match text {
                "" => Some(None),
                text => Secret::parse(text).map(Some),
            })?,
            node_id: settings.read("MADANG_NODE_ID", NODE_ID, node_id)?,
            advertise: settings.read("MADANG_ADVERTISE", ADVERTISE, advertise)?,
            workers: settings.read("MADANG_WORKERS", "0 to 1024", workers)?,
            auto_provision: flag("MADANG_AUTO_PROVISION")?,
            trusted_proxies: settings.read("MADANG_TRUSTED_PROXIES", NETWORKS, networks)?,
            backlog_events: settings.read("MADANG_BACKLOG_EVENTS", "1 or more", |text| {
                text.parse().ok().filter(|events| *events > 0)
            })?,
            drain: settings.read("MADANG_DRAIN_SECONDS", "0 to 3600", |text| {
                let seconds = text.parse().ok().filter(|seconds| *seconds <= 3600)?;
                Some(Duration::from_secs(seconds))
            })?,
            at_start: Live::check(&settings)?,
            tuning: Tuning::default(),
            settings,
            sources: None,
        };
        checked.fits_together().map(|()| checked)
    }

    /// What single values cannot show.
    fn fits_together(&self) -> Result<(), ConfigError> {
        let refused = |name, what| Err(self.settings.refusal(name, what));
        match (&self.redis, &self.database, &self.jwt_secret) {
            (Some(_), Database::Sqlite(_), _) => refused("DATABASE_URL", SHARED_DATABASE),
            (Some(_), _, None) => refused("MADANG_JWT_SECRET", SHARED_SECRET),
            _ => Ok(()),
        }
    }
}

const SECRET: &str = "at least 32 bytes that nobody can guess, for instance from \
    `openssl rand -hex 32`; without it one is made and kept in a file";
const NO_REDIS: &str = "redis://[USER:PASSWORD@]HOST:PORT of a cluster; a node that is alone \
    knows no others";
const REDIS: &str = "redis://[USER:PASSWORD@]HOST:PORT, rediss://… with TLS, or empty";

const SHARED_DATABASE: &str = "the nodes of a cluster (REDIS_URL) share one Postgres: \
    postgres://USER:PASSWORD@HOST/DATABASE";
const SHARED_SECRET: &str = "the nodes of a cluster (REDIS_URL) share one key: the same at \
    least 32 bytes on each, for instance from `openssl rand -hex 32`";

fn redis(text: &str) -> Option<Option<Secret>> {
    if text.is_empty() {
        return Some(None);
    }
    let known = text.starts_with("redis://") || text.starts_with("rediss://");
    let whole = known && text.into_connection_info().is_ok();
    whole.then(|| Some(Secret::of(text)))
}

fn workers(text: &str) -> Option<usize> {
    match text.parse().ok()? {
        0 => Some(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
        workers if workers <= 1024 => Some(workers),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> String {
        Config::with([(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn every_default_is_allowed() {
        let config = Config::with::<&str>([]).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.database, Database::Sqlite("madang.db".into()));
        assert_eq!(config.settings().len(), KEYS.len());
        assert!(config.workers >= 1 && !config.at_start.guests);
    }

    #[test]
    fn a_refusal_says_which_where_from_and_what_is_allowed() {
        assert_eq!(
            refusal("MADANG_GUESTS", "maybe"),
            "MADANG_GUESTS = maybe (from flag) is not allowed: true or false"
        );
        assert!(refusal("MADANG_LISTEN", "here").contains("127.0.0.1:8080"));
        for url in ["http://r", "redis://", "redis://r:99999", "redis://r/chat"] {
            assert!(refusal("REDIS_URL", url).contains("redis://["), "{url}");
        }
    }

    #[test]
    fn a_cluster_needs_a_database_and_a_key_that_nodes_share() {
        let redis = ("REDIS_URL", "redis://:hunter2@r");
        let refused = Config::with([redis]).unwrap_err().to_string();
        assert!(refused.contains("DATABASE_URL"), "{refused}");
        let postgres = ("DATABASE_URL", "postgres://ann@db/chat");
        let refused = Config::with([redis, postgres]).unwrap_err().to_string();
        assert!(refused.contains("MADANG_JWT_SECRET"), "{refused}");
        let secret = ("MADANG_JWT_SECRET", "0123456789abcdef0123456789abcdef");
        let config = Config::with([redis, postgres, secret]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn whoever_looks_at_a_cluster_needs_its_redis_and_nothing_else() {
        let set = |name: &str, value: &str| Sources {
            flags: vec![(name.to_owned(), value.to_owned())],
            ..Sources::default()
        };
        let refused = Config::load_redis(&set("MADANG_WORKERS", "2")).unwrap_err();
        assert_eq!(refused.key(), "REDIS_URL");
        let redis = Config::load_redis(&set("REDIS_URL", "redis://r")).unwrap();
        assert_eq!(redis.expose_text(), "redis://r");
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let weak = refusal("MADANG_JWT_SECRET", "hunter2");
        assert!(
            !weak.contains("hunter2") && weak.contains("32 bytes"),
            "{weak}"
        );
        let secret = "0123456789abcdef0123456789abcdef";
        let config = Config::with([
            ("MADANG_JWT_SECRET", secret),
            ("DATABASE_URL", "postgres://ann:hunter2@db/chat"),
        ])
        .unwrap();
        let shown: Vec<String> = config.settings().iter().map(Setting::shown).collect();
        let everything = format!("{config:?} {shown:?}");
        assert!(!everything.contains(secret), "{everything}");
        assert!(!everything.contains("hunter2"), "{everything}");
    }
}
