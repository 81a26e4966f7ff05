//! A life of Redis is over: what this node held goes to the database, under the old life.

use std::rc::Rc;

use super::super::log::{Draft, Event, Life, Room, Seq};
use super::super::postgres::Written;
use super::super::time::Ms;
use super::Node;

/// How long it waits for what lies below a hole.
const TIMEOUT: Ms = 2_000;

impl Node {
    /// Writes everything it holds; false when the database says that it came too late.
    pub(super) async fn salvage(self: &Rc<Self>, life: Life) -> bool {
        let mut waits_since = self.world.time.now();
        loop {
            let held = self.run_of_held(life);
            let Some((room, events)) = held else {
                return true;
            };
            let write = self.world.postgres(|db| db.write(life, room, &events));
            match write.await {
                None => self.pause(50, 500).await,
                Some(Written::Fenced) => return false,
                Some(Written::Done(_)) => {
                    self.trace(|| format!("salvaged {events:?}"));
                    self.drop_held(room, &events);
                    waits_since = self.world.time.now();
                }
                Some(Written::Conflict(at)) => self.set_aside(room, at),
                Some(Written::Behind(head)) => {
                    let overdue = self.world.time.now() - waits_since > TIMEOUT;
                    if !self.fill(life, room, head, events[0].seq, overdue).await {
                        return false;
                    }
                }
            }
        }
    }

    /// The first events without a hole between them.
    fn run_of_held(&self, life: Life) -> Option<(Room, Vec<Event>)> {
        let state = self.state.borrow();
        let mut held = state.held.iter().filter(|(_, held)| held.life == life);
        let ((room, _), first) = held.next()?;
        let mut run = vec![first.event];
        for ((of, seq), held) in held {
            if of != room || *seq != run[0].seq + run.len() as Seq {
                break;
            }
            run.push(held.event);
        }
        Some((*room, run))
    }

    fn drop_held(&self, room: Room, events: &[Event]) {
        let mut state = self.state.borrow_mut();
        for event in events {
            state.held.remove(&(room, event.seq));
        }
    }

    /// Its place is taken: it gets another one in the next life.
    fn set_aside(&self, room: Room, at: Seq) {
        let mut state = self.state.borrow_mut();
        if let Some(held) = state.held.remove(&(room, at)) {
            state.again.push((room, held.event));
        }
    }

    /// Looks for what lies between `head` and `first`; at last says that nobody has it.
    async fn fill(&self, life: Life, room: Room, head: Seq, first: Seq, overdue: bool) -> bool {
        // Nobody may say that an event is lost who has not looked into what is left.
        let Some(mut between) = self.survivors(life, room, head).await else {
            self.pause(100, 300).await;
            return true;
        };
        between.retain(|event| event.seq < first);
        if between.first().is_none_or(|event| event.seq != head + 1) {
            between.clear();
        }
        if between.is_empty() && !overdue {
            self.pause(100, 300).await;
            return true;
        }
        if between.is_empty() {
            let seq = head + 1;
            let draft = Draft::void(seq);
            let (n, at) = self.world.postgres.borrow().rooms[&room].last();
            between.push(Event { seq, n, at, draft });
        }
        let write = self.world.postgres(|db| db.write(life, room, &between));
        let written = write.await;
        self.trace(|| format!("fills {between:?}: {written:?}"));
        written != Some(Written::Fenced)
    }

    /// What a log that is over still has behind `after`.
    async fn survivors(&self, life: Life, room: Room, after: Seq) -> Option<Vec<Event>> {
        let read = self.world.redis(self.id, |redis, _| {
            let hot = redis.stored.keys.rooms.get(&room);
            let hot = hot.filter(|hot| hot.life == life);
            hot.map(|hot| hot.after(after)).unwrap_or_default()
        });
        read.await.ok()
    }
}
