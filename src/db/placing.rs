//! What a batch of events that have their places already comes to, decided without a
//! database: which are new, which stand already, and which rooms are in trouble.

use std::collections::HashMap;

use super::plan::{Checked, NewEvent, RoomFold};
use super::{Placed, Written};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{Draft, EventKind};

/// What tells the event that stands at a number from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Who did it.
    pub sender: UserId,
    /// Its name.
    pub client_id: String,
    /// What it is.
    pub kind: String,
}

impl Standing {
    /// Is it this draft, or what took its place at an earlier try?
    fn is(&self, draft: &Draft, room: RoomId, seq: Seq) -> bool {
        if self.sender != draft.from {
            return false;
        }
        if self.client_id == draft.client_id.as_str() {
            return self.kind == draft.kind.as_str();
        }
        self.kind == EventKind::Void.as_str()
            && self.client_id == draft.stand_in_id(room, seq).as_str()
    }
}

/// What stands where.
pub(super) type Standings = HashMap<(RoomId, Seq), Standing>;

/// What is to be written, and what to answer if it could be.
#[derive(Debug)]
pub(super) struct Placement<'a> {
    /// The new events, by room and number; `index` says where in the batch they are.
    pub rows: Vec<NewEvent<'a>>,
    /// The answers, in the order of the batch; what is new is not in them yet.
    pub answers: Vec<Written>,
    /// Every room of the batch as it is afterwards.
    pub rooms: HashMap<RoomId, RoomFold>,
}

/// The stretches of each log that the batch overlaps with: room, first, last.
pub(super) fn overlaps(batch: &[Placed], rooms: &HashMap<RoomId, RoomFold>) -> Vec<[i64; 3]> {
    let overlap = |placed: &Placed| {
        let head = rooms.get(&placed.room)?.head;
        let first = placed.events.first()?.seq();
        let last = placed.events.last()?.seq().min(head);
        (first <= last).then_some([placed.room.raw(), first.0, last.0])
    };
    batch.iter().filter_map(overlap).collect()
}

/// Finds out which events are new. `checked` are those to be written, in the shape of the
/// batch: a placeholder differs from what the batch has.
pub(super) fn place<'a>(
    batch: &[Placed],
    checked: &'a [Vec<Checked<'a>>],
    rooms: &HashMap<RoomId, RoomFold>,
    standing: &Standings,
) -> Placement<'a> {
    let mut placement = Placement {
        rows: Vec::with_capacity(checked.iter().map(Vec::len).sum()),
        answers: vec![Written::NoRoom; batch.len()],
        rooms: rooms.clone(),
    };
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by_key(|i| (batch[*i].room, batch[*i].events.first().map(|e| e.seq())));
    for i in order {
        if let Some(answer) = placement.extend(i, &batch[i], &checked[i], standing) {
            placement.answers[i] = answer;
        }
    }
    placement
}

impl<'a> Placement<'a> {
    /// Goes along one room's events. `None` when there is no such room.
    fn extend(
        &mut self,
        i: usize,
        placed: &Placed,
        checked: &'a [Checked<'a>],
        standing: &Standings,
    ) -> Option<Written> {
        let before = *self.rooms.get(&placed.room)?;
        let mut fold = before;
        let start = self.rows.len();
        for (j, (event, checked)) in placed.events.iter().zip(checked).enumerate() {
            let seq = event.seq();
            if seq <= before.head {
                if !self.stands(placed.room, seq, &event.draft, standing) {
                    self.rows.truncate(start);
                    let head = before.head;
                    return Some(Written::Conflict { at: seq, head });
                }
                continue;
            }
            if seq != fold.head.next() {
                if j == 0 {
                    return Some(Written::Behind { head: before.head });
                }
                break;
            }
            fold.fold(checked.draft, event.place);
            self.rows.push(NewEvent {
                index: (i, j),
                room: placed.room,
                place: event.place,
                checked,
            });
        }
        self.rooms.insert(placed.room, fold);
        Some(Written::Done {
            head: fold.head,
            new: Vec::new(),
            poisoned: Vec::new(),
        })
    }

    /// Is it this event that stands there, in the database or by this batch?
    fn stands(&self, room: RoomId, seq: Seq, draft: &Draft, standing: &Standings) -> bool {
        if let Some(there) = standing.get(&(room, seq)) {
            return there.is(draft, room, seq);
        }
        let planned = self.rows.iter().rev();
        let mut planned = planned.filter(|row| row.room == room && row.place.seq == seq);
        planned.next().is_some_and(|row| {
            let there = row.checked.draft;
            let there = Standing {
                sender: there.from,
                client_id: there.client_id.as_str().to_owned(),
                kind: there.kind.as_str().to_owned(),
            };
            there.is(draft, room, seq)
        })
    }
}
