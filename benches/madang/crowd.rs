//! People in rooms: users who have signed in, joined and listen, ready to be measured.

use std::time::Duration;

use crate::client::Load;
use crate::node::Node;
use crate::rest::Rest;
use crate::{Outcome, frames};

/// Requests under way at once while a crowd gathers.
const WINDOW: usize = 200;

/// The user who makes the rooms; is never connected.
pub const OWNER: usize = 1_000_000;

/// How long nothing must come before the crowd counts as gathered: merged presence has passed.
const QUIET: Duration = Duration::from_millis(1500);

/// Rooms, and one connection for each of their members.
pub struct Crowd {
    /// The connections, in the order of their users.
    pub load: Load,
    /// Ids of the rooms.
    pub rooms: Vec<String>,
    /// Connections per room, one after the other.
    pub members: usize,
}

impl Crowd {
    /// Makes `rooms` open rooms with `members` each, users from number `first` on. All are members
    /// before anyone listens, or every join would be delivered to everyone who came before.
    pub fn gather(node: &Node, first: usize, rooms: usize, members: usize) -> Outcome<Self> {
        Self::gather_over(&[node], first, rooms, members)
    }

    /// The same over several nodes: one connection on each, in turn.
    pub fn gather_over(
        nodes: &[&Node],
        first: usize,
        rooms: usize,
        members: usize,
    ) -> Outcome<Self> {
        let mut crowd = Self::enter(nodes, first, rooms, members)?;
        crowd.ask_everyone(frames::subscribe)?;
        crowd.load.settle(QUIET)?;
        Ok(crowd)
    }

    /// Members who are connected and do not listen yet.
    pub fn enter(nodes: &[&Node], first: usize, rooms: usize, members: usize) -> Outcome<Self> {
        let home = nodes.first().ok_or("a crowd needs a node")?;
        let owner = Rest::new(home.address, OWNER)?;
        let rooms: Vec<String> = (0..rooms)
            .map(|number| owner.create_room(&format!("bench {number}")))
            .collect::<Outcome<_>>()?;
        let mut crowd = Self {
            load: Load::over(nodes.iter().map(|node| node.address).collect())?,
            rooms,
            members,
        };
        let everyone = crowd.rooms.len() * members;
        crowd
            .load
            .sign_in(everyone, |link| frames::hello(first + link))?;
        crowd.ask_everyone(frames::join)?;
        Ok(crowd)
    }

    /// The room of a connection.
    pub fn room_of(&self, link: usize) -> &str {
        &self.rooms[link / self.members]
    }

    fn ask_everyone(&mut self, request: fn(&str) -> String) -> Outcome<()> {
        let Self {
            load,
            rooms,
            members,
        } = self;
        let everyone = 0..load.count();
        let requests = everyone.map(|link| (link, request(&rooms[link / *members])));
        load.ask(requests, WINDOW)
    }
}
