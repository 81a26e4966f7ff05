//! A pretended Redis: the keys, which scripts it knows, who listens, and how it is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Epoch, Event, Life, Room, Seq};
use super::scripts::{Keys, No};
use super::time::Ms;

/// Which node.
pub(crate) type NodeId = usize;

/// Which text the scripts of a node have.
pub(crate) type Version = usize;

/// Of these nodes, some were upgraded and some were not.
pub(crate) fn version(node: NodeId) -> Version {
    node % 2
}

/// What comes out of a channel.
#[derive(Debug, Clone)]
pub(crate) enum Ring {
    /// These events are in the log.
    Events(Life, Room, Epoch, Vec<Event>),
    /// Everything up to here is in the database.
    Flushed(Life, Room, Seq),
    /// The room's numbers have a new life.
    Epoch(Life, Room, Epoch),
    /// Redis has a new life.
    NewLife(Life),
}

/// What is kept in a file, or on a replica.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    /// What the scripts work on.
    pub(crate) keys: Keys,
    /// Until when each node is there.
    pub(crate) leases: BTreeMap<NodeId, Ms>,
    /// Who leads the rebuilding, and until when.
    pub(crate) barrier: Option<(u64, Ms)>,
    /// Which node has salvaged which life.
    pub(crate) done: BTreeMap<NodeId, Life>,
}

/// The server.
#[derive(Debug, Default)]
pub(crate) struct Redis {
    /// What a file would keep.
    pub(crate) stored: Stored,
    /// What was kept a while ago: what a loss goes back to.
    pub(crate) past: Option<Stored>,
    /// The lives whose scripts are known, in which version; no file keeps this.
    pub(crate) scripts: BTreeSet<(Life, Version)>,
    /// The lives whose marker is known, which is the same in all versions; nor this.
    pub(crate) markers: BTreeSet<Life>,
    /// Does it answer?
    pub(crate) up: bool,
    /// Which process it is.
    pub(crate) run: u32,
    /// How its clock differs.
    pub(crate) clock: Ms,
    /// Whose doorbell connection is up.
    pub(crate) listening: BTreeSet<NodeId>,
    /// What was published and not handed on yet.
    pub(crate) published: Vec<Ring>,
}

/// How much of it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything is in the file.
    Nothing,
    /// The last moments are missing.
    Tail,
    /// Everything is gone.
    All,
}

impl Redis {
    /// The process dies.
    pub(crate) fn die(&mut self) {
        self.up = false;
        self.run += 1;
        self.scripts.clear();
        self.markers.clear();
        self.listening.clear();
        self.published.clear();
    }

    /// Another process serves what is left.
    pub(crate) fn come_back(&mut self, loss: Loss, clock: Ms) {
        self.clock += clock;
        match loss {
            Loss::Nothing => {}
            Loss::Tail => self.stored = self.past.clone().unwrap_or_default(),
            Loss::All => self.stored = Stored::default(),
        }
        self.up = true;
    }

    /// Is this the life that its buckets know?
    pub(crate) fn lives(&self, life: Life) -> Result<(), No> {
        match self.stored.keys.life.get(&0) {
            Some(here) if *here == life => Ok(()),
            _ => Err(No::OtherLife),
        }
    }

    /// `FLUSHALL`: the data is gone, the scripts are not.
    pub(crate) fn flush_all(&mut self) {
        self.stored = Stored::default();
    }

    /// Keeps what is here now, for a later loss.
    pub(crate) fn remember(&mut self) {
        self.past = Some(self.stored.clone());
    }
}
