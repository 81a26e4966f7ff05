//! The one error type that crosses actors and modules.
//!
//! It carries what a client may know. Inner causes (SQL, I/O) are logged where they
//! happen and never travel; the edges (`http::error`, the session's dialects) turn this
//! into a status, a problem document or an error frame.

use std::fmt;

use serde_json::Value;

use crate::protocol::ErrorCode;

/// When a client may try again that has too much in flight.
const IN_FLIGHT_RETRY_AFTER_MS: u64 = 100;

/// Short for a result that may be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was refused, in words a person can act on.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// What kind of refusal; programs act on this.
    pub code: ErrorCode,
    /// One sentence for a person: what is wrong and what to do.
    pub message: String,
    /// Milliseconds after which the same request may succeed.
    pub retry_after_ms: Option<u64>,
    /// Facts that belong to the refusal, as `docs/PROTOCOL.md` lists them.
    pub detail: Option<Box<Value>>,
}

impl Error {
    /// A refusal of this kind, explained.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
            detail: None,
        }
    }

    /// A field that is missing, of the wrong type, or out of its range.
    pub fn bad_field(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadField, message)
    }

    /// The room does not exist, or the asker may not know that it does.
    pub fn room_not_found() -> Self {
        Self::new(
            ErrorCode::RoomNotFound,
            "no such room, or it is private and you are not in it",
        )
    }

    /// The log or the database is out of reach; the outcome is unknown.
    pub fn unavailable() -> Self {
        Self::new(
            ErrorCode::Unavailable,
            "storage is out of reach; the outcome is unknown: repeat with the same client_id",
        )
    }

    /// A queue has reached its limit; nothing has happened yet.
    pub fn overloaded(retry_after_ms: u64) -> Self {
        Self::new(
            ErrorCode::Overloaded,
            "too much is waiting already; try again a little later",
        )
        .retry_after(retry_after_ms)
    }

    /// The client has to wait for an answer before it asks for more.
    pub fn too_many_in_flight() -> Self {
        let message = "too many requests wait for their answer; send the next when one has come";
        Self::new(ErrorCode::TooManyInFlight, message).retry_after(IN_FLIGHT_RETRY_AFTER_MS)
    }

    /// A rate has been exceeded.
    pub fn rate_limited(what: &str, retry_after_ms: u64) -> Self {
        Self::new(
            ErrorCode::RateLimited,
            format!("too many {what}; wait before the next"),
        )
        .retry_after(retry_after_ms)
    }

    /// Something that should not happen did; the log of the node has the cause.
    pub fn internal() -> Self {
        Self::new(
            ErrorCode::Internal,
            "the node made a mistake; its log payload more",
        )
    }

    /// The same refusal, with the time after which it may be lifted.
    pub fn retry_after(mut self, milliseconds: u64) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }

    /// The same refusal, with facts.
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}
