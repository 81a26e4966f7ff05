//! Which life of Redis this node knows, and whether it may append there.
//!
//! One value, replaced as a whole: nobody can see a new life behind the fence of the old one,
//! or an open one that is said to have lost something. Anybody may fence. Only the task that
//! rebuilds (`rebuilding.rs`) salvages, reopens and enters another life.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::scripts::Life;

/// What is between this node and the log.
pub(super) struct Gate {
    state: watch::Sender<State>,
    /// Wakes whoever looks which life Redis and the database are in.
    look: Notify,
}

#[derive(Debug)]
enum State {
    /// This node has just started, and knows no life.
    Starting,
    /// Redis lives this life: appends go there.
    Open(Arc<Life>),
    /// Redis or the database may be in another life than this: nothing is appended.
    Fenced {
        life: Arc<Life>,
        /// Has Redis lost something though it knows this life? Then it has to end.
        lossy: bool,
        /// Was everything brought into the database that this node held of this life?
        salvaged: bool,
    },
}

impl Gate {
    /// Of a node that has just started: it has to look first.
    pub(super) fn new() -> Self {
        let gate = Self {
            state: watch::Sender::new(State::Starting),
            look: Notify::new(),
        };
        gate.look_again();
        gate
    }

    /// The last life that was entered, open or not.
    pub(super) fn life(&self) -> Option<Arc<Life>> {
        self.state.borrow().life().cloned()
    }

    /// Is this the name of the last life that was entered?
    pub(super) fn is_in(&self, name: &str) -> bool {
        let state = self.state.borrow();
        state.life().is_some_and(|life| *life.name == *name)
    }

    /// The life that appends go to.
    pub(super) fn life_if_open(&self) -> Option<Arc<Life>> {
        self.state.borrow().open().cloned()
    }

    /// The same; waits so long for one that is about to open.
    pub(super) async fn opened(&self, patience: Duration) -> Option<Arc<Life>> {
        let mut changes = self.state.subscribe();
        let open = changes.wait_for(|state| state.open().is_some());
        let open = tokio::time::timeout(patience, open).await;
        open.ok()?.ok()?.open().cloned()
    }

    /// Is this life, in which something was answered, still the one that appends go to?
    pub(super) fn still_lives(&self, life: &Life) -> bool {
        let state = self.state.borrow();
        state.open().is_some_and(|open| open.name == life.name)
    }

    /// Has Redis lost something of the life with this name, though it knows it?
    pub(super) fn is_lossy(&self, name: &str) -> bool {
        match &*self.state.borrow() {
            State::Fenced { life, lossy, .. } => *lossy && *life.name == *name,
            State::Starting | State::Open(_) => false,
        }
    }

    /// Would this node come late to another life, as it may hold something of its own that is
    /// not in the database?
    pub(super) fn is_late(&self) -> bool {
        match *self.state.borrow() {
            State::Starting => false,
            State::Open(_) => true,
            State::Fenced { salvaged, .. } => !salvaged,
        }
    }

    /// Something may have changed that only a look can tell.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }

    /// Waits until somebody asks for a look, or did so since the last one began.
    pub(super) async fn look_wanted(&self) {
        self.look.notified().await;
    }

    /// Redis or the database does not know our life: nothing is appended until a look has
    /// settled that.
    pub(super) fn fence(&self) {
        self.close();
        self.look_again();
    }

    /// Redis has lost something of this life: it has to end, unless it has ended already.
    pub(super) fn fence_lossy(&self, of: &Life) {
        let noted = self.state.send_if_modified(|state| {
            if state.life().is_none_or(|life| life.name != of.name) {
                return false;
            }
            state.close();
            state.note_lossy()
        });
        if noted {
            log::warn!("Redis has lost something: nothing is appended until its next life");
            self.look_again();
        }
    }

    /// A look has found that nothing may be appended.
    pub(super) fn close(&self) {
        if self.state.send_if_modified(State::close) {
            log::warn!(
                "Redis or the database does not know our life: nothing is appended until that is settled"
            );
        }
    }

    /// Everything that this node held of the fenced life is in the database.
    pub(super) fn mark_salvaged(&self) {
        self.state.send_if_modified(|state| match state {
            State::Fenced { salvaged, .. } => !std::mem::replace(salvaged, true),
            State::Starting | State::Open(_) => false,
        });
    }

    /// A look has found Redis and the database in the life that we know. One that was found to
    /// have lost something meanwhile stays fenced: that has asked for another look.
    pub(super) fn reopen(&self) {
        self.state.send_if_modified(|state| match state {
            State::Fenced {
                life, lossy: false, ..
            } => {
                *state = State::Open(life.clone());
                true
            }
            State::Fenced { lossy: true, .. } | State::Starting | State::Open(_) => false,
        });
    }

    /// A look has found Redis and the database in a life that we do not know yet. What was
    /// said of the one before goes with it.
    pub(super) fn enter(&self, life: Life) {
        self.state.send_replace(State::Open(Arc::new(life)));
    }
}

impl State {
    fn life(&self) -> Option<&Arc<Life>> {
        match self {
            Self::Starting => None,
            Self::Open(life) | Self::Fenced { life, .. } => Some(life),
        }
    }

    /// Is it another state by this?
    fn close(&mut self) -> bool {
        let Self::Open(life) = self else {
            return false;
        };
        *self = Self::Fenced {
            life: life.clone(),
            lossy: false,
            salvaged: false,
        };
        true
    }

