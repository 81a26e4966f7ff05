//! What clients send: one JSON object per WebSocket text message.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ClientId, ErrorCode, MAX_EVENTS, MAX_TEXT_BYTES};
use crate::error::{Error, Result};
use crate::ids::{Epoch, RoomId, Seq, UserId};

/// Largest number that every JSON reader keeps exact: 2^53.
const MAX_NUMBER: i64 = 1 << 53;
/// Longest opaque string that a client may send, bytes.
const MAX_OPAQUE_BYTES: usize = 64;

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

/// Reads one frame. What cannot be read at all has an empty context.
pub fn parse(text: &str) -> ClientFrame {
    let mut fields = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return unreadable("a frame is a JSON object"),
        Err(cause) => return unreadable(&format!("not JSON: {cause}")),
    };
    // `null` says "not given", however a client's library writes that.
    fields.retain(|_, value| !value.is_null());
    let reference = match fields.remove("ref").map(serde_json::from_value).transpose() {
        Ok(reference) => reference,
        Err(_) => return unreadable_field("ref is an integer or a string of at most 64 bytes"),
    };
    if matches!(&reference, Some(Ref::Text(text)) if text.len() > MAX_OPAQUE_BYTES) {
        return unreadable_field("ref is a string of at most 64 bytes");
    }
    let word = |name| fields.get(name).and_then(Value::as_str).map(short);
    let context = Context {
        reference,
        room: word("room"),
        client_id: word("client_id"),
    };
    let is_hello = fields.get("type").is_some_and(|kind| kind == "hello");
    let command = read_command(fields);
    ClientFrame {
        context,
        is_hello,
        command,
    }
}

/// What an error repeats of a client's string: no more than an opaque id has.
fn short(text: &str) -> String {
    text.chars().take(MAX_OPAQUE_BYTES).collect()
}

fn unreadable(message: &str) -> ClientFrame {
    let command = Err(Error::new(ErrorCode::BadFrame, message));
    ClientFrame {
        context: Context::default(),
        is_hello: false,
        command,
    }
}

fn unreadable_field(message: &str) -> ClientFrame {
    ClientFrame {
        context: Context::default(),
        is_hello: false,
        command: Err(Error::bad_field(message)),
    }
}

fn read_command(mut fields: Map<String, Value>) -> Result<Command> {
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(Error::bad_field("type is a string")),
        None => return Err(Error::new(ErrorCode::BadFrame, "a frame has a type")),
    };
    if let Some(Value::String(room)) = fields.get("room")
        && room.parse::<RoomId>().is_err()
    {
        return Err(Error::room_not_found());
    }
    let fields = Value::Object(fields);
    match kind.as_str() {
        "hello" => read(fields).map(Command::Hello),
        "focus" => read(fields).map(Command::Focus),
        "auth" => read(fields).map(Command::Auth),
        "ping" => read::<Empty>(fields).map(|_| Command::Ping),
        "subscribe" => read(fields)
            .and_then(Subscribe::checked)
            .map(Command::Subscribe),
        "unsubscribe" => read(fields).map(Command::Unsubscribe),
        "join" => read(fields).map(Command::Join),
        "leave" => read(fields).map(Command::Leave),
        "publish" => read(fields)
            .and_then(Publish::checked)
            .map(|publish| Command::Publish(publish.into())),
        "read" => read(fields).and_then(Read::checked).map(Command::Read),
        "typing" => read(fields).map(Command::Typing),
        "status" => read(fields).and_then(Status::checked).map(Command::Status),
        "history" => read(fields)
            .and_then(History::checked)
            .map(Command::History),
        "members" => read(fields)
            .and_then(Members::checked)
            .map(Command::Members),
        other => Err(Error::new(
            ErrorCode::UnknownType,
            format!(
                "{:?} is not a type of frame that this node knows",
                short(other)
            ),
        )),
    }
}

