//! Counted places: so many at the same time, given back when their holder goes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::locks::lock;

/// Places by key. Keys that hold none take no memory.
#[derive(Debug)]
pub struct Slots<K> {
    /// Most at a time for each key; 0 is no limit.
    most: AtomicU32,
    taken: Arc<Mutex<HashMap<K, u32>>>,
}

/// One place, free again when this is dropped.
#[derive(Debug)]
pub struct Slot<K: Hash + Eq> {
    key: K,
    taken: Arc<Mutex<HashMap<K, u32>>>,
}

impl<K: Hash + Eq + Clone> Slots<K> {
    /// At most this many at a time for each key.
    pub fn new(most: u32) -> Self {
        Self {
            most: most.into(),
            taken: Arc::default(),
        }
    }

    /// From now on at most this many. Who holds a place keeps it.
    pub fn allow(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// A place, if there is one left.
    pub fn take(&self, key: K) -> Option<Slot<K>> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(key.clone()).or_default();
        let most = self.most.load(Ordering::Relaxed);
        if most > 0 && *count >= most {
            return None;
        }
        *count += 1;
        Some(Slot {
            key,
            taken: self.taken.clone(),
        })
    }

    /// How many keys hold at least one.
    pub fn holders(&self) -> usize {
        lock(&self.taken).len()
    }
}

impl<K: Hash + Eq> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        let Some(count) = taken.get_mut(&self.key) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            taken.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_when_its_holder_goes() {
        let slots = Slots::new(2);
        let first = slots.take("ann").unwrap();
        let _second = slots.take("ann").unwrap();
        assert!(slots.take("ann").is_none());
        let other = slots.take("bob").unwrap();
        drop(first);
        assert!(slots.take("ann").is_some());
        drop(other);
        assert_eq!(slots.holders(), 1);
    }

    #[test]
    fn another_limit_takes_nobodys_place() {
        let slots = Slots::new(2);
        let _held = (slots.take("ann").unwrap(), slots.take("ann").unwrap());
        slots.allow(3);
        let third = slots.take("ann").unwrap();
        slots.allow(1);
        assert!(slots.take("ann").is_none());
        drop(third);
        assert!(slots.take("ann").is_none());
        assert!(slots.take("bob").is_some());
    }

    #[test]
    fn nought_is_no_limit() {
        let slots = Slots::new(0);
        let held: Vec<_> = (0..1000).map(|_| slots.take(()).unwrap()).collect();
        assert_eq!(held.len(), 1000);
    }
}
