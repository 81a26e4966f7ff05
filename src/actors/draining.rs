//! Emptying a node: not ready any more, no new sockets, and those that are here leave.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Services;
use super::hub::{Drain, Moves};
use super::services::send_always;

/// Who has been asked to move and is still here is closed after this, or after a quarter of
/// the time to drain where that is shorter.
const GRACE: Duration = Duration::from_secs(5);

impl Services {
    /// Is the node stopping?
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Begins to send everybody away, and returns at once. With `moves` there are other
    /// nodes: each session is asked to move, spread over the first half of the time to drain.
    /// Otherwise all are closed now. Doing it again makes a new plan for those still here.
    pub fn drain(&self, moves: bool) {
        let time = self.config.drain;
        let moves = (moves && !time.is_zero()).then(|| Moves {
            spread: time / 2,
            grace: GRACE.min(time / 4),
        });
        self.draining.store(true, Ordering::Relaxed);
        for worker in self.workers.all() {
            send_always(&worker.hub, Drain { moves });
        }
    }
}
