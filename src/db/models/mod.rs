//! Rows as the tables have them, and how they become what the program knows.

mod events;
mod rooms;
mod users;

pub(super) use events::{EventRow, NewEventRow};
pub(super) use events::{StandingRow, TakenRow};
pub(super) use rooms::{FoldRow, MemberRow, RoomRow};
pub(super) use users::{LoginRow, UserRow};

use super::StoreError;

/// A row that no version of this program has written.
fn unreadable(what: &str, word: &str) -> StoreError {
    StoreError::Refused(format!("a row holds {word:?}, which is not a {what}"))
}
