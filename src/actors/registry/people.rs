//! Who is connected to which other node: no actix, no I/O.
//!
//! Each node counts what it tells of its people, so that a hole is noticed, and tells it
//! with its generation, so that a restarted node is not mistaken for its past.

use std::collections::{HashMap, HashSet};

use crate::ids::UserId;
use crate::protocol::Presence;
use crate::protocol::envelope::PresenceChange;

/// Everybody on other nodes.
#[derive(Debug, Default)]
pub(super) struct People {
    nodes: HashMap<String, NodePeople>,
    /// The other way round: on which nodes somebody is, and how they want to be seen there.
    users: HashMap<UserId, Vec<(String, Presence)>>,
}

#[derive(Debug, Default)]
struct NodePeople {
    generation: String,
    /// The newest thing that it told.
    number: u64,
    users: HashSet<UserId>,
}

/// What became of something that a node told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It counts.
    Taken,
    /// It was known already.
    Known,
    /// Something before it is missing: ask for everybody there.
    Hole,
}

impl People {
    /// A node tells who came and went there.
    pub(super) fn hear(
        &mut self,
        node: &str,
        generation: &str,
        number: u64,
        changes: &[PresenceChange],
    ) -> Told {
        let known = self.nodes.get(node);
        let last = known.filter(|known| known.generation == generation);
        let last = last.map_or(0, |known| known.number);
        if number <= last {
            return Told::Known;
        }
        let is_new = known.is_none_or(|known| known.generation != generation);
        if number != last + 1 || (is_new && number != 1) {
            return Told::Hole;
        }
        if is_new {
            self.forget(node);
        }
        self.take(node, generation, number, changes);
        Told::Taken
    }

    /// Who of these has come to a node, as far as was known there before.
    pub(super) fn arrived(
        &self,
        node: &str,
        generation: &str,
        changes: &[PresenceChange],
    ) -> HashSet<UserId> {
        let known = self.nodes.get(node);
        let known = known.filter(|known| known.generation == generation);
        let is_new = |user: &UserId| known.is_none_or(|known| !known.users.contains(user));
        let came = changes.iter().filter(|came| came.presence.is_some());
        let users = came.map(|came| came.user);
        users.filter(|user| is_new(user)).collect()
    }

    /// Everybody who is connected to a node, read at once.
    pub(super) fn replace(
        &mut self,
        node: &str,
        generation: &str,
        number: u64,
        everybody: &[PresenceChange],
    ) {
        if self.knows(node, generation, number + 1) {
            // Read before what has been heard since.
            return;
        }
        self.forget(node);
        self.take(node, generation, number, everybody);
    }

    /// A node has gone, and everybody there with it.
    pub(super) fn forget(&mut self, node: &str) {
        let Some(gone) = self.nodes.remove(node) else {
            return;
        };
        for user in gone.users {
            self.remove(user, node);
        }
    }

    /// Nodes other than these have gone. Answers whether there were any.
    pub(super) fn keep(&mut self, nodes: &[(String, String)]) -> bool {
        let lives = |id: &str, generation: &str| {
            nodes
                .iter()
                .any(|(node, its)| node == id && its == generation)
        };
        let gone: Vec<String> = self
            .nodes
            .iter()
            .filter(|(id, node)| !lives(id, &node.generation))
            .map(|(id, _)| id.clone())
            .collect();
        gone.iter().for_each(|node| self.forget(node));
        !gone.is_empty()
    }

    /// Is everything known here that this generation of a node has told up to this number?
    pub(super) fn knows(&self, node: &str, generation: &str, number: u64) -> bool {
        let known = self.nodes.get(node);
        known.is_some_and(|known| known.generation == generation && known.number >= number)
    }

    /// The other nodes that somebody is connected to.
    pub(super) fn nodes_of(&self, user: UserId) -> impl Iterator<Item = &str> {
        let nodes = self.users.get(&user).into_iter().flatten();
        nodes.map(|(node, _)| node.as_str())
    }

    /// How somebody can be reached on other nodes; the most reachable counts.
    pub(super) fn presence(&self, user: UserId) -> Option<Presence> {
        let seen = self.users.get(&user)?.iter().map(|(_, presence)| *presence);
        seen.max_by_key(|presence| reach(*presence))
    }

    /// How many people are connected to other nodes.
    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    fn take(&mut self, node: &str, generation: &str, number: u64, changes: &[PresenceChange]) {
        let known = self.nodes.entry(node.to_owned()).or_default();
        known.generation = generation.to_owned();
        known.number = number;
        for came in changes {
            if came.presence.is_some() {
                known.users.insert(came.user);
            } else {
                known.users.remove(&came.user);
            }
        }
        for came in changes {
            self.remove(came.user, node);
            if let Some(presence) = came.presence {
                let seen = self.users.entry(came.user).or_default();
                seen.push((node.to_owned(), presence));
            }
        }
    }

