//! The connection that commands travel on: one, pipelined, and back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value,
};
use tokio::sync::{Notify, watch};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(800);
/// How long a command may take; one that takes longer has an unknown outcome.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a command waits for a connection that is just being made.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Between two attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Redis is out of reach, or has not answered in time: the outcome is unknown.
    Away(String),
    /// It does not know the script: it is in another life. Nothing has happened.
    NoScript,
    /// Its memory is full. Nothing has happened.
    Full,
    /// It refuses the command; a mistake of ours, or of its configuration.
    Refused(String),
    /// It has answered what nothing of ours answers: the outcome is unknown.
    Malformed(String),
}

/// The way to Redis. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    /// The present connection, if there is one.
    connection: watch::Sender<Option<MultiplexedConnection>>,
    /// Wakes the task that connects.
    broken: Notify,
    /// How often a connection was made; commands of an older one do not break a newer one.
    made: AtomicU64,
    /// Commands and pipelines sent.
    sent: AtomicU64,
}

impl Link {
    /// A link that connects in the background, and again whenever it has to.
    pub(super) fn new(client: Client) -> Self {
        let link = Self(Arc::new(Inner {
            client,
            connection: watch::Sender::new(None),
            broken: Notify::new(),
            made: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }));
        actix::spawn(link.clone().keep_connected());
        link
    }

    /// Is there a connection at the moment?
    pub(super) fn is_up(&self) -> bool {
        self.0.connection.borrow().is_some()
    }

    /// The connection, as soon as there is one; waits no longer than this.
    pub(super) async fn up(&self, patience: Duration) -> Option<MultiplexedConnection> {
        let mut watch = self.0.connection.subscribe();
        let up = tokio::time::timeout(patience, watch.wait_for(Option::is_some)).await;
        up.ok()?.ok()?.clone()
    }

    /// Commands and pipelines sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn run(&self, command: &Cmd) -> Result<Value, Fault> {
        let (mut connection, made) = self.connection().await?;
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        let answer = connection.send_packed_command(command).await;
        own_answer(answer.map_err(|error| self.fault(&error, made))?)
    }

    /// Sends many commands at once; each has its own answer.
    pub(super) async fn run_all(
        &self,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let (mut connection, made) = self.connection().await?;
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        let count = commands.len();
        let mut pipeline = Pipeline::with_capacity(count);
        for command in commands {
            pipeline.add_command(command);
        }
        pipeline.ignore_errors();
        let answers = connection.send_packed_commands(&pipeline, 0, count).await;
        let answers = answers.map_err(|error| self.fault(&error, made))?;
        Ok(answers.into_iter().map(own_answer).collect())
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), Fault> {
        let connection = self.up(TIMEOUT).await;
        let made = self.0.made.load(Ordering::Acquire);
        connection
            .map(|connection| (connection, made))
            .ok_or_else(|| Fault::Away("no connection".into()))
    }

    fn fault(&self, error: &RedisError, made: u64) -> Fault {
        let fault = Fault::from(error);
        if matches!(fault, Fault::Away(_)) && self.0.made.load(Ordering::Acquire) == made {
            self.0.broken.notify_one();
        }
        fault
    }

    async fn keep_connected(self) {
        loop {
            let connection = self.connect().await;
            self.0.made.fetch_add(1, Ordering::Release);
            self.0.connection.send_replace(Some(connection));
            self.0.broken.notified().await;
            self.0.connection.send_replace(None);
            log::warn!("the connection to Redis is lost; connecting again");
        }
    }

    async fn connect(&self) -> MultiplexedConnection {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        loop {
            let client = &self.0.client;
            match client
                .get_multiplexed_async_connection_with_config(&config)
                .await
            {
                Ok(mut connection) => {
                    let ping = connection.send_packed_command(&redis::cmd("PING")).await;
                    match ping {
                        Ok(_) => return connection,
                        Err(error) => log::debug!("Redis does not answer: {error}"),
                    }
                }
                Err(error) => log::debug!("Redis is out of reach: {error}"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

/// What a command itself was refused with comes as its answer.
pub(super) fn own_answer(answer: Value) -> Result<Value, Fault> {
    match answer {
        Value::ServerError(error) => Err(Fault::from(&RedisError::from(error))),
        answer => Ok(answer),
    }
}

impl From<&RedisError> for Fault {
    fn from(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Fault::NoScript,
            // It is starting, or was demoted: away, for us.
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown,
            ) => Fault::Away(error.to_string()),
            ErrorKind::Server(_) | ErrorKind::Extension => match error.code() {
                Some("OOM") => Fault::Full,
                Some("MISCONF") => Fault::Away(error.to_string()),
                _ if error.to_string().contains("OOM command not allowed") => Fault::Full,
                _ => Fault::Refused(error.to_string()),
            },
            _ => Fault::Away(error.to_string()),
        }
    }
}
