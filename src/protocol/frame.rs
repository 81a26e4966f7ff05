//! What clients send: one JSON object per WebSocket text message. The shapes; `parsing` reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ClientId;
use crate::error::Result;
use crate::ids::{Epoch, RoomId, Seq, UserId};

/// A parsed frame: which request it is, and what it asks for.
#[derive(Debug)]
pub struct ClientFrame {
    /// What replies and errors repeat, so that the client knows them.
    pub context: Context,
    /// Is it a `hello`, whether or not it can be understood?
    pub is_hello: bool,
    /// What is asked, or why it cannot be understood.
    pub command: Result<Command>,
}

/// The parts of a frame that its reply repeats.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The client's number for the request.
    pub reference: Option<Ref>,
    /// The room that it was about, as the client spelled it.
    pub room: Option<String>,
    /// The event that it was about.
    pub client_id: Option<String>,
}

/// The client's number for a request: an integer, or a string of at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the two spellings of one thing")]
pub enum Ref {
    Number(i64),
    Text(String),
}

/// A place in one life of a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "rule 3 of docs/PROTOCOL.md")]
pub struct Position {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// Everything that a client can ask for. Field by field as in `docs/PROTOCOL.md`.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "docs/PROTOCOL.md has the table of client frames"
)]
pub enum Command {
    Hello(Hello),
    Focus(Focus),
    Auth(Auth),
    Ping,
    Subscribe(Subscribe),
    Unsubscribe(InRoom),
    Join(Join),
    Leave(InRoom),
    Publish(Box<Publish>),
    Read(Read),
    Typing(Typing),
    Status(Status),
    History(History),
    Members(Members),
}

/// `hello`: who connects, and from where it goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Hello {
    pub version: i64,
    pub token: Option<String>,
    pub device: Option<Device>,
    #[serde(default)]
    pub resume: BTreeMap<String, Position>,
    pub rooms_since: Option<String>,
}

/// The device that a client runs on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Device {
    pub id: String,
    pub name: Option<String>,
    pub platform: Option<String>,
}

/// `focus`: does the person look, and at which room?
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Focus {
    pub active: bool,
    pub room: Option<RoomId>,
}

/// `auth`: a fresh token for a living connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Auth {
    pub token: String,
}

/// `subscribe`: a snapshot, then what follows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Subscribe {
    pub room: RoomId,
    pub after: Option<Position>,
    pub last: Option<usize>,
}

impl Subscribe {
    /// Events in a snapshot when the client does not say.
    pub const DEFAULT_LAST: usize = 50;
}

/// `unsubscribe` and `leave`: a room and nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct InRoom {
    pub room: RoomId,
}

/// `join`: become a member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Join {
    pub room: RoomId,
    pub invite: Option<String>,
}

/// `publish`: a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Publish {
    pub room: RoomId,
    pub client_id: ClientId,
    pub body: MessageBody,
    pub reply_to: Option<Seq>,
    pub thread: Option<Seq>,
    #[serde(default)]
    pub mentions: Vec<UserId>,
    pub ack: Option<Durability>,
}

/// How durable a message is when it is acknowledged (rule 5 of `docs/PROTOCOL.md`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Ordered and appended to the cluster's log.
    #[default]
    Log,
    /// Committed in the database.
    Db,
}

/// The body of a message. A client's own things go into `meta`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageBody {
    /// What it says, at most 32 KiB of UTF-8.
    pub text: String,
    /// How `text` is meant to be shown, for instance `plain` or `markdown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Things that belong to it, as the clients agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub attachments: Vec<Value>,
    /// Whatever else a client wants kept with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Map<String, Value>>,
}

/// `read`: everything up to here has been seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Read {
    pub room: RoomId,
    pub seq: Seq,
}

/// `typing`: a person writes, or has stopped.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Typing {
    pub room: RoomId,
    pub active: bool,
}

/// `status`: how a person wants to be seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Status {
    pub status: Presence,
    pub text: Option<String>,
}

/// Whether a person can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, `status` and `presence`")]
pub enum Presence {
    #[default]
    Online,
    Away,
    Busy,
    #[serde(skip_deserializing)]
    Offline,
}

/// `history`: a page of the raw log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct History {
    pub room: RoomId,
    pub before: Option<Seq>,
    pub after: Option<Seq>,
    pub around: Option<Seq>,
    pub limit: Option<usize>,
}

/// `members`: a page of who is in a room.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/PROTOCOL.md, client frames")]
pub struct Members {
    pub room: RoomId,
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}
