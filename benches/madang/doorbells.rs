//! A guest at a room's channel in Redis, who counts the envelopes that nodes get.

use std::sync::mpsc;
use std::thread::JoinHandle;

use redis::Connection;

use crate::Outcome;
use crate::redis::Redis;

/// Where the guest is told to go.
const END: &str = "bench:end";

/// Envelopes with events.
#[derive(Clone, Copy, Default)]
pub struct Heard {
    /// Envelopes.
    pub envelopes: u64,
    /// Events in them.
    pub events: u64,
}

/// Counts on a thread of its own.
pub struct Doorbells(JoinHandle<Result<Heard, String>>);

impl Doorbells {
    /// Begins to count what a room's listeners get.
    pub fn listen(redis: &Redis, room: &str) -> Outcome<Self> {
        let (mut connection, pattern) = (redis.connect()?, pattern(room));
        let (ready, is_ready) = mpsc::channel();
        let counting = std::thread::spawn(move || {
            let heard = count(&mut connection, &pattern, &ready);
            heard.map_err(|error| error.to_string())
        });
        // If the guest has failed before, its end says why.
        let _ = is_ready.recv();
        Ok(Self(counting))
    }

    /// Ends, and says what was heard.
    pub fn end(self, redis: &Redis) -> Outcome<Heard> {
        redis.ask::<i64>(redis::cmd("PUBLISH").arg(END).arg(""))?;
        Ok(self.0.join().map_err(|_| "a guest's thread died")??)
    }
}

/// How many connections are subscribed to a room's channel: one for each node that has
/// people there.
pub fn listeners(redis: &Redis, room: &str) -> Outcome<u64> {
    let channels: Vec<String> =
        redis.ask(redis::cmd("PUBSUB").arg("CHANNELS").arg(pattern(room)))?;
    let [channel] = channels.as_slice() else {
        return Err(format!("{} channels for one room", channels.len()).into());
    };
    let (_, count): (String, u64) = redis.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(channel))?;
    Ok(count)
}

fn pattern(room: &str) -> String {
    format!("madang:*:c:{room}")
}

/// Counts until told to end. Listens by a pattern, which is not counted as a listener.
fn count(connection: &mut Connection, pattern: &str, ready: &mpsc::Sender<()>) -> Outcome<Heard> {
    let mut heard = Heard::default();
    let mut bells = connection.as_pubsub();
    bells.psubscribe(pattern)?;
    bells.subscribe(END)?;
    ready.send(())?;
    loop {
        let message = bells.get_message()?;
        if message.get_channel_name() == END {
            return Ok(heard);
        }
        let events = events_in(message.get_payload_bytes());
        heard.envelopes += u64::from(events > 0);
        heard.events += events;
    }
}

/// How many events an envelope has: a line, and then each with its length before it.
fn events_in(envelope: &[u8]) -> u64 {
    if !envelope.starts_with(b"1E ") {
        return 0;
    }
    let mut lines = envelope.splitn(2, |byte| *byte == b'\n');
    let mut rest = lines.nth(1).unwrap_or_default();
    let mut events = 0;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let length = std::str::from_utf8(&rest[..end]).ok();
        let Some(length) = length.and_then(|text| text.parse::<usize>().ok()) else {
            break;
        };
        events += 1;
        rest = rest.get(end + 1 + length..).unwrap_or_default();
    }
    events
}
