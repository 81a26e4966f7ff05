//! Reading the log, and the marks that stand in it.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;

use super::{Conn, find_events, lock_rooms, move_marks, read, write};
use crate::db::models::EventRow;
use crate::db::schema::{events as entries, members, rooms};
use crate::db::{Mark, Range, Select, StoreError};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{ClientId, Event, EventKind, Place};

/// See [`crate::db::Store::events`].
pub(crate) fn events(
    conn: &mut Conn,
    room: RoomId,
    range: Range,
    floor: Seq,
    select: Select,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = entries::table
        .filter(entries::room.eq(room.raw()))
        .filter(entries::seq.ge(floor.0))
        .select(EventRow::as_select())
        .limit(limit)
        .into_boxed();
    if select == Select::Messages {
        query = query.filter(entries::kind.eq(EventKind::Message.as_str()));
    }
    query = match range {
        Range::Before(seq) => query
            .filter(entries::seq.lt(seq.0))
            .order(entries::seq.desc()),
        Range::After(seq) => query
            .filter(entries::seq.gt(seq.0))
            .order(entries::seq.asc()),
    };
    let mut rows = query.load(conn)?;
    if matches!(range, Range::Before(_)) {
        rows.reverse();
    }
    rows.into_iter().map(Event::try_from).collect()
}

/// See [`crate::db::Store::find`].
pub(crate) fn find(
    conn: &mut Conn,
    room: RoomId,
    ids: &[(UserId, ClientId)],
) -> Result<Vec<Option<(i64, Place)>>, StoreError> {
    let key = |(user, id): &(UserId, ClientId)| (user.raw(), id.as_str().to_owned());
    let keys: Vec<_> = ids
        .iter()
        .map(|(user, id)| (room.raw(), user.raw(), id.as_str()))
        .collect();
    let mut found = HashMap::with_capacity(ids.len());
    for row in find_events(conn, &keys)? {
        let (_, sender, client_id) = row.raw_key();
        found.insert((sender, client_id.to_owned()), row.taken());
    }
    Ok(ids.iter().map(|id| found.get(&key(id)).copied()).collect())
}

/// See [`crate::db::Store::mark_at`].
///
/// Own messages are counted from whichever known place is nearer: the mark that is there,
/// or the head.
pub(crate) fn mark_at(
    conn: &mut Conn,
    room: RoomId,
    user: UserId,
    seq: Seq,
) -> Result<Mark, StoreError> {
    read(conn, |conn| {
        let (head, messages): (i64, i64) = rooms::table
            .find(room.raw())
            .select((rooms::head, rooms::messages))
            .first(conn)?;
        let (sent, read_seq, read_own) = members::table
            .find((room.raw(), user.raw()))
            .select((members::sent, members::read_seq, members::read_own))
            .first(conn)
            .optional()?
            .unwrap_or((0, 0, 0));
        if seq.0 >= head {
            return Ok(Mark {
                read: Seq(head),
                n: messages,
                own: sent,
            });
        }
        let n = entries::table
            .find((room.raw(), seq.0))
            .select(entries::n)
            .first(conn)
            .optional()?
            .unwrap_or(0);
        let own = if seq.0 >= read_seq && seq.0 - read_seq < head - seq.0 {
            read_own + own_messages(conn, room, user, read_seq, seq.0)?
        } else {
            sent - own_messages(conn, room, user, seq.0, head)?
        };
        Ok(Mark { read: seq, n, own })
    })
}

/// How many messages somebody wrote behind `after`, up to `until`.
fn own_messages(
    conn: &mut Conn,
    room: RoomId,
    user: UserId,
    after: i64,
    until: i64,
) -> QueryResult<i64> {
    entries::table
        .filter(entries::room.eq(room.raw()))
        .filter(entries::seq.gt(after).and(entries::seq.le(until)))
        .filter(entries::sender.eq(user.raw()))
        .filter(entries::kind.eq(EventKind::Message.as_str()))
        .count()
        .get_result(conn)
}

/// See [`crate::db::Store::save_marks`].
pub(crate) fn save_marks(
    conn: &mut Conn,
    marks: &[(RoomId, UserId, Mark)],
) -> Result<(), StoreError> {
    let mut furthest: BTreeMap<(RoomId, UserId), Mark> = BTreeMap::new();
    for (room, user, mark) in marks {
        let known = furthest.entry((*room, *user)).or_insert(*mark);
        if known.read < mark.read {
            *known = *mark;
        }
    }
    let mut ids: Vec<i64> = furthest.keys().map(|(room, _)| room.raw()).collect();
    ids.dedup();
    let rows: Vec<_> = furthest
        .into_iter()
        .map(|((room, user), mark)| [room.raw(), user.raw(), mark.read.0, mark.n, mark.own])
        .collect();
    write(conn, |conn| {
        // In the order in which an append takes them: neither waits for the other in a circle.
        lock_rooms(conn, &ids)?;
        move_marks(conn, &rows)?;
        Ok(())
    })
}
