//! The two tables of numbers that clients act on: error codes and close codes.
//!
//! `docs/PROTOCOL.md` shows the same tables to people; a test holds the two together.

/// What a client may do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail again.
    No,
    /// The same request may succeed at any time.
    Yes,
    /// The same request may succeed after `retry_after_ms`.
    After,
    /// Possible with a fresh access token.
    NewToken,
    /// Possible when other people have made room.
    Later,
}

impl Retry {
    /// What the frame's `retry` says: is it worth sending the same again?
    pub fn is_worthwhile(self) -> bool {
        !matches!(self, Retry::No)
    }
}

/// Why a request was refused. The number is for programs, the name for people who read logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[expect(
    missing_docs,
    reason = "each name is its own description; docs/PROTOCOL.md has the table"
)]
pub enum ErrorCode {
    BadFrame = 1001,
    BadField = 1002,
    UnknownType = 1003,
    FrameTooLarge = 1004,
    VersionUnsupported = 1005,
    Unauthenticated = 2001,
    TokenInvalid = 2002,
    TokenExpired = 2003,
    Revoked = 2004,
    Forbidden = 2005,
    RoomNotFound = 3001,
    NotAMember = 3002,
    RoomClosed = 3003,
    RoomFull = 3004,
    Banned = 3006,
    Muted = 3007,
    Frozen = 3008,
    SlowMode = 3009,
    MessageNotFound = 3010,
    EditWindowOver = 3011,
    Blocked = 3012,
    Conflict = 3013,
    RateLimited = 4001,
    TooManyInFlight = 4002,
    Quota = 4003,
    Internal = 5001,
    Unavailable = 5002,
    Overloaded = 5003,
}

impl ErrorCode {
    /// Every code, in the order of the document.
    pub const ALL: [ErrorCode; 28] = [
        ErrorCode::BadFrame,
        ErrorCode::BadField,
        ErrorCode::UnknownType,
        ErrorCode::FrameTooLarge,
        ErrorCode::VersionUnsupported,
        ErrorCode::Unauthenticated,
        ErrorCode::TokenInvalid,
        ErrorCode::TokenExpired,
        ErrorCode::Revoked,
        ErrorCode::Forbidden,
        ErrorCode::RoomNotFound,
        ErrorCode::NotAMember,
        ErrorCode::RoomClosed,
        ErrorCode::RoomFull,
        ErrorCode::Banned,
        ErrorCode::Muted,
        ErrorCode::Frozen,
        ErrorCode::SlowMode,
        ErrorCode::MessageNotFound,
        ErrorCode::EditWindowOver,
        ErrorCode::Blocked,
        ErrorCode::Conflict,
        ErrorCode::RateLimited,
        ErrorCode::TooManyInFlight,
        ErrorCode::Quota,
        ErrorCode::Internal,
        ErrorCode::Unavailable,
        ErrorCode::Overloaded,
    ];

