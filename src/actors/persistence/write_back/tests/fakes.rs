//! What stands around the write-back in these tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use actix::prelude::*;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::super::{
    Appended, Backlog, Flush, Flushed, FlushedTo, Heard, Holds, HotLog, Landed, Limits, Observe,
    Salvage, Salvaged, WhenFlushed, WriteBack,
};
use super::event_in;
use crate::actors::{Pending, Reply};
use crate::db::{Db, NewRoom, OpenOptions, Placed, Range, RoomKind, Select, Store};
use crate::error::Error;
use crate::ids::{RoomId, Seq};
use crate::protocol::Event;

pub(super) const LIFE: &str = "first";

/// A room in the pretended hot log.
#[derive(Debug, Default, Clone)]
pub(super) struct HotRoom {
    pub log: BTreeMap<Seq, Event>,
    pub head: Seq,
    pub flushed: Seq,
}

#[derive(Debug, Default)]
pub(super) struct HotState {
    pub life: Arc<str>,
    pub rooms: BTreeMap<RoomId, HotRoom>,
    /// Out of reach?
    pub is_down: bool,
    /// What a sweep finds, as far as it is still dirty.
    pub stuck: Vec<RoomId>,
    pub again: Vec<(RoomId, Vec<Event>)>,
    pub fences: usize,
    pub reads: usize,
}

/// A hot log in memory.
#[derive(Debug, Default)]
pub(super) struct FakeHot(Mutex<HotState>);

impl FakeHot {
    pub(super) fn state(&self) -> MutexGuard<'_, HotState> {
        self.0.lock().unwrap()
    }

    /// Appends so many messages. Was the room clean?
    fn append(&self, room: RoomId, count: i64) -> (Vec<Event>, bool) {
        let mut state = self.state();
        let hot = state.rooms.entry(room).or_default();
        let became_dirty = hot.head == hot.flushed;
        let first = hot.head.0 + 1;
        let events: Vec<_> = (first..first + count)
            .map(|seq| event_in(room, seq))
            .collect();
        for event in &events {
            hot.log.insert(event.seq(), event.clone());
            hot.head = event.seq();
        }
        (events, became_dirty)
    }

    fn answer<T: Send + 'static>(&self, what: impl FnOnce(&mut HotState) -> T) -> Pending<T> {
        let mut state = self.state();
        let answer = if state.is_down {
            Err(Error::unavailable())
        } else {
            Ok(what(&mut state))
        };
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

impl HotLog for FakeHot {
    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>> {
        self.answer(|state| {
            state.reads += 1;
            let hot = state.rooms.get(&room).cloned().unwrap_or_default();
            let events = hot.log.into_iter().skip_while(|(seq, _)| *seq <= after);
            let dense = events.zip(after.0 + 1..).take(limit);
            let dense = dense.take_while(|((seq, _), expected)| seq.0 == *expected);
            dense.map(|((_, event), _)| event).collect()
        })
    }

    fn flush(&self, rooms: Vec<(RoomId, Seq)>) -> Pending<Vec<Flushed>> {
        self.answer(|state| {
            let flush = |(room, seq): &(RoomId, Seq)| match state.rooms.get_mut(room) {
                Some(hot) if *seq <= hot.head => {
                    hot.flushed = hot.flushed.max(*seq);
                    let (flushed, head) = (hot.flushed, hot.head);
                    Flushed::Moved { flushed, head }
                }
                Some(_) | None => Flushed::Gone,
            };
            rooms.iter().map(flush).collect()
        })
    }

    fn stuck(&self, _: Duration) -> Pending<Vec<RoomId>> {
        self.answer(|state| {
            let mut stuck = std::mem::take(&mut state.stuck);
            let dirty = |hot: &HotRoom| hot.flushed < hot.head;
            stuck.retain(|room| state.rooms.get(room).is_some_and(dirty));
            stuck
        })
    }

    fn append_again(&self, room: RoomId, events: Vec<Event>) -> Pending<()> {
        self.answer(|state| state.again.push((room, events)))
    }

    fn fence(&self) {
        self.state().fences += 1;
    }

    fn life(&self) -> Arc<str> {
        self.state().life.clone()
    }
}

/// Hears what has landed.
#[derive(Default)]
pub(super) struct Recorder(pub Vec<Event>);

impl Actor for Recorder {
    type Context = Context<Self>;
}

impl Handler<Landed> for Recorder {
    type Result = ();

    fn handle(&mut self, Landed { events }: Landed, _: &mut Context<Self>) {
        self.0.extend(events);
    }
}

/// What has landed so far.
#[derive(Message)]
#[rtype(result = "Vec<Event>")]
pub(super) struct Take;

impl Handler<Take> for Recorder {
    type Result = Vec<Event>;

    fn handle(&mut self, _: Take, _: &mut Context<Self>) -> Vec<Event> {
        std::mem::take(&mut self.0)
    }
}

/// A write-back with everything around it.
pub(super) struct World {
    folder: TempDir,
    pub store: Arc<dyn Store>,
    pub hot: Arc<FakeHot>,
    pub backlog: Arc<Backlog>,
    pub write_back: Addr<WriteBack>,
    pub landed: Addr<Recorder>,
    /// The threads of the store live as long as this.
    _db: Db,
}

