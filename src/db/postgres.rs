//! What only Postgres says so: sets travel as arrays, one statement for a whole batch.

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};

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
pub(super) type Conn = PgConnection;

/// Runs a transaction that writes.
pub(super) fn write<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.build_transaction().read_write().run(work)
}

/// Runs a transaction that reads, and sees one moment.
pub(super) fn read<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.build_transaction()
        .read_only()
        .repeatable_read()
        .run(work)
}

/// The rooms' numbers, kept from changing until the transaction ends. In the order of ids,
/// so that two writers never wait for each other.
pub(super) fn lock_rooms(conn: &mut Conn, ids: &[i64]) -> QueryResult<Vec<FoldRow>> {
    schema::rooms::table
        .filter(schema::rooms::id.eq_any(ids))
        .order(schema::rooms::id)
        .select(FoldRow::as_select())
        .for_update()
        .load(conn)
}

/// The standing of these people in these rooms, kept from changing likewise.
pub(super) fn lock_members(conn: &mut Conn, keys: &[[i64; 2]]) -> QueryResult<Vec<MemberRow>> {
    numbers(
        "SELECT members.* FROM UNNEST($1, $2) AS key (room, user_id) \
         JOIN members ON members.room = key.room AND members.user_id = key.user_id \
         ORDER BY members.room, members.user_id FOR UPDATE OF members",
        keys,
    )
    .load(conn)
}

/// The events that have these ids: room, sender, `client_id`.
pub(super) fn find_events(
    conn: &mut Conn,
    keys: &[(i64, i64, &str)],
) -> QueryResult<Vec<TakenRow>> {
    sql_query(
        "SELECT events.* FROM UNNEST($1, $2, $3) AS key (room, sender, client_id) \
         JOIN events ON events.room = key.room AND events.sender = key.sender \
         AND events.client_id = key.client_id",
    )
    .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.1).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(keys.iter().map(|key| key.2).collect::<Vec<_>>())
    .load(conn)
}

/// The events that stand at these numbers: room, first, last.
pub(super) fn stretches(conn: &mut Conn, keys: &[[i64; 3]]) -> QueryResult<Vec<StandingRow>> {
    numbers(
        "SELECT events.* FROM UNNEST($1, $2, $3) AS key (room, first, last) \
         JOIN events ON events.room = key.room AND events.seq BETWEEN key.first AND key.last",
        keys,
    )
    .load(conn)
}

/// The present life, kept from ending until the transaction does.
pub(super) fn hold_life(conn: &mut Conn) -> QueryResult<Option<String>> {
    schema::lives::table
        .select(schema::lives::name)
        .for_share()
        .first(conn)
        .optional()
}

/// Writes events. `COPY` is twice as fast as any `INSERT`, and stops at what is there
/// already just the same.
pub(super) fn insert_events(conn: &mut Conn, new: &[NewEvent<'_>]) -> QueryResult<()> {
    let rows: Vec<NewEventRow<'_>> = new.iter().map(NewEventRow::from).collect();
    match diesel::copy_from(schema::events::table)
        .from_insertable(rows)
        .execute(conn)
    {
        // This is how diesel reports a connection that breaks in the middle.
        Err(Error::DeserializationError(cause)) => Err(Error::DatabaseError(
            DatabaseErrorKind::UnableToSendCommand,
            Box::new(cause.to_string()),
        )),
        written => written.map(drop),
    }
}

/// Is it the event's content that is refused, by SQLSTATE class 22 or 23?
///
/// Diesel does not pass the code on. So the event is tried once more, in words that turn
/// both classes into an error that diesel knows.
pub(super) fn refuses(conn: &mut Conn, event: &NewEvent<'_>, error: &Error) -> QueryResult<bool> {
    if is_refusal(error) {
        return Ok(true);
    }
    let row = serde_json::to_string(&NewEventRow::from(event))
        .map_err(|error| Error::SerializationError(error.into()))?;
    let asked = conn.transaction::<(), _, _>(|conn| {
        sql_query("SELECT set_config('madang.suspect', $1, true)")
            .bind::<Text, _>(row)
            .execute(conn)?;
        conn.batch_execute(
            "DO $$ BEGIN INSERT INTO events SELECT * FROM \
             json_populate_record(NULL::events, current_setting('madang.suspect')::json); \
             EXCEPTION WHEN data_exception OR integrity_constraint_violation \
             THEN RAISE check_violation; END $$",
        )?;
        Err(Error::RollbackTransaction)
    });
    match asked {
        Err(error) => Ok(is_refusal(&error)),
        Ok(()) => Ok(false),
    }
}

/// A statement about many rows of numbers: each column is one array.
fn numbers<'a, const N: usize>(sql: &str, rows: &'a [[i64; N]]) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    (0..N).fold(sql_query(sql).into_boxed(), |query, i| {
        let column: Vec<i64> = rows.iter().map(|row| row[i]).collect();
        query.bind::<Array<BigInt>, _>(column)
    })
}

/// Writes rooms' numbers back.
pub(super) fn save_folds(conn: &mut Conn, folds: &[[i64; 9]]) -> QueryResult<usize> {
    numbers(
        "UPDATE rooms SET head = new.head, messages = new.messages, \
         last_message = new.last_message, rights_seq = new.rights_seq, \
         membership_seq = new.membership_seq, newest_id_at = new.newest_id_at, \
         members = new.members, changed_at = new.changed_at \
         FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9) AS new (id, head, messages, \
         last_message, rights_seq, membership_seq, newest_id_at, members, changed_at) \
         WHERE rooms.id = new.id",
        folds,
    )
    .execute(conn)
}

/// Adds to members' counts of messages: room, user, how many.
pub(super) fn add_sent(conn: &mut Conn, sent: &[[i64; 3]]) -> QueryResult<usize> {
    numbers(
        "UPDATE members SET sent = members.sent + new.sent \
         FROM UNNEST($1, $2, $3) AS new (room, user_id, sent) \
         WHERE members.room = new.room AND members.user_id = new.user_id",
        sent,
    )
    .execute(conn)
}

/// Notes who was called by name where, if they are there: user, room, place.
pub(super) fn add_mentions(conn: &mut Conn, mentions: &[[i64; 3]]) -> QueryResult<usize> {
    numbers(
        "INSERT INTO mentions (user_id, room, seq) SELECT new.user_id, new.room, new.seq \
         FROM UNNEST($1, $2, $3) AS new (user_id, room, seq) \
         JOIN members ON members.room = new.room AND members.user_id = new.user_id \
         WHERE members.role IS NOT NULL ON CONFLICT DO NOTHING",
        mentions,
    )
    .execute(conn)
}

/// Moves marks forward: room, user, and the mark's three numbers.
pub(super) fn move_marks(conn: &mut Conn, marks: &[[i64; 5]]) -> QueryResult<usize> {
    numbers(
        "UPDATE members SET read_seq = new.read_seq, read_n = new.read_n, \
         read_own = new.read_own \
         FROM UNNEST($1, $2, $3, $4, $5) AS new (room, user_id, read_seq, read_n, read_own) \
         WHERE members.room = new.room AND members.user_id = new.user_id \
         AND members.read_seq < new.read_seq",
        marks,
    )
    .execute(conn)
}
