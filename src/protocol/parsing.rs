//! From text to a [`ClientFrame`]: what is read, and what is refused before anybody acts on it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    ClientFrame, Command, Context, ErrorCode, History, MAX_EVENTS, MAX_TEXT_BYTES, Members,
    MessageBody, Publish, Read, Ref, Status, Subscribe,
};
use crate::error::{Error, Result};
use crate::ids::{RoomId, Seq};

/// Largest number that every JSON reader keeps exact: 2^53.
const MAX_NUMBER: i64 = 1 << 53;

/// Longest opaque string that a client may send, bytes.
const MAX_OPAQUE_BYTES: usize = 64;

/// Reads one frame. What cannot be read at all has an empty context.
pub fn parse(text: &str) -> ClientFrame {
    let mut fields = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return unreadable(bad_frame("a frame is a JSON object")),
        Err(cause) => return unreadable(bad_frame(&format!("not JSON: {cause}"))),
    };
    // `null` says "not given", however a client's library writes that.
    fields.retain(|_, value| !value.is_null());
    let reference = match fields.remove("ref").map(serde_json::from_value).transpose() {
        Ok(reference) => reference,
        Err(_) => {
            let wrong = "ref is an integer or a string of at most 64 bytes";
            return unreadable(Error::bad_field(wrong));
        }
    };
    if matches!(&reference, Some(Ref::Text(text)) if text.len() > MAX_OPAQUE_BYTES) {
        return unreadable(Error::bad_field("ref is a string of at most 64 bytes"));
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

fn bad_frame(message: &str) -> Error {
    Error::new(ErrorCode::BadFrame, message)
}

/// A frame of which nothing is known but what is wrong with it.
fn unreadable(error: Error) -> ClientFrame {
    ClientFrame {
        context: Context::default(),
        is_hello: false,
        command: Err(error),
    }
}

fn read_command(mut fields: Map<String, Value>) -> Result<Command> {
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) | None => return Err(bad_frame("a frame has a type, which is a string")),
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