    /// Is it another state by this?
    fn note_lossy(&mut self) -> bool {
        match self {
            Self::Fenced { lossy, .. } => !std::mem::replace(lossy, true),
            Self::Starting | Self::Open(_) => false,
        }
    }

    fn open(&self) -> Option<&Arc<Life>> {
        match self {
            Self::Open(life) => Some(life),
            Self::Starting | Self::Fenced { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough to say that nothing waits for it.
    const LONG: Duration = Duration::from_secs(60);

    fn open(name: &str) -> Gate {
        let gate = Gate::new();
        gate.enter(Life::new(name));
        gate
    }

    fn lossy(name: &str) -> Gate {
        let gate = open(name);
        gate.fence_lossy(&Life::new(name));
        gate
    }

    fn name_if_open(gate: &Gate) -> Option<Arc<str>> {
        gate.life_if_open().map(|life| life.name.clone())
    }

    /// Was a look asked for that nobody has begun?
    async fn takes_wish(gate: &Gate) -> bool {
        tokio::time::timeout(Duration::ZERO, gate.look_wanted())
            .await
            .is_ok()
    }

    #[actix::test]
    async fn a_node_that_starts_knows_nothing_and_wants_to_look() {
        let gate = Gate::new();
        assert!(gate.life().is_none() && gate.life_if_open().is_none());
        assert!(!gate.is_late(), "it holds nothing");
        assert!(takes_wish(&gate).await);
        // None of this can be said of a life that is not known.
        gate.close();
        gate.mark_salvaged();
        gate.fence_lossy(&Life::new("1"));
        gate.reopen();
        assert!(gate.life().is_none());
        gate.enter(Life::new("1"));
        assert_eq!(name_if_open(&gate).as_deref(), Some("1"));
    }

    #[actix::test]
    async fn a_fence_closes_and_asks_for_one_look() {
        let gate = open("1");
        assert!(takes_wish(&gate).await, "from the start");
        gate.fence();
        gate.fence();
        assert!(name_if_open(&gate).is_none());
        assert!(gate.is_in("1"), "it is still the life of what is held");
        assert!(!gate.still_lives(&Life::new("1")));
        assert!(takes_wish(&gate).await);
        assert!(!takes_wish(&gate).await);
        gate.reopen();
        assert!(gate.still_lives(&Life::new("1")));
    }

    #[actix::test]
    async fn a_look_that_is_asked_for_during_a_look_follows_it() {
        let gate = open("1");
        gate.look_wanted().await;
        gate.fence();
        gate.reopen();
        assert!(takes_wish(&gate).await);
    }

    #[test]
    fn a_life_that_lost_something_never_opens_again() {
        let gate = lossy("1");
        gate.reopen();
        gate.mark_salvaged();
        gate.fence();
        gate.reopen();
        assert!(gate.is_lossy("1") && gate.life_if_open().is_none());
        gate.enter(Life::new("2"));
        assert!(!gate.is_lossy("1") && !gate.is_lossy("2"));
        assert_eq!(name_if_open(&gate).as_deref(), Some("2"));
    }

    #[test]
    fn a_fence_that_is_up_already_learns_of_a_loss() {
        let gate = open("1");
        gate.fence();
        gate.mark_salvaged();
        gate.fence_lossy(&Life::new("1"));
        assert!(gate.is_lossy("1"));
        assert!(
            !gate.is_late(),
            "what it held is in the database all the same"
        );
    }

    #[actix::test]
    async fn a_loss_in_a_life_that_has_ended_does_not_end_the_next() {
        let gate = open("1");
        gate.enter(Life::new("2"));
        assert!(takes_wish(&gate).await, "from the start");
        gate.fence_lossy(&Life::new("1"));
        assert_eq!(name_if_open(&gate).as_deref(), Some("2"));
        assert!(!takes_wish(&gate).await);
    }

    #[test]
    fn only_who_has_salvaged_since_the_fence_is_in_time() {
        let gate = open("1");
        assert!(gate.is_late());
        gate.mark_salvaged();
        assert!(gate.is_late(), "it has appended since");
        gate.fence();
        assert!(gate.is_late());
        gate.mark_salvaged();
        assert!(!gate.is_late());
        gate.reopen();
        assert!(gate.is_late(), "it appends again");
        gate.fence();
        assert!(gate.is_late(), "what came since is not in the database");
    }

    #[test]
    fn an_answer_counts_in_its_own_life_only() {
        let gate = open("1");
        let asked_in = gate.life().unwrap();
        assert!(gate.still_lives(&asked_in));
        gate.enter(Life::new("2"));
        assert!(!gate.still_lives(&asked_in));
    }

    #[actix::test]
    async fn who_waits_gets_the_life_that_opens() {
        let gate = Arc::new(open("1"));
        gate.fence();
        let waiting = {
            let gate = gate.clone();
            actix::spawn(async move { gate.opened(LONG).await })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // Closed still, though something has changed.
        gate.mark_salvaged();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        gate.enter(Life::new("2"));
        let life = waiting.await.unwrap().unwrap();
        assert_eq!(&*life.name, "2");
    }

    #[actix::test]
    async fn nobody_waits_beyond_a_deadline() {
        let gate = open("1");
        assert!(gate.opened(Duration::ZERO).await.is_some(), "it is open");
        gate.fence();
        assert!(gate.opened(Duration::from_millis(1)).await.is_none());
    }
}
