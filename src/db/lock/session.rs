//! Locks on a connection of their own to Postgres: that this node may write, and which life
//! of the hot log it lives in.
//!
//! The connection is looked after every two seconds, and its locks end with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use crate::db::{OpenError, StoreError};

/// How often the connection is looked after.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How long somebody waits for an answer of the connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Postgres notices within half a minute that the machine of a node is gone, and its locks
/// with it; by itself it would take hours.
const KEEPALIVE: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
    SET tcp_keepalives_count = 3";

/// Asks the server whether it is there, and ends what a node has left that hangs in the middle
/// of a `COPY`: it keeps the rooms of its batch locked, and no timeout of Postgres ends that.
const LOOK: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND usename = current_user AND state = 'active' \
    AND wait_event = 'ClientRead' AND query LIKE 'COPY \"events\"(%' \
    AND query_start < now() - interval '5 s'";

/// Names our lock among others in the same database: "mada" in ASCII. The second half of
/// the key is the schema, so that two chats can share a database.
const TRY_LOCK: &str =
    "SELECT pg_try_advisory_lock(1835099233, hashtext(current_schema())) AS held";
/// The same lock for a node of a cluster, which shares it with the others.
const TRY_SHARE: &str =
    "SELECT pg_try_advisory_lock_shared(1835099233, hashtext(current_schema())) AS held";

/// Who lives in a life of the hot log shares this one.
const SHARE_LIFE: &str =
    "SELECT pg_try_advisory_lock_shared(1835099234, hashtext(current_schema() || $1)) AS held";
const LEAVE_LIFE: &str =
    "SELECT pg_advisory_unlock_shared(1835099234, hashtext(current_schema() || $1)) AS held";
/// Nobody lives there if it can be had alone; it is given back at once.
const TRY_LIFE: &str =
    "SELECT pg_try_advisory_lock(1835099234, hashtext(current_schema() || $1)) AS held";
const GIVE_LIFE_BACK: &str =
    "SELECT pg_advisory_unlock(1835099234, hashtext(current_schema() || $1)) AS held";

/// The thread that has the connection. Dropping this ends it.
#[derive(Debug)]
pub(super) struct Session(mpsc::Sender<Order>);

/// What the thread is asked to do.
enum Order {
    EnterLife(String),
    IsLived(String, mpsc::SyncSender<Result<bool, StoreError>>),
}

impl Session {
    /// Takes the lock on this connection, and looks after it; `held` says whether it is ours.
    pub(super) fn begin(
        url: &str,
        mut conn: PgConnection,
        shared: bool,
        held: Arc<AtomicBool>,
    ) -> Result<Self, OpenError> {
        let locked =
            try_lock(&mut conn, shared).map_err(|cause| OpenError::unreachable(url, &cause))?;
        if !locked {
            let holder = if shared {
                "a node without REDIS_URL"
            } else {
                "another node"
            };
            return Err(OpenError::Locked {
                what: crate::db::open::without_password(url),
                holder: holder.into(),
            });
        }
        let keeper = Keeper {
            url: url.to_owned(),
            conn: Some(conn),
            held,
            shared,
            life: None,
            shares_life: false,
        };
        let (orders, taken) = mpsc::channel();
        std::thread::Builder::new()
            .name("madang-db-lock".into())
            .spawn(move || keeper.keep(&taken))
            .map_err(|cause| OpenError::unreachable(url, &cause))?;
        Ok(Self(orders))
    }

    /// From now on this node lives this life, and no other.
    pub(super) fn enter_life(&self, name: &str) {
        if self.0.send(Order::EnterLife(name.to_owned())).is_err() {
            log::error!("nobody looks after the database's locks any more");
        }
    }

    /// Does another node live this life?
    pub(super) fn is_lived(&self, name: &str) -> Result<bool, StoreError> {
        let unknown = |cause: String| StoreError::Unavailable(cause);
        let (reply_to, answer) = mpsc::sync_channel(1);
        self.0
            .send(Order::IsLived(name.to_owned(), reply_to))
            .map_err(|cause| unknown(cause.to_string()))?;
        let answer = answer.recv_timeout(PATIENCE);
        answer.map_err(|cause| unknown(cause.to_string()))?
    }
}

#[derive(QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    held: bool,
}

fn try_lock(conn: &mut PgConnection, shared: bool) -> QueryResult<bool> {
    conn.batch_execute(KEEPALIVE)?;
    let question = if shared { TRY_SHARE } else { TRY_LOCK };
    let lock: Lock = diesel::sql_query(question).get_result(conn)?;
    Ok(lock.held)
}

fn of_life(conn: &mut PgConnection, question: &str, name: &str) -> QueryResult<bool> {
    let question = diesel::sql_query(question).bind::<Text, _>(name);
    let lock: Lock = question.get_result(conn)?;
    Ok(lock.held)
}

/// The connection whose life is the locks'.
struct Keeper {
    url: String,
    conn: Option<PgConnection>,
    held: Arc<AtomicBool>,
    /// With the other nodes of a cluster?
    shared: bool,
    /// Which life of the hot log this node lives.
    life: Option<String>,
    /// Does the connection say so?
    shares_life: bool,
}

impl Keeper {
    /// Does what is asked, and looks after the connection, until nobody can ask any more.
    fn keep(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            match orders.recv_timeout(CHECK_INTERVAL) {
                Ok(Order::EnterLife(name)) => self.enter_life(name),
                Ok(Order::IsLived(name, reply_to)) => {
                    // Whoever asked may have lost patience.
                    let _ = reply_to.send(self.is_lived(&name));
                }
                Err(RecvTimeoutError::Timeout) => self.check(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// A living connection still has its locks. A dead one has lost them: try to get them back.
    fn check(&mut self) {
        let alive = self
            .conn
            .as_mut()
            .is_some_and(|conn| conn.batch_execute(LOOK).is_ok());
        if alive {
            return self.share_life();
        }
        if self.held.swap(false, Ordering::AcqRel) {
            log::error!("the database's lock is lost: nothing is written until it is back");
        }
        (self.conn, self.shares_life) = (None, false);
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
            self.share_life();
            self.held.store(true, Ordering::Release);
        }
    }

    fn enter_life(&mut self, name: String) {
        if let (Some(before), Some(conn)) = (&self.life, &mut self.conn)
            && std::mem::take(&mut self.shares_life)
            && let Err(cause) = of_life(conn, LEAVE_LIFE, before)
        {
            log::debug!("the lock of the life before was not given back: {cause}");
        }
        self.life = Some(name);
        self.share_life();
    }

    /// Says which life this node lives. What does not work now is tried at the next look.
    fn share_life(&mut self) {
        if let (Some(name), Some(conn), false) = (&self.life, &mut self.conn, self.shares_life) {
            self.shares_life = of_life(conn, SHARE_LIFE, name).is_ok_and(|held| held);
        }
    }

    fn is_lived(&mut self, name: &str) -> Result<bool, StoreError> {
        let away = || StoreError::Unavailable("the connection of the locks is away".into());
        let conn = self.conn.as_mut().ok_or_else(away)?;
        let is_free = of_life(conn, TRY_LIFE, name)?;
        if is_free {
            of_life(conn, GIVE_LIFE_BACK, name)?;
        }
        Ok(!is_free)
    }
}
