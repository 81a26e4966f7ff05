//! Counting together with other nodes: what a node wants of the buckets that they share.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use super::bucket::Quota;

/// Buckets that all nodes fill.
///
/// Whatever cannot be asked answers `None`: a node then counts for itself, as one that is
/// alone does.
pub trait Shared: Send + Sync {
    /// Are there others to count with?
    fn has_others(&self) -> bool;

    /// Pours into these buckets at once; one answer for each, in order.
    fn pour(&self, pours: Vec<Pour>) -> Poured;
}

/// Answers that are on their way.
pub type Poured = Pin<Box<dyn Future<Output = Vec<Option<Level>>> + Send>>;

/// What is poured into a bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Pour {
    /// Which limit.
    pub limit: &'static str,
    /// Whose bucket. It may be private, and must not be kept as it is.
    pub key: String,
    /// So many leak out in a second.
    pub per_second: f64,
    /// How many are poured in; less than nothing takes out.
    pub count: f64,
    /// It gets no fuller than this.
    pub most: f64,
    /// When it would get fuller: is nothing poured in, or as much as there is room for?
    pub all_or_nothing: bool,
}

/// How full a bucket is then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Was anything poured in?
    pub poured: bool,
    /// How full.
    pub level: f64,
}

impl Pour {
    /// One more, if there is room for it.
    pub(super) fn one(limit: &'static str, key: String, quota: Quota) -> Self {
        Self {
            limit,
            key,
            per_second: quota.per_second,
            count: 1.0,
            most: quota.burst,
            all_or_nothing: true,
        }
    }

    /// So many that were let through. What others let through holds nobody up for longer
    /// than two seconds: until then one hears of them again.
    pub(super) fn past(limit: &'static str, key: String, quota: Quota, count: u32) -> Self {
        Self {
            count: f64::from(count),
            most: quota.burst + 2.0 * quota.per_second,
            all_or_nothing: false,
            ..Self::one(limit, key, quota)
        }
    }

    /// The opposite.
    pub(super) fn taken_back(self) -> Self {
        Self {
            count: -self.count,
            ..self
        }
    }
}

/// The buckets that are shared, if any are: set once, soon after the start.
#[derive(Clone, Default)]
pub(super) struct Sharing(Arc<OnceLock<Arc<dyn Shared>>>);

impl Sharing {
    /// From now on these.
    pub(super) fn begin(&self, shared: Arc<dyn Shared>) {
        if self.0.set(shared).is_err() {
            log::error!("limits were shared twice");
        }
    }

    /// Those that are shared.
    pub(super) fn get(&self) -> Option<&dyn Shared> {
        self.0.get().map(|shared| &**shared)
    }

    /// Pours into one; `None` when nobody can be asked.
    pub(super) async fn pour(&self, pour: Pour) -> Option<Level> {
        let poured = self.get()?.pour(vec![pour]);
        poured.await.into_iter().next().flatten()
    }
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sharing({})", self.0.get().is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Buckets in memory that several "nodes" share; they do not leak.
    #[derive(Clone, Default)]
    pub(in crate::limits) struct Together(Arc<Inner>);

    #[derive(Default)]
    struct Inner {
        levels: Mutex<HashMap<(&'static str, String), f64>>,
        away: AtomicBool,
    }

    impl Together {
        pub(in crate::limits) fn sharing(&self) -> Sharing {
            let sharing = Sharing::default();
            sharing.begin(Arc::new(self.clone()));
            sharing
        }

        /// Nobody can be asked any more.
        pub(in crate::limits) fn leave(&self) {
            self.0.away.store(true, Ordering::Relaxed);
        }

        fn pour_one(&self, pour: Pour) -> Option<Level> {
            if self.0.away.load(Ordering::Relaxed) {
                return None;
            }
            let mut levels = self.0.levels.lock().unwrap();
            let level = levels.entry((pour.limit, pour.key)).or_default();
            let poured = !pour.all_or_nothing || *level + pour.count <= pour.most;
            if poured {
                *level = (*level + pour.count).clamp(0.0, pour.most);
            }
            let level = *level;
            Some(Level { poured, level })
        }
    }

    impl Shared for Together {
        fn has_others(&self) -> bool {
            true
        }

        fn pour(&self, pours: Vec<Pour>) -> Poured {
            let levels: Vec<_> = pours.into_iter().map(|pour| self.pour_one(pour)).collect();
            Box::pin(async move { levels })
        }
    }
}
