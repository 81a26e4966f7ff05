//! Pure: what is done one at a time, and repeated with growing pauses while it fails.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two lines about the same outage.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A pause that doubles with every failure, and a log line now and then.
#[derive(Debug)]
pub(super) struct Backoff {
    /// The pause after the first failure.
    shortest: Duration,
    /// No pause is longer.
    longest: Duration,
    /// How often it has failed in a row.
    failures: u32,
    /// When that was last said.
    logged: Option<Instant>,
}

impl Default for Backoff {
    /// For what others wait for: 50 ms, doubling up to a second.
    fn default() -> Self {
        Self::between(Duration::from_millis(50), Duration::from_secs(1))
    }
}

impl Backoff {
    /// Pauses from the shortest, doubling up to the longest.
    pub(super) fn between(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            failures: 0,
            logged: None,
        }
    }

    /// Another failure: how long to wait.
    pub(super) fn failed(&mut self) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.shortest.saturating_mul(doubled).min(self.longest)
    }

    /// The same, and says so if that was not done lately.
    pub(super) fn lost(&mut self, what: &str, cause: &dyn Display) -> Duration {
        let now = Instant::now();
        if self.logged.is_none_or(|at| now - at >= LOG_INTERVAL) {
            self.logged = Some(now);
            log::warn!("{what} failed and is repeated: {cause}");
        }
        self.failed()
    }

    /// It works again.
    pub(super) fn regained(&mut self) {
        self.failures = 0;
        self.logged = None;
    }
}

/// Work that is never done twice at once.
#[derive(Debug, Default)]
pub(super) struct Task {
    state: TaskState,
    backoff: Backoff,
}

/// What the work is doing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    /// It may begin.
    #[default]
    Idle,
    /// It is under way.
    Busy,
    /// It has failed, and is repeated after a pause.
    Paused,
}

impl Task {
    /// Work that pauses like this when it fails.
    pub(super) fn with(backoff: Backoff) -> Self {
        Self {
            state: TaskState::Idle,
            backoff,
        }
    }

    /// May it begin?
    pub(super) fn is_idle(&self) -> bool {
        self.state == TaskState::Idle
    }

    /// Is it under way?
    pub(super) fn is_busy(&self) -> bool {
        self.state == TaskState::Busy
    }

    /// Begins, unless it is under way or pauses.
    #[must_use]
    pub(super) fn begin(&mut self) -> bool {
        let begins = self.is_idle();
        if begins {
            self.state = TaskState::Busy;
        }
        begins
    }

    /// It has come to an end, which may say nothing of whether it works.
    pub(super) fn end(&mut self) {
        self.state = TaskState::Idle;
    }

    /// It works: the next pause is a short one.
    pub(super) fn works(&mut self) {
        self.backoff.regained();
    }

    /// It failed. Whoever did it calls [`Task::end`] after this pause.
    pub(super) fn pause(&mut self, what: &str, cause: &dyn Display) -> Duration {
        self.state = TaskState::Paused;
        self.backoff.lost(what, cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_from_50_ms_to_a_second_and_begins_anew() {
        let mut backoff = Backoff::default();
        let mut lost = || backoff.lost("a test", &"on purpose").as_millis();
        let pauses: Vec<_> = (0..7).map(|_| lost()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        backoff.regained();
        assert_eq!(backoff.failed().as_millis(), 50);
    }

    #[test]
    fn a_pause_stays_the_longest_however_often_it_fails() {
        let mut backoff = Backoff::default();
        let pauses = (0..100).map(|_| backoff.failed());
        assert_eq!(pauses.max(), Some(Duration::from_secs(1)));
        assert_eq!(backoff.failed(), Duration::from_secs(1));
    }

    #[test]
    fn work_that_is_under_way_or_pauses_does_not_begin_again() {
        let mut task = Task::default();
        let begun = (0..5).filter(|_| task.begin()).count();
        assert_eq!(begun, 1);
        task.pause("a test", &"on purpose");
        assert!(!task.begin(), "it pauses");
        task.end();
        assert!(task.begin());
    }
}
