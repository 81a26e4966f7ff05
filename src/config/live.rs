//! What may change while a node runs, and how it is laid over everything else.

use std::collections::BTreeMap;

use super::source::Settings;
use super::values::{FLAG, ORIGINS, flag, origins};
use super::{Config, ConfigError, Setting};
use crate::protocol::Durability;

/// Longest notice, bytes.
const MOST_NOTICE_BYTES: usize = 1000;

/// Every setting that may change while a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// `MADANG_ACK`
    pub ack: Durability,
    /// `MADANG_ALLOWED_ORIGINS`
    pub allowed_origins: Vec<String>,
    /// `MADANG_GUESTS`
    pub guests: bool,
    /// `MADANG_NOTICE`
    pub notice: Option<String>,
    /// `MADANG_MIN_CLIENT_VERSION`
    pub min_client_version: String,
    /// `MADANG_LIMIT_…`
    pub limits: Limits,
}

/// How much of everything is allowed; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sockets on this node.
    pub connections: u32,
    /// Sockets from one address.
    pub connections_per_address: u32,
    /// Sockets of one user.
    pub connections_per_user: u32,
    /// New accounts and guests from one address.
    pub signups_per_minute: u32,
    /// Wrong passwords for one account.
    pub signin_failures_per_minute: u32,
    /// Wrong passwords from one address.
    pub signin_failures_per_address_per_minute: u32,
    /// Rooms that one user joins, leaves or makes.
    pub joins_per_second: u32,
    /// Messages on one connection.
    pub publish_per_second: u32,
    /// Messages in one room.
    pub room_publish_per_second: u32,
    /// Frames of any kind on one connection.
    pub frames_per_second: u32,
    /// Pages of history and REST requests of one user.
    pub reads_per_second: u32,
    /// Requests on one connection that wait for their answer.
    pub in_flight: u32,
}

/// Everything that holds, with values laid over what the sources say.
#[derive(Debug)]
pub struct Overlaid {
    /// What may change.
    pub live: Live,
    /// Every value with where it came from.
    pub settings: Vec<Setting>,
    /// What could not be laid over, and why.
    pub left_out: Vec<ConfigError>,
}

impl Config {
    /// Lays values that were set while nodes run over all others. What this version does not
    /// know or allow is left out.
    pub fn overlay(&self, values: &BTreeMap<String, String>) -> Overlaid {
        let (mut settings, mut live) = (self.settings.clone(), self.at_start.clone());
        let mut left_out = Vec::new();
        for (name, value) in values {
            let mut candidate = settings.clone();
            let laid = candidate
                .lay_over(name, value)
                .and_then(|()| Live::check(&candidate));
            match laid {
                Ok(with) => (settings, live) = (candidate, with),
                Err(error) => left_out.push(error),
            }
        }
        Overlaid {
            live,
            settings: settings.in_order(),
            left_out,
        }
    }

    /// Reads file and environment again. Comes with the names of those settings that are
    /// different now but cannot change before the next start.
    ///
    /// # Errors
    /// Says what is wrong in them; everything stays as it is then.
    pub fn reread(&self) -> Result<(Self, Vec<&'static str>), ConfigError> {
        let Some(sources) = self.sources.clone() else {
            return Ok((self.clone(), Vec::new()));
        };
        let fresh = Self::load(sources)?;
        let mut settings = self.settings.clone();
        let later = settings.take_live(&fresh.settings);
        let config = Self {
            at_start: fresh.at_start,
            settings,
            ..self.clone()
        };
        Ok((config, later))
    }
}

impl Live {
    pub(super) fn check(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            ack: settings.read("MADANG_ACK", "log or db", durability)?,
            allowed_origins: settings.read("MADANG_ALLOWED_ORIGINS", ORIGINS, origins)?,
            guests: settings.read("MADANG_GUESTS", FLAG, flag)?,
            notice: settings.read("MADANG_NOTICE", "at most 1000 bytes without NUL", notice)?,
            min_client_version: settings.read(
                "MADANG_MIN_CLIENT_VERSION",
                "a version like 1.2.3",
                client_version,
            )?,
            limits: Limits::check(settings)?,
        })
    }
}

