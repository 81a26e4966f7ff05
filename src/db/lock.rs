//! Who writes to a database: one node that is alone, or any number that have a common log;
//! never both, and never two that are alone.
//!
//! Beside SQLite it is a locked file that names the process; in Postgres a lock of a
//! session, on a connection of its own that is looked after every two seconds. While it
//! is lost, nothing is appended.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{OpenError, StoreError};

/// How often the connection that holds the lock is looked after.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Names our lock among others in the same database: "mada" in ASCII. The second half of
/// the key is the schema, so that two chats can share a database.
const TRY_LOCK: &str =
    "SELECT pg_try_advisory_lock(1835099233, hashtext(current_schema())) AS held";
/// The same lock for a node of a cluster, which shares it with the others.
const TRY_SHARE: &str =
    "SELECT pg_try_advisory_lock_shared(1835099233, hashtext(current_schema())) AS held";

/// Proof that this node may write: because it is the only one, or because all that do have a
/// common log. Dropping it gives the lock back, or this node's share of it.
#[derive(Debug)]
pub(super) struct Holder {
    held: Arc<AtomicBool>,
    /// What keeps the lock: nobody reads it.
    _keeper: Keeper,
}

#[derive(Debug)]
#[expect(dead_code, reason = "the lock lasts as long as these are not dropped")]
enum Keeper {
    File(File),
    Session(Sender<()>),
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
            _keeper: Keeper::File(file),
        })
    }

    /// Takes the lock of a Postgres database, and looks after it from now on. `shared`: with
    /// the other nodes of a cluster.
    pub(super) fn of_session(
        url: &str,
        mut conn: PgConnection,
        shared: bool,
    ) -> Result<Self, OpenError> {
        let held =
            try_lock(&mut conn, shared).map_err(|cause| OpenError::unreachable(url, &cause))?;
        if !held {
            let holder = if shared {
                "a node without REDIS_URL"
            } else {
                "another node"
            };
            return Err(OpenError::Locked {
                what: super::open::without_password(url),
                holder: holder.into(),
            });
        }
        let held = Arc::new(AtomicBool::new(true));
        let (stop, stopped) = channel();
        let mut session = Session {
            url: url.to_owned(),
            conn: Some(conn),
            held: held.clone(),
            shared,
        };
        std::thread::Builder::new()
            .name("madang-db-lock".into())
            .spawn(move || {
                while stopped.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    session.check();
                }
            })
            .map_err(|cause| OpenError::unreachable(url, &cause))?;
        Ok(Self {
            held,
            _keeper: Keeper::Session(stop),
        })
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

#[derive(QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    held: bool,
}

fn try_lock(conn: &mut PgConnection, shared: bool) -> QueryResult<bool> {
    let question = if shared { TRY_SHARE } else { TRY_LOCK };
    let lock: Lock = diesel::sql_query(question).get_result(conn)?;
    Ok(lock.held)
}

/// The connection whose life is the lock's.
struct Session {
    url: String,
    conn: Option<PgConnection>,
    held: Arc<AtomicBool>,
    /// With the other nodes of a cluster?
    shared: bool,
}

impl Session {
    /// A living connection still has its lock. A dead one has lost it: try to get it back.
    fn check(&mut self) {
        let alive = self
            .conn
            .as_mut()
            .is_some_and(|conn| conn.batch_execute("SELECT 1").is_ok());
        if alive {
            return;
        }
        if self.held.swap(false, Ordering::AcqRel) {
            log::error!("the database's lock is lost: nothing is written until it is back");
        }
        self.conn = None;
        let regained = PgConnection::establish(&self.url)
            .ok()
            .and_then(|mut conn| {
                try_lock(&mut conn, self.shared)
                    .is_ok_and(|held| held)
                    .then_some(conn)
            });
        if regained.is_some() {
            log::info!("the database's lock is back");
            self.conn = regained;
            self.held.store(true, Ordering::Release);
        }
    }
}
