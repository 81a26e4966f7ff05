//! Guesses that count only when they are wrong.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Wrong guesses by key. One is counted when it begins and taken back when it was right, so
/// that many at once do not slip through together.
#[derive(Debug)]
pub struct Attempts<K> {
    what: &'static str,
    /// Most wrong guesses in a minute; 0 is no limit.
    most: AtomicU32,
    buckets: Arc<Mutex<HashMap<K, Bucket>>>,
}

/// A leaking bucket: it fills by one with every guess, and empties in a minute.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

/// A guess that has begun and counts as wrong until it [was right](Attempt::was_right).
#[derive(Debug)]
#[must_use = "a right guess has to be taken back"]
pub struct Attempt<K: Hash + Eq> {
    key: K,
    buckets: Arc<Mutex<HashMap<K, Bucket>>>,
}

const MINUTE: Duration = Duration::from_secs(60);
/// More keys than this, and those that have emptied are forgotten.
const SWEEP_ABOVE: usize = 1024;

impl<K: Hash + Eq + Clone> Attempts<K> {
    /// At most this many wrong ones in a minute for each key.
    pub fn per_minute(what: &'static str, most: u32) -> Self {
        Self {
            what,
            most: most.into(),
            buckets: Arc::default(),
        }
    }

    /// From now on at most this many in a minute. Those that were counted stay counted.
    pub fn allow(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Begins a guess, or says when to try again.
    pub fn begin(&self, key: K) -> Result<Attempt<K>> {
        self.begin_at(key, Instant::now())
    }

    fn begin_at(&self, key: K, now: Instant) -> Result<Attempt<K>> {
        let most = self.most.load(Ordering::Relaxed);
        let per_minute = f64::from(most);
        let attempt = Attempt {
            key: key.clone(),
            buckets: self.buckets.clone(),
        };
        if most == 0 {
            return Ok(attempt);
        }
        let mut buckets = lock(&self.buckets);
        if buckets.len() == buckets.capacity() && buckets.len() > SWEEP_ABOVE {
            buckets.retain(|_, bucket| bucket.leaked(per_minute, now) > 0.0);
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            level: 0.0,
            at: now,
        });
        bucket.level = bucket.leaked(per_minute, now);
        bucket.at = now;
        let over = bucket.level + 1.0 - per_minute;
        if over > 0.0 {
            let wait = MINUTE.as_secs_f64() * 1000.0 * over / per_minute;
            return Err(Error::rate_limited(self.what, wait.ceil() as u64));
        }
        bucket.level += 1.0;
        Ok(attempt)
    }
}

impl Bucket {
    /// What is left in it by now.
    fn leaked(&self, per_minute: f64, now: Instant) -> f64 {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        (self.level - minutes * per_minute).max(0.0)
    }
}

impl<K: Hash + Eq> Attempt<K> {
    /// It does not count.
    pub fn was_right(self) {
        if let Some(bucket) = lock(&self.buckets).get_mut(&self.key) {
            bucket.level = (bucket.level - 1.0).max(0.0);
        }
    }
}

/// Nothing in here is half done when a thread fails, so a poisoned lock is as good as new.
fn lock<K>(buckets: &Mutex<HashMap<K, Bucket>>) -> MutexGuard<'_, HashMap<K, Bucket>> {
    buckets.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wrong_guesses_count() {
        let attempts = Attempts::per_minute("wrong passwords", 3);
        for _ in 0..100 {
            attempts.begin("ann").unwrap().was_right();
        }
        let wrong: Vec<_> = (0..3).map(|_| attempts.begin("ann").unwrap()).collect();
        let error = attempts.begin("ann").unwrap_err();
        assert!(error.retry_after_ms.is_some_and(|wait| wait <= 20_000));
        assert!(attempts.begin("bob").is_ok());
        drop(wrong);
        assert!(attempts.begin("ann").is_err());
    }

    #[test]
    fn time_forgives() {
        let attempts = Attempts::per_minute("wrong passwords", 3);
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            let _ = attempts.begin_at("ann", start).unwrap();
        }
        assert!(attempts.begin_at("ann", later(19)).is_err());
        let _ = attempts.begin_at("ann", later(20)).unwrap();
        assert!(attempts.begin_at("ann", later(21)).is_err());
        let _ = attempts.begin_at("ann", later(40)).unwrap();
    }
}
