//! From a URL to a store that is reachable, up to date and ours.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, R2D2Connection};
use diesel::sqlite::SqliteConnection;

use super::lock::Holder;
use super::{Store, migrations, postgres, sqlite};

/// How long somebody waits for a connection; an outage is noticed after that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node that has just died may still seem to hold the lock.
const LOCK_GRACE: Duration = Duration::from_secs(3);
/// How often a database that does not answer yet, or is locked, is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Connections to Postgres, the one that holds the lock left out.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Connections to SQLite that only read; one more writes.
const SQLITE_READERS: u32 = 4;

/// For every connection to Postgres. A commit that is not on disk is no promise. A node that
/// was stopped inside a transaction holds rooms and the life of the log: not for longer than
/// it takes the others to notice and take over.
const POSTGRES_SETUP: &str = "SET statement_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '5s'; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') = 'off'";
/// For every connection to SQLite; `FULL` syncs the log at every commit.
const SQLITE_SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
    PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; \
    PRAGMA journal_size_limit = 67108864";

/// For the connection that writes: a batch for hundreds of rooms touches as many pages, and
/// should not write any of them twice. (KiB; readers have the 2 MiB that is usual.)
const SQLITE_WRITER: &str = "PRAGMA cache_size = -16384";

/// Why a database cannot be used. The words are for the person who starts the node.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no known form.
    #[error(
        "DATABASE_URL {url:?} is not understood: {why}; use sqlite://madang.db, \
         sqlite:///absolute/path.db or postgres://user:password@host/database"
    )]
    BadUrl {
        /// As given, without its password.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It does not answer, or not in time.
    #[error("the database {what} cannot be reached: {cause}")]
    Unreachable {
        /// Which.
        what: String,
        /// What the driver or the system says.
        cause: String,
    },
    /// Another node has it.
    #[error(
        "the database {what} is in use by {holder}: stop that one first, or give every node \
         the same REDIS_URL"
    )]
    Locked {
        /// Which.
        what: String,
        /// By whom.
        holder: String,
    },
    /// Another node changes the schema, and does not come to an end.
    #[error(
        "another node is changing the database's schema: look for one that hangs (pg_locks has \
         its advisory lock)"
    )]
    Migrating,
    /// A later version of this program has changed it.
    #[error(
        "the database has a newer schema than this program knows (migration {0}): start a \
         newer madang, or restore a backup from before"
    )]
    Newer(String),
    /// It keeps text in another encoding than UTF-8.
    #[error("the database keeps text as {0}: make one with ENCODING 'UTF8'")]
    Encoding(String),
    /// A migration failed; it has changed nothing.
    #[error("the schema cannot be brought up to date: {0}")]
    Migration(String),
}

impl OpenError {
    /// It does not answer.
    pub(super) fn unreachable(url: &str, cause: &impl Display) -> Self {
        Self::Unreachable {
            what: without_password(url),
            cause: cause.to_string().trim_end().replace('\n', "; "),
        }
    }
}

/// How to open a database.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// How long to keep trying when it does not answer.
    pub wait: Duration,
    /// How many threads ask it questions.
    pub threads: usize,
    /// How many questions may wait for a thread.
    pub queue: usize,
    /// How long a question may take, its wait included.
    pub deadline: Duration,
    /// May other nodes write to it, too? They have a common log then.
    pub shared: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(30),
            threads: 4,
            queue: 1024,
            deadline: Duration::from_secs(5),
            shared: false,
        }
    }
}

/// Where a URL leads.
enum Target {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Target {
    fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |why| OpenError::BadUrl {
            url: without_password(url),
            why,
        };
        let (scheme, rest) = url.split_once("://").ok_or(bad("it has no scheme"))?;
        match scheme {
            "sqlite" if rest.is_empty() => Err(bad("it names no file")),
            "sqlite" if rest.contains(":memory:") => {
                Err(bad("what is in memory only does not survive the node"))
            }
            "sqlite" if rest.contains('?') => Err(bad("a file takes no parameters")),
            "sqlite" => Ok(Self::Sqlite(rest.into())),
            "postgres" | "postgresql" => Ok(Self::Postgres(with_timeouts(url))),
            _ => Err(bad("it is neither SQLite nor Postgres")),
        }
    }
}

/// The URL, with what makes a dead server a quick error; what it says itself comes first.
fn with_timeouts(url: &str) -> String {
    let defaults = [
        ("connect_timeout", "2"),
        ("tcp_user_timeout", "10000"),
        ("keepalives_idle", "10"),
        ("application_name", "madang"),
    ];
    let mut url = url.to_owned();
    for (name, value) in defaults {
        if !url.contains(&format!("{name}=")) {
            let separator = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{separator}{name}={value}"));
        }
    }
    url
}

/// The URL as it may be shown: nothing of its password, nothing of its parameters.
pub(super) fn without_password(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

/// Opens what a URL names, brings its schema up to date and keeps other nodes away.
pub(super) fn open(url: &str, options: &OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(path) => open_sqlite(&path),
        Target::Postgres(url) => open_postgres(&url, options),
    }
}

/// Brings the schema of a database up to date; answers which migrations that took.
pub fn migrate(url: &str) -> Result<Vec<String>, OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(path) => migrations::run(&mut connect_sqlite(&path)?, migrations::SQLITE),
        Target::Postgres(url) => {
            migrate_postgres(&mut connect_postgres(&url)?, OpenOptions::default().wait)
        }
    }
}

