//! The log first, then the database for what lies below it.

use std::rc::Rc;

use super::super::bugs::Bug;
use super::super::faults::Point;
use super::super::log::{Epoch, Event, Fold, Room, Seq};
use super::super::redis::Redis;
use super::super::scripts::{Hot, No};
use super::super::time::Ms;
use super::super::world::{Listener, SPANS, Trouble};
use super::{Node, Reply, View};

/// What the hot log says.
struct Hotness {
    epoch: Epoch,
    head: Seq,
    first: Seq,
    flushed: Seq,
    events: Vec<Event>,
}

impl Hotness {
    fn of(hot: &Hot, after: Seq) -> Self {
        Self {
            epoch: hot.epoch,
            head: hot.head,
            first: hot.first(),
            flushed: hot.flushed,
            events: hot.after(after),
        }
    }
}

impl Node {
    /// Reads the hot log; `None` when the room is not there in this life.
    async fn hot(self: &Rc<Self>, room: Room, after: Seq) -> Result<Option<Hotness>, Trouble> {
        let life = self.life().ok_or(Trouble::Lost)?;
        if self.world.bug == Bug::ReadsUnfenced {
            let read = |redis: &mut Redis, _| {
                let hot = redis.stored.keys.rooms.get(&room);
                hot.map(|hot| Hotness::of(hot, after))
            };
            return self.world.redis(self.id, read).await;
        }
        let read = |redis: &mut Redis, now: Ms| {
            let hot = redis.stored.keys.read(now, life, room)?;
            Ok(Hotness::of(hot, after))
        };
        match self.call(life, read).await {
            Ok(hot) => Ok(Some(hot)),
            Err(Trouble::No(No::Cold(_))) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    async fn database(&self, room: Room, after: Seq) -> Result<(Epoch, Vec<Event>), Trouble> {
        let read = self
            .world
            .postgres(|db| (db.rooms[&room].epoch, db.read(room, after)));
        read.await.ok_or(Trouble::Lost)
    }

    /// Everything behind `after`, up to a head that was read after this was asked.
    pub(super) async fn behind(
        self: &Rc<Self>,
        room: Room,
        after: Seq,
    ) -> Result<(Epoch, Vec<Event>), Trouble> {
        let life = self.life();
        let read = self.read_both(room, after).await?;
        match self.life() == life {
            true => Ok(read),
            false => Err(Trouble::Lost),
        }
    }

    async fn read_both(
        self: &Rc<Self>,
        room: Room,
        after: Seq,
    ) -> Result<(Epoch, Vec<Event>), Trouble> {
        let early = match self.world.bug {
            Bug::DatabaseFirst => Some(self.database(room, after).await?),
            _ => None,
        };
        self.at(Point::LogRead).await;
        let Some(hot) = self.hot(room, after).await? else {
            return match early {
                Some(read) => Ok(read),
                None => self.database(room, after).await,
            };
        };
        self.hold_above(room, hot.flushed, &hot.events);
        self.at(Point::LogRead).await;
        if hot.first <= after + 1 {
            return Ok((hot.epoch, hot.events));
        }
        let (_, mut events) = match early {
            Some(read) => read,
            None => self.database(room, after).await?,
        };
        events.retain(|event| event.seq < hot.first);
        events.extend(hot.events);
        Ok((hot.epoch, events))
    }

    fn hold_above(&self, room: Room, flushed: Seq, events: &[Event]) {
        self.flushed(room, flushed);
        let above: Vec<Event> = events.iter().filter(|e| e.seq > flushed).copied().collect();
        self.hold(room, &above);
    }

    /// Reads the head, and applies up to it.
    pub(super) async fn catch_up(self: &Rc<Self>, room: Room) -> Result<(), Trouble> {
        // Somebody else may have loaded it from an older reading meanwhile.
        self.load(room).await?;
        let before = self.known(room).ok_or(Trouble::Lost)?;
        let (epoch, events) = self.behind(room, before.1).await?;
        self.apply(room, epoch, &events);
        self.known(room).map(|_| ()).ok_or(Trouble::Lost)
    }

    fn known(&self, room: Room) -> Option<(Epoch, Seq)> {
        let state = self.state.borrow();
        let view = state.rooms.get(&room)?;
        Some((view.epoch, view.fold.head))
    }

    /// Loads a room that is not here yet.
    pub(super) async fn load(self: &Rc<Self>, room: Room) -> Result<(), Trouble> {
        if self.known(room).is_some() {
            return Ok(());
        }
        let life = self.life().ok_or(Trouble::Lost)?;
        let hot = self.hot(room, 0).await?;
        self.at(Point::LogRead).await;
        let row = self.world.postgres(|db| db.seed_of(room)).await;
        let row = row.ok_or(Trouble::Lost)?;
        let mut fold: Fold = row.fold;
        let mut epoch = row.epoch;
        if let Some(hot) = hot {
            epoch = hot.epoch;
            self.hold_above(room, hot.flushed, &hot.events);
            for event in hot.events.iter() {
                if event.seq == fold.head + 1 {
                    fold.apply(event, SPANS.ahead);
                }
            }
            if fold.head < hot.head {
                return Err(Trouble::Lost);
            }
        }
        if self.life() != Some(life) {
            return Err(Trouble::Lost);
        }
        let mut state = self.state.borrow_mut();
        state.rooms.entry(room).or_insert(View {
            epoch,
            fold,
            listeners: Vec::new(),
        });
        Ok(())
    }

    /// Somebody wants everything from a position on.
    pub(crate) async fn subscribe(
        self: &Rc<Self>,
        room: Room,
        listener: Listener,
        position: (Epoch, Seq),
    ) -> Reply {
        if self.catch_up(room).await.is_err() {
            return Reply::Unavailable;
        }
        let mut missed: Vec<Event> = Vec::new();
        loop {
            let Some((epoch, head)) = self.known(room) else {
                return Reply::Unavailable;
            };
            if epoch != position.0 {
                return Reply::NewEpoch(epoch);
            }
            if position.1 > head {
                return Reply::Unavailable;
            }
            let reached = missed.last().map_or(position.1, |event| event.seq);
            if reached >= head {
                return self.join_in(room, listener, &missed);
            }
            match self.behind(room, reached).await {
                Ok((of, events)) if of == epoch => {
                    self.apply(room, of, &events);
                    missed.extend(events);
                }
                _ => return Reply::Unavailable,
            }
        }
    }

    /// The snapshot and the subscription are one step.
    fn join_in(&self, room: Room, listener: Listener, missed: &[Event]) -> Reply {
        let mut state = self.state.borrow_mut();
        let Some(view) = state.rooms.get_mut(&room) else {
            return Reply::Unavailable;
        };
        if !view.fold.members.contains(&listener.0) {
            return Reply::Forbidden;
        }
        for event in missed.iter().filter(|event| event.seq <= view.fold.head) {
            self.hand(room, view.epoch, &listener, event);
        }
        view.listeners.push(listener);
        Reply::Live
    }

    /// Somebody reads the whole history over REST.
    pub(crate) async fn history(self: &Rc<Self>, room: Room, person: u8) -> Reply {
        let stale = self.world.bug == Bug::StaleNo && self.known(room).is_some();
        if !stale && self.catch_up(room).await.is_err() {
            return Reply::Unavailable;
        }
        let Ok((epoch, mut events)) = self.behind(room, 0).await else {
            return Reply::Unavailable;
        };
        let state = self.state.borrow();
        match state.rooms.get(&room) {
            Some(view) if view.epoch != epoch => Reply::Unavailable,
            Some(view) if view.fold.members.contains(&person) => {
                events.retain(|event| event.seq <= view.fold.head);
                Reply::History(epoch, events)
            }
            Some(_) => Reply::Forbidden,
            None => Reply::Unavailable,
        }
    }
}
