//! What a batch of appends comes to, decided without a database: which draft gets which
//! place, and how rooms change by it.
//!
//! [`plan`] is a function of what is known. When the database turns out to know more (an
//! id that is taken, a draft that it refuses), the plan is made again with that.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer};

use super::{Append, Fate, Role};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{ClientId, Draft, EventKind, MemberChange, Place};

/// How far a clock may be ahead and still count in `newest_id_at`.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

/// The numbers of a room's row: what the fold of its log has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomFold {
    /// The newest event.
    pub head: Seq,
    /// How many messages there are.
    pub messages: i64,
    /// The newest message.
    pub last_message: Seq,
    /// The newest event that restricts somebody.
    pub rights: Seq,
    /// The newest event that changed who is a member.
    pub membership: Seq,
    /// The newest time that a `client_id` carries.
    pub newest_id_at: i64,
    /// How many members there are.
    pub members: i64,
    /// When the newest event was written.
    pub changed_at: i64,
}

impl RoomFold {
    /// The room and its numbers, in the order in which both databases write them.
    pub(super) fn numbers(&self, room: RoomId) -> [i64; 9] {
        [
            room.raw(),
            self.head.0,
            self.messages,
            self.last_message.0,
            self.rights.0,
            self.membership.0,
            self.newest_id_at,
            self.members,
            self.changed_at,
        ]
    }

    /// Is what the room knew when it decided still all there is to know?
    fn allows(&self, append: &Append) -> bool {
        let joins = append.drafts.iter().any(|d| d.kind == EventKind::Join);
        append.basis.rights >= self.rights && !(joins && append.basis.membership < self.membership)
    }

    /// Gives a draft the next place.
    fn take(&mut self, draft: &Draft, now: i64) -> Place {
        let place = Place {
            seq: self.head.next(),
            n: self.messages + i64::from(draft.kind.is_message()),
            at: self.changed_at.max(now),
        };
        self.fold(draft, place);
        place
    }

    /// Counts in the event right behind the head.
    pub(super) fn fold(&mut self, draft: &Draft, place: Place) {
        self.head = place.seq;
        self.messages = place.n;
        self.changed_at = place.at;
        if draft.kind.is_message() {
            self.last_message = place.seq;
        }
        if draft.kind.restricts() {
            self.rights = place.seq;
        }
        if draft.kind.changes_membership() {
            self.membership = place.seq;
        }
        let made_at = draft.client_id.made_at();
        if made_at <= place.at + CLOCK_TOLERANCE_MS {
            self.newest_id_at = self.newest_id_at.max(made_at);
        }
    }
}

/// A draft, read once: what tells a repeat, and what it does beside standing in the log.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    /// As it came.
    pub draft: &'a Draft,
    /// See [`Draft::digest`].
    pub digest: i64,
    /// What follows from it.
    pub effect: Effect,
}

/// What an event does to members or to the room itself.
#[derive(Debug)]
pub(super) enum Effect {
    /// Nothing, or no more than every event does.
    None,
    /// A member's standing changes; the role in the body, read.
    Member(MemberChange, Option<Role>),
    /// The room's name, topic, capacity or end.
    Room(RoomChange),
    /// The body does not say what this kind has to say, or cannot be stored.
    Unreadable,
}

/// The body of `room`: the fields that changed. `null` takes a topic or a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct RoomChange {
    /// A new title.
    pub name: Option<String>,
    /// A new topic.
    #[serde(default, deserialize_with = "present")]
    pub topic: Option<Option<String>>,
    /// A new limit of members.
    #[serde(default, deserialize_with = "present")]
    pub capacity: Option<Option<i64>>,
    /// Deleted, or not any more.
    pub closed: Option<bool>,
}

/// Tells `null` from an absent field.
fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl<'a> Checked<'a> {
    /// Reads a draft.
    pub(super) fn new(draft: &'a Draft) -> Self {
        Self {
            draft,
            digest: draft.digest(),
            effect: effect(draft).unwrap_or(Effect::Unreadable),
        }
    }
}

