//! Reads: the log first, then the database for what lies below it. The other way round
//! has a hole: what is flushed and trimmed between the two readings.

use std::collections::BTreeMap;

use super::link::Fault;
use super::reply::{HeadsReply, Part, ReadReply, SeedReply};
use super::scripts::Life;
use super::{Inner, keys};
use crate::actors::registry::broker::{Head, PageOf};
use crate::db::{Range, Select, Store};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::ids::{RoomId, Seq};
use crate::protocol::{Event, MAX_EVENTS};

/// Most rooms in one call: Redis does nothing else meanwhile.
const HEADS_AT_ONCE: usize = 500;

/// Most readings of the log for one page: more than an unwritten log is long.
const MAX_ROUNDS: usize = 1000;

/// What became of a seed.
pub(super) enum Seeded {
    /// The room is in Redis.
    Here,
    /// The reading took too long: ask anew.
    TooLate,
    /// There is no such room.
    NoRoom,
}

impl Inner {
    /// See [`crate::actors::registry::Broker::read`].
    pub(super) async fn read(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<Event>> {
        let part = self.read_log(room, Range::After(after), limit).await?;
        let (below, hot) = match part {
            Some(part) if part.first <= after.next() => return Ok(part.events),
            Some(part) => (Some(part.first), part.events),
            None => (None, Vec::new()),
        };
        let mut events = self
            .db
            .run(move |store| {
                store.events(room, Range::After(after), Seq::ZERO, Select::All, limit)
            })
            .await?;
        join(&mut events, after, below, hot, limit);
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
        let (room, limit) = (page.room, page.limit);
        let mut found: Vec<Event> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let part = self.read_log(room, Range::After(after), MAX_EVENTS).await?;
            match part {
                Some(part) if part.first <= after.next() => {
                    let Some(last) = part.events.last() else {
                        return Ok(found);
                    };
                    after = last.seq();
                    let events = part.events.into_iter();
                    found.extend(events.filter(|event| event.draft.kind.is_message()));
                }
                part => {
                    // The database leaves out itself what is no message.
                    let missing = limit - found.len();
                    let range = Range::After(after);
                    let ask = move |store: &dyn Store| {
                        store.events(room, range, Seq::ZERO, Select::Messages, missing)
                    };
                    found.extend(self.db.run(ask).await?);
                    let Some(part) = part else {
                        return Ok(found);
                    };
                    // All that was below the log then was in the database.
                    let last = found.last().map_or(Seq::ZERO, Event::seq);
                    after = after.max(last).max(Seq(part.first.0 - 1));
                }
            }
            if found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
        log::warn!("room={room} seq={after} a page of messages takes too long to find");
        Err(Error::unavailable())
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
            let part = self.read_log(room, Range::Before(before), MAX_EVENTS);
            let events = part.await?.map(|part| part.events).unwrap_or_default();
            let Some(oldest) = events.first().map(Event::seq) else {
                break;
            };
            before = oldest;
            found.extend(events.into_iter().rev().filter(&wanted));
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

    /// What the log has of a range; `None` when the room is not in Redis.
    pub(super) async fn read_log(
        &self,
        room: RoomId,
        range: Range,
        limit: usize,
    ) -> Result<Option<Part>> {
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
        if !self.gate.still_lives(&life) {
            return Err(Error::unavailable());
        }
        match answer.and_then(|answer| ReadReply::read(room, answer)) {
            Ok(ReadReply::Part(part)) => Ok(Some(part)),
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
        let mut counts = buckets.iter().map(|(_, rooms)| rooms.len());
        let read = |answer| HeadsReply::read(counts.next().unwrap_or_default(), answer);
        let replies = self.ask_all(calls.collect(), read).await?;
        let (mut heads, mut cold) = (Vec::new(), Vec::new());
        for ((_, rooms), reply) in buckets.into_iter().zip(replies) {
            let HeadsReply::Heads(of_rooms) = reply else {
                return Err(self.refused(&Fault::NoScript));
            };
            for (room, head) in rooms.into_iter().zip(of_rooms) {
                match head {
                    Some((epoch, head)) => heads.push(Head {
                        room,
                        epoch: Some(epoch),
                        head,
                    }),
                    None => cold.push(room),
                }
            }
        }
        if !cold.is_empty() {
            match self.db.run(move |store| store.heads(&cold)).await {
                Ok(below) => heads.extend(below.into_iter().map(Head::in_database)),
                Err(error) if heads.is_empty() => return Err(error),
                // What Redis has said is needed above all while the database is away.
                Err(error) => log::debug!("heads of rooms that are not in Redis: {error}"),
            }
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
        match answer.and_then(SeedReply::read) {
            Ok(SeedReply::Here) => Ok(Seeded::Here),
            Ok(SeedReply::Old) => Ok(Seeded::TooLate),
            Ok(SeedReply::NoLife) => Err(self.refused(&Fault::NoScript)),
            Err(fault) => Err(self.refused(&fault)),
        }
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
