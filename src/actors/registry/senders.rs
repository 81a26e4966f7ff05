//! Whose envelopes count: those of nodes that have a lease. No actix, no I/O.
//!
//! A node may be heard before its lease is read here, so what a stranger says is held for a
//! moment. What an earlier start of a node says is refused at once.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::protocol::envelope::Envelope;

/// How long a stranger has to show a lease: leases are read every two seconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most envelopes that are held.
const HELD: usize = 1000;

/// The other nodes with a lease, and what strangers have said.
#[derive(Debug, Default)]
pub(super) struct Senders {
    /// Which start of each node has the lease.
    alive: HashMap<String, String>,
    held: VecDeque<(Instant, Envelope)>,
    /// Was something held since the leases were last asked for?
    wants_look: bool,
    /// Envelopes that were not acted on.
    refused: u64,
}

impl Senders {
    /// Gives an envelope back that is to be acted on now.
    pub(super) fn admit(&mut self, envelope: Envelope, now: Instant) -> Option<Envelope> {
        let lease = self.alive.get(&envelope.node);
        if lease == Some(&envelope.generation) {
            return Some(envelope);
        }
        // A later start sorts behind an earlier one.
        let is_past = lease.is_some_and(|lease| *lease > envelope.generation);
        if is_past || self.held.len() >= HELD {
            self.refuse(&envelope);
        } else {
            self.held.push_back((now, envelope));
            self.wants_look = true;
        }
        None
    }

    /// These nodes have leases, with these generations. Gives what was held and counts now,
    /// in its order.
    pub(super) fn renew(&mut self, leases: &[(String, String)], now: Instant) -> Vec<Envelope> {
        self.alive.clear();
        self.learn(leases, now)
    }

    /// These nodes have leases, too. (An answer that was overtaken takes nobody's away.)
    pub(super) fn learn(&mut self, leases: &[(String, String)], now: Instant) -> Vec<Envelope> {
        for (node, generation) in leases {
            let known = self.alive.entry(node.clone()).or_default();
            if *known < *generation {
                known.clone_from(generation);
            }
        }
        let held = std::mem::take(&mut self.held);
        let mut admitted = Vec::new();
        for (since, envelope) in held {
            if now.duration_since(since) > PATIENCE
                && self.alive.get(&envelope.node) != Some(&envelope.generation)
            {
                self.refuse(&envelope);
                continue;
            }
            admitted.extend(self.admit(envelope, since));
        }
        self.wants_look = false;
        admitted
    }

    /// Is it worth reading the leases before their time? Once for whatever is held.
    pub(super) fn wants_look(&mut self) -> bool {
        std::mem::take(&mut self.wants_look)
    }

    /// How many envelopes were not acted on.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts an envelope that nobody acts on.
    pub(super) fn refuse(&mut self, envelope: &Envelope) {
        self.refused += 1;
        if self.refused.is_power_of_two() {
            let Envelope {
                node, generation, ..
            } = envelope;
            log::warn!(
                "dropped an envelope of node={node:?} generation={generation:?}, which has no lease \
                 ({} so far)",
                self.refused
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::envelope::Payload;

    fn said(node: &str, generation: &str) -> Envelope {
        Envelope {
            node: node.into(),
            generation: generation.into(),
            payload: Payload::Drain,
        }
    }

    fn leases(all: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(node, generation): &(&str, &str)| ((*node).into(), (*generation).into());
        all.iter().map(owned).collect()
    }

    #[test]
    fn only_who_has_a_lease_is_heard() {
        let (mut senders, now) = (Senders::default(), Instant::now());
        senders.renew(&leases(&[("a", "2")]), now);
        assert_eq!(senders.admit(said("a", "2"), now), Some(said("a", "2")));
        assert!(!senders.wants_look());
        // An earlier start is refused at once, and nobody looks for it.
        assert_eq!(senders.admit(said("a", "1"), now), None);
        assert!(!senders.wants_look());
        assert_eq!(senders.refused(), 1);
    }

    #[test]
    fn who_has_just_come_is_heard_when_the_leases_are_read() {
        let (mut senders, now) = (Senders::default(), Instant::now());
        senders.renew(&leases(&[("a", "2")]), now);
        for (node, generation) in [("b", "1"), ("a", "3"), ("b", "1")] {
            assert_eq!(senders.admit(said(node, generation), now), None);
        }
        assert!(senders.wants_look() && !senders.wants_look());
        let heard = senders.renew(&leases(&[("a", "3"), ("b", "1")]), now);
        assert_eq!(heard, [said("b", "1"), said("a", "3"), said("b", "1")]);
        assert_eq!(senders.refused(), 0);
    }

    #[test]
    fn who_never_shows_a_lease_is_refused_after_a_while() {
        let (mut senders, now) = (Senders::default(), Instant::now());
        senders.admit(said("x", "1"), now);
        assert!(senders.renew(&[], now + PATIENCE).is_empty());
        assert_eq!(senders.refused(), 0);
        let later = now + PATIENCE * 2;
        assert!(senders.renew(&[], later).is_empty());
        assert_eq!(senders.refused(), 1);
        // Even then, whoever has one by now is heard.
        senders.admit(said("x", "1"), now);
        assert_eq!(senders.renew(&leases(&[("x", "1")]), later).len(), 1);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut senders, now) = (Senders::default(), Instant::now());
        for number in 0..HELD + 5 {
            senders.admit(said(&number.to_string(), "1"), now);
        }
        assert_eq!((senders.held.len(), senders.refused()), (HELD, 5));
    }
}
