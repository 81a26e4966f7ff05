//! The plain values that Redis answers, read: no I/O. What cannot be read is a fault.

use redis::Value;

use super::link::Fault;
use crate::ids::RoomId;
use crate::protocol::Event;
use crate::protocol::stored::decode_event;

/// Whatever it is.
pub(super) fn ignored(_: Value) -> Result<(), Fault> {
    Ok(())
}

/// A text; `None` when there is none.
pub(super) fn text(answer: Value) -> Result<Option<String>, Fault> {
    redis::from_redis_value(answer).map_err(|_| unexpected("not a text"))
}

/// An array of texts.
pub(super) fn texts(answer: Value) -> Result<Vec<String>, Fault> {
    redis::from_redis_value(answer).map_err(|_| unexpected("not texts"))
}

/// The fields of a hash and their values.
pub(super) fn fields(answer: Value) -> Result<Vec<(String, String)>, Fault> {
    redis::from_redis_value(answer).map_err(|_| unexpected("not a hash"))
}

/// A number.
pub(super) fn integer(answer: Value) -> Result<i64, Fault> {
    redis::from_redis_value(answer).map_err(|_| unexpected("not a number"))
}

/// So many times yes or no.
pub(super) fn flags(count: usize, answer: Value) -> Result<Vec<bool>, Fault> {
    let flags: Vec<bool> = redis::from_redis_value(answer).map_err(|_| unexpected("not flags"))?;
    if flags.len() == count {
        Ok(flags)
    } else {
        Err(unexpected("flags"))
    }
}

/// Rooms by their ids. Another name is no room's, and is told in the log.
pub(super) fn rooms(answer: Value) -> Result<Vec<RoomId>, Fault> {
    let read = |name: String| match name.parse() {
        Ok(room) => Some(room),
        Err(_) => {
            log::error!("Redis names a room that cannot be one: {name:?}");
            None
        }
    };
    Ok(texts(answer)?.into_iter().filter_map(read).collect())
}

/// A part of a room's list.
pub(super) fn log(room: RoomId, answer: Value) -> Result<Vec<Event>, Fault> {
    events(room, texts(answer)?.iter())
}

/// Events that stand one behind the other. If one of them cannot be read, none is acted on.
pub(super) fn events<'a>(
    room: RoomId,
    texts: impl Iterator<Item = &'a String>,
) -> Result<Vec<Event>, Fault> {
    texts
        .map(|text| {
            decode_event(room, text).map_err(|error| {
                Fault::Malformed(format!("room={room} an event in the log: {error}"))
            })
        })
        .collect()
}

/// `what` is a word of a script, or ours: never what people have written.
pub(super) fn unexpected(what: &str) -> Fault {
    let what = what.chars().take(40).collect();
    Fault::Malformed(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_read() {
        assert_eq!(text(Value::Nil), Ok(None));
        assert!(text(Value::Array(Vec::new())).is_err());
        assert!(flags(2, Value::Array(vec![Value::Int(1)])).is_err());
        assert_eq!(fields(Value::Array(Vec::new())), Ok(Vec::new()));
        assert!(fields(Value::Int(1)).is_err());
        assert!(integer(Value::Nil).is_err());
        let names = [&*RoomId::from_raw(1).to_string(), "not a room"];
        let names = names.map(|name| Value::BulkString(name.into()));
        assert_eq!(
            rooms(Value::Array(names.into())).map(|rooms| rooms.len()),
            Ok(1)
        );
    }
}