    fn remove(&mut self, user: UserId, node: &str) {
        if let Some(seen) = self.users.get_mut(&user) {
            seen.retain(|(at, _)| at != node);
            if seen.is_empty() {
                self.users.remove(&user);
            }
        }
    }
}

/// Many devices of one person are one presence: that of the most reachable.
pub(super) fn together(here: Presence, elsewhere: Option<Presence>) -> Presence {
    match elsewhere {
        Some(elsewhere) if reach(elsewhere) > reach(here) => elsewhere,
        _ => here,
    }
}

fn reach(presence: Presence) -> u8 {
    match presence {
        Presence::Offline => 0,
        Presence::Away => 1,
        Presence::Busy => 2,
        Presence::Online => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId::from_raw(1);
    const BOB: UserId = UserId::from_raw(2);

    fn came(user: UserId, presence: Option<Presence>) -> PresenceChange {
        PresenceChange {
            user,
            presence,
            text: None,
            rooms: Vec::new(),
        }
    }

    fn nodes_of(people: &People, user: UserId) -> Vec<&str> {
        let mut nodes: Vec<_> = people.nodes_of(user).collect();
        nodes.sort_unstable();
        nodes
    }

    #[test]
    fn somebody_is_where_any_of_their_devices_is() {
        let mut people = People::default();
        let (online, away) = (Some(Presence::Online), Some(Presence::Away));
        assert_eq!(people.hear("a", "1", 1, &[came(ANN, away)]), Told::Taken);
        assert_eq!(people.hear("b", "1", 1, &[came(ANN, online)]), Told::Taken);
        assert_eq!(nodes_of(&people, ANN), ["a", "b"]);
        assert_eq!(people.presence(ANN), online);
        assert_eq!(people.hear("b", "1", 2, &[came(ANN, None)]), Told::Taken);
        assert_eq!(people.presence(ANN), away);
        people.forget("a");
        assert_eq!(people.presence(ANN), None);
        assert_eq!(people.count(), 0);
    }

    #[test]
    fn who_is_known_to_be_there_does_not_arrive_again() {
        let mut people = People::default();
        let online = Some(Presence::Online);
        people.hear("a", "1", 1, &[came(ANN, online)]);
        let changes = [came(ANN, Some(Presence::Away)), came(BOB, online)];
        assert_eq!(people.arrived("a", "1", &changes), HashSet::from([BOB]));
        assert_eq!(people.arrived("a", "2", &changes).len(), 2);
        assert!(people.arrived("b", "1", &[came(ANN, None)]).is_empty());
    }

    #[test]
    fn a_hole_is_noticed_and_filled_by_everybody() {
        let mut people = People::default();
        let online = Some(Presence::Online);
        assert_eq!(people.hear("a", "1", 2, &[came(ANN, online)]), Told::Hole);
        people.replace("a", "1", 2, &[came(ANN, online), came(BOB, online)]);
        assert_eq!(people.hear("a", "1", 2, &[came(ANN, None)]), Told::Known);
        assert_eq!(people.hear("a", "1", 3, &[came(ANN, None)]), Told::Taken);
        assert_eq!(people.hear("a", "1", 5, &[]), Told::Hole);
        assert!(nodes_of(&people, ANN).is_empty());
        assert_eq!(nodes_of(&people, BOB), ["a"]);
    }

    #[test]
    fn what_was_told_and_not_heard_is_missed_even_if_nothing_follows() {
        let mut people = People::default();
        let online = Some(Presence::Online);
        assert!(!people.knows("a", "1", 0));
        people.hear("a", "1", 1, &[came(ANN, online)]);
        assert!(people.knows("a", "1", 1) && !people.knows("a", "1", 2));
        assert!(!people.knows("a", "2", 0));
        people.replace("a", "1", 3, &[came(BOB, online)]);
        assert!(people.knows("a", "1", 3));
        // An answer that was overtaken changes nothing.
        people.replace("a", "1", 2, &[came(ANN, online)]);
        assert_eq!(people.presence(ANN), None);
    }

    #[test]
    fn a_restarted_node_is_not_mistaken_for_its_past() {
        let mut people = People::default();
        let online = Some(Presence::Online);
        people.hear("a", "1", 1, &[came(ANN, online)]);
        assert_eq!(people.hear("a", "2", 1, &[came(BOB, online)]), Told::Taken);
        assert!(nodes_of(&people, ANN).is_empty());
        let lives = |generation: &str| vec![("a".to_owned(), generation.to_owned())];
        assert!(!people.keep(&lives("2")));
        assert!(people.keep(&lives("3")));
        assert_eq!(people.count(), 0);
    }
}
