//! What only SQLite says so: one prepared statement per event, sets of numbers as JSON.

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use super::StoreError;
use super::fault::is_refusal;
use super::models::{FoldRow, MemberRow, NewEventRow};
use super::plan::NewEvent;
use super::schema;

#[path = "queries/append.rs"]
pub(super) mod append;
#[path = "queries/backend.rs"]
pub(super) mod backend;
#[path = "queries/events.rs"]
pub(super) mod events;
#[path = "queries/logins.rs"]
pub(super) mod logins;
#[path = "queries/rooms.rs"]
pub(super) mod rooms;
#[path = "queries/users.rs"]
pub(super) mod users;

/// The connection that the shared query files speak to.
pub(super) type Conn = SqliteConnection;

/// Runs a transaction that writes: it waits for its turn before it reads anything.
pub(super) fn write<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.immediate_transaction(work)
}

/// Runs a transaction that reads, and sees one moment.
pub(super) fn read<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.transaction(work)
}

/// The rooms' numbers; the transaction is the only one that writes.
pub(super) fn lock_rooms(conn: &mut Conn, ids: &[i64]) -> QueryResult<Vec<FoldRow>> {
    schema::rooms::table
        .filter(schema::rooms::id.eq_any(ids))
        .select(FoldRow::as_select())
        .load(conn)
}

/// The standing of these people in these rooms.
pub(super) fn lock_members(
    conn: &mut Conn,
    rooms: &[i64],
    users: &[i64],
) -> QueryResult<Vec<MemberRow>> {
    schema::members::table
        .filter(schema::members::room.eq_any(rooms))
        .filter(schema::members::user_id.eq_any(users))
        .select(MemberRow::as_select())
        .load(conn)
}

/// Writes events; stops at one that is there already.
pub(super) fn insert_events(conn: &mut Conn, new: &[NewEvent<'_>]) -> QueryResult<()> {
    for event in new {
        diesel::insert_into(schema::events::table)
            .values(NewEventRow::from(event))
            .execute(conn)?;
    }
    Ok(())
}

/// Is it the event's content that is refused?
pub(crate) fn refuses(_conn: &mut Conn, _event: &NewEvent<'_>, error: &Error) -> QueryResult<bool> {
    Ok(is_refusal(error))
}

/// Runs a statement about many rows of numbers: one JSON list of lists.
fn numbers<const N: usize>(conn: &mut Conn, sql: &str, rows: &[[i64; N]]) -> QueryResult<usize> {
    let rows: Vec<&[i64]> = rows.iter().map(<[i64; N]>::as_slice).collect();
    let json =
        serde_json::to_string(&rows).map_err(|error| Error::SerializationError(error.into()))?;
    sql_query(sql).bind::<Text, _>(json).execute(conn)
}

/// Writes rooms' numbers back.
pub(super) fn save_folds(conn: &mut Conn, folds: &[[i64; 9]]) -> QueryResult<usize> {
    numbers(
        conn,
        "UPDATE rooms SET head = new.value ->> 1, messages = new.value ->> 2, \
         last_message = new.value ->> 3, rights_seq = new.value ->> 4, \
         membership_seq = new.value ->> 5, newest_id_at = new.value ->> 6, \
         members = new.value ->> 7, changed_at = new.value ->> 8 \
         FROM json_each(?) AS new WHERE rooms.id = new.value ->> 0",
        folds,
    )
}

/// Adds to members' counts of messages: room, user, how many.
pub(super) fn add_sent(conn: &mut Conn, sent: &[[i64; 3]]) -> QueryResult<usize> {
    numbers(
        conn,
        "UPDATE members SET sent = sent + (new.value ->> 2) FROM json_each(?) AS new \
         WHERE room = new.value ->> 0 AND user_id = new.value ->> 1",
        sent,
    )
}

/// Notes who was called by name where, if they are there: user, room, place.
pub(super) fn add_mentions(conn: &mut Conn, mentions: &[[i64; 3]]) -> QueryResult<usize> {
    numbers(
        conn,
        "INSERT INTO mentions (user_id, room, seq) \
         SELECT new.value ->> 0, new.value ->> 1, new.value ->> 2 FROM json_each(?) AS new \
         WHERE EXISTS (SELECT 1 FROM members WHERE members.room = new.value ->> 1 \
         AND members.user_id = new.value ->> 0 AND members.role IS NOT NULL) \
         ON CONFLICT DO NOTHING",
        mentions,
    )
}

/// Moves marks forward: room, user, and the mark's three numbers.
pub(super) fn move_marks(conn: &mut Conn, marks: &[[i64; 5]]) -> QueryResult<usize> {
    numbers(
        conn,
        "UPDATE members SET read_seq = new.value ->> 2, read_n = new.value ->> 3, \
         read_own = new.value ->> 4 FROM json_each(?) AS new \
         WHERE room = new.value ->> 0 AND user_id = new.value ->> 1 \
         AND read_seq < new.value ->> 2",
        marks,
    )
}