/// A frame that has a type and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

fn read<T: DeserializeOwned>(fields: Value) -> Result<T> {
    serde_json::from_value(fields).map_err(|cause| Error::bad_field(cause.to_string()))
}

/// A page size: 1 to 200, or the default.
pub fn page_size(limit: Option<usize>) -> Result<usize> {
    match limit {
        None => Ok(50),
        Some(limit) if (1..=MAX_EVENTS).contains(&limit) => Ok(limit),
        Some(_) => Err(Error::bad_field("limit is between 1 and 200")),
    }
}

fn check_seq(seq: Seq, field: &str) -> Result<()> {
    if (0..=MAX_NUMBER).contains(&seq.0) {
        return Ok(());
    }
    Err(Error::bad_field(format!("{field} is between 0 and 2^53")))
}

/// Text that the database and every client can hold.
pub fn check_text(text: &str, field: &str, max_bytes: usize) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::bad_field(format!("{field} contains NUL")));
    }
    if text.len() > max_bytes {
        return Err(Error::bad_field(format!(
            "{field} has more than {max_bytes} bytes"
        )));
    }
    Ok(())
}

/// Does any string inside contain NUL?
fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || contains_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl MessageBody {
    /// The body, if it is one that can be stored and shown as sent.
    pub fn checked(self) -> Result<Self> {
        check_text(&self.text, "text", MAX_TEXT_BYTES)?;
        if let Some(format) = &self.format {
            check_text(format, "format", MAX_OPAQUE_BYTES)?;
        }
        let nul = self.attachments.iter().any(contains_nul)
            || self
                .meta
                .iter()
                .flatten()
                .any(|(name, value)| name.contains('\0') || contains_nul(value));
        if nul {
            return Err(Error::bad_field("body contains NUL"));
        }
        Ok(self)
    }
}

impl Publish {
    /// Most people that one message may call by name.
    const MAX_MENTIONS: usize = 100;

    fn checked(mut self) -> Result<Self> {
        self.body = self.body.checked()?;
        for (place, field) in [(self.reply_to, "reply_to"), (self.thread, "thread")] {
            place.map_or(Ok(()), |seq| check_seq(seq, field))?;
        }
        if self.mentions.len() > Self::MAX_MENTIONS {
            return Err(Error::bad_field("a message mentions at most 100 people"));
        }
        Ok(self)
    }
}

impl Subscribe {
    /// Events in a snapshot when the client does not say.
    pub const DEFAULT_LAST: usize = 50;

    fn checked(self) -> Result<Self> {
        if self.last.is_some_and(|last| last > MAX_EVENTS) {
            return Err(Error::bad_field("last is between 0 and 200"));
        }
        if self.last.is_some() && self.after.is_some() {
            return Err(Error::bad_field("give either after or last"));
        }
        self.after
            .as_ref()
            .map_or(Ok(()), |position| check_seq(position.seq, "after.seq"))?;
        Ok(self)
    }
}

impl Read {
    fn checked(self) -> Result<Self> {
        check_seq(self.seq, "seq").map(|()| self)
    }
}

impl Status {
    fn checked(self) -> Result<Self> {
        self.text
            .as_ref()
            .map_or(Ok(()), |text| check_text(text, "text", 256))?;
        Ok(self)
    }
}

impl History {
    fn checked(self) -> Result<Self> {
        page_size(self.limit)?;
        let places = [
            (self.before, "before"),
            (self.after, "after"),
            (self.around, "around"),
        ];
        if places.iter().filter(|(seq, _)| seq.is_some()).count() > 1 {
            return Err(Error::bad_field("give one of before, after and around"));
        }
        for (place, field) in places {
            place.map_or(Ok(()), |seq| check_seq(seq, field))?;
        }
        Ok(self)
    }
}

impl Members {
    fn checked(self) -> Result<Self> {
        page_size(self.limit).map(|_| self)
    }
}
