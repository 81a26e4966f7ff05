//! What Redis has to be like, looked at before a node starts.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind};

/// How long a node that starts waits for a Redis that does not answer yet.
const WAIT: Duration = Duration::from_secs(60);
/// Between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// How long connecting and one answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The oldest version whose scripts can say what they do.
const OLDEST: u32 = 7;
/// What it says to whom it does not let in.
const REFUSALS: [&str; 3] = ["NOAUTH", "WRONGPASS", "NOPERM"];

/// Why a Redis cannot be used. The words are for the person who starts the node.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL is none.
    #[error("REDIS_URL is not allowed: {0}; redis://[USER:PASSWORD@]HOST:PORT or rediss://…")]
    Url(String),
    /// It does not answer.
    #[error("Redis at {at} (REDIS_URL) is out of reach: {cause}; is it running?")]
    Unreachable {
        /// Where, without a password.
        at: String,
        /// What the system says.
        cause: String,
    },
    /// It does not let us in, and will not.
    #[error(
        "Redis at {at} (REDIS_URL) lets nobody in with this user and password: {cause}; \
         docs/OPERATIONS.md has the user that a node needs"
    )]
    Refused {
        /// Where, without a password.
        at: String,
        /// What it says.
        cause: String,
    },
    /// An order that cannot be written down.
    #[error("the order cannot be sent: {0}")]
    Order(String),
    /// It would lose messages, or lacks what we need.
    #[error("Redis at {at} (REDIS_URL) cannot be trusted with messages: {what}")]
    Unfit {
        /// Where, without a password.
        at: String,
        /// What to put right, and how.
        what: String,
    },
}

impl RedisError {
    pub(super) fn of(client: &Client, error: &redis::RedisError) -> Self {
        let (at, cause) = (place(client), error.to_string());
        let is_refusal = error.kind() == ErrorKind::AuthenticationFailed
            || error.code().is_some_and(|code| REFUSALS.contains(&code));
        match is_refusal {
            true => Self::Refused { at, cause },
            false => Self::Unreachable { at, cause },
        }
    }
}

/// Opens the Redis at this URL and looks whether it can be used; waits a while for one that
/// does not answer yet.
///
/// # Errors
/// Says what is in the way, with the line of configuration that puts it right.
pub async fn open(url: &str) -> Result<Client, RedisError> {
    let client = Client::open(url).map_err(|error| RedisError::Url(error.to_string()))?;
    let end = Instant::now() + WAIT;
    let mut told = false;
    loop {
        match look(&client).await {
            Err(error @ RedisError::Unreachable { .. }) if Instant::now() < end => {
                if !told {
                    log::warn!("{error} trying for {} s", WAIT.as_secs());
                    told = true;
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            result => return result.map(|()| client),
        }
    }
}

pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|error| RedisError::of(client, &error))
}

async fn look(client: &Client) -> Result<(), RedisError> {
    let mut connection = connect(client).await?;
    let info: String = redis::cmd("INFO")
        .query_async(&mut connection)
        .await
        .map_err(|error| RedisError::of(client, &error))?;
    let what = match unfit(&info) {
        None => return Ok(()),
        Some(what) => what,
    };
    Err(RedisError::Unfit {
        at: place(client),
        what,
    })
}

/// What is wrong with a Redis that says this of itself.
fn unfit(info: &str) -> Option<String> {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    };
    let version = field("redis_version").unwrap_or("0");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Some(format!(
            "it is version {version}; {OLDEST}.0 or newer is needed"
        ));
    }
    if field("aof_enabled") != Some("1") {
        return Some("what it holds is not on disk; put `appendonly yes` into redis.conf".into());
    }
    let policy = field("maxmemory_policy").unwrap_or("unknown");
    if policy != "noeviction" {
        return Some(format!(
            "it throws keys away when it is full ({policy}); put `maxmemory-policy noeviction` into redis.conf"
        ));
    }
    None
}

/// Where a Redis is, without its password.
pub(super) fn place(client: &Client) -> String {
    client.get_connection_info().addr().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: &str =
        "# Server\r\nredis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";

    #[test]
    fn a_redis_that_would_lose_messages_is_refused_with_the_line_to_put_right() {
        assert_eq!(unfit(FIT), None);
        for (wrong, right) in [
            (FIT.replace("7.0.15", "6.2.1"), "7.0 or newer"),
            (
                FIT.replace("aof_enabled:1", "aof_enabled:0"),
                "appendonly yes",
            ),
            (
                FIT.replace("noeviction", "allkeys-lru"),
                "maxmemory-policy noeviction",
            ),
        ] {
            let what = unfit(&wrong).unwrap_or_default();
            assert!(what.contains(right), "{what}");
        }
    }
}
