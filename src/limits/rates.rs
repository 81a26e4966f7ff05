//! So many in a second or a minute, with a burst.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Instant;

use super::bucket::{Bucket, Buckets, Quota, refusal};
use super::shared::{Pour, Sharing};
use crate::error::Result;
use crate::locks::lock;

/// Most keys of one limit that other nodes are told of at once; the rest comes next time.
const KEYS_AT_ONCE: usize = 512;

/// The rate of one thing, a connection for instance.
#[derive(Debug)]
pub struct Rate {
    what: &'static str,
    quota: Option<Quota>,
    bucket: Mutex<Bucket>,
}

impl Rate {
    /// At most this many `what` in a second, and twice as many for a moment.
    pub fn doubled(what: &'static str, count: u32) -> Self {
        Self {
            what,
            quota: Quota::doubled(count),
            bucket: Bucket::empty(Instant::now()).into(),
        }
    }

    /// Counts one, or says when to try again.
    pub fn check(&self) -> Result<()> {
        let Some(quota) = self.quota else {
            return Ok(());
        };
        let filled = lock(&self.bucket).fill(quota, Instant::now());
        filled.map_err(|wait| refusal(self.what, wait))
    }
}

/// The rates of many things, each by its key. A key that rests is forgotten.
#[derive(Debug)]
pub struct KeyedRate<K> {
    limit: &'static str,
    what: &'static str,
    sharing: Sharing,
    inner: Mutex<Inner<K>>,
}

#[derive(Debug)]
struct Inner<K> {
    buckets: Buckets<K>,
    /// What was let through here and the other nodes do not know yet.
    untold: HashMap<K, u32>,
}

impl<K: Hash + Eq + Clone + Display> KeyedRate<K> {
    /// At most so many `what` for each key.
    pub(super) fn new(
        limit: &'static str,
        what: &'static str,
        quota: Option<Quota>,
        sharing: &Sharing,
    ) -> Self {
        let inner = Inner {
            buckets: Buckets::new(quota),
            untold: HashMap::new(),
        };
        Self {
            limit,
            what,
            sharing: sharing.clone(),
            inner: inner.into(),
        }
    }

    /// From now on at most so many. Counting begins anew if that is something else.
    pub(super) fn allow(&self, quota: Option<Quota>) {
        let mut inner = lock(&self.inner);
        if inner.buckets.quota != quota {
            inner.buckets = Buckets::new(quota);
            inner.untold.clear();
        }
    }

