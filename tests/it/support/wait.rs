//! Waiting: a condition and a deadline, never a bare pause.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;

/// However soon something is meant to come, nobody gives up before this: a machine may stand still.
const LEAST_PATIENCE: Duration = seconds(60);
/// Where tests look for ports: below those that the system gives to whoever asks for any port.
const PORTS: std::ops::Range<u16> = 10_000..16_000;
/// The next of them to look at; 0 until the first is chosen.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

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

/// How long somebody waits for something. Three times `within`, and a minute at least, is too
/// late: machines are slow, and only never is a failure. What took longer than `within` is printed.
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
            self.start.elapsed() < LEAST_PATIENCE.max(3 * self.within),
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

/// A port that nobody listens on, and that nobody else is given while this process runs: neither
/// another test, nor a connection on its way out, which takes any port of a higher range.
pub fn free_port() -> u16 {
    let any = rand::rng().random_range(0..PORTS.end - PORTS.start);
    // The first who asks chooses where to begin: other runs may be at work on this machine.
    let _ = NEXT_PORT.compare_exchange(0, any, Ordering::Relaxed, Ordering::Relaxed);
    loop {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = PORTS.start + step;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
