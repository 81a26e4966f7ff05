//! What Postgres does with the same rows when nobody thinks about them: `COPY`, and one insert
//! per message. The table is a copy of the log's, with all its indexes.

use std::fmt::Write;
use std::fs;

use crate::Outcome;
use crate::postgres::Postgres;

/// Prints the server's clock, before and after the statements that are timed.
const CLOCK: &str = "SELECT extract(epoch FROM clock_timestamp());\n";

/// All rows of the log, as `COPY` writes them, one per line.
pub fn dump(server: &Postgres) -> Outcome<String> {
    server.run("COPY events TO STDOUT")
}

/// Rows per second of `COPY`, one statement and one commit per `batch` rows.
pub fn copy(server: &Postgres, rows: &str, batch: usize) -> Outcome<f64> {
    let lines: Vec<&str> = rows.lines().collect();
    let mut script = String::from(CLOCK);
    for rows in lines.chunks(batch) {
        script.push_str("COPY bench_plain FROM STDIN;\n");
        for row in rows {
            script.push_str(row);
            script.push('\n');
        }
        script.push_str("\\.\n");
    }
    rate(server, script, lines.len())
}

/// Rows per second of one `INSERT` and one commit per row.
pub fn insert(server: &Postgres, rows: usize) -> Outcome<f64> {
    // Each row as a literal of the table's own type: whatever columns there are.
    let literals = server.run(&format!(
        "SELECT quote_literal(e::text) FROM events e LIMIT {rows}"
    ))?;
    let mut script = String::from(CLOCK);
    let mut count = 0;
    for literal in literals.lines() {
        writeln!(
            script,
            "INSERT INTO bench_plain SELECT ({literal}::events).*;"
        )?;
        count += 1;
    }
    rate(server, script, count)
}

/// Runs a script on an empty table and gives rows per second between its two clocks.
fn rate(server: &Postgres, mut script: String, rows: usize) -> Outcome<f64> {
    script.push_str(CLOCK);
    server.run("DROP TABLE IF EXISTS bench_plain")?;
    server.run("CREATE TABLE bench_plain (LIKE events INCLUDING ALL)")?;
    server.run("CHECKPOINT")?;
    let file = server.folder().join("plain.sql");
    fs::write(&file, script)?;
    let printed = server.run_file(&file)?;
    let clocks: Vec<f64> = printed.lines().map(str::parse).collect::<Result<_, _>>()?;
    let [before, after] = clocks[..] else {
        return Err(format!("psql printed {printed}").into());
    };
    Ok(rows as f64 / (after - before))
}
