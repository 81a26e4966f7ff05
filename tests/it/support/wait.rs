//! Waiting: a condition and a deadline, never a bare pause.

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let mut deadline = Deadline::new(what, within);
    loop {
        if let Some(answer) = condition().await {
            deadline.rewarded();
            return answer;
        }
        deadline.wait().await;
    }
}

/// How long somebody waits for something. Three times `within` is too late: machines are slow,
/// and only never is a failure. What took longer than `within` is printed.
pub struct Deadline<'a> {
    what: &'a str,
    within: Duration,
    start: Instant,
}

impl<'a> Deadline<'a> {
    pub fn new(what: &'a str, within: Duration) -> Self {
        let start = Instant::now();
        Self {
            what,
            within,
            start,
        }
    }

    /// A moment until the next try, or the end of all patience.
    pub async fn wait(&mut self) {
        assert!(
            self.start.elapsed() < 3 * self.within,
            "never came: {}",
            self.what
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// It came.
    pub fn rewarded(self) {
        let (took, meant) = (self.start.elapsed(), self.within);
        if took > meant {
            println!("{}: took {took:?}, meant to take {meant:?}", self.what);
        }
    }
}

/// So many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}