impl Limits {
    fn check(settings: &Settings) -> Result<Self, ConfigError> {
        let limit = |name| settings.read(name, "a number; 0 is no limit", |text| text.parse().ok());
        Ok(Self {
            connections: limit("MADANG_LIMIT_CONNECTIONS")?,
            connections_per_address: limit("MADANG_LIMIT_CONNECTIONS_PER_ADDRESS")?,
            connections_per_user: limit("MADANG_LIMIT_CONNECTIONS_PER_USER")?,
            signups_per_minute: limit("MADANG_LIMIT_SIGNUPS_PER_MINUTE")?,
            signin_failures_per_minute: limit("MADANG_LIMIT_SIGNIN_FAILURES_PER_MINUTE")?,
            signin_failures_per_address_per_minute: limit(
                "MADANG_LIMIT_SIGNIN_FAILURES_PER_ADDRESS_PER_MINUTE",
            )?,
            joins_per_second: limit("MADANG_LIMIT_JOINS_PER_SECOND")?,
            publish_per_second: limit("MADANG_LIMIT_PUBLISH_PER_SECOND")?,
            room_publish_per_second: limit("MADANG_LIMIT_ROOM_PUBLISH_PER_SECOND")?,
            frames_per_second: limit("MADANG_LIMIT_FRAMES_PER_SECOND")?,
            reads_per_second: limit("MADANG_LIMIT_READS_PER_SECOND")?,
            in_flight: limit("MADANG_LIMIT_IN_FLIGHT")?,
        })
    }
}

fn durability(text: &str) -> Option<Durability> {
    match text {
        "log" => Some(Durability::Log),
        "db" => Some(Durability::Db),
        _ => None,
    }
}

fn notice(text: &str) -> Option<Option<String>> {
    match text {
        "" => Some(None),
        text => {
            let is_fit = text.len() <= MOST_NOTICE_BYTES && !text.contains('\0');
            is_fit.then(|| Some(text.to_owned()))
        }
    }
}

fn client_version(text: &str) -> Option<String> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() == 3)?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Sources};

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn origin(overlaid: &Overlaid, name: &str) -> Origin {
        let mut settings = overlaid.settings.iter();
        let setting = settings.find(|setting| setting.key.name == name);
        setting.unwrap().origin.clone()
    }

    #[test]
    fn live_values_win_over_everything_else() {
        let config = Config::with([("MADANG_GUESTS", "true"), ("MADANG_ACK", "db")]).unwrap();
        let overlaid = config.overlay(&values(&[
            ("MADANG_GUESTS", "false"),
            ("MADANG_LIMIT_IN_FLIGHT", "7"),
        ]));
        assert!(overlaid.left_out.is_empty(), "{:?}", overlaid.left_out);
        assert!(!overlaid.live.guests);
        assert_eq!(overlaid.live.limits.in_flight, 7);
        assert_eq!(overlaid.live.ack, Durability::Db);
        assert_eq!(origin(&overlaid, "MADANG_GUESTS"), Origin::Live);
        assert_eq!(origin(&overlaid, "MADANG_ACK"), Origin::Flag);
    }

    #[test]
    fn what_cannot_hold_is_left_out_alone() {
        let config = Config::with::<&str>([]).unwrap();
        let overlaid = config.overlay(&values(&[
            ("MADANG_ACK", "perhaps"),
            ("MADANG_FROM_THE_FUTURE", "1"),
            ("MADANG_GUESTS", "true"),
            ("MADANG_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            ("MADANG_LIMIT_IN_FLIGHT", ""),
            ("MADANG_MIN_CLIENT_VERSION", "1.2"),
        ]));
        assert!(overlaid.live.guests);
        assert_eq!(overlaid.live.ack, Durability::Log);
        let refused: Vec<_> = overlaid.left_out.iter().map(ConfigError::key).collect();
        assert_eq!(
            refused,
            [
                "MADANG_ACK",
                "MADANG_FROM_THE_FUTURE",
                "MADANG_JWT_SECRET",
                "MADANG_LIMIT_IN_FLIGHT",
                "MADANG_MIN_CLIENT_VERSION"
            ]
        );
    }

    #[test]
    fn a_file_that_has_changed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("madang.toml");
        std::fs::write(&file, "MADANG_LIMIT_IN_FLIGHT = 5\nMADANG_WORKERS = 3\n").unwrap();
        let sources = Sources {
            file: Some(file.clone()),
            ..Default::default()
        };
        let config = Config::load(sources).unwrap();
        std::fs::write(&file, "MADANG_GUESTS = true\nMADANG_WORKERS = 4\n").unwrap();
        let (fresh, later) = config.reread().unwrap();
        assert_eq!(later, ["MADANG_WORKERS"]);
        assert!(fresh.at_start.guests && fresh.workers == 3);
        assert_eq!(fresh.at_start.limits.in_flight, 32);
        std::fs::write(&file, "MADANG_GUESTS = 7\n").unwrap();
        assert_eq!(fresh.reread().unwrap_err().key(), "MADANG_GUESTS");
    }
}
