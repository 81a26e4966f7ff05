//! What new events do to rooms, members and mentions, read and written back.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::{Conn, add_mentions, add_sent, lock_members, lock_rooms, save_folds};
use crate::db::fold::{MemberFold, MemberKey, changed_members};
use crate::db::models::MemberRow;
use crate::db::plan::{Effect, NewEvent, RoomChange, RoomFold};
use crate::db::schema::{members, rooms as rows_of_rooms};
use crate::db::{MemberRecord, StoreError};
use crate::ids::RoomId;

/// Most rows in one statement, so that their values stay within SQLite's limit.
const ROWS_PER_STATEMENT: usize = 1000;

/// The numbers of these rooms, kept from changing until the transaction ends.
pub(crate) fn rooms_before(
    conn: &mut Conn,
    rooms: impl Iterator<Item = RoomId>,
) -> Result<HashMap<RoomId, RoomFold>, StoreError> {
    let mut ids: Vec<i64> = rooms.map(RoomId::raw).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = lock_rooms(conn, &ids)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Saves what the new events do. `rooms` are as they are with them, `before` as they were.
pub(crate) fn save(
    conn: &mut Conn,
    new: &[NewEvent<'_>],
    before: &HashMap<RoomId, RoomFold>,
    rooms: &mut HashMap<RoomId, RoomFold>,
) -> Result<(), StoreError> {
    save_members_of(conn, new, rooms)?;
    let mut folds: Vec<_> = rooms
        .iter()
        .filter(|(room, fold)| before.get(room) != Some(fold))
        .map(|(room, fold)| fold.numbers(*room))
        .collect();
    if !folds.is_empty() {
        folds.sort_unstable();
        save_folds(conn, &folds)?;
    }
    for event in new {
        if let Effect::Room(change) = &event.checked.effect {
            change_room(conn, event.room, change)?;
        }
    }
    Ok(())
}

/// Folds the new events into members and mentions, and counts who came and went.
fn save_members_of(
    conn: &mut Conn,
    new: &[NewEvent<'_>],
    rooms: &mut HashMap<RoomId, RoomFold>,
) -> Result<(), StoreError> {
    let changed = changed_members(new);
    let before = members_before(conn, &changed)?;
    let fold = MemberFold::new(&changed, before, new);
    for (room, growth) in &fold.growth {
        if let Some(room) = rooms.get_mut(room) {
            room.members += growth;
        }
    }
    let rows: Vec<MemberRow> = fold
        .members
        .iter()
        .map(|((room, _), member)| MemberRow::new(*room, member))
        .collect();
    for some in rows.chunks(ROWS_PER_STATEMENT) {
        save_members(conn, some)?;
    }
    if !fold.sent.is_empty() {
        let sent: Vec<_> = fold
            .sent
            .iter()
            .map(|((room, user), count)| [room.raw(), user.raw(), *count])
            .collect();
        add_sent(conn, &sent)?;
    }
    if !fold.mentions.is_empty() {
        let mentions: Vec<_> = fold
            .mentions
            .iter()
            .map(|(user, room, seq)| [user.raw(), room.raw(), seq.0])
            .collect();
        add_mentions(conn, &mentions)?;
    }
    Ok(())
}

/// The rows that are about to change.
fn members_before(
    conn: &mut Conn,
    keys: &[MemberKey],
) -> Result<Vec<(RoomId, MemberRecord)>, StoreError> {
    let pairs: Vec<_> = keys
        .iter()
        .map(|(room, user)| [room.raw(), user.raw()])
        .collect();
    let rows = lock_members(conn, &pairs)?.into_iter();
    rows.map(|row| Ok((row.room(), row.try_into()?))).collect()
}

fn save_members(conn: &mut Conn, rows: &[MemberRow]) -> QueryResult<usize> {
    diesel::insert_into(members::table)
        .values(rows)
        .on_conflict((members::room, members::user_id))
        .do_update()
        .set((
            members::role.eq(excluded(members::role)),
            members::seq.eq(excluded(members::seq)),
            members::joined_seq.eq(excluded(members::joined_seq)),
            members::sent.eq(excluded(members::sent)),
            members::read_seq.eq(excluded(members::read_seq)),
            members::read_n.eq(excluded(members::read_n)),
            members::read_own.eq(excluded(members::read_own)),
            members::muted_until.eq(excluded(members::muted_until)),
        ))
        .execute(conn)
}

/// The columns that a `room` event may change; `None` leaves one as it is.
#[derive(AsChangeset)]
#[diesel(table_name = rows_of_rooms)]
struct RoomColumns<'a> {
    name: Option<&'a str>,
    name_key: Option<String>,
    topic: Option<Option<&'a str>>,
    capacity: Option<Option<i64>>,
    closed: Option<bool>,
}

/// An empty topic is none.
fn topic_of(topic: Option<&str>) -> Option<&str> {
    topic.filter(|topic| !topic.is_empty())
}

/// A limit of no members is none.
fn limit_of(capacity: Option<i64>) -> Option<i64> {
    capacity.filter(|capacity| *capacity > 0)
}

fn change_room(conn: &mut Conn, room: RoomId, change: &RoomChange) -> QueryResult<()> {
    if *change == RoomChange::default() {
        return Ok(());
    }
    diesel::update(rows_of_rooms::table.find(room.raw()))
        .set(RoomColumns {
            name: change.name.as_deref(),
            name_key: change.name.as_deref().map(str::to_lowercase),
            topic: change
                .topic
                .as_ref()
                .map(|topic| topic_of(topic.as_deref())),
            capacity: change.capacity.map(limit_of),
            closed: change.closed,
        })
        .execute(conn)
        .map(drop)
}
