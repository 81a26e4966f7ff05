//! The key that signs tokens, when nobody gives one: made once, kept in a file.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::values::{Database, Secret};
use super::{Config, ConfigError};
use crate::hex::hex;

/// The file's name, beside the SQLite database or in the working directory.
const FILE: &str = "madang.secret";

impl Config {
    /// The key that signs tokens: the one that was given, or the one that is kept in a file
    /// and made at the first start.
    pub fn signing_secret(&self) -> Result<Secret, ConfigError> {
        if let Some(secret) = &self.jwt_secret {
            return Ok(secret.clone());
        }
        let path = self.secret_file();
        read_or_make(&path).map_err(|cause| ConfigError::File {
            path: path.display().to_string(),
            cause: format!("{cause}; or set MADANG_JWT_SECRET"),
        })
    }

    /// Where a secret that nobody gave is kept.
    pub fn secret_file(&self) -> PathBuf {
        match &self.database {
            Database::Sqlite(database) => database.with_file_name(FILE),
            Database::Postgres(_) => FILE.into(),
        }
    }
}

fn read_or_make(path: &Path) -> io::Result<Secret> {
    match read(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => make(path),
        other => other,
    }
}

fn read(path: &Path) -> io::Result<Secret> {
    let text = fs::read_to_string(path)?;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        log::warn!("others can read the secret: chmod 600 {}", path.display());
    }
    Secret::parse(text.trim()).ok_or_else(|| {
        let text = format!("it holds less than {} bytes", Secret::MIN_BYTES);
        io::Error::new(ErrorKind::InvalidData, text)
    })
}

/// Writes beside and links into place, so that of two that start at once both use one
/// secret, and nobody reads half of it.
fn make(path: &Path) -> io::Result<Secret> {
    let draft = path.with_extension(format!("secret.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(hex(&rand::random::<[u8; 32]>()).as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => Err(cause),
        _ => read(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("chat.db");
        let config =
            Config::with([("DATABASE_URL", &format!("sqlite://{}", database.display()))]).unwrap();
        let first = config.signing_secret().unwrap();
        assert_eq!(first.expose().len(), 64);
        assert_eq!(config.signing_secret().unwrap(), first);
        let mode = fs::metadata(config.secret_file())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_short_secret_in_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "too short\n").unwrap();
        assert!(read_or_make(&path).is_err());
    }
}
