//! What the database asks for the smallest durable write: the reference for acknowledgements.

use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::Outcome;
use crate::node::Database;
use crate::stats::Latencies;

/// Commits that are measured.
const COMMITS: usize = 300;

/// Times of commits of one row, one after the other, as durable as the node's own.
pub fn commits(database: &Database) -> Outcome<Latencies> {
    match database {
        Database::Sqlite(folder) => {
            let file = folder.path().join("commits.db");
            let file = file.to_str().ok_or("the folder's name is not text")?;
            let mut connection = SqliteConnection::establish(file)?;
            connection.batch_execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
            measure(&mut connection)
        }
        Database::Postgres(server) => measure(&mut PgConnection::establish(&server.url())?),
    }
}

fn measure(connection: &mut impl SimpleConnection) -> Outcome<Latencies> {
    connection.batch_execute("CREATE TABLE bench_commits (id INTEGER PRIMARY KEY, body TEXT)")?;
    let mut latencies = Latencies::default();
    for id in 0..COMMITS {
        let started = Instant::now();
        connection.batch_execute(&format!(
            "BEGIN; INSERT INTO bench_commits VALUES ({id}, 'a line of chat'); COMMIT"
        ))?;
        latencies.record(started.elapsed());
    }
    connection.batch_execute("DROP TABLE bench_commits")?;
    Ok(latencies)
}
