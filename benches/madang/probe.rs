//! What one bare script call takes, on the same Redis and at the same time as a load: the
//! reference for acknowledgements that wait for nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::Connection;

use crate::redis::Redis;
use crate::stats::Latencies;
use crate::{Outcome, pause};

/// About what an append does, with nothing to decide: a push, a place, and an envelope.
const SCRIPT: &str = "
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -200, -1)
redis.call('PUBLISH', 'bench:' .. KEYS[1], ARGV[1])
return redis.call('HINCRBY', KEYS[2], 'head', 1)";

/// From one answer to the next call.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection of its own, with the script.
pub struct Probe {
    connection: Connection,
    digest: String,
}

impl Probe {
    /// Loads the script.
    pub fn new(redis: &Redis) -> Outcome<Self> {
        let mut connection = redis.connect()?;
        let digest = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(SCRIPT)
            .query(&mut connection)?;
        Ok(Self { connection, digest })
    }

    /// Calls it so often, with a pause between calls.
    pub fn calls(&mut self, count: usize) -> Outcome<Latencies> {
        let mut latencies = Latencies::default();
        for _ in 0..count {
            latencies.record(self.call()?);
            pause(PAUSE);
        }
        Ok(latencies)
    }

    /// Calls it on a thread of its own while `load` runs.
    pub fn beside<T>(&mut self, load: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Latencies)> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| {
                let mut latencies = Latencies::default();
                while !stop.load(Ordering::Relaxed) {
                    latencies.record(self.call().map_err(|error| error.to_string())?);
                    pause(PAUSE);
                }
                Ok::<_, String>(latencies)
            });
            let result = load();
            stop.store(true, Ordering::Relaxed);
            let latencies = calling.join().map_err(|_| "the probe's thread died")??;
            Ok((result?, latencies))
        })
    }

    fn call(&mut self) -> Outcome<Duration> {
        let started = Instant::now();
        redis::cmd("EVALSHA")
            .arg(&self.digest)
            .arg(2)
            .arg(&["bench:log", "bench:room"][..])
            .arg("x".repeat(300))
            .query::<i64>(&mut self.connection)?;
        Ok(started.elapsed())
    }
}
