//! What only SQLite says so: one prepared statement per event, sets of numbers as JSON.

use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::result::Error;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteConnection};
use serde::Serialize;

use super::StoreError;
use super::fault::is_refusal;
use super::models::{FoldRow, MemberRow, NewEventRow, StandingRow, TakenRow};
use super::plan::NewEvent;
use super::schema;

#[path = "queries/append.rs"]
pub(super) mod append;
#[path = "queries/backend.rs"]
pub(super) mod backend;
#[path = "queries/events.rs"]
pub(super) mod events;
#[path = "queries/folding.rs"]
pub(super) mod folding;
#[path = "queries/inserting.rs"]
pub(super) mod inserting;
#[path = "queries/lives.rs"]
pub(super) mod lives;
#[path = "queries/logins.rs"]
pub(super) mod logins;
#[path = "queries/matching.rs"]
pub(super) mod matching;
#[path = "queries/rooms.rs"]
pub(super) mod rooms;
#[path = "queries/settings.rs"]
pub(super) mod settings;
#[path = "queries/users.rs"]
pub(super) mod users;
#[path = "queries/write_back.rs"]
pub(super) mod write_back;

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
pub(super) fn lock_members(conn: &mut Conn, keys: &[[i64; 2]]) -> QueryResult<Vec<MemberRow>> {
    numbers(
        "SELECT members.* FROM json_each(?) AS key JOIN members \
         ON members.room = key.value ->> 0 AND members.user_id = key.value ->> 1",
        keys,
    )
    .load(conn)
}

/// The events that have these ids: room, sender, `client_id`.
pub(super) fn find_events(
    conn: &mut Conn,
    keys: &[(i64, i64, &str)],
) -> QueryResult<Vec<TakenRow>> {
    listed(
        "SELECT events.* FROM json_each(?) AS key JOIN events ON events.room = key.value ->> 0 \
         AND events.sender = key.value ->> 1 AND events.client_id = key.value ->> 2",
        keys,
    )
    .load(conn)
}

/// The events that stand at these numbers: room, first, last.
pub(super) fn stretches(conn: &mut Conn, keys: &[[i64; 3]]) -> QueryResult<Vec<StandingRow>> {
    numbers(
        "SELECT events.* FROM json_each(?) AS key JOIN events ON events.room = key.value ->> 0 \
         AND events.seq BETWEEN key.value ->> 1 AND key.value ->> 2",
        keys,
    )
    .load(conn)
}

/// The present life; the transaction is the only one that writes.
pub(super) fn hold_life(conn: &mut Conn) -> QueryResult<Option<String>> {
    schema::lives::table
        .select(schema::lives::name)
        .first(conn)
        .optional()
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
pub(super) fn refuses(_conn: &mut Conn, _event: &NewEvent<'_>, error: &Error) -> QueryResult<bool> {
    Ok(is_refusal(error))
}

/// A statement about many rows: one JSON list of lists.
fn listed(sql: &str, rows: &[impl Serialize]) -> BoxedSqlQuery<'static, Sqlite, SqlQuery> {
    // Numbers and text always have a JSON form.
    let json = serde_json::to_string(rows).unwrap_or_default();
    sql_query(sql).into_boxed().bind::<Text, _>(json)
}

/// A statement about many rows of numbers.
fn numbers<const N: usize>(
    sql: &str,
    rows: &[[i64; N]],
) -> BoxedSqlQuery<'static, Sqlite, SqlQuery> {
    let rows: Vec<&[i64]> = rows.iter().map(<[i64; N]>::as_slice).collect();
    listed(sql, &rows)
}

/// Writes rooms' numbers back.
pub(super) fn save_folds(conn: &mut Conn, folds: &[[i64; 9]]) -> QueryResult<usize> {
    numbers(
        "UPDATE rooms SET head = new.value ->> 1, messages = new.value ->> 2, \
         last_message = new.value ->> 3, rights_seq = new.value ->> 4, \
         membership_seq = new.value ->> 5, newest_id_at = new.value ->> 6, \
         members = new.value ->> 7, changed_at = new.value ->> 8 \
         FROM json_each(?) AS new WHERE rooms.id = new.value ->> 0",
        folds,
    )
    .execute(conn)
}

/// Adds to members' counts of messages: room, user, how many.
pub(super) fn add_sent(conn: &mut Conn, sent: &[[i64; 3]]) -> QueryResult<usize> {
    numbers(
        "UPDATE members SET sent = sent + (new.value ->> 2) FROM json_each(?) AS new \
         WHERE room = new.value ->> 0 AND user_id = new.value ->> 1",
        sent,
    )
    .execute(conn)
}

/// Notes who was called by name where, if they are there: user, room, place.
pub(super) fn add_mentions(conn: &mut Conn, mentions: &[[i64; 3]]) -> QueryResult<usize> {
    numbers(
        "INSERT INTO mentions (user_id, room, seq) \
         SELECT new.value ->> 0, new.value ->> 1, new.value ->> 2 FROM json_each(?) AS new \
         WHERE EXISTS (SELECT 1 FROM members WHERE members.room = new.value ->> 1 \
         AND members.user_id = new.value ->> 0 AND members.role IS NOT NULL) \
         ON CONFLICT DO NOTHING",
        mentions,
    )
    .execute(conn)
}

/// Moves marks forward: room, user, and the mark's three numbers.
pub(super) fn move_marks(conn: &mut Conn, marks: &[[i64; 5]]) -> QueryResult<usize> {
    numbers(
        "UPDATE members SET read_seq = new.value ->> 2, read_n = new.value ->> 3, \
         read_own = new.value ->> 4 FROM json_each(?) AS new \
         WHERE room = new.value ->> 0 AND user_id = new.value ->> 1 \
         AND read_seq < new.value ->> 2",
        marks,
    )
    .execute(conn)
}
