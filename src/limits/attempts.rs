//! Guesses that count only when they are wrong.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::bucket::{Buckets, Quota, refusal};
use super::shared::{Pour, Sharing};
use crate::error::Result;
use crate::locks::lock;

/// Wrong guesses by key. One is counted when it begins and taken back when it was right, so
/// that many at once do not slip through together. Nodes count them exactly together.
#[derive(Debug)]
pub struct Attempts<K> {
    limit: &'static str,
    what: &'static str,
    sharing: Sharing,
    buckets: Arc<Mutex<Buckets<K>>>,
}

/// A guess that has begun and counts as wrong until it [was right](Attempt::was_right).
#[derive(Debug)]
#[must_use = "a right guess has to be taken back"]
pub struct Attempt<K> {
    key: K,
    buckets: Arc<Mutex<Buckets<K>>>,
    /// What was counted where all nodes count.
    shared: Option<(Sharing, Pour)>,
}

impl<K: Hash + Eq + Clone + Display> Attempts<K> {
    /// At most this many wrong ones in a minute for each key.
    pub(super) fn per_minute(
        limit: &'static str,
        what: &'static str,
        most: u32,
        sharing: &Sharing,
    ) -> Self {
        let buckets = Buckets::new(Quota::per_minute(most));
        Self {
            limit,
            what,
            sharing: sharing.clone(),
            buckets: Arc::new(buckets.into()),
        }
    }

    /// From now on at most this many in a minute. Those that were counted stay counted.
    pub fn allow(&self, most: u32) {
        lock(&self.buckets).quota = Quota::per_minute(most);
    }

    /// Begins a guess, or says when to try again.
    pub async fn begin(&self, key: K) -> Result<Attempt<K>> {
        let mut attempt = self.begin_here(key, Instant::now())?;
        let quota = lock(&self.buckets).quota;
        let Some(quota) = quota else {
            return Ok(attempt);
        };
        let pour = Pour::one(self.limit, attempt.key.to_string(), quota);
        match self.sharing.pour(pour.clone()).await {
            Some(full) if !full.poured => {
                attempt.take_back();
                return Err(refusal(self.what, quota.wait(full.level)));
            }
            Some(_) => attempt.shared = Some((self.sharing.clone(), pour)),
            None => {}
        }
        Ok(attempt)
    }

    fn begin_here(&self, key: K, now: Instant) -> Result<Attempt<K>> {
        let filled = lock(&self.buckets).fill(&key, now);
        filled.map_err(|wait| refusal(self.what, wait))?;
        Ok(Attempt {
            key,
            buckets: self.buckets.clone(),
            shared: None,
        })
    }
}

impl<K: Hash + Eq + Clone> Attempt<K> {
    /// It does not count.
    pub async fn was_right(self) {
        self.take_back();
        if let Some((sharing, pour)) = self.shared {
            // If it cannot be taken back, it leaks away in its time.
            let _ = sharing.pour(pour.taken_back()).await;
        }
    }

    fn take_back(&self) {
        lock(&self.buckets).take_back(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::shared::tests::Together;
    use super::*;

    fn three(sharing: &Sharing) -> Attempts<&'static str> {
        Attempts::per_minute("tries", "wrong passwords", 3, sharing)
    }

    #[actix::test]
    async fn only_wrong_guesses_count() {
        let attempts = three(&Sharing::default());
        for _ in 0..100 {
            attempts.begin("ann").await.unwrap().was_right().await;
        }
        for _ in 0..3 {
            let _ = attempts.begin("ann").await.unwrap();
        }
        let error = attempts.begin("ann").await.unwrap_err();
        assert!(error.retry_after_ms.is_some_and(|wait| wait <= 20_000));
        assert!(attempts.begin("bob").await.is_ok());
        assert!(attempts.begin("ann").await.is_err());
    }

    #[test]
    fn time_forgives() {
        let attempts = three(&Sharing::default());
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            let _ = attempts.begin_here("ann", start).unwrap();
        }
        assert!(attempts.begin_here("ann", later(19)).is_err());
        let _ = attempts.begin_here("ann", later(20)).unwrap();
        assert!(attempts.begin_here("ann", later(21)).is_err());
        let _ = attempts.begin_here("ann", later(40)).unwrap();
    }

    #[actix::test]
    async fn several_nodes_allow_as_many_as_one() {
        let together = Together::default();
        let nodes = [(); 3].map(|()| three(&together.sharing()));
        for node in nodes.iter().cycle().take(30) {
            node.begin("ann").await.unwrap().was_right().await;
        }
        let mut begun = 0;
        for node in nodes.iter().cycle().take(30) {
            begun += usize::from(node.begin("ann").await.is_ok());
        }
        assert_eq!(begun, 3);
        // Whom nobody can ask counts for himself.
        together.leave();
        for node in &nodes {
            assert!(node.begin("ann").await.is_ok());
        }
    }
}
