//! What a log is made of, as small as it can be and still go wrong in every known way.

use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds.
pub(crate) type Ms = i64;
/// A room; each has a bucket of its own.
pub(crate) type Room = u8;
/// Somebody.
pub(crate) type Person = u8;
/// A place in a room's log.
pub(crate) type Seq = i64;
/// The name of a life of Redis.
pub(crate) type Life = u32;
/// The name of a life of a room's numbers.
pub(crate) type Epoch = u32;
/// What a draft is called, unique per room and sender.
pub(crate) type Name = (Person, u64);

/// Who fills holes and makes rooms.
pub(crate) const SYSTEM: Person = 0;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Somebody said something.
    Message,
    /// `target` is a member now.
    Join,
    /// `target` is removed, and may not come back.
    Kick,
    /// Nothing: a number that nobody had, a repeat, or a row that could not be written.
    Void,
}

/// What somebody wants to stand in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Who, and under which name.
    pub(crate) name: Name,
    /// The time that stands in its id, by the sender's clock.
    pub(crate) made_at: Ms,
    /// What.
    pub(crate) kind: Kind,
    /// Who joins or is removed.
    pub(crate) target: Person,
    /// The database will refuse it.
    pub(crate) poison: bool,
    /// How long its text is.
    pub(crate) bytes: usize,
}

/// A draft that has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its place.
    pub(crate) seq: Seq,
    /// How many messages there are up to it.
    pub(crate) n: i64,
    /// When, by Redis.
    pub(crate) at: Ms,
    /// What.
    pub(crate) draft: Draft,
}

impl Draft {
    /// What fills a hole: the same, whoever fills it.
    pub(crate) fn void(seq: Seq) -> Self {
        Self {
            name: (SYSTEM, seq as u64),
            made_at: 0,
            kind: Kind::Void,
            target: SYSTEM,
            poison: false,
            bytes: 0,
        }
    }
}

impl Event {
    /// How long its text is in the log.
    pub(crate) fn bytes(&self) -> usize {
        format!("1 {} {} {} ", self.seq, self.n, self.at).len() + self.draft.bytes
    }
}

/// What a room is: the fold of its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fold {
    /// The newest event.
    pub(crate) head: Seq,
    /// How many messages.
    pub(crate) n: i64,
    /// When the newest was appended.
    pub(crate) at: Ms,
    /// The newest event that took a right away.
    pub(crate) rights: Seq,
    /// The newest change of membership.
    pub(crate) membership: Seq,
    /// The newest time in an id that was not ahead of the log's clock.
    pub(crate) newest_id_at: Ms,
    /// Per sender, the newest time in an id that was.
    pub(crate) ahead: BTreeMap<Person, Ms>,
    /// Who is in it.
    pub(crate) members: BTreeSet<Person>,
    /// Who may not come back.
    pub(crate) banned: BTreeSet<Person>,
}

impl Fold {
    /// Counts in the next event.
    pub(crate) fn apply(&mut self, event: &Event, ahead_ms: Ms) {
        let draft = &event.draft;
        self.head = event.seq;
        self.n = event.n;
        self.at = self.at.max(event.at);
        match draft.kind {
            Kind::Message | Kind::Void => {}
            Kind::Join => {
                self.membership = event.seq;
                self.members.insert(draft.target);
            }
            Kind::Kick => {
                self.membership = event.seq;
                self.rights = event.seq;
                self.members.remove(&draft.target);
                self.banned.insert(draft.target);
            }
        }
        let newest = if draft.made_at <= event.at + ahead_ms {
            &mut self.newest_id_at
        } else {
            self.ahead.entry(draft.name.0).or_insert(0)
        };
        *newest = (*newest).max(draft.made_at);
    }
}
