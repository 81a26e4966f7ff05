//! What the write-back needs of the log: to read it, to say what is in the database, to
//! find what nobody writes, and to begin a room's log anew where it contradicts the database.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;

use super::doubtful::Doubtful;
use super::link::Fault;
use super::reply::{DropReply, FlushReply};
use super::{Inner, RedisBroker, keys, values};
use crate::actors::Pending;
use crate::actors::persistence::write_back::{Flushed, HotLog};
use crate::db::{Append, Appended, Basis, Fate, Range};
use crate::error::{Error, Result};
use crate::ids::{Epoch, RoomId, Seq};
use crate::protocol::{Event, EventKind};

/// Most rooms that one look at a bucket finds.
const STUCK_PER_BUCKET: usize = 100;
/// Most drafts in one append.
const DRAFTS: usize = 64;
/// Between two attempts to append again what only this node has.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Why a `join` or `role` is not appended again.
const DECIDED_AGAIN: &str = "a membership or role is not appended again";

/// What does not stand in the database.
#[derive(Debug, Default)]
struct Missing {
    /// To be appended again.
    again: Vec<Event>,
    /// How many are not.
    left_out: usize,
}

impl HotLog for RedisBroker {
    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>> {
        let inner = self.0.clone();
        Box::pin(async move {
            if inner.gate.life_if_open().is_none() {
                return inner.read_ending(room, after, limit).await;
            }
            let range = Range::After(after);
            let part = inner.read_log(room, range, limit).await?;
            let dense = part.filter(|part| part.first <= after.next());
            Ok(dense.map(|part| part.events).unwrap_or_default())
        })
    }

    fn flush(&self, rooms: Vec<(RoomId, Seq)>) -> Pending<Vec<Flushed>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.flush(rooms).await })
    }

    fn stuck(&self, older_than: Duration) -> Pending<Vec<RoomId>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.stuck(older_than).await })
    }

    fn append_again(&self, room: RoomId, events: Vec<Event>) -> Pending<()> {
        let inner = self.0.clone();
        Box::pin(async move { inner.append_again(room, events).await })
    }

    fn fence(&self) {
        self.0.gate.fence();
    }

    fn life(&self) -> Arc<str> {
        let life = self.0.gate.life();
        life.map_or_else(|| "".into(), |life| life.name.clone())
    }
}

impl Inner {
    async fn flush(&self, rooms: Vec<(RoomId, Seq)>) -> Result<Vec<Flushed>> {
        let life = self.open_life().await?;
        let call = |(room, seq): &(RoomId, Seq)| -> Cmd {
            let mut call = life.flush.call(&keys::of_append(*room));
            call.arg(room.to_string())
                .arg(keys::channel(*room))
                .arg(seq.0);
            call
        };
        let calls = rooms.iter().map(call).collect();
        let replies = self.ask_all(calls, FlushReply::read).await?;
        let flushed = replies.into_iter().map(|reply| match reply {
            FlushReply::Moved { flushed, head } => Flushed::Moved { flushed, head },
            FlushReply::Gone => Flushed::Gone,
            FlushReply::NoLife => {
                self.gate.fence();
                Flushed::Gone
            }
            FlushReply::Ahead => {
                self.gate.fence_lossy(&life);
                Flushed::Gone
            }
        });
        Ok(flushed.collect())
    }

