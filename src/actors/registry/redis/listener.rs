//! The connection that doorbells ring on: comes back by itself, with all its subscriptions.
//!
//! Whoever listens is told of every cut: what rang meanwhile is lost, and has to be read.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Client, Msg};
use tokio::sync::{Notify, oneshot};

use crate::locks::lock;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(800);
/// Between two attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How often a silent connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long it may take to answer that.
const PONG_TIMEOUT: Duration = Duration::from_secs(2);
/// Most channels in one subscription command.
const CHANNELS_PER_COMMAND: usize = 500;

/// Hears what is published.
pub(super) trait Subscriber {
    /// Something was published.
    fn hear(&self, message: &Msg);
    /// The connection was away, and all subscriptions are back now.
    fn was_cut(&self);
}

/// What is listened to. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<Inner>);

#[derive(Default)]
struct Inner {
    wishes: Mutex<Wishes>,
    /// Wakes the task that subscribes.
    changed: Notify,
}

#[derive(Default)]
struct Wishes {
    /// Every channel that is wanted.
    wanted: HashSet<String>,
    /// Channels of which Redis has to be told, at most once each, however long it is away:
    /// those that are wanted with whoever waits until they stand, the others to end them.
    changes: HashMap<String, Vec<oneshot::Sender<()>>>,
}

impl Listener {
    /// Connects in the background, for as long as the program runs.
    pub(super) fn start(&self, client: Client, subscriber: impl Subscriber + 'static) {
        actix::spawn(self.clone().keep_listening(client, subscriber));
    }

    /// Wants a channel. The answer comes when the subscription stands.
    pub(super) fn subscribe(&self, channel: String) -> oneshot::Receiver<()> {
        let (done, stands) = oneshot::channel();
        let mut wishes = self.wishes();
        wishes.wanted.insert(channel.clone());
        let waiting = wishes.changes.entry(channel).or_default();
        waiting.retain(|waiter| !waiter.is_closed());
        waiting.push(done);
        drop(wishes);
        self.0.changed.notify_one();
        stands
    }

    /// Wants a channel no longer.
    pub(super) fn unsubscribe(&self, channel: String) {
        let mut wishes = self.wishes();
        if wishes.wanted.remove(&channel) {
            wishes.changes.insert(channel, Vec::new());
            drop(wishes);
            self.0.changed.notify_one();
        }
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        lock(&self.0.wishes)
    }

    async fn keep_listening(self, client: Client, subscriber: impl Subscriber) {
        loop {
            match self.connect(&client).await {
                Ok((sink, stream)) => {
                    subscriber.was_cut();
                    self.listen(sink, stream, &subscriber).await;
                    log::warn!("the doorbells' connection to Redis is lost; connecting again");
                }
                Err(cause) => log::debug!("no doorbells: {cause}"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Connects and subscribes to everything that is wanted.
    async fn connect(&self, client: &Client) -> Result<(PubSubSink, PubSubStream), String> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_pubsub());
        let pubsub: PubSub = connecting
            .await
            .map_err(|_| "no answer".to_owned())?
            .map_err(|error| error.to_string())?;
        let (mut sink, stream) = pubsub.split();
        let (wanted, waiting) = {
            let mut wishes = self.wishes();
            let changes = std::mem::take(&mut wishes.changes);
            let wanted: Vec<String> = wishes.wanted.iter().cloned().collect();
            let waiting = changes.into_values().flatten();
            (wanted, waiting.collect::<Vec<_>>())
        };
        for channels in wanted.chunks(CHANNELS_PER_COMMAND) {
            let subscribing = tokio::time::timeout(PONG_TIMEOUT, sink.subscribe(channels));
            subscribing
                .await
                .map_err(|_| "no answer".to_owned())?
                .map_err(|error| error.to_string())?;
        }
        for waiter in waiting {
            // It may have given up.
            let _ = waiter.send(());
        }
        Ok((sink, stream))
    }

    /// Hears until the connection is lost.
    async fn listen(
        &self,
        sink: PubSubSink,
        mut stream: PubSubStream,
        subscriber: &impl Subscriber,
    ) {
        let (lost, mut is_lost) = tokio::sync::mpsc::channel::<()>(1);
        let watching = actix::spawn(watch(sink.clone(), lost.clone()));
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => subscriber.hear(&message),
                    None => break,
                },
                () = self.0.changed.notified() => self.tell_changes(&sink, &lost),
                _ = is_lost.recv() => break,
            }
        }
        watching.abort();
    }

    /// Sends what has changed; each command goes out before this returns, in order.
    fn tell_changes(&self, sink: &PubSubSink, lost: &tokio::sync::mpsc::Sender<()>) {
        let (begin, end): (Vec<_>, Vec<_>) = {
            let mut wishes = self.wishes();
            let changes = std::mem::take(&mut wishes.changes);
            let wanted = |(channel, _): &(String, _)| wishes.wanted.contains(channel);
            changes.into_iter().partition(wanted)
        };
        for (changes, begins) in [(begin, true), (end, false)] {
            if changes.is_empty() {
                continue;
            }
            let (channels, waiting): (Vec<String>, Vec<_>) = changes.into_iter().unzip();
            let (mut sink, lost) = (sink.clone(), lost.clone());
            actix::spawn(async move {
                let told = if begins {
                    sink.subscribe(channels).await
                } else {
                    sink.unsubscribe(channels).await
                };
                match told {
                    Ok(()) => waiting.into_iter().flatten().for_each(|waiter| {
                        let _ = waiter.send(());
                    }),
                    // The connection is over: everything is told again with the next one.
                    Err(_) => {
                        let _ = lost.try_send(());
                    }
                }
            });
        }
    }
}

/// Asks now and then whether the other side is still there.
async fn watch(mut sink: PubSubSink, lost: tokio::sync::mpsc::Sender<()>) {
    let mut turns = tokio::time::interval(PING_INTERVAL);
    loop {
        turns.tick().await;
        let pong = tokio::time::timeout(PONG_TIMEOUT, sink.ping::<redis::Value>()).await;
        if !matches!(pong, Ok(Ok(_))) {
            let _ = lost.try_send(());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_do_not_grow_while_redis_is_away() {
        let listener = Listener::default();
        let stands = listener.subscribe("kept".into());
        for _ in 0..100 {
            drop(listener.subscribe("tea".into()));
            listener.unsubscribe("tea".into());
            drop(listener.subscribe("kept".into()));
        }
        let waiting = {
            let wishes = listener.wishes();
            assert_eq!(wishes.wanted.len(), 1);
            assert_eq!(wishes.changes.len(), 2);
            wishes.changes["kept"].len()
        };
        assert!(waiting <= 2, "{waiting} wait, of whom one is left");
        drop(stands);
    }
}
