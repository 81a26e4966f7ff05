//! The way out to one socket: frames that are encoded already, waiting to be written.
//!
//! A lane lives on one worker thread, between the hub and the session that fill it and the
//! HTTP dispatcher that drains it. Frames that are ready together leave in one write. It
//! counts what is unsent, so that a client that does not read costs a bounded amount:
//! ephemerals go first, then the busiest room, then the connection (`docs/PROTOCOL.md`, rule 9).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;

use crate::ids::{RoomId, Seq};
use crate::protocol::MAX_EVENTS_BYTES;

/// Most unsent bytes of events for one socket.
pub const MAX_UNSENT_BYTES: usize = 256 * 1024;
/// Beyond this many unsent bytes of answers, no subscription begins: four answers that are as
/// large as they may be.
const MAX_UNSENT_ANSWERS: usize = 4 * MAX_EVENTS_BYTES;
/// Beyond this many unsent bytes, ephemerals are not even queued.
const MAX_UNSENT_BEFORE_EPHEMERALS: usize = 64 * 1024;

/// Room for so many pieces is kept while nothing waits: it serves every quiet conversation.
const KEPT_PIECES: usize = 8;

/// A socket's queue of encoded frames. One thread; shared by `Rc`.
pub struct Lane {
    /// What waits, in the order it is to be written.
    queue: RefCell<VecDeque<Queued>>,
    /// Bytes of events in `queue`.
    unsent_events: Cell<usize>,
    /// Bytes of everything else in `queue`.
    unsent_replies: Cell<usize>,
    /// Wakes the dispatcher that drains the lane.
    reader: RefCell<Option<Waker>>,
    /// Wakes those who stand still while the lane is crowded: the session's input, a `resume`.
    input: RefCell<Vec<Waker>>,
    /// Pieces that the socket has taken.
    taken: Cell<u64>,
    /// How many it had taken when that was last looked at and had changed, and when.
    seen: Cell<(u64, Instant)>,
    /// Whether more may be queued, and what happens when the queue is empty.
    phase: Cell<Phase>,
    /// When the session wants to be called next.
    due: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Frames are taken.
    Open,
    /// The close frame is queued; nothing more is taken; waits for the peer to close.
    Closing,
    /// The stream ends as soon as the queue is empty.
    Ended,
    /// The connection is gone.
    Gone,
}

/// One piece of output. Several events of a room may share one.
struct Queued {
    bytes: Bytes,
    class: Class,
}

/// What may happen to a piece of output when the socket is slow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Never dropped.
    Reply,
    /// Dropped first.
    Ephemeral,
    /// Dropped with the room's subscription, and then named in a `gap`.
    Event { room: RoomId, first: Seq },
}

