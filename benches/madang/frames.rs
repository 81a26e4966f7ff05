//! The frames that clients of the benchmarks send.

use serde_json::json;
use uuid::Uuid;

use crate::{Outcome, token};

/// The text of every message: about what a person writes in one go.
const TEXT: &str =
    "a line about as long as what people write when they chat, 80 bytes with this end";

/// The first frame of a connection.
pub fn hello(user: usize) -> Outcome<String> {
    Ok(json!({"type": "hello", "version": 1, "token": token::sign(user)?}).to_string())
}

/// The first frame of a connection that goes on where an earlier one ended.
pub fn resume(user: usize, room: &str, epoch: &str, seq: u64) -> Outcome<String> {
    let token = token::sign(user)?;
    let position = json!({room: {"epoch": epoch, "seq": seq}});
    Ok(json!({"type": "hello", "version": 1, "token": token, "resume": position}).to_string())
}

/// Becomes a member.
pub fn join(room: &str) -> String {
    json!({"type": "join", "ref": 1, "room": room}).to_string()
}

/// Listens from here on.
pub fn subscribe(room: &str) -> String {
    json!({"type": "subscribe", "ref": 2, "room": room, "last": 0}).to_string()
}

/// The body of every message.
pub fn body() -> String {
    format!(r#"{{"text":"{TEXT}"}}"#)
}

/// A message. Written by hand: thousands of these are made while the clock runs.
pub fn publish(reference: u64, room: &str) -> String {
    let (id, body) = (Uuid::now_v7(), body());
    format!(
        r#"{{"type":"publish","ref":{reference},"room":"{room}","client_id":"{id}","body":{body}}}"#
    )
}

/// A frame of this many bytes that is read whole, refused, and does no harm.
pub fn burst(bytes: usize) -> String {
    let mut frame = String::from(r#"{"type":"no_such_type","ref":3,"padding":""#);
    frame.extend(std::iter::repeat_n(
        'x',
        bytes.saturating_sub(frame.len() + 2),
    ));
    frame.push_str("\"}");
    frame
}