/// What a draft does; `None` when its body does not say.
pub(super) fn effect(draft: &Draft) -> Option<Effect> {
    if draft.body.contains('\0') || draft.kind.as_str().contains('\0') {
        return None;
    }
    Some(match draft.kind {
        EventKind::Join
        | EventKind::Leave
        | EventKind::Kick
        | EventKind::Ban
        | EventKind::Mute
        | EventKind::Role => {
            let change = draft.member_change()?;
            let role = match &change.role {
                Some(word) => Some(Role::parse(word)?),
                None => None,
            };
            Effect::Member(change, role)
        }
        EventKind::Room => {
            let change: RoomChange = serde_json::from_str(&draft.body).ok()?;
            let texts = [change.name.as_ref(), change.topic.iter().flatten().next()];
            // Escaped in the body, it would still be refused in a column of its own.
            if texts.into_iter().flatten().any(|text| text.contains('\0')) {
                return None;
            }
            Effect::Room(change)
        }
        _ => Effect::None,
    })
}

/// What makes two drafts the same one.
pub(super) type Key<'a> = (RoomId, UserId, &'a ClientId);

/// Where a batch and one of its appends' drafts are: indices of both.
pub(super) type Index = (usize, usize);

/// What the database has said so far about the batch.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// Ids that were there before, with the digest of what they name.
    pub taken: HashMap<Key<'a>, (i64, Place)>,
    /// Drafts that the database refuses.
    pub poison: HashSet<Index>,
}

/// An event to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewEvent<'a> {
    /// Which draft of the batch it is.
    pub index: Index,
    /// Whose log.
    pub room: RoomId,
    /// Where it will stand.
    pub place: Place,
    /// What it says.
    pub checked: &'a Checked<'a>,
}

impl<'a> NewEvent<'a> {
    /// What makes it this one.
    pub(super) fn key(&self) -> Key<'a> {
        let draft = self.checked.draft;
        (self.room, draft.from, &draft.client_id)
    }

    /// The same, as the database has it.
    pub(super) fn raw_key(&self) -> (i64, i64, &'a str) {
        let (room, sender, client_id) = self.key();
        (room.raw(), sender.raw(), client_id.as_str())
    }
}

/// What is to become of one append.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Its drafts' fates, if the rows go in.
    Done(Vec<Fate>),
    /// It was decided on old knowledge.
    Stale,
    /// There is no such room.
    NoRoom,
}

/// What is to be written, and what to answer if it could be.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The new events, in order.
    pub rows: Vec<NewEvent<'a>>,
    /// The answers, in the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// Every room of the batch as it is afterwards.
    pub rooms: HashMap<RoomId, RoomFold>,
}

/// Gives every draft that is new its place.
pub(super) fn plan<'a>(
    batch: &[Append],
    checked: &'a [Vec<Checked<'a>>],
    rooms: &HashMap<RoomId, RoomFold>,
    known: &Known<'a>,
    now: i64,
) -> Plan<'a> {
    let mut plan = Plan {
        rows: Vec::with_capacity(checked.iter().map(Vec::len).sum()),
        outcomes: Vec::with_capacity(batch.len()),
        rooms: rooms.clone(),
    };
    let mut planned = HashMap::with_capacity(plan.rows.capacity());
    for (i, (append, drafts)) in batch.iter().zip(checked).enumerate() {
        let Some(fold) = plan.rooms.get_mut(&append.room) else {
            plan.outcomes.push(Outcome::NoRoom);
            continue;
        };
        if !fold.allows(append) {
            plan.outcomes.push(Outcome::Stale);
            continue;
        }
        let mut fates = Vec::with_capacity(drafts.len());
        for (j, draft) in drafts.iter().enumerate() {
            let key = (append.room, draft.draft.from, &draft.draft.client_id);
            let before = known.taken.get(&key).or_else(|| planned.get(&key));
            fates.push(match before {
                Some((digest, place)) if *digest == draft.digest => Fate::Duplicate(*place),
                Some(_) => Fate::Conflict,
                None if is_poison(draft, known, (i, j)) => Fate::Poison,
                None => {
                    let place = fold.take(draft.draft, now);
                    planned.insert(key, (draft.digest, place));
                    plan.rows.push(NewEvent {
                        index: (i, j),
                        room: append.room,
                        place,
                        checked: draft,
                    });
                    Fate::New(place)
                }
            });
        }
        plan.outcomes.push(Outcome::Done(fates));
    }
    plan
}

fn is_poison(draft: &Checked<'_>, known: &Known<'_>, index: Index) -> bool {
    matches!(draft.effect, Effect::Unreadable) || known.poison.contains(&index)
}
