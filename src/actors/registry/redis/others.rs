//! Which other nodes there are, as far as this one knows. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::nodes::{LEASE, Lease};

/// Other nodes, as their leases were read.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Those that had a lease when that was last looked at.
    present: Vec<String>,
    /// What each node said last that could be read, this node among them.
    leases: BTreeMap<String, Lease>,
    /// When each was last seen to have one. A Redis that was emptied has none, and its nodes
    /// are there all the same.
    seen: HashMap<String, Instant>,
}

impl Others {
    /// Notes whose leases stand. One that cannot be read now stays as it was last read.
    pub(super) fn note(
        &mut self,
        own: &str,
        read: Vec<(String, Option<Lease>)>,
        now: Instant,
    ) -> Vec<Lease> {
        let ids = read.iter().map(|(id, _)| id.clone());
        self.present = ids.filter(|id| id != own).collect();
        let seen = self.present.iter().map(|id| (id.clone(), now));
        self.seen.extend(seen);
        self.seen.retain(|_, at| now.duration_since(*at) < LEASE);
        let before = std::mem::take(&mut self.leases);
        let leases = read.into_iter().filter_map(|(id, lease)| {
            let lease = lease.or_else(|| before.get(&id).cloned())?;
            Some((id, lease))
        });
        self.leases = leases.collect();
        self.leases.values().cloned().collect()
    }

    /// How many have a lease.
    pub(super) fn count(&self) -> usize {
        self.present.len()
    }

    /// Whom a rebuilding of Redis has to wait for.
    pub(super) fn recent(&self, now: Instant) -> Vec<String> {
        let recent = self.seen.iter();
        let recent = recent.filter(|(_, at)| now.duration_since(**at) < LEASE);
        recent.map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::registry::redis::NodeName;

    fn lease(id: &str) -> Lease {
        let name = NodeName::new(id);
        Lease::new(name, "127.0.0.1:1".into())
    }

    fn read(id: &str) -> (String, Option<Lease>) {
        (id.to_owned(), Some(lease(id)))
    }

    #[test]
    fn a_node_whose_lease_was_lost_with_redis_is_still_waited_for() {
        let (mut others, start) = (Others::default(), Instant::now());
        others.note("own", vec![read("a"), read("b"), read("own")], start);
        let later = start + LEASE / 2;
        others.note("own", vec![read("b")], later);
        let mut waited_for = others.recent(later);
        waited_for.sort();
        assert_eq!((others.count(), waited_for.join(" ")), (1, "a b".into()));
        let last = start + LEASE;
        assert_eq!(others.recent(last), ["b"]);
        others.note("own", Vec::new(), later + LEASE);
        assert!(others.seen.is_empty());
    }

    #[test]
    fn a_node_whose_lease_cannot_be_read_is_kept_as_it_was() {
        let (mut others, now) = (Others::default(), Instant::now());
        others.note("own", vec![read("a")], now);
        let kept = others.note("own", vec![("a".into(), None), ("b".into(), None)], now);
        let ids: Vec<_> = kept.iter().map(|lease| &*lease.id).collect();
        assert_eq!((ids, others.count()), (vec!["a"], 2));
    }
}
