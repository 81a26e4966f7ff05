//! Where a cluster's nodes are reached: what a load balancer in front of them would know.

use std::sync::{Arc, RwLock};

use rand::RngExt;
use rand::rngs::StdRng;

use super::TestNode;

/// The addresses of the nodes, shared by everybody who knocks.
#[derive(Debug, Clone, Default)]
pub struct Doors(Arc<RwLock<Vec<String>>>);

impl Doors {
    /// The only door of a node that stands alone.
    pub fn of(node: &TestNode) -> Self {
        let doors = Self::default();
        doors.open(&node.address);
        doors
    }

    /// The door of this number, counted on from the first after the last.
    pub fn get(&self, number: usize) -> (usize, String) {
        let doors = self.0.read().expect("nobody panics with it");
        let number = number % doors.len();
        (number, doors[number].clone())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.read().expect("nobody panics with it").len()
    }

    /// Any door, but another than this one if there is one.
    pub fn other(&self, than: usize, random: &mut StdRng) -> (usize, String) {
        let count = self.0.read().expect("nobody panics with it").len();
        let step = random.random_range(1..count.max(2));
        self.get(than + step)
    }

    /// One door more.
    pub fn open(&self, address: &str) {
        let mut doors = self.0.write().expect("nobody panics with it");
        doors.push(address.to_owned());
    }
}
