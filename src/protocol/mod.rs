//! The wire as plain data: frames, events, codes. No actix, no SQL, no I/O.
//!
//! `docs/PROTOCOL.md` is the contract; these types are its spelling.

mod client_id;
mod codes;
pub mod doorbell;
pub mod envelope;
mod event;
mod frame;
mod parsing;
mod reply;
pub mod stored;

pub use client_id::ClientId;
pub use codes::{CloseCode, ErrorCode, Retry};
pub use event::{Draft, Entry, Event, EventKind, MemberChange, Place, Voided};
pub use frame::*;
pub use parsing::{check_text, page_size, parse};
pub use reply::*;

/// Most events in one frame or page.
pub const MAX_EVENTS: usize = 200;
/// Most bytes of events in one frame; what does not fit comes in the next.
pub const MAX_EVENTS_BYTES: usize = 1024 * 1024;
/// Largest frame that a client may send, bytes.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
/// Longest text of a message, bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 32 * 1024;