fn open_sqlite(path: &Path) -> Result<Arc<dyn Store>, OpenError> {
    let holder = retry(LOCK_GRACE, is_locked, || Holder::of_file(path))?;
    migrations::run(&mut connect_sqlite(path)?, migrations::SQLITE)?;
    let url = path.display().to_string();
    Ok(Arc::new(sqlite::backend::Backend {
        readers: pool(&url, SQLITE_READERS, &[SQLITE_SETUP])?,
        writers: pool(&url, 1, &[SQLITE_SETUP, SQLITE_WRITER])?,
        holder,
    }))
}

/// Opens the file, or makes it for its owner's eyes only.
fn connect_sqlite(path: &Path) -> Result<SqliteConnection, OpenError> {
    let name = path.display().to_string();
    make_private(path).map_err(|cause| OpenError::unreachable(&name, &cause))?;
    let mut conn = SqliteConnection::establish(&name)
        .map_err(|cause| OpenError::unreachable(&name, &cause))?;
    conn.batch_execute(SQLITE_SETUP)
        .map_err(|cause| OpenError::unreachable(&name, &cause))?;
    Ok(conn)
}

/// It will hold what people say to each other, and hashes of their passwords.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn open_postgres(url: &str, options: &OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    let is_away = |error: &OpenError| matches!(error, OpenError::Unreachable { .. });
    let mut conn = retry(options.wait, is_away, || connect_postgres(url))?;
    let holder = retry(LOCK_GRACE, is_locked, || {
        Holder::of_session(url, connect_postgres(url)?, options.shared)
    })?;
    migrate_postgres(&mut conn, options.wait)?;
    let pool = pool(url, POSTGRES_CONNECTIONS, &[POSTGRES_SETUP])?;
    Ok(Arc::new(postgres::backend::Backend {
        readers: pool.clone(),
        writers: pool,
        holder,
    }))
}

fn connect_postgres(url: &str) -> Result<PgConnection, OpenError> {
    PgConnection::establish(url).map_err(|cause| OpenError::unreachable(url, &cause))
}

/// One at a time: several nodes may start at once. One that hangs in it holds up the others
/// for so long; then they say so and end, and whoever runs them may start them again.
fn migrate_postgres(conn: &mut PgConnection, wait: Duration) -> Result<Vec<String>, OpenError> {
    let failed = |cause: diesel::result::Error| OpenError::Migration(cause.to_string());
    let encoding = server_encoding(conn).map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    let waits = |error: &OpenError| matches!(error, OpenError::Migrating);
    let conn = std::cell::RefCell::new(conn);
    retry(wait, waits, || {
        let held = ask_for_turn(&mut conn.borrow_mut(), "pg_try_advisory_lock").map_err(failed)?;
        held.then_some(()).ok_or(OpenError::Migrating)
    })?;
    let conn = conn.into_inner();
    let run = migrations::run(conn, migrations::POSTGRES)?;
    ask_for_turn(conn, "pg_advisory_unlock").map_err(failed)?;
    Ok(run)
}

/// Takes or gives back the turn of whoever changes the schema.
fn ask_for_turn(conn: &mut PgConnection, function: &str) -> QueryResult<bool> {
    let turn = "hashtext('madang migrate'), hashtext(current_schema())";
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(&format!(
        "{function}({turn})"
    )))
    .get_result(conn)
}

/// In any other, some text that we take could not be stored.
fn server_encoding(conn: &mut PgConnection) -> QueryResult<String> {
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
        "current_setting('server_encoding')",
    ))
    .get_result(conn)
}

fn is_locked(error: &OpenError) -> bool {
    matches!(error, OpenError::Locked { .. })
}

/// Tries until it works, or fails for another reason, or the time is over.
fn retry<T>(
    limit: Duration,
    may_pass: impl Fn(&OpenError) -> bool,
    attempt: impl Fn() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let end = Instant::now() + limit;
    let mut told = false;
    loop {
        match attempt() {
            Err(error) if may_pass(&error) && Instant::now() < end => {
                if !told {
                    log::warn!("{error}; trying for {} s", limit.as_secs());
                    told = true;
                }
                pause();
            }
            result => return result,
        }
    }
}

/// Between two attempts.
#[expect(
    clippy::disallowed_methods,
    reason = "the node is starting: there is nothing else to do, and a deadline to it"
)]
fn pause() {
    std::thread::sleep(RETRY_INTERVAL);
}

/// Statements that every new connection of a pool begins with.
#[derive(Debug)]
struct Setup(&'static [&'static str]);

impl<C: SimpleConnection> CustomizeConnection<C, diesel::r2d2::Error> for Setup {
    fn on_acquire(&self, conn: &mut C) -> Result<(), diesel::r2d2::Error> {
        let mut statements = self.0.iter();
        statements
            .try_for_each(|some| conn.batch_execute(some))
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Connections are tried before they are lent: one that died with its server is replaced.
fn pool<C>(
    url: &str,
    size: u32,
    setup: &'static [&'static str],
) -> Result<diesel::r2d2::Pool<ConnectionManager<C>>, OpenError>
where
    C: R2D2Connection + 'static,
{
    diesel::r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .connection_timeout(CONNECT_TIMEOUT)
        .test_on_check_out(true)
        // Whoever waited for the connection tells of it.
        .error_handler(Box::new(diesel::r2d2::NopErrorHandler))
        .connection_customizer(Box::new(Setup(setup)))
        .build(ConnectionManager::new(url))
        .map_err(|cause| OpenError::unreachable(url, &cause))
}
