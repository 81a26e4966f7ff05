//! Pretended time: a scheduler whose every step is decided by one seed.
//!
//! Everybody in the simulation is a task. A task runs until it waits, and every wait ends at
//! a moment that the seed decides. A task belongs to an owner; an owner can be stopped (its
//! tasks stand still, what comes for them waits) or killed (they are dropped where they are).

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub(crate) use super::log::Ms;
/// Who a task belongs to: a node's process, or [`NOBODY`].
pub(crate) type Owner = usize;
/// The owner of those who are never killed: people, faults.
pub(crate) const NOBODY: Owner = 0;

type TaskId = usize;

struct Task {
    owner: Owner,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

#[derive(Default)]
struct Process {
    stopped: bool,
    dead: bool,
    /// Those whose moment came while they were stopped.
    parked: Vec<TaskId>,
}

/// The scheduler.
pub(crate) struct Time {
    now: Cell<Ms>,
    turn: Cell<u64>,
    current: Cell<TaskId>,
    queue: RefCell<BinaryHeap<Reverse<(Ms, u64, TaskId)>>>,
    tasks: RefCell<Vec<Option<Task>>>,
    processes: RefCell<Vec<Process>>,
    random: Cell<u64>,
    /// Steps so far.
    pub(crate) steps: Cell<u64>,
}

impl Time {
    /// A world in which nothing has happened.
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            turn: Cell::new(0),
            current: Cell::new(0),
            queue: RefCell::default(),
            tasks: RefCell::default(),
            processes: RefCell::new(vec![Process::default()]),
            random: Cell::new(seed),
            steps: Cell::new(0),
        })
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Ms {
        self.now.get()
    }

    /// A number below `limit` (splitmix64).
    pub(crate) fn below(&self, limit: i64) -> i64 {
        self.random
            .set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.random.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as i64
    }

    /// True once in so many times; never for 0.
    pub(crate) fn once_in(&self, times: i64) -> bool {
        times > 0 && self.below(times) == 0
    }

    /// A number in this range, the end included.
    pub(crate) fn between(&self, from: i64, to: i64) -> i64 {
        from + self.below(to - from + 1)
    }

    /// A new process.
    pub(crate) fn process(&self) -> Owner {
        let mut processes = self.processes.borrow_mut();
        processes.push(Process::default());
        processes.len() - 1
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, owner: Owner, future: impl Future<Output = ()> + 'static) {
        if self.processes.borrow()[owner].dead {
            return;
        }
        let mut tasks = self.tasks.borrow_mut();
        let future = Box::pin(future);
        tasks.push(Some(Task { owner, future }));
        self.wake(tasks.len() - 1, 0);
    }

    fn wake(&self, task: TaskId, after: Ms) {
        self.turn.set(self.turn.get() + 1);
        let entry = (self.now() + after.max(0), self.turn.get(), task);
        self.queue.borrow_mut().push(Reverse(entry));
    }

    /// The process stands still.
    pub(crate) fn stop(&self, owner: Owner) {
        self.processes.borrow_mut()[owner].stopped = true;
    }

    /// The process goes on.
    pub(crate) fn go_on(&self, owner: Owner) {
        let parked = {
            let process = &mut self.processes.borrow_mut()[owner];
            process.stopped = false;
            std::mem::take(&mut process.parked)
        };
        for task in parked {
            self.wake(task, self.below(4));
        }
    }

    /// The process is gone, between two of its steps.
    pub(crate) fn kill(&self, owner: Owner) {
        self.processes.borrow_mut()[owner].dead = true;
        let mut gone = Vec::new();
        for slot in self.tasks.borrow_mut().iter_mut() {
            if slot.as_ref().is_some_and(|task| task.owner == owner) {
                gone.push(slot.take());
            }
        }
        drop(gone);
    }

    /// Waits.
    pub(crate) fn sleep(self: &Rc<Self>, ms: Ms) -> Sleep {
        Sleep {
            time: self.clone(),
            until: self.now() + ms,
            queued: false,
        }
    }

    /// Waits for `future`, but not for longer than this.
    pub(crate) async fn within<T>(
        self: &Rc<Self>,
        ms: Ms,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = Box::pin(future);
        let mut deadline = self.sleep(ms);
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            Pin::new(&mut deadline).poll(cx).map(|()| None)
        })
        .await
    }

    /// Runs until nothing is left to do or the time is over.
    pub(crate) fn run(&self, until: Ms) {
        while let Some((at, id)) = self.next() {
            if at > until {
                return;
            }
            self.now.set(at);
            let Some(owner) = self.tasks.borrow()[id].as_ref().map(|task| task.owner) else {
                continue;
            };
            {
                let process = &mut self.processes.borrow_mut()[owner];
                if process.stopped {
                    process.parked.push(id);
                    continue;
                }
            }
            self.steps.set(self.steps.get() + 1);
            let Some(mut task) = self.tasks.borrow_mut()[id].take() else {
                continue;
            };
            self.current.set(id);
            let mut context = Context::from_waker(Waker::noop());
            if task.future.as_mut().poll(&mut context).is_pending() {
                self.tasks.borrow_mut()[id] = Some(task);
            }
        }
    }

    fn next(&self) -> Option<(Ms, TaskId)> {
        let Reverse((at, _, id)) = self.queue.borrow_mut().pop()?;
        Some((at, id))
    }

    /// Drops every task, so that nothing holds the world any more.
    pub(crate) fn end(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
    }
}

