//! How single values are read, and the types they become.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::source::without_password;

/// Which database holds everything.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A Postgres server, by its URL.
    Postgres(String),
}

impl Database {
    /// The URL, with its password: for the one who connects.
    pub fn url(&self) -> String {
        match self {
            Database::Sqlite(path) => format!("sqlite://{}", path.display()),
            Database::Postgres(url) => url.clone(),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As a URL, without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Database::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

/// Bytes that nobody may see: `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Fewest bytes of a key that signs tokens: as many as the hash has (RFC 7518, 3.2).
    pub const MIN_BYTES: usize = 32;

    /// A secret of at least [`Secret::MIN_BYTES`].
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() >= Self::MIN_BYTES).then(|| Self(text.into()))
    }

    /// A text that nobody may see, of any length.
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The bytes themselves, for the one who signs.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text itself, for the one who connects.
    pub fn expose_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

pub(super) const ADDRESS: &str = "an address and a port, like 127.0.0.1:8080 or [::]:8080";

pub(super) fn address(text: &str) -> Option<SocketAddr> {
    text.to_socket_addrs().ok()?.next()
}

pub(super) const DATABASE: &str = "sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME";

pub(super) fn database(text: &str) -> Option<Database> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        return (!path.is_empty()).then(|| Database::Sqlite(path.into()));
    }
    let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    postgres.then(|| Database::Postgres(text.to_owned()))
}

pub(super) const FLAG: &str = "true or false";

pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

pub(super) const NODE_ID: &str = "1 to 64 of a-z A-Z 0-9 . _ -";

pub(super) fn node_id(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(format!("n{:08x}", rand::random::<u32>()));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (text.len() <= 64 && text.bytes().all(plain)).then(|| text.to_owned())
}

pub(super) const ADVERTISE: &str = "HOST:PORT, at most 255 characters, or empty";

pub(super) fn advertise(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    let (host, port) = text.rsplit_once(':')?;
    let plain = |c: char| c.is_ascii_graphic();
    let right = !host.is_empty() && text.len() <= 255 && host.chars().all(plain);
    (right && port.parse::<u16>().is_ok()).then(|| Some(text.to_owned()))
}

pub(super) const ORIGINS: &str =
    "origins like https://chat.example.org, without a path, separated by commas";

pub(super) fn origins(text: &str) -> Option<Vec<String>> {
    list(text).map(origin).collect()
}

/// Browsers send origins in lower case and without the scheme's own port.
fn origin(text: &str) -> Option<String> {
    let (scheme, host) = text.split_once("://")?;
    let whole = matches!(scheme, "http" | "https")
        && !host.is_empty()
        && !host.contains(['/', '?', '#', '@', ' ', '*'])
        && !text.chars().any(char::is_uppercase);
    whole.then(|| text.to_owned())
}

pub(super) const NETWORKS: &str =
    "addresses or networks like 10.0.0.0/8 or ::1, separated by commas";

pub(super) fn networks(text: &str) -> Option<Vec<IpNet>> {
    let network = |part: &str| match part.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => part.parse().ok(),
    };
    list(text).map(network).collect()
}

/// The parts of a comma-separated list, without empty ones.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_told_apart_by_their_scheme() {
        assert_eq!(
            database("sqlite://madang.db"),
            Some(Database::Sqlite("madang.db".into()))
        );
        assert_eq!(
            database("sqlite:///var/lib/madang.db"),
            Some(Database::Sqlite("/var/lib/madang.db".into()))
        );
        assert!(matches!(
            database("postgresql://a@b/c"),
            Some(Database::Postgres(_))
        ));
        for wrong in ["", "sqlite://", "mysql://a/b", "madang.db"] {
            assert_eq!(database(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn origins_are_exact() {
        assert_eq!(origins(""), Some(vec![]));
        assert_eq!(
            origins("https://a.org, http://localhost:3000"),
            Some(vec![
                "https://a.org".to_owned(),
                "http://localhost:3000".to_owned()
            ])
        );
        for wrong in [
            "*",
            "https://*.a.org",
            "a.org",
            "https://a.org/",
            "null",
            "https://A.org",
        ] {
            assert_eq!(origins(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses() {
        let networks = networks("10.0.0.0/8,::1").unwrap();
        let inside = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            networks.iter().any(|network| network.contains(&address))
        };
        assert!(inside("10.1.2.3") && inside("::1") && !inside("11.0.0.1"));
    }
}
