//! Leaking buckets: what comes fills one, time empties it, and full is full.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::error::Error;

/// More keys than this, and those whose bucket is empty are forgotten.
const SWEEP_ABOVE: usize = 1024;
/// Numbers with a fraction are not exact: whoever waited as told is not refused by so little.
const SLACK: f64 = 1e-6;

/// How much is let through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quota {
    /// So many leak out in a second.
    pub(super) per_second: f64,
    /// So many fit in.
    pub(super) burst: f64,
}

impl Quota {
    /// So many in a second, and `burst` at once. 0 is no limit.
    pub(super) fn per_second(count: u32, burst: u32) -> Option<Self> {
        (count > 0).then(|| Self {
            per_second: f64::from(count),
            burst: f64::from(burst.max(1)),
        })
    }

    /// So many in a second, and twice as many for a moment. 0 is no limit.
    pub(super) fn doubled(count: u32) -> Option<Self> {
        Self::per_second(count, count.saturating_mul(2))
    }

    /// So many in a minute, all at once if need be. 0 is no limit.
    pub(super) fn per_minute(count: u32) -> Option<Self> {
        (count > 0).then(|| Self {
            per_second: f64::from(count) / 60.0,
            burst: f64::from(count),
        })
    }

    /// How long until there is room for one more in a bucket that is so full.
    pub(super) fn wait(&self, level: f64) -> Duration {
        let over = (level + 1.0 - self.burst).max(0.0);
        Duration::from_secs_f64(over / self.per_second)
    }
}

/// How full one was, and when that was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Nothing in it.
    pub(super) fn empty(now: Instant) -> Self {
        Self {
            level: 0.0,
            at: now,
        }
    }

    /// Adds one, or says how long it has to wait.
    pub(super) fn fill(&mut self, quota: Quota, now: Instant) -> Result<(), Duration> {
        self.level = self.leaked(quota, now);
        self.at = now;
        if self.level + 1.0 > quota.burst + SLACK {
            return Err(quota.wait(self.level));
        }
        self.level += 1.0;
        Ok(())
    }

    /// What is left in it by now.
    fn leaked(&self, quota: Quota, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        (self.level - seconds * quota.per_second).max(0.0)
    }
}

/// One bucket for each key. A key whose bucket is empty takes no memory for long.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    /// What all of them let through; `None` is no limit.
    pub(super) quota: Option<Quota>,
    buckets: HashMap<K, Bucket>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Empty ones.
    pub(super) fn new(quota: Option<Quota>) -> Self {
        Self {
            quota,
            buckets: HashMap::new(),
        }
    }

    /// Adds one to this key's, or says how long it has to wait.
    pub(super) fn fill(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        match self.quota {
            None => Ok(()),
            Some(quota) => self.bucket(key, quota, now).fill(quota, now),
        }
    }

    /// Takes one out again.
    pub(super) fn take_back(&mut self, key: &K) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.level = (bucket.level - 1.0).max(0.0);
        }
    }

    /// It is so full in truth.
    pub(super) fn set(&mut self, key: &K, level: f64, now: Instant) {
        if let Some(quota) = self.quota {
            *self.bucket(key, quota, now) = Bucket { level, at: now };
        }
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Looks for empty ones whenever the map would have to grow: seldom, and often enough.
    fn bucket(&mut self, key: &K, quota: Quota, now: Instant) -> &mut Bucket {
        let buckets = &mut self.buckets;
        if buckets.len() == buckets.capacity() && buckets.len() > SWEEP_ABOVE {
            buckets.retain(|_, bucket| bucket.leaked(quota, now) > 0.0);
            buckets.shrink_to(buckets.len() * 2);
        }
        buckets.entry(key.clone()).or_insert(Bucket::empty(now))
    }
}

/// Too many; rounded up, so that whoever waits exactly so long is not refused again.
pub(super) fn refusal(what: &str, wait: Duration) -> Error {
    Error::rate_limited(what, (wait.as_secs_f64() * 1000.0).ceil() as u64)
}
