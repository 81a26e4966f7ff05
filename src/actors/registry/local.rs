//! The broker of a node that is alone: its log is the database.
//!
//! The persistence actor gives every draft its place inside the transaction that commits
//! it, so an append is answered when it is durable, and a failed commit leaves no hole.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use actix::prelude::*;

use super::broker::{Broker, Head, PageOf, Ring};
use crate::actors::persistence::{self, Persistence};
use crate::actors::{Pending, Reply};
use crate::db::{Append, Appended, Db, Fate, Range, Select, new_events};
use crate::error::Error;
use crate::ids::{Epoch, RoomId, Seq};
use crate::locks::lock;
use crate::protocol::doorbell::Ephemeral;
use crate::protocol::{Event, MAX_EVENTS};

/// When a sender may try again who met a full mailbox.
const RETRY_AFTER_MS: u64 = 1000;

/// The log of one process.
pub struct LocalBroker {
    persistence: Addr<Persistence>,
    db: Db,
    /// Who hears the doorbells.
    rings: Arc<Recipient<Ring>>,
    /// Whose doorbells are wanted.
    wanted: Arc<Mutex<HashSet<RoomId>>>,
    /// Did a ring find a full mailbox?
    missed: Arc<AtomicBool>,
}

impl LocalBroker {
    /// A broker that writes through this actor and rings there.
    pub fn new(persistence: Addr<Persistence>, db: Db, rings: Recipient<Ring>) -> Self {
        Self {
            persistence,
            db,
            rings: Arc::new(rings),
            wanted: Arc::default(),
            missed: Arc::default(),
        }
    }
}

impl Broker for LocalBroker {
    fn append(&self, append: Append) -> Pending<Appended> {
        let (reply_to, answer) = Reply::channel();
        let command = persistence::Append {
            append: append.clone(),
            reply_to,
        };
        let sent = self.persistence.try_send(command);
        let (rings, wanted) = (self.rings.clone(), self.wanted.clone());
        let missed = self.missed.clone();
        Box::pin(async move {
            match sent {
                Ok(()) => {}
                Err(SendError::Full(_)) => return Err(Error::overloaded(RETRY_AFTER_MS)),
                Err(SendError::Closed(_)) => return Err(Error::unavailable()),
            }
            let appended = answer.await?;
            let wanted = lock(&wanted);
            if wanted.contains(&append.room) && !ring(&rings, append, &appended) {
                missed.store(true, Ordering::Relaxed);
            }
            Ok(appended)
        })
    }

    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>> {
        let db = self.db.clone();
        Box::pin(async move {
            let limit = limit.min(MAX_EVENTS);
            let range = Range::After(after);
            db.run(move |store| store.events(room, range, Seq::ZERO, Select::All, limit))
                .await
        })
    }

    fn heads(&self, rooms: Vec<RoomId>) -> Pending<Vec<Head>> {
        let db = self.db.clone();
        Box::pin(async move {
            let heads = db.run(move |store| store.heads(&rooms)).await?;
            Ok(heads.into_iter().map(Head::in_database).collect())
        })
    }

    fn may_have_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }

    fn page(&self, page: PageOf) -> Pending<Vec<Event>> {
        let db = self.db.clone();
        let PageOf {
            room,
            range,
            floor,
            select,
            limit,
        } = page;
        Box::pin(async move {
            db.run(move |store| store.events(room, range, floor, select, limit))
                .await
        })
    }

    fn subscribe(&self, room: RoomId) -> Pending<()> {
        lock(&self.wanted).insert(room);
        Box::pin(std::future::ready(Ok(())))
    }

    fn unsubscribe(&self, room: RoomId) {
        lock(&self.wanted).remove(&room);
    }

    /// It is there already: the log is the database.
    fn when_flushed(&self, _: RoomId, _: Seq) -> Pending<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// There is nobody else.
    fn pass(&self, _: RoomId, _: &Epoch, _: &Ephemeral) {}
}

/// Rings with the drafts that are new in the log. False when something may not have rung: a
/// full mailbox lost the ring, or an earlier try was written and its answer was lost.
fn ring(rings: &Recipient<Ring>, append: Append, appended: &Appended) -> bool {
    let Appended::Done(fates) = appended else {
        return true;
    };
    let heard = !fates.iter().any(|fate| matches!(fate, Fate::Duplicate(_)));
    let room = append.room;
    let events = new_events(room, append.drafts, fates);
    if events.is_empty() {
        return heard;
    }
    let ring = Ring {
        room,
        epoch: None,
        events,
    };
    rings.try_send(ring).is_ok() && heard
}
