//! Who writes to a database: one node that is alone, or any number that have a common log;
//! never both, and never two that are alone.
//!
//! Beside SQLite it is a locked file that names the process; in Postgres a lock of a
//! session (`lock/session.rs`). While it is lost, nothing is appended.

mod session;

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::pg::PgConnection;

use self::session::Session;
use super::{OpenError, StoreError};

/// Proof that this node may write: because it is the only one, or because all that do have a
/// common log. Dropping it gives the lock back, or this node's share of it.
#[derive(Debug)]
pub(super) struct Holder {
    held: Arc<AtomicBool>,
    keeper: Keeper,
}

/// What keeps the lock for as long as it is not dropped.
#[derive(Debug)]
enum Keeper {
    File(#[expect(dead_code, reason = "it is locked, and nobody reads it")] File),
    Session(Session),
}

impl Holder {
    /// Locks the file beside an SQLite database.
    pub(super) fn of_file(database: &Path) -> Result<Self, OpenError> {
        let path = beside(database);
        let broken = |cause: std::io::Error| OpenError::Unreachable {
            what: path.display().to_string(),
            cause: cause.to_string(),
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(broken)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Only for the message; the holder may be writing it at this moment.
                let _ = file.read_to_string(&mut process);
                return Err(OpenError::Locked {
                    what: database.display().to_string(),
                    holder: format!("process {}", process.trim()),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(broken(cause)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(broken)?;
        Ok(Self {
            held: Arc::new(AtomicBool::new(true)),
            keeper: Keeper::File(file),
        })
    }

    /// Takes the lock of a Postgres database, and looks after it from now on. `shared`: with
    /// the other nodes of a cluster.
    pub(super) fn of_session(
        url: &str,
        conn: PgConnection,
        shared: bool,
    ) -> Result<Self, OpenError> {
        let held = Arc::new(AtomicBool::new(true));
        let session = Session::begin(url, conn, shared, held.clone())?;
        Ok(Self {
            held,
            keeper: Keeper::Session(session),
        })
    }

    /// This node lives this life of the hot log, and no other any more: see
    /// [`Holder::is_lived`].
    pub(super) fn enter_life(&self, name: &str) {
        if let Keeper::Session(session) = &self.keeper {
            session.enter_life(name);
        }
    }

    /// Does another node live this life of the hot log?
    pub(super) fn is_lived(&self, name: &str) -> Result<bool, StoreError> {
        match &self.keeper {
            // A hot log has nodes, and they have Postgres.
            Keeper::File(_) => Ok(false),
            Keeper::Session(session) => session.is_lived(name),
        }
    }

    /// Is the lock still ours?
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.held.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(StoreError::Unavailable(
                "the lock that keeps other nodes away is lost".into(),
            ))
        }
    }
}

/// `madang.db.lock` beside `madang.db`.
fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
