//! Everything that is kept of a person, for themselves: page by page.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::error::{Problem, Result};
use super::me::{Login, Own};
use crate::actors::Services;
use crate::db::{MemberRecord, Range, Role, RoomKind, RoomRecord, Select, Store, StoreError};
use crate::error::Error;
use crate::identity::Identity;
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{Entry, Event, MAX_EVENTS};

/// Most messages of everybody that are looked at for one page.
const MOST_LOOKED_AT: usize = 10 * MAX_EVENTS;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Where the page before ended.
    cursor: Option<String>,
}

/// A part of what is kept of a person.
#[derive(Serialize, ToSchema)]
pub(super) struct Export {
    /// On the first page: the account and what belongs to it.
    #[serde(flatten)]
    about: Option<About>,
    /// Messages that they have written, room by room, the oldest first.
    messages: Vec<Written>,
    /// Where the next page begins, if there is one. A page may be empty and not the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// What is kept of a person beside messages.
#[derive(Serialize, ToSchema)]
pub(super) struct About {
    account: Own,
    /// Their sign-ins, without secrets.
    logins: Vec<Login>,
    /// Rooms that they are or were in.
    rooms: Vec<Standing>,
}

/// Their standing in a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Standing {
    #[schema(value_type = String)]
    room: RoomId,
    kind: &'static str,
    /// Its title; not told to who is not in it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Left out when they are not in it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Their newest join in its log.
    #[schema(value_type = i64)]
    joined: Seq,
    /// How far they have read.
    #[schema(value_type = i64)]
    read: Seq,
    /// Messages that they have written there.
    sent: i64,
}

impl Standing {
    fn of((room, member): &(RoomRecord, MemberRecord)) -> Self {
        let is_in = member.role.is_some() && room.kind != RoomKind::Dm;
        Self {
            room: room.id,
            kind: room.kind.as_str(),
            name: is_in.then(|| room.name.clone()),
            role: member.role.map(Role::as_str),
            joined: member.joined,
            read: member.mark.read,
            sent: member.sent,
        }
    }
}

/// One message.
#[derive(Serialize, ToSchema)]
pub(super) struct Written {
    #[schema(value_type = String)]
    room: RoomId,
    /// As inside a `batch` (`docs/PROTOCOL.md`).
    #[schema(value_type = Object)]
    event: Box<RawValue>,
}

/// Everything that is kept of me, page by page.
#[utoipa::path(get, path = "/v1/me/export", tag = "me", params(Which),
    responses((status = 200, body = Export)))]
pub(super) async fn get(
    services: web::Data<Services>,
    who: Identity,
    which: web::Query<Which>,
) -> Result {
    let from = which.cursor.as_deref().map(Place::parse).transpose()?;
    let user = who.user;
    let reading = services.db.run(move |store| {
        let rooms = store.standings(user)?;
        let (messages, next) = written_by(store, user, &rooms, from)?;
        let about = match from {
            None => Some((store.user(user)?, store.logins(user)?)),
            Some(_) => None,
        };
        Ok((rooms, about, messages, next))
    });
    let (rooms, about, messages, next) = reading.await?;
    let about = match about {
        None => None,
        Some((account, logins)) => Some(About {
            account: account.ok_or(Problem::NotFound)?.into(),
            logins: logins
                .into_iter()
                .map(|login| Login::of(login, who.login))
                .collect(),
            rooms: rooms.iter().map(Standing::of).collect(),
        }),
    };
    let messages = messages.into_iter().map(|event| {
        let room = event.room;
        let entry = Entry::new(event).map_err(|_| Error::internal())?;
        let event = entry.json_for(user).to_owned();
        Ok(Written { room, event })
    });
    Ok(HttpResponse::Ok().json(Export {
        about,
        messages: messages.collect::<Result<_, Error>>()?,
        cursor: next.map(|place| place.to_text()),
    }))
}

/// How far an export has come: everything before this room, and this room up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    room: RoomId,
    seq: Seq,
}

impl Place {
    fn parse(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('.');
        let place = parts.and_then(|(room, seq)| {
            let (room, seq) = (room.parse().ok()?, seq.parse().ok()?);
            Some(Self {
                room,
                seq: Seq(seq),
            })
        });
        place.ok_or_else(|| Error::bad_field("cursor is one that a page before ended with"))
    }

    fn to_text(self) -> String {
        format!("{}.{}", self.room, self.seq.0)
    }
}

/// Somebody's messages from a place on, and where to go on. `rooms` are in the order of ids.
fn written_by(
    store: &dyn Store,
    user: UserId,
    rooms: &[(RoomRecord, MemberRecord)],
    from: Option<Place>,
) -> Result<(Vec<Event>, Option<Place>), StoreError> {
    let (mut written, mut looked_at) = (Vec::new(), 0);
    for (room, member) in rooms {
        let room = room.id;
        let is_done = from.is_some_and(|from| room.raw() < from.room.raw());
        if is_done || member.sent == 0 {
            continue;
        }
        let begun = from.filter(|from| from.room == room);
        let mut seq = begun.map_or(Seq::ZERO, |from| from.seq);
        loop {
            if written.len() >= MAX_EVENTS || looked_at >= MOST_LOOKED_AT {
                return Ok((written, Some(Place { room, seq })));
            }
            let after = Range::After(seq);
            let events = store.events(room, after, Seq::ZERO, Select::Messages, MAX_EVENTS)?;
            let Some(last) = events.last() else { break };
            seq = last.seq();
            looked_at += events.len();
            let is_last = events.len() < MAX_EVENTS;
            written.extend(events.into_iter().filter(|event| event.draft.from == user));
            if is_last {
                break;
            }
        }
    }
    Ok((written, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = Place {
            room: RoomId::from_raw(7),
            seq: Seq(12),
        };
        assert_eq!(Place::parse(&place.to_text()).ok(), Some(place));
        for wrong in ["", "7", ".", "x.1", "1.x"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
