//! The log's one write: places for drafts, and what follows for rooms and members.
//!
//! The rows go in on the assumption that no id repeats. Only when the database shows that
//! the assumption was wrong does anyone look closer, and plan again.

use std::collections::HashMap;

use super::inserting::{attempt, catch_up, events_after, find_poison};
use super::{Conn, find_events, folding, write};
use crate::db::fault::{is_taken, may_be_refusal};
use crate::db::plan::{Checked, Known, NewEvent, Outcome, Plan, RoomFold, plan};
use crate::db::{Append, Appended, StoreError};
use crate::ids::RoomId;

/// See [`crate::db::Store::append`].
pub(crate) fn append(
    conn: &mut Conn,
    batch: &[Append],
    now: i64,
) -> Result<Vec<Appended>, StoreError> {
    let checked: Vec<Vec<Checked<'_>>> = batch
        .iter()
        .map(|append| append.drafts.iter().map(Checked::new).collect())
        .collect();
    write(conn, |conn| {
        let before = folding::rooms_before(conn, batch.iter().map(|append| append.room))?;
        let mut planned = insert(conn, batch, &checked, before.clone(), now)?;
        folding::save(conn, &planned.rows, &before, &mut planned.rooms)?;
        answer(conn, batch, planned)
    })
}

/// Plans and writes, until what was planned is what went in.
fn insert<'a>(
    conn: &mut Conn,
    batch: &[Append],
    checked: &'a [Vec<Checked<'a>>],
    mut rooms: HashMap<RoomId, RoomFold>,
    now: i64,
) -> Result<Plan<'a>, StoreError> {
    let mut known = Known::default();
    loop {
        let planned = plan(batch, checked, &rooms, &known, now);
        match attempt(conn, &planned.rows) {
            Ok(()) => return Ok(planned),
            Err(error) if is_taken(&error) || may_be_refusal(&error) => {
                let before = known.taken.len();
                look_up(conn, &planned.rows, &mut known)?;
                if known.taken.len() > before {
                    continue;
                }
                if is_taken(&error) {
                    if catch_up(conn, &mut rooms)? {
                        continue;
                    }
                    return Err(error.into());
                }
                // Every id is new: what is refused now is refused for its content.
                let poison = find_poison(conn, &planned.rows)?;
                if poison.is_empty() {
                    return Err(error.into());
                }
                known
                    .poison
                    .extend(poison.into_iter().map(|(index, _)| index));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Learns which of these ids are in the log already.
fn look_up<'a>(
    conn: &mut Conn,
    rows: &[NewEvent<'a>],
    known: &mut Known<'a>,
) -> Result<(), StoreError> {
    let keys: HashMap<_, _> = rows.iter().map(|row| (row.raw_key(), row.key())).collect();
    let wanted: Vec<_> = keys.keys().copied().collect();
    for taken in find_events(conn, &wanted)? {
        if let Some(key) = keys.get(&taken.raw_key()) {
            known.taken.insert(*key, taken.taken());
        }
    }
    Ok(())
}

fn answer(
    conn: &mut Conn,
    batch: &[Append],
    planned: Plan<'_>,
) -> Result<Vec<Appended>, StoreError> {
    let Plan {
        outcomes, rooms, ..
    } = planned;
    let answers = batch.iter().zip(outcomes).map(|(append, outcome)| {
        Ok(match outcome {
            Outcome::Done(fates) => Appended::Done(fates),
            Outcome::NoRoom => Appended::NoRoom,
            Outcome::Stale => Appended::Stale {
                newer: events_after(conn, append.room, append.basis.head)?,
                head: rooms
                    .get(&append.room)
                    .map_or(append.basis.head, |fold| fold.head),
            },
        })
    });
    answers.collect()
}
