//! What the node sends: one JSON object per WebSocket text message.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Context, Durability, Presence, Ref};
use crate::error::Error;
use crate::ids::{Epoch, RoomId, Seq, SessionId, UserId};

/// Everything that the node says, but events (see [`event_frame`]).
/// Field by field as in `docs/PROTOCOL.md`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "docs/PROTOCOL.md has the table of server frames"
)]
pub enum ServerFrame<'a> {
    Welcome(Welcome<'a>),
    Live(Live),
    Ok(Answer<'a>),
    Pong(Answer<'a>),
    Error(Refusal<'a>),
    Ack(Ack<'a>),
    Members(MembersPage<'a>),
    Snapshot(Snapshot<'a>),
    Batch(Batch<'a>),
    Gap(Gap<'a>),
    Receipt(Receipt),
    Typing(TypingNotice),
    Presence(PresenceNotice),
    Inbox(Inbox<'a>),
    Account(Account),
    Move(Move),
}

impl ServerFrame<'_> {
    /// The frame's text.
    pub fn to_json(&self) -> String {
        // Only a map with keys that are not strings can fail, and there is none.
        serde_json::to_string(self).unwrap_or_else(|cause| {
            log::error!("a frame could not be encoded: {cause}");
            r#"{"type":"error","code":5001,"name":"internal","message":"encoding failed","retry":true}"#
                .to_owned()
        })
    }
}

/// An `event` frame: the event's own JSON, with where it belongs in front.
pub fn event_frame(room: RoomId, epoch: &Epoch, event: &RawValue) -> String {
    let inner = event.get().strip_prefix('{').unwrap_or_default();
    format!(r#"{{"type":"event","room":"{room}","epoch":"{epoch}",{inner}"#)
}

/// `welcome`: the connection is signed in.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Welcome<'a> {
    pub version: u32,
    pub at: i64,
    pub session: SessionId,
    pub user: UserId,
    pub node: &'a str,
    pub heartbeat_ms: u64,
    pub limits: Limits,
    pub rooms: Vec<RoomSummary>,
    pub rooms_more: bool,
    pub rooms_cursor: String,
    pub unread: i64,
    pub token_expires_at: i64,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `welcome`")]
pub struct Limits {
    pub frame_bytes: usize,
    pub in_flight: usize,
    /// 0: no limit.
    pub publish_per_second: u32,
}

/// One of a person's rooms, as their list of rooms shows it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `welcome`")]
pub struct RoomSummary {
    #[schema(value_type = String)]
    pub room: RoomId,
    pub name: String,
    pub kind: String,
    #[schema(value_type = String)]
    pub epoch: Epoch,
    #[schema(value_type = i64)]
    pub head: Seq,
    #[schema(value_type = i64)]
    pub read: Seq,
    pub unread: i64,
    pub mentions: i64,
    /// The newest message, as inside a `snapshot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub last: Option<Box<RawValue>>,
}

/// `live`: the replay of a room, or of all, is over.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Live {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
}

/// `ok` and `pong`: done.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Answer<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Ref>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// `error`: not done, and why.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Refusal<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Ref>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a str>,
    pub code: u16,
    pub name: &'static str,
    pub message: &'a str,
    pub retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a Value>,
}

impl<'a> Refusal<'a> {
    /// The frame that tells the client of an error.
    pub fn new(context: &'a Context, error: &'a Error) -> Self {
        Self {
            reference: context.reference.as_ref(),
            room: context.room.as_deref(),
            client_id: context.client_id.as_deref(),
            code: error.code.code(),
            name: error.code.name(),
            message: &error.message,
            retry: error.code.retry().is_worthwhile(),
            retry_after_ms: error.retry_after_ms,
            detail: error.detail.as_deref(),
        }
    }
}

/// `ack`: a message has its place.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Ack<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Ref>,
    pub room: RoomId,
    pub client_id: &'a str,
    pub seq: Seq,
    pub epoch: &'a Epoch,
    pub at: i64,
    pub durability: Durability,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// `members`: a page of who is in a room.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct MembersPage<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Ref>,
    pub room: RoomId,
    pub members: &'a [MemberView],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<&'a str>,
}

/// A member of a room, as others see them.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `members`")]
pub struct MemberView {
    #[schema(value_type = String)]
    pub user: UserId,
    pub name: String,
    pub role: String,
    pub online: bool,
}

/// `snapshot`: what a room is, at the moment the subscription begins.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Snapshot<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Ref>,
    pub room: RoomId,
    pub epoch: &'a Epoch,
    pub head: Seq,
    /// How many messages the room has.
    pub count: i64,
    pub info: RoomInfo<'a>,
    pub me: Me,
    pub members: usize,
    pub online: usize,
    pub events: Vec<&'a RawValue>,
    /// Read marks by member, in rooms of up to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<BTreeMap<UserId, Seq>>,
    /// How many members' marks stand at each place, in larger rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readers: Option<Vec<(Seq, i64)>>,
}

/// What a room is called and how it works.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `snapshot`")]
pub struct RoomInfo<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'a str>,
}

/// The asker's own standing in a room.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `snapshot`")]
pub struct Me {
    pub role: &'static str,
    pub read: Seq,
    pub unread: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<i64>,
}

/// `batch`: a piece of the raw log, ascending.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Batch<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<&'a Ref>,
    pub room: RoomId,
    pub epoch: &'a Epoch,
    pub from: Seq,
    pub to: Seq,
    pub events: Vec<&'a RawValue>,
    pub more: bool,
}

/// `gap`: what the client does not get here, and why.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Gap<'a> {
    pub room: RoomId,
    pub epoch: &'a Epoch,
    pub from: Seq,
    pub to: Seq,
    pub reason: GapReason,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// More than a frame may hold, or from before the member's time.
    Window,
    /// The position belongs to another life of the log.
    Epoch,
    /// The client did not read fast enough; the room is no longer subscribed.
    Lag,
}

/// `receipt`: somebody has read on.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Receipt {
    pub room: RoomId,
    #[serde(flatten)]
    pub marks: ReceiptMarks,
}

/// By name in small rooms, as changes of counts in large ones.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `receipt`")]
pub enum ReceiptMarks {
    One { user: UserId, read: Seq },
    Many { readers: Vec<(Seq, i64)> },
}

/// `typing`: somebody writes, or has stopped.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct TypingNotice {
    pub room: RoomId,
    pub user: UserId,
    pub active: bool,
}

/// `presence`: somebody came, went or changed their status.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct PresenceNotice {
    pub room: RoomId,
    #[serde(flatten)]
    pub who: PresenceChange,
    pub at: i64,
}

/// By name in small rooms, as a count in large ones.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `presence`")]
pub enum PresenceChange {
    One {
        user: UserId,
        status: Presence,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    Many {
        online: usize,
    },
}

/// `inbox`: a room that this session has not subscribed to has changed.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Inbox<'a> {
    pub room: RoomId,
    pub head: Seq,
    pub unread: i64,
    pub mentions: i64,
    /// The newest event of the room.
    pub last: Option<&'a RawValue>,
    /// Unread messages in all rooms.
    pub total: i64,
}

/// `account`: something about the person, for all of their devices.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Account {
    pub kind: AccountNotice,
    pub data: Value,
}

/// What an `account` frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `account`")]
pub enum AccountNotice {
    TokenExpiring,
    Revoked,
    Read,
    Profile,
    Invited,
    Config,
}

/// `move`: the client shall go on over another connection, and then close this one.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, server frames")]
pub struct Move {
    pub after_ms: u64,
    pub reason: MoveReason,
}

/// Why somebody shall move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// The node is about to stop.
    Drain,
}