/// A wait for a moment.
pub(crate) struct Sleep {
    time: Rc<Time>,
    until: Ms,
    queued: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let left = self.until - self.time.now();
        if left <= 0 && self.queued {
            return Poll::Ready(());
        }
        if !self.queued {
            self.queued = true;
            self.time.wake(self.time.current.get(), left);
        }
        Poll::Pending
    }
}

/// Somebody waits until somebody else rings; rings are not counted.
#[derive(Default)]
pub(crate) struct Bell {
    waiting: RefCell<Vec<TaskId>>,
    rung: Cell<u64>,
}

impl Bell {
    /// Wakes all who wait.
    pub(crate) fn ring(&self, time: &Time) {
        self.rung.set(self.rung.get() + 1);
        for task in self.waiting.take() {
            time.wake(task, 0);
        }
    }

    /// Waits for the next ring.
    pub(crate) async fn heard(&self, time: &Time) {
        let before = self.rung.get();
        std::future::poll_fn(|_| {
            if self.rung.get() != before {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(time.current.get());
            Poll::Pending
        })
        .await;
    }
}

/// A place for one answer; lost when whoever has to answer is gone.
pub(crate) struct Asked<T>(Rc<Slot<T>>);
/// The duty to answer.
pub(crate) struct Answer<T>(Rc<Slot<T>>, Rc<Time>);

struct Slot<T> {
    value: RefCell<Option<T>>,
    closed: Cell<bool>,
    bell: Bell,
}

/// An open question.
pub(crate) fn question<T>(time: &Rc<Time>) -> (Answer<T>, Asked<T>) {
    let slot = Rc::new(Slot {
        value: RefCell::new(None),
        closed: Cell::new(false),
        bell: Bell::default(),
    });
    (Answer(slot.clone(), time.clone()), Asked(slot))
}

impl<T> Answer<T> {
    /// Answers.
    pub(crate) fn give(self, value: T) {
        *self.0.value.borrow_mut() = Some(value);
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.bell.ring(&self.1);
    }
}

impl<T> Asked<T> {
    /// The answer; `None` when nobody is left to give it.
    pub(crate) async fn answer(self, time: &Time) -> Option<T> {
        while !self.0.closed.get() {
            self.0.bell.heard(time).await;
        }
        self.0.value.take()
    }
}
