//! Rows into the log, and why it does not take them.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::result::Error::RollbackTransaction;

use super::{Conn, events, insert_events, refuses};
use crate::db::fault::may_be_refusal;
use crate::db::plan::{Index, NewEvent, RoomFold};
use crate::db::{Range, Select, StoreError};
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// Most events that are read at once.
const NEWER_EVENTS: usize = 200;

/// Reads on where a log is ahead of its room's row, as after a restore in part: one room in
/// disorder must not keep the others from writing. Was there any?
pub(crate) fn catch_up(
    conn: &mut Conn,
    rooms: &mut HashMap<RoomId, RoomFold>,
) -> Result<bool, StoreError> {
    let mut any = false;
    for (room, fold) in rooms {
        loop {
            let newer = events_after(conn, *room, fold.head)?;
            if newer.is_empty() {
                break;
            }
            log::error!(
                "room={room} seq={} the log is ahead of the room's row",
                fold.head
            );
            any = true;
            for event in newer {
                fold.fold(&event.draft, event.place);
            }
        }
    }
    Ok(any)
}

/// What a room's log holds behind a place, a page of it.
pub(crate) fn events_after(
    conn: &mut Conn,
    room: RoomId,
    seq: Seq,
) -> Result<Vec<Event>, StoreError> {
    let range = Range::After(seq);
    events::events(conn, room, range, Seq::ZERO, Select::All, NEWER_EVENTS)
}

/// Writes all rows, or none.
pub(crate) fn attempt(conn: &mut Conn, rows: &[NewEvent<'_>]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    conn.transaction(|conn| insert_events(conn, rows))
}

/// Finds, by halving, the rows that the database refuses even alone, and why.
pub(crate) fn find_poison(
    conn: &mut Conn,
    rows: &[NewEvent<'_>],
) -> Result<Vec<(Index, String)>, StoreError> {
    let tried = conn.transaction::<(), _, _>(|conn| {
        insert_events(conn, rows)?;
        // It was only a question.
        Err(RollbackTransaction)
    });
    match tried {
        Err(RollbackTransaction) | Ok(()) => Ok(Vec::new()),
        Err(error) if !may_be_refusal(&error) => Err(error.into()),
        Err(error) if rows.len() == 1 => {
            let row = &rows[0];
            if !refuses(conn, row, &error)? {
                return Err(error.into());
            }
            log::warn!(
                "room={} user={} client_id={} the database refuses an event: {error}",
                row.room,
                row.checked.draft.from,
                row.checked.draft.client_id
            );
            Ok(vec![(row.index, error.to_string())])
        }
        Err(_) => {
            let (left, right) = rows.split_at(rows.len() / 2);
            let mut poison = find_poison(conn, left)?;
            poison.extend(find_poison(conn, right)?);
            Ok(poison)
        }
    }
}
