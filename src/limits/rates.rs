//! So many in a second or a minute, with a burst.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota};

use crate::error::{Error, Result};

/// The rate of one thing, a connection for instance.
pub struct Rate {
    what: &'static str,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl Rate {
    /// At most this many `what` in a second, `burst` at once.
    pub fn per_second(what: &'static str, count: u32, burst: u32) -> Self {
        let limiter = quota_per_second(count, burst).map(DefaultDirectRateLimiter::direct);
        Self { what, limiter }
    }

    /// Counts one, or says when to try again.
    pub fn check(&self) -> Result<()> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.check().map_err(|until| refusal(self.what, &until))
    }
}

/// Who counts; nobody where there is no limit.
type Counter<K> = Option<Arc<DefaultKeyedRateLimiter<K>>>;

/// The rates of many things, each by its key. A key that rests is forgotten.
pub struct KeyedRate<K: Hash + Eq + Clone> {
    what: &'static str,
    /// What it allows, and who counts.
    now: RwLock<(Option<Quota>, Counter<K>)>,
    /// Counts down to the next time that resting keys are forgotten.
    until_sweep: AtomicUsize,
}

impl<K: Hash + Eq + Clone> KeyedRate<K> {
    /// Fewest checks between two sweeps; with more keys there are more.
    const SWEEP: usize = 1024;

    /// At most this many `what` in a second for each key, `burst` at once.
    pub fn per_second(what: &'static str, count: u32, burst: u32) -> Self {
        Self::new(what, quota_per_second(count, burst))
    }

    /// At most this many `what` in a minute for each key, all at once if need be.
    pub fn per_minute(what: &'static str, count: u32) -> Self {
        Self::new(what, NonZeroU32::new(count).map(Quota::per_minute))
    }

    fn new(what: &'static str, quota: Option<Quota>) -> Self {
        Self {
            what,
            now: RwLock::new((quota, counter(quota))),
            until_sweep: AtomicUsize::new(Self::SWEEP),
        }
    }

    /// Takes over what another one allows. Counting begins anew if that is something else.
    pub fn follow(&self, other: &Self) {
        let quota = other.read().0;
        if self.read().0 != quota {
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = (quota, counter(quota));
        }
    }

    /// A value is replaced in one step, so a poisoned lock is as good as new.
    fn read(&self) -> (Option<Quota>, Counter<K>) {
        self.now
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts one for this key, or says when to try again.
    pub fn check(&self, key: &K) -> Result<()> {
        let (_, Some(limiter)) = self.read() else {
            return Ok(());
        };
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
            let next = limiter.len().max(Self::SWEEP);
            self.until_sweep.store(next, Ordering::Relaxed);
        }
        limiter
            .check_key(key)
            .map_err(|until| refusal(self.what, &until))
    }
}

fn counter<K: Hash + Eq + Clone>(quota: Option<Quota>) -> Counter<K> {
    quota.map(|quota| Arc::new(DefaultKeyedRateLimiter::keyed(quota)))
}

fn quota_per_second(count: u32, burst: u32) -> Option<Quota> {
    let quota = Quota::per_second(NonZeroU32::new(count)?);
    Some(NonZeroU32::new(burst).map_or(quota, |burst| quota.allow_burst(burst)))
}

fn refusal(what: &str, until: &NotUntil<<DefaultClock as Clock>::Instant>) -> Error {
    let wait = until.wait_time_from(DefaultClock::default().now());
    // Rounded up: whoever waits exactly so long is not refused again.
    Error::rate_limited(what, wait.as_millis() as u64 + 1)
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({})", self.what)
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for KeyedRate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedRate({})", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    #[test]
    fn more_than_the_burst_is_refused_with_a_time() {
        let rate = KeyedRate::per_minute("tries", 2);
        assert!(rate.check(&"ann").is_ok() && rate.check(&"ann").is_ok());
        let error = rate.check(&"ann").unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert!(error.retry_after_ms.is_some_and(|wait| wait <= 30_001));
        assert!(rate.check(&"bob").is_ok());
    }

    #[test]
    fn nought_is_no_limit() {
        let keyed = KeyedRate::per_second("tries", 0, 0);
        let single = Rate::per_second("tries", 0, 0);
        assert!((0..10_000).all(|_| keyed.check(&1).is_ok() && single.check().is_ok()));
    }

    #[test]
    fn keys_that_rest_are_forgotten() {
        let rate = KeyedRate::per_second("tries", 1_000_000, 1_000_000);
        for key in 0..100_000_u32 {
            rate.check(&key).unwrap();
        }
        let (_, counter) = rate.read();
        assert!(counter.unwrap().len() < 50_000);
    }

    #[test]
    fn a_rate_that_stays_keeps_counting_and_another_begins_anew() {
        let rate = KeyedRate::per_minute("tries", 1);
        rate.check(&"ann").unwrap();
        rate.follow(&KeyedRate::per_minute("tries", 1));
        assert!(rate.check(&"ann").is_err());
        rate.follow(&KeyedRate::per_minute("tries", 2));
        assert!(rate.check(&"ann").is_ok() && rate.check(&"ann").is_ok());
        assert!(rate.check(&"ann").is_err());
        rate.follow(&KeyedRate::per_minute("tries", 0));
        assert!((0..100).all(|_| rate.check(&"ann").is_ok()));
    }
}
