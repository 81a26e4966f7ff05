//! What stands in the database itself, past every node and every cache.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use madang::ids::RoomId;

use crate::support::{Event, History, eventually, seconds};

/// One row of the log.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    room: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Text)]
    body: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// A number that a statement gives in its column `count`.
pub fn count(database: &str, statement: &str) -> i64 {
    let mut connection = PgConnection::establish(database).expect("Postgres takes connections");
    let row = diesel::sql_query(statement).get_result::<Count>(&mut connection);
    row.expect("the statement is sound").count
}

/// Runs a statement.
pub fn run(database: &str, statement: &str) {
    let mut connection = PgConnection::establish(database).expect("Postgres takes connections");
    let done = diesel::sql_query(statement).execute(&mut connection);
    done.expect("the statement is sound");
}

/// Waits until there are as many rows as events; a dead node's are written after 5 to 10 s.
pub async fn settled(database: &str, histories: &HashMap<String, History>) {
    let events: usize = histories.values().map(|history| history.events.len()).sum();
    eventually("everything is in the database", seconds(60), async || {
        let rows = count(database, "SELECT count(*) FROM events");
        (rows >= events as i64).then_some(())
    })
    .await;
}

/// Fails unless the database holds exactly what was read from the nodes.
pub fn assert_equal(database: &str, histories: &HashMap<String, History>) {
    let mut connection = PgConnection::establish(database).expect("Postgres takes connections");
    let statement = "SELECT room, seq, kind, at, body FROM events ORDER BY room, seq";
    let rows = diesel::sql_query(statement).load::<Row>(&mut connection);
    let mut kept: HashMap<String, Vec<Row>> = HashMap::new();
    for row in rows.expect("the statement is sound") {
        let room = RoomId::from_raw(row.room).to_string();
        kept.entry(room).or_default().push(row);
    }
    for (room, history) in histories {
        let rows = kept.get(room).map_or(&[][..], Vec::as_slice);
        for (event, row) in history.events.iter().zip(rows) {
            assert!(
                is_same(event, row),
                "{room}: read {event:?}, the database holds {} {} {}",
                row.seq,
                row.kind,
                row.body
            );
        }
        assert_eq!(rows.len(), history.events.len(), "{room}: rows and events");
    }
}

fn is_same(event: &Event, row: &Row) -> bool {
    let body: serde_json::Value = serde_json::from_str(&row.body).expect("bodies are JSON");
    let numbers = (row.seq as u64, row.at as u64) == (event.seq, event.at);
    numbers && row.kind == event.kind && body == event.body
}
