//! Reads: the log first, then the database for what lies below it. The other way round
//! has a hole: what is flushed and trimmed between the two readings.

use std::collections::BTreeMap;

use super::link::Fault;
use super::reply::{ReadReply, texts};
use super::scripts::Life;
use super::{Inner, keys};
use crate::actors::registry::broker::{Head, PageOf};
use crate::db::{Range, Select};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::ids::{Epoch, RoomId, Seq};
use crate::protocol::{Event, MAX_EVENTS};

/// Most rooms in one call: Redis does nothing else meanwhile.
const HEADS_AT_ONCE: usize = 500;

/// What became of a seed.
pub(super) enum Seeded {
    /// The room is in Redis.
    Here,
    /// The reading took too long: ask anew.
    TooLate,
    /// There is no such room.
    NoRoom,
}

/// What the log has of a range.
struct Part {
    /// Everything from here on is in the log, if anything is.
    first: Option<Seq>,
    events: Vec<Event>,
}

impl Inner {
    /// See [`crate::actors::registry::Broker::read`].
    pub(super) async fn read(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<Event>> {
        let part = self.part(room, Range::After(after), limit).await?;
        if part.first.is_some_and(|first| first <= after.next()) {
            return Ok(part.events);
        }
        let below = part.first;
        let mut events = self
            .db
            .run(move |store| {
                store.events(room, Range::After(after), Seq::ZERO, Select::All, limit)
            })
            .await?;
        join(&mut events, after, below, part.events, limit);
        Ok(events)
    }

    /// See [`crate::actors::registry::Broker::page`].
    pub(super) async fn page(&self, page: PageOf) -> Result<Vec<Event>> {
        match page.range {
            Range::After(after) => self.page_after(page, after).await,
            Range::Before(before) => self.page_before(page, before).await,
        }
    }

    async fn page_after(&self, page: PageOf, after: Seq) -> Result<Vec<Event>> {
        let mut after = after.max(Seq(page.floor.0 - 1));
        if page.select == Select::All {
            return self.read(page.room, after, page.limit).await;
        }
        let mut found = Vec::new();
        while found.len() < page.limit {
            let events = self.read(page.room, after, MAX_EVENTS).await?;
            let Some(last) = events.last() else { break };
            after = last.seq();
            found.extend(
                events
                    .into_iter()
                    .filter(|event| event.draft.kind.is_message()),
            );
        }
        found.truncate(page.limit);
        Ok(found)
    }

    async fn page_before(&self, page: PageOf, mut before: Seq) -> Result<Vec<Event>> {
        let PageOf {
            room,
            floor,
            select,
            limit,
            ..
        } = page;
        let wanted = |event: &Event| {
            event.seq() >= floor && (select == Select::All || event.draft.kind.is_message())
        };
        // Newest first, until the log ends or there are enough.
        let mut found: Vec<Event> = Vec::new();
        loop {
            let part = self.part(room, Range::Before(before), MAX_EVENTS).await?;
            let Some(oldest) = part.events.first().map(Event::seq) else {
                break;
            };
            before = oldest;
            found.extend(part.events.into_iter().rev().filter(&wanted));
            if found.len() >= limit || oldest <= floor {
                break;
            }
        }
        if found.len() < limit && before > floor.max(Seq(1)) {
            let missing = limit - found.len();
            let below = self
                .db
                .run(move |store| store.events(room, Range::Before(before), floor, select, missing))
                .await?;
            found.extend(below.into_iter().rev());
        }
        found.truncate(limit);
        found.reverse();
        Ok(found)
    }

    /// What the log has of a range. A room that is not in Redis has nothing there.
    async fn part(&self, room: RoomId, range: Range, limit: usize) -> Result<Part> {
        match self.read_log(room, range, limit).await? {
            Some((_, first, events)) => Ok(Part {
                first: Some(first),
                events,
            }),
            None => Ok(Part {
                first: None,
                events: Vec::new(),
            }),
        }
    }

    /// A room's head in the log, where the log begins, and a range of it.
    pub(super) async fn read_log(
        &self,
        room: RoomId,
        range: Range,
        limit: usize,
    ) -> Result<Option<(Seq, Seq, Vec<Event>)>> {
        let life = self.open_life().await?;
        let of_room = [
            keys::life(keys::bucket(room)),
            keys::room(room),
            keys::log(room),
        ];
        let (side, seq) = match range {
            Range::After(seq) => ("after", seq),
            Range::Before(seq) => ("before", seq),
        };
        let mut call = life.read.call(&of_room);
        call.arg(side).arg(seq.0).arg(limit);
        let answer = self.link.run(&call).await;
        if !self.still_lives(&life) {
            return Err(Error::unavailable());
        }
        match answer.and_then(|answer| ReadReply::read(room, answer)) {
            Ok(ReadReply::Part {
                head,
                first,
                events,
                ..
            }) => Ok(Some((head, first, events))),
            Ok(ReadReply::Cold) => Ok(None),
            Ok(ReadReply::NoLife) => Err(self.refused(&Fault::NoScript)),
            Err(fault) => Err(self.refused(&fault)),
        }
    }

    /// See [`crate::actors::registry::Broker::heads`].
    pub(super) async fn heads(&self, rooms: Vec<RoomId>) -> Result<Vec<Head>> {
        let life = self.open_life().await?;
        let mut buckets: BTreeMap<u64, Vec<RoomId>> = BTreeMap::new();
        for room in rooms {
            buckets.entry(keys::bucket(room)).or_default().push(room);
        }
        let buckets: Vec<(u64, Vec<RoomId>)> = buckets
            .into_iter()
            .flat_map(|(bucket, rooms)| {
                let parts: Vec<_> = rooms.chunks(HEADS_AT_ONCE).map(<[_]>::to_vec).collect();
                parts.into_iter().map(move |rooms| (bucket, rooms))
            })
            .collect();
        let calls = buckets.iter().map(|(bucket, rooms)| {
            let of_rooms = rooms.iter().map(|room| keys::room(*room));
            let of_heads: Vec<_> = std::iter::once(keys::life(*bucket))
                .chain(of_rooms)
                .collect();
            life.heads.call(&of_heads)
        });
        let answers = self.link.run_all(calls.collect()).await;
        let answers = answers.map_err(|fault| self.refused(&fault))?;
        let (mut heads, mut cold) = (Vec::new(), Vec::new());
        for ((_, rooms), answer) in buckets.into_iter().zip(answers) {
            let words = answer
                .and_then(texts)
                .map_err(|fault| self.refused(&fault))?;
            if words.first().is_none_or(|word| word != "OK") {
                return Err(self.refused(&Fault::NoScript));
            }
            for (room, head) in rooms.into_iter().zip(&words[1..]) {
                match head
                    .split_once(' ')
                    .map(|(epoch, head)| (epoch, head.parse()))
                {
                    Some((epoch, Ok(head))) => heads.push(Head {
                        room,
                        epoch: Some(Epoch::from(epoch.to_owned())),
                        head: Seq(head),
                    }),
                    _ => cold.push(room),
                }
            }
        }
        if !cold.is_empty() {
            let below = self.db.run(move |store| store.heads(&cold)).await?;
            heads.extend(below.into_iter().map(Head::in_database));
        }
        Ok(heads)
    }

    /// Takes a room into Redis from the database, with the scripts of the life in which it
    /// was found to be cold, and no earlier than then.
    pub(super) async fn seed(&self, room: RoomId, life: &Life, cold_at: i64) -> Result<Seeded> {
        let row = self.db.run(move |store| store.seed_of(room)).await?;
        let Some(row) = row else {
            return Ok(Seeded::NoRoom);
        };
        failpoint::at("redis::before_seed");
        let mut call = life.seed.call(&keys::of_append(room));
        call.arg(room.to_string())
            .arg(cold_at)
            .arg(row.epoch.to_string())
            .arg(row.head.0)
            .arg(row.messages)
            .arg(row.changed_at)
            .arg(row.newest_id_at)
            .arg(row.rights.0)
            .arg(row.membership.0);
        let answer = self.link.run(&call).await;
        failpoint::at("redis::after_seed");
        let words = answer
            .and_then(texts)
            .map_err(|fault| self.refused(&fault))?;
        match words.first().map(String::as_str) {
            Some("OK") => Ok(Seeded::Here),
            Some("NOLIFE") => Err(self.refused(&Fault::NoScript)),
            // The reading has become old.
            _ => Ok(Seeded::TooLate),
        }
    }

    /// What a fault means for whoever asked.
    pub(super) fn refused(&self, fault: &Fault) -> Error {
        match fault {
            Fault::NoScript => self.fence(),
            Fault::Refused(cause) => {
                log::error!("Redis refuses: {cause}");
                return Error::internal();
            }
            Fault::Away(_) | Fault::Full => {}
        }
        Error::unavailable()
    }
}

/// Puts what the log had behind what the database had, without a hole and without repeats.
fn join(events: &mut Vec<Event>, after: Seq, below: Option<Seq>, log: Vec<Event>, limit: usize) {
    if let Some(below) = below {
        events.retain(|event| event.seq() < below);
    }
    let dense_to = events.last().map(Event::seq);
    let behind = log
        .into_iter()
        .filter(|event| dense_to.is_none_or(|last| event.seq() > last));
    events.extend(behind);
    events.truncate(limit);
    // What the database did not have yet leaves a hole: only what is dense counts.
    let mut next = after.next();
    let dense = events.iter().take_while(|event| {
        let fits = next == event.seq();
        next = event.seq().next();
        fits
    });
    let dense = dense.count();
    events.truncate(dense);
}
