//! Rows of `events`.

use diesel::prelude::*;
use serde::Serialize;

use super::unreadable;
use crate::db::StoreError;
use crate::db::placing::Standing;
use crate::db::plan::NewEvent;
use crate::db::schema::events;
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{ClientId, Draft, Event, Place};

/// A row of `events`, read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct EventRow {
    room: i64,
    seq: i64,
    n: i64,
    kind: String,
    sender: i64,
    client_id: String,
    target: Option<i64>,
    reply_to: Option<i64>,
    thread: Option<i64>,
    mentions: Option<String>,
    at: i64,
    body: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let kind = row.kind.parse();
        Ok(Event {
            room: RoomId::from_raw(row.room),
            place: Place {
                seq: Seq(row.seq),
                n: row.n,
                at: row.at,
            },
            draft: Draft {
                kind: kind.map_err(|_| unreadable("kind of event", &row.kind))?,
                from: UserId::from_raw(row.sender),
                client_id: ClientId::from_stored(row.client_id),
                target: row.target.map(Seq),
                reply_to: row.reply_to.map(Seq),
                thread: row.thread.map(Seq),
                mentions: row.mentions.map_or(Ok(Vec::new()), |list| {
                    serde_json::from_str(&list).map_err(|_| unreadable("list of people", &list))
                })?,
                body: row.body.into(),
            },
        })
    }
}

/// A row of `events`, to be written.
#[derive(Debug, Insertable, Serialize)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub struct NewEventRow<'a> {
    /// Whose log.
    pub room: i64,
    /// Its place.
    pub seq: i64,
    /// How many messages there are with it.
    pub n: i64,
    /// What it is.
    pub kind: &'a str,
    /// Who did it.
    pub sender: i64,
    /// Its name for ever.
    pub client_id: &'a str,
    /// What it is about.
    pub target: Option<i64>,
    /// What it answers.
    pub reply_to: Option<i64>,
    /// What it belongs to.
    pub thread: Option<i64>,
    /// Whom it calls, as a JSON list of ids.
    pub mentions: Option<String>,
    /// When.
    pub at: i64,
    /// What it says.
    pub body: &'a str,
    /// What tells a repeat.
    pub digest: i64,
}

impl<'a> From<&NewEvent<'a>> for NewEventRow<'a> {
    fn from(event: &NewEvent<'a>) -> Self {
        let draft = event.checked.draft;
        Self {
            room: event.room.raw(),
            seq: event.place.seq.0,
            n: event.place.n,
            kind: draft.kind.as_str(),
            sender: draft.from.raw(),
            client_id: draft.client_id.as_str(),
            target: draft.target.map(|seq| seq.0),
            reply_to: draft.reply_to.map(|seq| seq.0),
            thread: draft.thread.map(|seq| seq.0),
            // A list of ids always has a JSON form.
            mentions: (!draft.mentions.is_empty())
                .then(|| serde_json::to_string(&draft.mentions).unwrap_or_default()),
            at: event.place.at,
            body: &draft.body,
            digest: event.checked.digest,
        }
    }
}

/// What tells whether an event is the one that somebody repeats, and where it stands.
#[derive(Debug, QueryableByName)]
#[diesel(table_name = events)]
pub(crate) struct TakenRow {
    room: i64,
    sender: i64,
    client_id: String,
    seq: i64,
    n: i64,
    at: i64,
    digest: i64,
}

impl TakenRow {
    /// See [`NewEvent::raw_key`].
    pub(crate) fn raw_key(&self) -> (i64, i64, &str) {
        (self.room, self.sender, &self.client_id)
    }

    /// Its digest and its place.
    pub(crate) fn taken(&self) -> (i64, Place) {
        let place = Place {
            seq: Seq(self.seq),
            n: self.n,
            at: self.at,
        };
        (self.digest, place)
    }
}

/// What tells one event at a place from another.
#[derive(Debug, QueryableByName)]
#[diesel(table_name = events)]
pub(crate) struct StandingRow {
    room: i64,
    seq: i64,
    kind: String,
    sender: i64,
    client_id: String,
}

impl From<StandingRow> for ((RoomId, Seq), Standing) {
    fn from(row: StandingRow) -> Self {
        let standing = Standing {
            sender: UserId::from_raw(row.sender),
            client_id: row.client_id,
            kind: row.kind,
        };
        ((RoomId::from_raw(row.room), Seq(row.seq)), standing)
    }
}