/// As in a node, but quick to sweep, and patient where a slow machine is late.
pub(super) fn quick() -> Limits {
    Limits {
        deadline: Duration::from_secs(60),
        sweep_interval: Duration::from_millis(20),
        standstill: (Duration::from_millis(100), Duration::from_millis(200)),
        ..Limits::default()
    }
}

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let db = Db::open(&url, &OpenOptions::default()).unwrap();
        let store = db.store();
        assert!(store.begin_life(None, LIFE).unwrap());
        let hot = Arc::new(FakeHot::default());
        hot.state().life = LIFE.into();
        let backlog = Backlog::new(1000);
        let landed = Recorder::default().start();
        let write_back = WriteBack::start_here(
            store.clone(),
            hot.clone(),
            backlog.clone(),
            landed.clone().recipient(),
            limits,
        );
        Self {
            folder,
            store,
            hot,
            backlog,
            write_back,
            landed,
            _db: db,
        }
    }

    /// A room, in the database and empty.
    pub(super) fn room(&self) -> RoomId {
        let id = RoomId::random();
        let (kind, pair, created_at) = (RoomKind::Open, None, 0);
        let room = NewRoom {
            id,
            kind,
            pair,
            created_at,
        };
        self.store.create_room(&room).unwrap();
        id
    }

    /// This node appends.
    pub(super) async fn append(&self, room: RoomId, count: i64) -> Vec<Event> {
        self.backlog.reserve(count as usize).unwrap();
        let (events, became_dirty) = self.hot.append(room, count);
        let appended = Appended {
            room,
            events: events.clone(),
            became_dirty,
        };
        self.write_back.send(appended).await.unwrap();
        events
    }

    /// Another node appends; this one hears it, or not.
    pub(super) async fn others_append(&self, room: RoomId, count: i64, heard: bool) -> Vec<Event> {
        let (events, _) = self.hot.append(room, count);
        if heard {
            let heard = Heard {
                room,
                events: events.clone(),
            };
            self.write_back.send(heard).await.unwrap();
        }
        events
    }

    /// Another node writes the room, up to its head; its ring may get lost.
    pub(super) async fn others_write(&self, room: RoomId, ring: bool) {
        let hot = self.hot.state().rooms[&room].clone();
        let events = hot.log.into_values().collect();
        let placed = Placed { room, events };
        self.store.write(LIFE, &[placed]).unwrap();
        self.hot.flush(vec![(room, hot.head)]).await.unwrap();
        if ring {
            let seq = hot.head;
            let told = FlushedTo { room, seq };
            self.write_back.send(told).await.unwrap();
        }
    }

    /// Waits for a place to be in the database.
    pub(super) fn when_flushed(&self, room: RoomId, seq: i64) -> Pending<()> {
        let (reply_to, answer) = Reply::channel();
        let seq = Seq(seq);
        let wait = WhenFlushed {
            room,
            seq,
            reply_to,
        };
        self.write_back.try_send(wait).unwrap();
        answer
    }

    pub(super) fn flush(&self) -> Pending<()> {
        let (reply_to, answer) = Reply::channel();
        self.write_back.try_send(Flush { reply_to }).unwrap();
        answer
    }

    pub(super) fn salvage(&self, life: &str) -> Pending<Salvaged> {
        let (reply_to, answer) = Reply::channel();
        let life = life.into();
        let salvage = Salvage { life, reply_to };
        self.write_back.try_send(salvage).unwrap();
        answer
    }

    pub(super) async fn holds(&self) -> Holds {
        self.write_back.send(Observe).await.unwrap()
    }

    /// The log of a room in the database.
    pub(super) fn written(&self, room: RoomId) -> Vec<Event> {
        let all = Range::After(Seq::ZERO);
        let read = self
            .store
            .events(room, all, Seq::ZERO, Select::All, 100_000);
        read.unwrap()
    }

    /// Until nothing of this node waits, and the hot log knows it.
    pub(super) async fn settled(&self, room: RoomId) {
        until("everything is written", async || {
            let clean = {
                let state = self.hot.state();
                let hot = state.rooms[&room].clone();
                hot.flushed == hot.head
            };
            clean && self.backlog.taken() == 0
        })
        .await;
        let hot: Vec<_> = self.hot.state().rooms[&room]
            .log
            .values()
            .cloned()
            .collect();
        assert_eq!(self.written(room), hot);
    }

    fn connection(&self) -> SqliteConnection {
        let path = self.folder.path().join("db");
        SqliteConnection::establish(&path.display().to_string()).unwrap()
    }

    /// From now on every write fails.
    pub(super) fn break_database(&self) {
        let away = "PRAGMA busy_timeout = 5000; ALTER TABLE rooms RENAME TO rooms_away";
        self.connection().batch_execute(away).unwrap();
    }

    pub(super) fn mend_database(&self) {
        let back = "PRAGMA busy_timeout = 5000; ALTER TABLE rooms_away RENAME TO rooms";
        self.connection().batch_execute(back).unwrap();
    }

    /// Keeps every write waiting until the connection is dropped.
    pub(super) fn hold_writes(&self) -> SqliteConnection {
        let mut conn = self.connection();
        conn.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE")
            .unwrap();
        conn
    }
}

/// Waits for something that has to come.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds().await {
        assert!(Instant::now() < end, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
