//! Write-back: a dirty room's events go to the database, then `flushed` moves.

use std::rc::Rc;

use super::super::bugs::Bug;
use super::super::faults::Point;
use super::super::log::{Event, Life, Room, Seq};
use super::super::postgres::Written;
use super::super::redis::{Redis, Ring};
use super::super::scripts::No;
use super::super::time::Ms;
use super::super::world::{SPANS, Trouble};
use super::Node;

/// Events in one transaction.
const MOST: usize = 3;

impl Node {
    /// Writes this room until it is clean.
    pub(super) fn adopt(self: &Rc<Self>, room: Room) {
        if self.state.borrow_mut().writing.insert(room) {
            let node = self.clone();
            self.spawn(async move {
                let life = node.life();
                if let Some(life) = life {
                    while node.write_some(life, room).await {}
                }
                node.state.borrow_mut().writing.remove(&room);
            });
        }
    }

    /// One batch; false when there is nothing more to do for this node.
    async fn write_some(self: &Rc<Self>, life: Life, room: Room) -> bool {
        self.pause(0, self.world.weather.lag).await;
        let Some((mut events, head)) = self.unflushed(life, room).await else {
            return false;
        };
        events.truncate(MOST);
        if events.is_empty() {
            return false;
        }
        let write = self.world.postgres(|db| db.write(life, room, &events));
        let reached = match write.await {
            None => {
                self.state.borrow_mut().failed_at = self.world.time.now();
                self.pause(50, 500).await;
                return true;
            }
            Some(Written::Fenced) => {
                self.fence(life);
                return false;
            }
            Some(Written::Done(_)) => events.last().map_or(0, |event| event.seq),
            Some(Written::Behind(at) | Written::Conflict(at)) => {
                self.trace(|| format!("alarm: cannot write {events:?}, because of {at}"));
                let mut judge = self.world.judge.borrow_mut();
                judge.wrong(|| format!("life {life}: conflict or hole at {at} in the database"));
                return false;
            }
        };
        let reached = match self.world.bug {
            Bug::FlushedToHead => head,
            _ => reached,
        };
        self.at(Point::Written).await;
        self.move_flushed(life, room, reached).await
    }

    /// The events behind `flushed`, and the head.
    async fn unflushed(self: &Rc<Self>, life: Life, room: Room) -> Option<(Vec<Event>, Seq)> {
        for _ in 0..5 {
            let read = self.call(life, |redis, now| {
                let hot = redis.stored.keys.read(now, life, room)?;
                Ok((hot.after(hot.flushed), hot.head))
            });
            match read.await {
                Ok(read) => return Some(read),
                Err(Trouble::Lost) if self.life() == Some(life) => self.pause(50, 400).await,
                Err(_) => return None,
            }
        }
        None
    }

    async fn move_flushed(self: &Rc<Self>, life: Life, room: Room, seq: Seq) -> bool {
        let bug = self.world.bug;
        let flush = |redis: &mut Redis, now: Ms| {
            let keys = &mut redis.stored.keys;
            let (flushed, head) = keys.flush(now, &SPANS, bug, life, (room, seq))?;
            redis.published.push(Ring::Flushed(life, room, flushed));
            Ok((flushed, head))
        };
        for _ in 0..5 {
            match self.call(life, flush).await {
                Ok((flushed, head)) => {
                    self.trace(|| format!("flushed {flushed} of {head}"));
                    self.flushed(room, flushed);
                    return flushed < head;
                }
                Err(Trouble::Lost) if self.life() == Some(life) => self.pause(50, 400).await,
                Err(Trouble::No(No::Ahead)) | Err(_) => return false,
            }
        }
        false
    }

    /// Takes rooms whose writer seems to be dead.
    pub(super) async fn sweep(self: Rc<Self>) {
        loop {
            self.pause(1_000, 2_000).await;
            let failed_at = self.state.borrow().failed_at;
            let now = self.world.time.now();
            let standstill = self.world.time.between(5_000, 10_000);
            let failing = failed_at > 0 && now - failed_at < standstill;
            let Some(life) = self.life().filter(|_| !failing) else {
                continue;
            };
            if self.world.bug == Bug::NoSweep {
                continue;
            }
            let stuck = self.call(life, |redis, now| {
                let dirty = redis.stored.keys.dirty.iter();
                let stuck = dirty.filter(|(_, moved)| **moved <= now - standstill);
                Ok(stuck.map(|(room, _)| *room).collect::<Vec<Room>>())
            });
            for room in stuck.await.unwrap_or_default() {
                self.trace(|| format!("sweeps room {room}"));
                self.adopt(room);
            }
        }
    }
}
