//! The table that comes out: one row per figure, fit to be quoted.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Outcome;

/// One line of the table.
pub struct Row {
    /// The figure's number in the list of goals, such as `P1`.
    pub id: &'static str,
    /// What was measured, and on what.
    pub what: String,
    /// The value.
    pub measured: String,
    /// What it is compared with, measured in the same run.
    pub reference: String,
    /// The comparison.
    pub ratio: String,
    /// What one would like to see. Never a test.
    pub goal: &'static str,
}

/// Rows gathered so far, and where they are written.
pub struct Table {
    heading: String,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table that names the machine and the kind of run.
    pub fn new(quick: bool) -> Self {
        let kind = if quick { "quick run" } else { "full run" };
        Self {
            heading: format!("{kind}; {}", machine()),
            rows: Vec::new(),
        }
    }

    /// Adds rows and writes the file again, so that an interrupted run leaves what it had.
    pub fn add(&mut self, rows: Vec<Row>, file: &Path) -> Outcome<()> {
        for row in &rows {
            println!("{}", line(row));
        }
        self.rows.extend(rows);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(file, self.markdown())?)
    }

    /// The whole table in markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.heading);
        text.push_str("| # | figure | measured | against, same run | ratio | goal |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for row in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line(row));
        }
        text
    }
}

fn line(row: &Row) -> String {
    let Row {
        id,
        what,
        measured,
        reference,
        ratio,
        goal,
    } = row;
    format!("| {id} | {what} | {measured} | {reference} | {ratio} | {goal} |")
}

/// Processor, cores, memory and kernel, as far as `/proc` tells.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = value(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes / (1024 * 1024));
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = crate::cores();
    format!(
        "{cores} cores ({processor}), {memory} GiB, Linux {}",
        kernel.trim()
    )
}
