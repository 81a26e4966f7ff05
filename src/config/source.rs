//! Where values come from: defaults < file < environment < flags, each with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::{self, KEYS, Key, Shown};

/// The file that is read when it is there and none is named.
const FILE: &str = "madang.toml";

/// Everything that says how a node shall be; the later field wins.
#[derive(Clone, Default)]
pub struct Sources {
    /// People and rooms to look at are wanted: a few defaults change.
    pub demo: bool,
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// The variables of the environment.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Vec<(String, String)>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// `--demo` changes this default.
    Demo,
    /// A line of this file.
    File(PathBuf),
    /// A variable of the environment.
    Environment,
    /// The command line, or the program that uses the library.
    Flag,
    /// Set while nodes run, for all of them.
    Live,
}

/// A value that holds, with where it came from.
#[derive(Clone)]
pub struct Setting {
    /// What it is about.
    pub key: &'static Key,
    /// Where it came from.
    pub origin: Origin,
    text: String,
}

/// A value that cannot hold: which, where it came from, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key has a value that it cannot have.
    #[error("{key} = {value} (from {origin}) is not allowed: {allowed}")]
    Value {
        /// Which key.
        key: &'static str,
        /// Its value, or dots where it is a secret.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What it may be.
        allowed: String,
    },
    /// A name that is not a key.
    #[error("{name} (from {origin}) is not a setting; `madang config` lists them all")]
    Unknown {
        /// The name.
        name: String,
        /// Where it stands.
        origin: Origin,
    },
    /// A key that has to stay as it is while a node runs.
    #[error(
        "{name} cannot change while nodes run; set it in {FILE} or the environment and restart"
    )]
    Fixed {
        /// The key.
        name: &'static str,
    },
    /// A file that cannot be read, or is not what it should be.
    #[error("cannot use {path}: {cause}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl Sources {
    /// The environment of this process, and nothing else yet.
    pub fn of_process() -> Self {
        let environment = KEYS
            .iter()
            .filter_map(|key| {
                let value = std::env::var_os(key.name)?;
                Some((key.name.to_owned(), value.to_string_lossy().into_owned()))
            })
            .collect();
        Self {
            environment,
            ..Self::default()
        }
    }

    /// Every key's value, the strongest source first asked.
    pub(super) fn settle(&self) -> Result<Settings, ConfigError> {
        let mut settings = Settings::defaults();
        if self.demo {
            settings.set("MADANG_GUESTS", "true".into(), Origin::Demo)?;
        }
        let path = match &self.file {
            Some(path) => Some(path.clone()),
            None => Path::new(FILE).exists().then(|| FILE.into()),
        };
        if let Some(path) = path {
            for (name, value) in read_file(&path)? {
                settings.set(&name, value, Origin::File(path.clone()))?;
            }
        }
        settings.set_all(self.environment.iter().cloned(), Origin::Environment)?;
        settings.set_all(self.flags.iter().cloned(), Origin::Flag)?;
        Ok(settings)
    }
}

/// The value of every key.
#[derive(Debug, Clone)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    pub(super) fn defaults() -> Self {
        let default = |key: &'static Key| {
            let setting = Setting {
                key,
                origin: Origin::Default,
                text: key.default.to_owned(),
            };
            (key.name, setting)
        };
        Self(KEYS.iter().map(default).collect())
    }

    pub(super) fn set_all(
        &mut self,
        values: impl IntoIterator<Item = (String, String)>,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        values
            .into_iter()
            .try_for_each(|(name, value)| self.set(&name, value, origin.clone()))
    }

    /// An empty value is one that nobody set: compose files and shells hand them on.
    fn set(&mut self, name: &str, value: String, origin: Origin) -> Result<(), ConfigError> {
        let Some(key) = keys::find(name) else {
            let name = name.to_owned();
            return Err(ConfigError::Unknown { name, origin });
        };
        let text = value.trim().to_owned();
        if !text.is_empty() {
            self.0.insert(key.name, Setting { key, origin, text });
        }
        Ok(())
    }

    /// Sets what was set while nodes run. Here an empty value is one.
    pub(super) fn lay_over(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let origin = Origin::Live;
        let Some(key) = keys::find(name) else {
            let name = name.to_owned();
            return Err(ConfigError::Unknown { name, origin });
        };
        if !key.live {
            return Err(ConfigError::Fixed { name: key.name });
        }
        let text = value.trim().to_owned();
        self.0.insert(key.name, Setting { key, origin, text });
        Ok(())
    }

    /// Takes over from others what may change while a node runs; names what else differs.
    pub(super) fn take_live(&mut self, others: &Self) -> Vec<&'static str> {
        let mut differ = Vec::new();
        for (name, other) in &others.0 {
            match self.0.get(name) {
                _ if other.key.live => drop(self.0.insert(name, other.clone())),
                Some(own) if own.text == other.text => {}
                Some(_) | None => differ.push(*name),
            }
        }
        differ
    }

    /// Reads one value; `allowed` completes the error.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let setting = self.0.get(name);
        let text = setting.map_or("", |setting| setting.text.as_str());
        parse(text).ok_or_else(|| self.refusal(name, allowed))
    }

    /// The error for a value that is not allowed.
    pub(super) fn refusal(&self, name: &'static str, allowed: &str) -> ConfigError {
        let setting = self.0.get(name);
        ConfigError::Value {
            key: name,
            value: setting.map_or_else(String::new, Setting::shown),
            origin: setting.map_or(Origin::Default, |setting| setting.origin.clone()),
            allowed: allowed.to_owned(),
        }
    }

    /// All of them, in the order of [`KEYS`].
    pub(super) fn in_order(&self) -> Vec<Setting> {
        let setting = |key: &Key| self.0.get(key.name).cloned();
        KEYS.iter().filter_map(setting).collect()
    }
}

