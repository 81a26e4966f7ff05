//! The log's other write: events that a hot log has given their places.
//!
//! As with appends, the rows go in on the assumption that nothing is wrong with them. Only
//! when the database shows otherwise does anyone look closer, and put placeholders.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::inserting::{attempt, catch_up, find_poison};
use super::{Conn, find_events, folding, hold_life, stretches, write};
use crate::clock;
use crate::db::fault::{is_taken, may_be_refusal};
use crate::db::models::NewEventRow;
use crate::db::placing::{Placement, Standings, overlaps, place};
use crate::db::plan::{Checked, Index, NewEvent, RoomFold, effect};
use crate::db::schema::dead_letters;
use crate::db::{Placed, StoreError, WriteError, Written};
use crate::ids::RoomId;
use crate::protocol::{Draft, Event, Voided};

/// A placeholder, and if the event is lost, why.
struct StandIn {
    draft: Draft,
    reason: Option<String>,
}

type StandIns = HashMap<Index, StandIn>;

/// See [`crate::db::Store::write`].
pub(crate) fn write_back(
    conn: &mut Conn,
    life: &str,
    batch: &[Placed],
) -> Result<Vec<Written>, WriteError> {
    let answers = write(conn, |conn| {
        let current = hold_life(conn)?;
        if current.as_deref() != Some(life) {
            return Ok(Err(WriteError::Fenced { current }));
        }
        let before = folding::rooms_before(conn, batch.iter().map(|placed| placed.room))?;
        insert(conn, batch, &before).map(Ok)
    });
    answers?
}

/// Writes, and finds placeholders, until all of it goes in.
fn insert(
    conn: &mut Conn,
    batch: &[Placed],
    before: &HashMap<RoomId, RoomFold>,
) -> Result<Vec<Written>, StoreError> {
    let mut rooms = before.clone();
    let mut stand_ins = unreadable(batch);
    loop {
        let standing = standing(conn, batch, &rooms)?;
        let checked = check(batch, &stand_ins);
        let mut placement = place(batch, &checked, &rooms, &standing);
        let Err(error) = attempt(conn, &placement.rows) else {
            set_aside(conn, batch, &placement.rows, &stand_ins)?;
            folding::save(conn, &placement.rows, before, &mut placement.rooms)?;
            return Ok(answer(placement, &stand_ins));
        };
        if !is_taken(&error) && !may_be_refusal(&error) {
            return Err(error.into());
        }
        let mut found = repeats(conn, &placement.rows)?;
        if found.is_empty() && is_taken(&error) {
            if !catch_up(conn, &mut rooms)? {
                return Err(error.into());
            }
            continue;
        }
        if found.is_empty() {
            let poison = find_poison(conn, &placement.rows)?;
            found.extend(poison.into_iter().map(|(index, why)| (index, Some(why))));
        }
        // What cannot even be replaced is an outage: the batch is tried again as it is.
        let new = found
            .iter()
            .any(|(index, _)| !stand_ins.contains_key(index));
        if !new {
            return Err(error.into());
        }
        for (index, reason) in found {
            stand_ins.insert(index, stand_in(batch, index, reason));
        }
    }
}

/// What stands at the numbers that the batch has already.
fn standing(
    conn: &mut Conn,
    batch: &[Placed],
    rooms: &HashMap<RoomId, RoomFold>,
) -> Result<Standings, StoreError> {
    let keys = overlaps(batch, rooms);
    if keys.is_empty() {
        return Ok(Standings::new());
    }
    let rows = stretches(conn, &keys)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Every event of the batch as it is to be written.
fn check<'a>(batch: &'a [Placed], stand_ins: &'a StandIns) -> Vec<Vec<Checked<'a>>> {
    let drafts = |(i, placed): (usize, &'a Placed)| {
        let events = placed.events.iter().enumerate();
        let draft = events.map(|(j, event)| match stand_ins.get(&(i, j)) {
            Some(stand_in) => Checked::new(&stand_in.draft),
            None => Checked::new(&event.draft),
        });
        draft.collect()
    };
    batch.iter().enumerate().map(drafts).collect()
}

/// Events that make no sense, and are lost before the database sees them.
fn unreadable(batch: &[Placed]) -> StandIns {
    let mut found = StandIns::new();
    for (i, placed) in batch.iter().enumerate() {
        for (j, event) in placed.events.iter().enumerate() {
            if effect(&event.draft).is_none() {
                let reason = "its body does not say what its kind has to say".to_owned();
                found.insert((i, j), stand_in(batch, (i, j), Some(reason)));
            }
        }
    }
    found
}

/// The placeholder of an event: one that is lost for this reason, or one that repeats.
fn stand_in(batch: &[Placed], (i, j): Index, reason: Option<String>) -> StandIn {
    let event = &batch[i].events[j];
    let why = if reason.is_some() {
        Voided::Lost
    } else {
        Voided::Repeats
    };
    StandIn {
        draft: event.draft.stand_in(batch[i].room, event.seq(), why),
        reason,
    }
}

/// Rows whose ids stand at another number, in the database or earlier in the batch.
fn repeats(
    conn: &mut Conn,
    rows: &[NewEvent<'_>],
) -> Result<Vec<(Index, Option<String>)>, StoreError> {
    let keys: Vec<_> = rows.iter().map(NewEvent::raw_key).collect();
    let taken = find_events(conn, &keys)?;
    let mut seen: HashSet<_> = taken.iter().map(|row| row.raw_key()).collect();
    let repeated = rows.iter().filter(|row| !seen.insert(row.raw_key()));
    Ok(repeated.map(|row| (row.index, None)).collect())
}

/// Keeps what was lost, in the transaction that writes its placeholder.
fn set_aside(
    conn: &mut Conn,
    batch: &[Placed],
    rows: &[NewEvent<'_>],
    stand_ins: &StandIns,
) -> Result<(), StoreError> {
    for row in rows {
        let Some(reason) = stand_ins.get(&row.index).and_then(|s| s.reason.as_ref()) else {
            continue;
        };
        let (room, seq) = (row.room, row.place.seq);
        log::error!("room={room} seq={seq} an event is set aside: {reason}");
        let checked = Checked::new(&batch[row.index.0].events[row.index.1].draft);
        let original = NewEvent {
            checked: &checked,
            ..*row
        };
        let event = serde_json::to_string(&NewEventRow::from(&original))
            .map_err(|error| StoreError::Refused(error.to_string()))?;
        diesel::insert_into(dead_letters::table)
            .values((
                dead_letters::room.eq(room.raw()),
                dead_letters::seq.eq(seq.0),
                dead_letters::at.eq(clock::now_ms()),
                dead_letters::reason.eq(reason),
                dead_letters::event.eq(event),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
    }
    Ok(())
}

/// The answers, with what is new in them.
fn answer(placement: Placement<'_>, stand_ins: &StandIns) -> Vec<Written> {
    let mut answers = placement.answers;
    for row in placement.rows {
        if let Written::Done { new, poisoned, .. } = &mut answers[row.index.0] {
            if stand_ins
                .get(&row.index)
                .is_some_and(|s| s.reason.is_some())
            {
                poisoned.push(row.place.seq);
            }
            new.push(Event {
                room: row.room,
                place: row.place,
                draft: row.checked.draft.clone(),
            });
        }
    }
    answers
}