    /// Counts one for this key, or says when to try again. Nobody is asked; other nodes hear
    /// of it at the next exchange.
    pub fn check(&self, key: &K) -> Result<()> {
        let mut inner = lock(&self.inner);
        let filled = inner.buckets.fill(key, Instant::now());
        filled.map_err(|wait| refusal(self.what, wait))?;
        if inner.buckets.quota.is_some() && self.sharing.get().is_some() {
            *inner.untold.entry(key.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// The same, counted exactly together with the other nodes: for what is rare.
    pub async fn check_everywhere(&self, key: &K) -> Result<()> {
        let quota = {
            let mut inner = lock(&self.inner);
            let filled = inner.buckets.fill(key, Instant::now());
            filled.map_err(|wait| refusal(self.what, wait))?;
            inner.buckets.quota
        };
        let Some(quota) = quota else { return Ok(()) };
        let pour = Pour::one(self.limit, key.to_string(), quota);
        match self.sharing.pour(pour).await {
            Some(full) if !full.poured => Err(refusal(self.what, quota.wait(full.level))),
            Some(_) | None => Ok(()),
        }
    }

    /// Tells the other nodes what was let through here, and learns what they let through.
    /// A bucket that they have overfilled refuses here, too, until it has leaked.
    pub(super) async fn exchange(&self) {
        let Some(shared) = self.sharing.get() else {
            return;
        };
        let (quota, told) = self.take_untold(shared.has_others());
        let Some(quota) = quota.filter(|_| !told.is_empty()) else {
            return;
        };
        let past = |(key, count): &(K, u32)| Pour::past(self.limit, key.to_string(), quota, *count);
        let levels = shared.pour(told.iter().map(past).collect()).await;
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        for ((key, _), level) in told.iter().zip(levels) {
            let Some(level) = level else { continue };
            let since = inner.untold.get(key).copied().unwrap_or_default();
            inner.buckets.set(key, level.level + f64::from(since), now);
        }
    }

    fn take_untold(&self, has_others: bool) -> (Option<Quota>, Vec<(K, u32)>) {
        let mut inner = lock(&self.inner);
        if !has_others {
            inner.untold.clear();
        }
        let keys: Vec<K> = inner.untold.keys().take(KEYS_AT_ONCE).cloned().collect();
        let told = keys
            .into_iter()
            .filter_map(|key| inner.untold.remove_entry(&key))
            .collect();
        (inner.buckets.quota, told)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::Together;
    use super::*;
    use crate::protocol::ErrorCode;

    fn per_minute(count: u32, sharing: &Sharing) -> KeyedRate<&'static str> {
        KeyedRate::new("tries", "tries", Quota::per_minute(count), sharing)
    }

    #[test]
    fn more_than_the_burst_is_refused_with_a_time() {
        let rate = per_minute(2, &Sharing::default());
        assert!(rate.check(&"ann").is_ok() && rate.check(&"ann").is_ok());
        let error = rate.check(&"ann").unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert!(error.retry_after_ms.is_some_and(|wait| wait <= 30_000));
        assert!(rate.check(&"bob").is_ok());
    }

    #[test]
    fn nought_is_no_limit() {
        let keyed = per_minute(0, &Sharing::default());
        let single = Rate::doubled("tries", 0);
        assert!((0..10_000).all(|_| keyed.check(&"ann").is_ok() && single.check().is_ok()));
    }

    #[test]
    fn one_thing_has_its_burst_and_no_more() {
        let rate = Rate::doubled("tries", 1);
        let passed = (0..100).filter(|_| rate.check().is_ok()).count();
        assert_eq!(passed, 2);
    }

    #[test]
    fn keys_that_rest_are_forgotten() {
        let fast = 1_000_000;
        let rate = KeyedRate::new(
            "tries",
            "tries",
            Quota::per_second(fast, fast),
            &Sharing::default(),
        );
        for key in 0..100_000_u32 {
            rate.check(&key).unwrap();
        }
        assert!(lock(&rate.inner).buckets.len() < 50_000);
    }

    #[test]
    fn a_rate_that_stays_keeps_counting_and_another_begins_anew() {
        let alone = Sharing::default();
        let rate = per_minute(1, &alone);
        rate.check(&"ann").unwrap();
        rate.allow(Quota::per_minute(1));
        assert!(rate.check(&"ann").is_err());
        rate.allow(Quota::per_minute(2));
        assert!(rate.check(&"ann").is_ok() && rate.check(&"ann").is_ok());
        assert!(rate.check(&"ann").is_err());
        rate.allow(Quota::per_minute(0));
        assert!((0..100).all(|_| rate.check(&"ann").is_ok()));
    }

    #[actix::test]
    async fn what_others_let_through_counts_after_the_next_exchange() {
        let together = Together::default();
        let nodes = [(); 3].map(|()| per_minute(6, &together.sharing()));
        for _ in 0..2 {
            for node in &nodes {
                node.check(&"ann").unwrap();
                node.exchange().await;
            }
        }
        // The last has heard of all six; the others have one turn more.
        assert!(nodes[2].check(&"ann").is_err());
        assert!(nodes[2].check(&"bob").is_ok());
        let mut passed = 0;
        for node in nodes.iter().cycle().take(60) {
            passed += usize::from(node.check(&"ann").is_ok());
            node.exchange().await;
        }
        assert!(passed <= 2, "{passed} more");
    }

    #[actix::test]
    async fn what_is_rare_is_counted_exactly() {
        let together = Together::default();
        let nodes = [(); 3].map(|()| per_minute(4, &together.sharing()));
        let mut passed = 0;
        for node in nodes.iter().cycle().take(30) {
            passed += usize::from(node.check_everywhere(&"ann").await.is_ok());
        }
        assert_eq!(passed, 4);
        together.leave();
        assert!(nodes[1].check_everywhere(&"ann").await.is_err());
        assert!(nodes[1].check_everywhere(&"bob").await.is_ok());
    }

    #[actix::test]
    async fn nothing_gathers_while_nobody_is_told() {
        let together = Together::default();
        let rate = KeyedRate::new(
            "tries",
            "tries",
            Quota::per_second(9, 9),
            &together.sharing(),
        );
        together.leave();
        for key in 0..10 * KEYS_AT_ONCE {
            rate.check(&key).unwrap();
        }
        for _ in 0..10 {
            rate.exchange().await;
        }
        assert!(lock(&rate.inner).untold.is_empty());
    }
}