impl ConfigError {
    /// Which key it is about; empty for a whole file.
    pub fn key(&self) -> &str {
        match self {
            ConfigError::Value { key, .. } => key,
            ConfigError::Unknown { name, .. } => name,
            ConfigError::Fixed { name } => name,
            ConfigError::File { .. } => "",
        }
    }
}

impl Setting {
    /// The value as it may be shown.
    pub fn shown(&self) -> String {
        match self.key.shown {
            Shown::Hidden if !self.text.is_empty() => "…".to_owned(),
            Shown::WithoutPassword => without_password(&self.text),
            Shown::Hidden | Shown::Whole => self.text.clone(),
        }
    }
}

/// What it was told may hold secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(…)")
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `KEY = value (origin)`, secrets hidden.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.key.name, self.shown(), self.origin)
    }
}

/// `scheme://user:password@host` with dots for the password, and for the query, which may
/// hold one too.
pub(super) fn without_password(url: &str) -> String {
    let (url, query) = match url.split_once('?') {
        Some((url, _)) => (url, "?…"),
        None => (url, ""),
    };
    let hidden = url.split_once("://").and_then(|(scheme, rest)| {
        // The last `@`: a password may contain one.
        let (login, host) = rest.rsplit_once('@')?;
        let user = login.split(':').next()?;
        Some(format!("{scheme}://{user}:…@{host}{query}"))
    });
    hidden.unwrap_or_else(|| format!("{url}{query}"))
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let unusable = |cause: String| ConfigError::File {
        path: path.display().to_string(),
        cause,
    };
    let text = std::fs::read_to_string(path).map_err(|cause| unusable(cause.to_string()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|cause| unusable(cause.to_string()))?;
    table
        .into_iter()
        .map(|(name, value)| match plain(&value) {
            Some(text) => Ok((name, text)),
            None => Err(unusable(format!(
                "{name} is a text, a number, true, false, or a list of texts"
            ))),
        })
        .collect()
}

/// A TOML value as it would stand in the environment.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Demo => f.write_str("--demo"),
            Origin::File(path) => path.display().fmt(f),
            Origin::Environment => f.write_str("environment"),
            Origin::Flag => f.write_str("flag"),
            Origin::Live => f.write_str("live"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        assert_eq!(
            without_password("postgres://ann:s3cr3t@db/chat"),
            "postgres://ann:…@db/chat"
        );
        assert_eq!(
            without_password("redis://:p@ss/w@host:1"),
            "redis://:…@host:1"
        );
        assert_eq!(without_password("sqlite://madang.db"), "sqlite://madang.db");
    }

    #[test]
    fn the_stronger_source_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.toml");
        std::fs::write(
            &file,
            "MADANG_WORKERS = 3\nMADANG_GUESTS = false\nMADANG_DRAIN_SECONDS = 5\n",
        )
        .unwrap();
        let settings = Sources {
            demo: true,
            file: Some(file),
            environment: vec![("MADANG_WORKERS".into(), "4".into())],
            flags: vec![("MADANG_DRAIN_SECONDS".into(), "6".into())],
        }
        .settle()
        .unwrap();
        let text = |name| {
            settings
                .read(name, "", |text| Some(text.to_owned()))
                .unwrap()
        };
        assert_eq!(text("MADANG_WORKERS"), "4");
        assert_eq!(text("MADANG_GUESTS"), "false");
        assert_eq!(text("MADANG_DRAIN_SECONDS"), "6");
    }

    #[test]
    fn a_name_that_nobody_knows_is_refused() {
        let unknown = Sources {
            flags: vec![("MADANG_GUEST".into(), "true".into())],
            ..Sources::default()
        };
        let error = unknown.settle().unwrap_err().to_string();
        assert!(error.starts_with("MADANG_GUEST (from flag)"), "{error}");
    }
}