    /// What survives of a log whose life is ending: its scripts are not known any more. Such
    /// a log only tells what to bring into the database, it is never appended to.
    async fn read_ending(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<Event>> {
        let mut get = redis::cmd("HGET");
        get.arg(keys::room(room)).arg("life");
        let of_room = self.ask(&get, values::text).await?;
        if of_room.is_none_or(|life| !self.gate.is_in(&life)) {
            return Ok(Vec::new());
        }
        let oldest = self.range(room, 0, 1).await?;
        let Some(oldest) = oldest.first().map(Event::seq) else {
            return Ok(Vec::new());
        };
        let from = after.next().0 - oldest.0;
        if from < 0 {
            return Ok(Vec::new());
        }
        let events = self.range(room, from, limit).await?;
        match events.first() {
            // It was trimmed between the two readings.
            Some(first) if first.seq() != after.next() => Err(Error::unavailable()),
            _ => Ok(events),
        }
    }

    /// A part of a room's list, whatever its life.
    async fn range(&self, room: RoomId, from: i64, limit: usize) -> Result<Vec<Event>> {
        let mut get = redis::cmd("LRANGE");
        get.arg(keys::log(room))
            .arg(from)
            .arg(from + limit as i64 - 1);
        self.ask(&get, |answer| values::log(room, answer)).await
    }

    async fn stuck(&self, older_than: Duration) -> Result<Vec<RoomId>> {
        let life = self.open_life().await?;
        let looks = (0..keys::BUCKETS).map(|bucket| {
            let mut call = life.stuck.call(&[keys::dirty(bucket)]);
            call.arg(older_than.as_millis() as u64)
                .arg(STUCK_PER_BUCKET);
            call
        });
        let rooms = self.ask_all(looks.collect(), values::rooms).await?;
        Ok(rooms.concat())
    }

    /// These acknowledged events may not be where they were: the log of a room contradicts
    /// the database, or this node has slept through the end of Redis' life. Those that are
    /// missing are appended again, in a new epoch: somebody may have seen their numbers.
    async fn append_again(&self, room: RoomId, mut events: Vec<Event>) -> Result<()> {
        let row = self.db.run(move |store| store.seed_of(room)).await?;
        let Some(over) = row.map(|row| row.epoch) else {
            self.lose(room, "the database does not know their room", events.len());
            return Ok(());
        };
        events.sort_by_key(Event::seq);
        events.dedup_by_key(|event| event.seq());
        let mut missing = self.missing(room, events).await?;
        if missing.again.is_empty() {
            self.lose(room, DECIDED_AGAIN, missing.left_out);
            return Ok(());
        }
        // The epoch first: a death between the two costs readers no more than a reload.
        let renewed = self.db.run(move |store| store.renew_epoch(room)).await?;
        if self.log_has(room, &missing.again[0]).await? {
            let dropped = self.drop_log(room, &over.to_string()).await?;
            // From here on nobody but us may have them.
            let dropped = self.until_known(room, dropped).await;
            missing.left_out += dropped.left_out;
            missing.again.extend(dropped.again);
            missing.again.sort_by_key(Event::seq);
            missing.again.dedup_by_key(|event| event.seq());
        } else {
            self.renew_epoch(room, &over, &renewed).await?;
        }
        let count = missing.again.len();
        log::error!(
            "room={room} {count} events lost their numbers: epoch {over} is over, {renewed} begins"
        );
        for events in missing.again.chunks(DRAFTS) {
            self.until_appended(room, events).await;
        }
        self.lose(room, DECIDED_AGAIN, missing.left_out);
        Ok(())
    }

    /// Appends what was accepted once and is promised; however long that takes.
    async fn until_appended(&self, room: RoomId, events: &[Event]) {
        let append = Append {
            room,
            // Nobody decides again.
            basis: Basis {
                head: Seq::ZERO,
                rights: Seq(i64::MAX),
                membership: Seq(i64::MAX),
            },
            drafts: events.iter().map(|event| event.draft.clone()).collect(),
        };
        loop {
            match self.append(append.clone(), Doubtful::FailAll).await {
                Ok(Appended::Done(fates)) => {
                    let lost = |fate: &&Fate| matches!(fate, Fate::Conflict | Fate::Poison);
                    let lost = fates.iter().filter(lost).count();
                    return self.lose(room, "other events have their ids", lost);
                }
                Ok(Appended::NoRoom) => {
                    return self.lose(room, "there is no such room", events.len());
                }
                Ok(Appended::Stale { .. }) => log::error!("room={room} nothing is newer than this"),
                Err(cause) => log::warn!("room={room} appending again: {cause}"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// As [`Inner::missing`], however long the database is away.
    async fn until_known(&self, room: RoomId, events: Vec<Event>) -> Missing {
        loop {
            match self.missing(room, events.clone()).await {
                Ok(missing) => return missing,
                Err(cause) => log::warn!("room={room} looking for what is missing: {cause}"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Those that do not stand in the database where they should. A `join` or `role` is left
    /// out: appended again it could break the capacity, or undo a ban.
    async fn missing(&self, room: RoomId, events: Vec<Event>) -> Result<Missing> {
        let ids: Vec<_> = events
            .iter()
            .map(|event| (event.draft.from, event.draft.client_id.clone()))
            .collect();
        let found = self.db.run(move |store| store.find(room, &ids)).await?;
        let mut missing = Missing::default();
        for (event, found) in events.into_iter().zip(found) {
            match event.draft.kind {
                _ if found.is_some() => {}
                EventKind::Join | EventKind::Role => missing.left_out += 1,
                // It stood for an event that nobody had.
                EventKind::Void => {}
                _ => missing.again.push(event),
            }
        }
        Ok(missing)
    }

    /// Acknowledged events are nowhere now.
    fn lose(&self, room: RoomId, why: &str, events: usize) {
        if events > 0 {
            log::error!("room={room} {events} acknowledged events are lost: {why}");
            self.count_lost(events);
        }
    }

    /// Tells Redis, and whoever listens, that a room is in a new epoch.
    async fn renew_epoch(&self, room: RoomId, over: &Epoch, renewed: &Epoch) -> Result<()> {
        let life = self.open_life().await?;
        let mut call = life.epoch.call(&keys::of_append(room));
        call.arg(room.to_string())
            .arg(keys::channel(room))
            .arg(over.to_string())
            .arg(renewed.to_string());
        let read = |answer| DropReply::read(room, answer);
        self.if_alive(self.ask(&call, read).await?).map(drop)
    }

    fn if_alive(&self, reply: DropReply) -> Result<Vec<Event>> {
        match reply {
            DropReply::Done(events) => Ok(events),
            DropReply::NoLife => Err(self.refused(&Fault::NoScript)),
        }
    }

    /// Does the log have this very event at its number, though the database has another?
    async fn log_has(&self, room: RoomId, event: &Event) -> Result<bool> {
        let after = Range::After(Seq(event.seq().0 - 1));
        let part = self.read_log(room, after, 1).await?;
        let found = part.and_then(|part| part.events.into_iter().next());
        Ok(found.is_some_and(|found| {
            let same = |a: &Event| (a.seq(), a.draft.from, a.draft.client_id.clone());
            same(&found) == same(event)
        }))
    }

    /// Takes a room's log out of Redis; what was not in the database comes back.
    async fn drop_log(&self, room: RoomId, epoch: &str) -> Result<Vec<Event>> {
        let life = self.open_life().await?;
        let mut call = life.drop.call(&keys::of_append(room));
        call.arg(room.to_string())
            .arg(keys::channel(room))
            .arg(epoch);
        let read = |answer| DropReply::read(room, answer);
        self.if_alive(self.ask(&call, read).await?)
    }
}