/// The lane is full: events for this room do not fit any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Lane {
    /// An empty lane.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::default(),
            unsent_events: Cell::new(0),
            unsent_replies: Cell::new(0),
            reader: RefCell::default(),
            input: RefCell::default(),
            taken: Cell::new(0),
            seen: Cell::new((0, Instant::now())),
            phase: Cell::new(Phase::Open),
            due: Cell::new(None),
        })
    }

    /// Queues an answer. Answers are bounded by the session, which asks [`Lane::is_crowded`].
    pub fn reply(&self, bytes: Bytes) {
        self.push(bytes, Class::Reply);
    }

    /// Queues something that may be lost: typing, presence, receipts.
    pub fn ephemeral(&self, bytes: Bytes) {
        if self.unsent_events.get() + self.unsent_replies.get() < MAX_UNSENT_BEFORE_EPHEMERALS {
            self.push(bytes, Class::Ephemeral);
        }
    }

    /// Queues events of a room that begin at `first`, or says that they do not fit. Who has
    /// kept up is `roomy` and takes even what is larger than the limit.
    pub fn events(&self, bytes: Bytes, room: RoomId, first: Seq, roomy: bool) -> Result<(), Full> {
        if !roomy && self.unsent_events.get() + bytes.len() > MAX_UNSENT_BYTES {
            return Err(Full);
        }
        self.push(bytes, Class::Event { room, first });
        Ok(())
    }

    /// Has the socket taken all events so far?
    pub fn keeps_up(&self) -> bool {
        self.unsent_events.get() == 0
    }

    /// Are so many answers unsent that no further request should be served?
    pub fn is_crowded(&self) -> bool {
        self.unsent_replies.get() > MAX_UNSENT_BYTES
    }

    /// Are so many answers unsent that those asked for meanwhile must not come, either?
    pub fn is_full(&self) -> bool {
        self.unsent_replies.get() >= MAX_UNSENT_ANSWERS
    }

    /// Wakes this once the lane is no longer crowded.
    pub fn wake_when_sent(&self, waker: &Waker) {
        let mut input = self.input.borrow_mut();
        if !input.iter().any(|other| other.will_wake(waker)) {
            input.push(waker.clone());
        }
    }

    /// Waits until the lane is not crowded.
    pub async fn has_room(&self) {
        std::future::poll_fn(|cx| {
            if self.is_crowded() {
                self.wake_when_sent(cx.waker());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The room with the most unsent bytes.
    pub fn busiest_room(&self) -> Option<RoomId> {
        let mut bytes_by_room = HashMap::<RoomId, usize>::new();
        for queued in self.queue.borrow().iter() {
            if let Class::Event { room, .. } = queued.class {
                *bytes_by_room.entry(room).or_default() += queued.bytes.len();
            }
        }
        bytes_by_room
            .into_iter()
            .max_by_key(|(_, bytes)| *bytes)
            .map(|(room, _)| room)
    }

    /// Drops all ephemerals, and what is unsent of a room; says where its unsent part began.
    pub fn drop_room(&self, room: RoomId) -> Option<Seq> {
        let mut began = None;
        let mut queue = self.queue.borrow_mut();
        queue.retain(|queued| match queued.class {
            Class::Reply => true,
            Class::Ephemeral => false,
            Class::Event { room: other, .. } if other != room => true,
            Class::Event { first, .. } => {
                began = began.or(Some(first));
                false
            }
        });
        self.recount(&queue);
        began
    }

    fn recount(&self, queue: &VecDeque<Queued>) {
        let (mut events, mut others) = (0, 0);
        for queued in queue {
            match queued.class {
                Class::Event { .. } => events += queued.bytes.len(),
                Class::Reply | Class::Ephemeral => others += queued.bytes.len(),
            }
        }
        self.unsent_events.set(events);
        self.unsent_replies.set(others);
    }

    fn push(&self, bytes: Bytes, class: Class) {
        if self.phase.get() != Phase::Open {
            return;
        }
        let counter = self.counter(class);
        counter.set(counter.get() + bytes.len());
        self.queue.borrow_mut().push_back(Queued { bytes, class });
        self.wake();
    }

    fn counter(&self, class: Class) -> &Cell<usize> {
        match class {
            Class::Event { .. } => &self.unsent_events,
            Class::Reply | Class::Ephemeral => &self.unsent_replies,
        }
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    /// Queues the close frame. What was queued before still leaves; nothing more is taken.
    pub fn close(&self, close_frame: Bytes) {
        self.reply(close_frame);
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Closing);
        }
    }

    /// Ends the stream, and with it the connection, once everything queued has left.
    pub fn end(&self) {
        if self.phase.get() != Phase::Gone {
            self.phase.set(Phase::Ended);
            self.wake();
        }
    }

    /// May nothing more be queued?
    pub fn is_closed(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// Has something waited for this long without the socket taking anything? Asked at
    /// regular times; the answer is as precise as they are.
    pub fn is_stuck(&self, now: Instant, limit: Duration) -> bool {
        let (taken, since) = self.seen.get();
        if self.queue.borrow().is_empty() || taken != self.taken.get() {
            self.seen.set((self.taken.get(), now));
            return false;
        }
        now.duration_since(since) >= limit
    }

    /// Asks for [`super::session::Due`] at this time; replaces an earlier wish.
    pub fn call_at(&self, due: Option<Instant>) {
        self.due.set(due);
    }

    /// Is the session to be called now? Answers yes once per wish.
    pub fn take_due(&self, now: Instant) -> bool {
        let due = self.due.get().is_some_and(|due| due <= now);
        if due {
            self.due.set(None);
        }
        due
    }

    fn pop(&self) -> Option<Bytes> {
        let mut queue = self.queue.borrow_mut();
        let queued = queue.pop_front()?;
        if queue.is_empty() && queue.capacity() > KEPT_PIECES {
            // A burst's buffer is given back.
            *queue = VecDeque::new();
        }
        self.taken.set(self.taken.get() + 1);
        let counter = self.counter(queued.class);
        counter.set(counter.get() - queued.bytes.len());
        Some(queued.bytes)
    }
}

/// The body of the upgraded response: what the dispatcher polls.
pub struct Outbound(pub Rc<Lane>);

impl Stream for Outbound {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let lane = &self.0;
        if let Some(bytes) = lane.pop() {
            if !lane.is_crowded() {
                lane.input.take().into_iter().for_each(Waker::wake);
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
        if lane.phase.get() == Phase::Ended {
            return Poll::Ready(None);
        }
        *lane.reader.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Gone);
        self.0.queue.take();
    }
}

#[cfg(test)]
mod tests;
