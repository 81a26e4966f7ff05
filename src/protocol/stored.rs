//! Drafts and events as the text that stands in a log of Redis.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::envelope::{Malformed, versioned};
use super::{ClientId, Draft, Event, EventKind, Place};
use crate::ids::{RoomId, Seq, UserId};

/// A draft as it stands in the log.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    k: &'a str,
    f: UserId,
    c: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<Seq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    m: Vec<UserId>,
    #[serde(borrow)]
    b: &'a RawValue,
}

/// A draft, ready for the log; its place is put before it there. Fails only when its body
/// is not JSON.
pub fn encode_draft(draft: &Draft) -> serde_json::Result<String> {
    serde_json::to_string(&Stored {
        k: draft.kind.as_str(),
        f: draft.from,
        c: draft.client_id.as_str(),
        t: draft.target,
        r: draft.reply_to,
        h: draft.thread,
        m: draft.mentions.clone(),
        b: serde_json::from_str(&draft.body)?,
    })
}

/// An event as it stands in the log of this room: `1 SEQ N AT DRAFT`.
pub fn decode_event(room: RoomId, text: &str) -> Result<Event, Malformed> {
    let rest = versioned(text)?
        .strip_prefix(' ')
        .ok_or(Malformed::Content("no place"))?;
    let mut parts = rest.splitn(4, ' ');
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
    let (seq, n, at) = (number(), number(), number());
    let (Some(seq), Some(n), Some(at)) = (seq, n, at) else {
        return Err(Malformed::Content("no place"));
    };
    let draft = parts.next().ok_or(Malformed::Content("no draft"))?;
    Ok(Event {
        room,
        place: Place {
            seq: Seq(seq),
            n,
            at,
        },
        draft: decode_draft(draft)?,
    })
}

fn decode_draft(text: &str) -> Result<Draft, Malformed> {
    let stored: Stored<'_> =
        serde_json::from_str(text).map_err(|_| Malformed::Content("not a draft"))?;
    Ok(Draft {
        kind: EventKind::from_str(stored.k).map_err(|_| Malformed::Content("unknown kind"))?,
        from: stored.f,
        client_id: ClientId::from_stored(stored.c.to_owned()),
        target: stored.t,
        reply_to: stored.r,
        thread: stored.h,
        mentions: stored.m,
        body: stored.b.get().into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "1? ?[a-z0-9 \n{}\":]{0,60}") {
            let _ = decode_event(RoomId::from_raw(7), &text);
        }
    }
}
