//! What the store keeps, as the rest of the program sees it: no diesel types.

mod log;
mod people;
mod rooms;

use std::collections::BTreeMap;

pub use log::*;
pub use people::*;
pub use rooms::*;

use crate::ids::UserId;

/// One version of what was set while nodes run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsRecord {
    /// Counts up from 1.
    pub version: i64,
    /// Who made it.
    pub changed_by: UserId,
    /// When, Unix milliseconds.
    pub at: i64,
    /// Every key that is set this way, with its value; not only what changed.
    pub values: BTreeMap<String, String>,
}
