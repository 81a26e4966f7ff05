//! Waiting: a condition and a deadline, never a bare pause.

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer. Three times `within` is too late: machines
/// are slow, and only never is a failure. What took longer than `within` is printed.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = condition().await {
            if start.elapsed() > within {
                println!(
                    "{what}: took {:?}, meant to take {within:?}",
                    start.elapsed()
                );
            }
            return answer;
        }
        assert!(start.elapsed() < 3 * within, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
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