    /// The number in `code`.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The word in `name`.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorCode::BadFrame => "bad_frame",
            ErrorCode::BadField => "bad_field",
            ErrorCode::UnknownType => "unknown_type",
            ErrorCode::FrameTooLarge => "frame_too_large",
            ErrorCode::VersionUnsupported => "version_unsupported",
            ErrorCode::Unauthenticated => "unauthenticated",
            ErrorCode::TokenInvalid => "token_invalid",
            ErrorCode::TokenExpired => "token_expired",
            ErrorCode::Revoked => "revoked",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::RoomNotFound => "room_not_found",
            ErrorCode::NotAMember => "not_a_member",
            ErrorCode::RoomClosed => "room_closed",
            ErrorCode::RoomFull => "room_full",
            ErrorCode::Banned => "banned",
            ErrorCode::Muted => "muted",
            ErrorCode::Frozen => "frozen",
            ErrorCode::SlowMode => "slow_mode",
            ErrorCode::MessageNotFound => "message_not_found",
            ErrorCode::EditWindowOver => "edit_window_over",
            ErrorCode::Blocked => "blocked",
            ErrorCode::Conflict => "conflict",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::TooManyInFlight => "too_many_in_flight",
            ErrorCode::Quota => "quota",
            ErrorCode::Internal => "internal",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Overloaded => "overloaded",
        }
    }

    /// Whether, and when, the same request is worth repeating.
    pub const fn retry(self) -> Retry {
        match self {
            ErrorCode::TokenExpired => Retry::NewToken,
            ErrorCode::RoomFull => Retry::Later,
            ErrorCode::Muted
            | ErrorCode::SlowMode
            | ErrorCode::RateLimited
            | ErrorCode::Overloaded => Retry::After,
            ErrorCode::Frozen
            | ErrorCode::TooManyInFlight
            | ErrorCode::Internal
            | ErrorCode::Unavailable => Retry::Yes,
            ErrorCode::BadFrame
            | ErrorCode::BadField
            | ErrorCode::UnknownType
            | ErrorCode::FrameTooLarge
            | ErrorCode::VersionUnsupported
            | ErrorCode::Unauthenticated
            | ErrorCode::TokenInvalid
            | ErrorCode::Revoked
            | ErrorCode::Forbidden
            | ErrorCode::RoomNotFound
            | ErrorCode::NotAMember
            | ErrorCode::RoomClosed
            | ErrorCode::Banned
            | ErrorCode::MessageNotFound
            | ErrorCode::EditWindowOver
            | ErrorCode::Blocked
            | ErrorCode::Conflict
            | ErrorCode::Quota => Retry::No,
        }
    }
}

/// Why the node closes a connection. The hundred says what the client does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[expect(
    missing_docs,
    reason = "each name is its own description; docs/PROTOCOL.md has the table"
)]
pub enum CloseCode {
    Unspecified = 4000,
    Drain = 4001,
    SlowConsumer = 4008,
    HeartbeatTimeout = 4009,
    StateReset = 4100,
    Unauthenticated = 4200,
    TokenExpired = 4201,
    HelloTimeout = 4202,
    Overloaded = 4300,
    ConnectionLimit = 4301,
    BadProtocol = 4400,
    TokenInvalid = 4401,
    Revoked = 4403,
    VersionUnsupported = 4404,
    Abuse = 4409,
    Replaced = 4410,
}

impl CloseCode {
    /// Every code of ours, in the order of the document.
    pub const ALL: [CloseCode; 16] = [
        CloseCode::Unspecified,
        CloseCode::Drain,
        CloseCode::SlowConsumer,
        CloseCode::HeartbeatTimeout,
        CloseCode::StateReset,
        CloseCode::Unauthenticated,
        CloseCode::TokenExpired,
        CloseCode::HelloTimeout,
        CloseCode::Overloaded,
        CloseCode::ConnectionLimit,
        CloseCode::BadProtocol,
        CloseCode::TokenInvalid,
        CloseCode::Revoked,
        CloseCode::VersionUnsupported,
        CloseCode::Abuse,
        CloseCode::Replaced,
    ];

    /// The number in the WebSocket close frame.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason in the WebSocket close frame.
    pub const fn name(self) -> &'static str {
        match self {
            CloseCode::Unspecified => "unspecified",
            CloseCode::Drain => "drain",
            CloseCode::SlowConsumer => "slow_consumer",
            CloseCode::HeartbeatTimeout => "heartbeat_timeout",
            CloseCode::StateReset => "state_reset",
            CloseCode::Unauthenticated => "unauthenticated",
            CloseCode::TokenExpired => "token_expired",
            CloseCode::HelloTimeout => "hello_timeout",
            CloseCode::Overloaded => "overloaded",
            CloseCode::ConnectionLimit => "connection_limit",
            CloseCode::BadProtocol => "bad_protocol",
            CloseCode::TokenInvalid => "token_invalid",
            CloseCode::Revoked => "revoked",
            CloseCode::VersionUnsupported => "version_unsupported",
            CloseCode::Abuse => "abuse",
            CloseCode::Replaced => "replaced",
        }
    }
}
