//! Limits that all nodes of a cluster keep together: leaking buckets in Redis.
//!
//! Hot ones are exchanged four times a second; the rest is asked before it happens. Without
//! Redis each node counts for itself. What a key belongs to is hashed with the cluster's
//! secret: an address or a name cannot be found again by trying all there are.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};
use sha2::{Digest, Sha256};

use super::link::Fault;
use super::scripts::Called;
use super::{RedisBroker, keys, values};
use crate::hex::hex;
use crate::limits::{Level, Pour, Poured, Rates, Shared};

/// How often nodes exchange what they have let through.
const INTERVAL: Duration = Duration::from_millis(250);
/// A Redis that takes longer to answer is not waited for: people sign in without it.
const TIMEOUT: Duration = Duration::from_millis(500);
/// So much of a hash makes a key: nobody finds two that are the same.
const HASH_BYTES: usize = 16;

/// The buckets in Redis.
struct RedisBuckets {
    broker: RedisBroker,
    script: Called,
    /// Has taken the secret already; each key is added to a copy.
    hash: Sha256,
}

/// Counts together with the other nodes from now on, for as long as the node runs.
pub fn share_limits(broker: RedisBroker, secret: &[u8], rates: Arc<Rates>) {
    let hash = Sha256::new_with_prefix(b"madang limits\0");
    let hash = hash.chain_update(secret);
    let script = Called::new(include_str!("lua/pour.lua").to_owned());
    rates.share(Arc::new(RedisBuckets {
        broker,
        script,
        hash,
    }));
    actix::spawn(async move {
        let mut turns = tokio::time::interval(INTERVAL);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            rates.exchange().await;
        }
    });
}

impl RedisBuckets {
    fn call(&self, pour: &Pour) -> Cmd {
        let hash = self.hash.clone().chain_update(&pour.key).finalize();
        let name = hex(&hash[..HASH_BYTES]);
        let mut call = self.script.call(&[keys::rate(pour.limit, &name)]);
        call.arg(pour.per_second)
            .arg(pour.count)
            .arg(pour.most)
            .arg(u8::from(pour.all_or_nothing));
        call
    }
}

impl Shared for RedisBuckets {
    fn has_others(&self) -> bool {
        self.broker.has_others()
    }

    fn pour(&self, pours: Vec<Pour>) -> Poured {
        let count = pours.len();
        let link = self.broker.0.link.clone();
        // Whatever life Redis is in, it knows the script then.
        let mut commands = vec![self.script.load()];
        commands.extend(pours.iter().map(|pour| self.call(pour)));
        Box::pin(async move {
            if !link.is_up() {
                return vec![None; count];
            }
            match tokio::time::timeout(TIMEOUT, link.run_all(commands)).await {
                Ok(Ok(answers)) => answers
                    .into_iter()
                    .skip(1)
                    .map(|answer| {
                        let level = answer.and_then(read);
                        level
                            .inspect_err(|fault| log::warn!("a limit is not shared: {fault:?}"))
                            .ok()
                    })
                    .collect(),
                Ok(Err(fault)) => {
                    log::debug!("limits are counted without the other nodes: {fault:?}");
                    vec![None; count]
                }
                Err(_) => vec![None; count],
            }
        })
    }
}

fn read(answer: Value) -> Result<Level, Fault> {
    let (poured, level): (bool, String) =
        redis::from_redis_value(answer).map_err(|_| values::unexpected("no level"))?;
    let level = level.parse().map_err(|_| values::unexpected("a level"))?;
    Ok(Level { poured, level })
}
