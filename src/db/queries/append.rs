//! The log's one write: places for drafts, and what follows for rooms and members.
//!
//! The rows go in on the assumption that no id repeats. Only when the database shows that
//! the assumption was wrong does anyone look closer, and plan again.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::result::Error::RollbackTransaction;
use diesel::upsert::excluded;

use super::{
    Conn, add_mentions, add_sent, events, find_events, insert_events, lock_members, lock_rooms,
    refuses, save_folds, write,
};
use crate::db::fault::{is_taken, may_be_refusal};
use crate::db::fold::{MemberFold, MemberKey, changed_members};
use crate::db::models::MemberRow;
use crate::db::plan::{
    Checked, Effect, Index, Known, NewEvent, Outcome, Plan, RoomChange, RoomFold, plan,
};
use crate::db::schema::{members, rooms};
use crate::db::{Append, Appended, MemberRecord, Range, Select, StoreError};
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

/// Most events that a stale append is answered with.
const NEWER_EVENTS: usize = 200;
/// Most rows in one statement, so that their values stay within SQLite's limit.
const ROWS_PER_STATEMENT: usize = 1000;

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
        let mut ids: Vec<i64> = batch.iter().map(|append| append.room.raw()).collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = lock_rooms(conn, &ids)?;
        let rooms = rows.into_iter().map(Into::into).collect();
        let mut planned = insert(conn, batch, &checked, rooms, now)?;
        fold_members(conn, &mut planned)?;
        save_rooms(conn, &planned)?;
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
                known.poison.extend(poison);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads on where a log is ahead of its room's row, as after a restore in part: one room in
/// disorder must not keep the others from writing. Was there any?
fn catch_up(conn: &mut Conn, rooms: &mut HashMap<RoomId, RoomFold>) -> Result<bool, StoreError> {
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

fn events_after(conn: &mut Conn, room: RoomId, seq: Seq) -> Result<Vec<Event>, StoreError> {
    let range = Range::After(seq);
    events::events(conn, room, range, Seq::ZERO, Select::All, NEWER_EVENTS)
}

/// Writes all rows, or none.
fn attempt(conn: &mut Conn, rows: &[NewEvent<'_>]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    conn.transaction(|conn| insert_events(conn, rows))
}

/// Learns which of these ids are in the log already.
fn look_up<'a>(
    conn: &mut Conn,
    rows: &[NewEvent<'a>],
    known: &mut Known<'a>,
) -> Result<(), StoreError> {
    let keys: HashMap<_, _> = rows.iter().map(|row| (row.raw_key(), row.key())).collect();
    for taken in find_events(conn, rows)? {
        if let Some(key) = keys.get(&taken.raw_key()) {
            known.taken.insert(*key, taken.taken());
        }
    }
    Ok(())
}

/// Finds, by halving, the rows that the database refuses even alone.
fn find_poison(conn: &mut Conn, rows: &[NewEvent<'_>]) -> Result<Vec<Index>, StoreError> {
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
            Ok(vec![row.index])
        }
        Err(_) => {
            let (left, right) = rows.split_at(rows.len() / 2);
            let mut poison = find_poison(conn, left)?;
            poison.extend(find_poison(conn, right)?);
            Ok(poison)
        }
    }
}

/// Folds the new events into members and mentions, and their numbers into the rooms.
fn fold_members(conn: &mut Conn, planned: &mut Plan<'_>) -> Result<(), StoreError> {
    let changed = changed_members(&planned.rows);
    let before = members_before(conn, &changed)?;
    let fold = MemberFold::new(&changed, before, &planned.rows);
    for (room, growth) in &fold.growth {
        if let Some(room) = planned.rooms.get_mut(room) {
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

/// Writes back the rooms that have grown, and what `room` events changed in them.
fn save_rooms(conn: &mut Conn, planned: &Plan<'_>) -> Result<(), StoreError> {
    let mut grown: Vec<RoomId> = planned.rows.iter().map(|row| row.room).collect();
    grown.sort_unstable();
    grown.dedup();
    let folds: Vec<_> = grown
        .iter()
        .filter_map(|room| planned.rooms.get(room).map(|fold| fold.numbers(*room)))
        .collect();
    if !folds.is_empty() {
        save_folds(conn, &folds)?;
    }
    for row in &planned.rows {
        if let Effect::Room(change) = &row.checked.effect {
            change_room(conn, row.room, change)?;
        }
    }
    Ok(())
}

/// The columns that a `room` event may change; `None` leaves one as it is.
#[derive(AsChangeset)]
#[diesel(table_name = rooms)]
struct RoomColumns<'a> {
    name: Option<&'a str>,
    name_key: Option<String>,
    topic: Option<Option<&'a str>>,
    capacity: Option<Option<i64>>,
    closed: Option<bool>,
}

fn change_room(conn: &mut Conn, room: RoomId, change: &RoomChange) -> QueryResult<()> {
    if *change == RoomChange::default() {
        return Ok(());
    }
    diesel::update(rooms::table.find(room.raw()))
        .set(RoomColumns {
            name: change.name.as_deref(),
            name_key: change.name.as_deref().map(str::to_lowercase),
            topic: change.topic.as_ref().map(Option::as_deref),
            capacity: change.capacity,
            closed: change.closed,
        })
        .execute(conn)
        .map(drop)
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
