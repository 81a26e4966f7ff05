//! P5: what a second worker thread brings.

use crate::node::Database;
use crate::table::Row;
use crate::{Outcome, cores, note, rooms, stats};

/// Below this many cores the generator and the database take what the second worker would use.
const CORES_NEEDED: usize = 4;

/// Saturates a node with one worker thread and one with two.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let mut row = Row {
        id: "P5",
        what: "messages/s at saturation, two worker threads against one".into(),
        measured: "not measurable here".into(),
        reference: format!("needs {CORES_NEEDED} cores, there are {}", cores()),
        ratio: "–".into(),
        goal: "≥ 1.8 ×",
    };
    if cores() < CORES_NEEDED {
        note("not measurable: too few cores");
        return Ok(vec![row]);
    }
    let rate = |workers: usize| -> Outcome<f64> {
        let settings = [("MADANG_WORKERS", workers.to_string())];
        let stretch = rooms::saturate(&Database::sqlite()?, quick, &settings)?;
        note(&format!("{workers} workers: {}", rooms::in_words(&stretch)));
        Ok(stretch.rate())
    };
    let (one, two) = (rate(1)?, rate(2)?);
    row.measured = format!("{two:.0} messages/s");
    row.reference = format!("one worker {one:.0} messages/s");
    row.ratio = stats::times(two, one);
    Ok(vec![row])
}
