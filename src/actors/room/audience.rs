//! Who hears the room: hands events and news to the hubs of the worker threads.
//!
//! One hand-over per thread that has listeners, never one per session. A hub that is too
//! busy keeps its place and is served again a moment later; nothing is skipped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::state::SMALL_ROOM;
use super::window::Window;
use crate::actors::hub::{self, Delivery, Encoded};
use crate::actors::{Workers, wire};
use crate::clock;
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::{
    Entry, Presence, PresenceChange, PresenceNotice, Receipt, ReceiptMarks, ServerFrame,
    TypingNotice, event_frame,
};

/// The worker threads that have listeners, and what they are still to be told.
#[derive(Debug)]
pub(super) struct Audience {
    /// Tells this start of the room from those before it.
    incarnation: u64,
    hubs: HashMap<usize, Listening>,
    news: News,
}

/// One worker thread that has listeners.
#[derive(Debug)]
struct Listening {
    /// Subscriptions sent there; tells a true "empty" from one that was overtaken.
    subscribed: u64,
    /// The newest event that was handed over.
    handed: Seq,
}

/// Ephemeral news, merged until they are told.
#[derive(Debug, Default)]
struct News {
    presence: BTreeMap<UserId, (Presence, Option<String>)>,
    typing: BTreeMap<UserId, bool>,
    reads: BTreeMap<UserId, Seq>,
    readers: BTreeMap<Seq, i64>,
    /// Members who are connected, when that is all a large room is told.
    online: Option<usize>,
}

impl Default for Audience {
    fn default() -> Self {
        Self {
            incarnation: rand::random(),
            hubs: HashMap::new(),
            news: News::default(),
        }
    }
}

impl Audience {
    /// Which start of the room this is.
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Does anybody listen?
    pub(super) fn is_empty(&self) -> bool {
        self.hubs.is_empty()
    }

    /// Hands a new subscription to its hub; false when the hub is too busy.
    pub(super) fn subscribe(&mut self, workers: &Workers, subscribe: hub::Subscribe) -> bool {
        let (worker, head) = (subscribe.who.worker, subscribe.head);
        let Some(thread) = workers.get(worker) else {
            return false;
        };
        if !self.news.readers.is_empty() {
            // The snapshot counts these marks already; told after it, they would count twice.
            self.tell_news(workers, subscribe.room);
        }
        if thread.hub.try_send(subscribe).is_err() {
            return false;
        }
        let listening = self.hubs.entry(worker).or_insert(Listening {
            subscribed: 0,
            handed: head,
        });
        listening.subscribed += 1;
        true
    }

    /// Asks the hubs whether anybody still listens: that nobody does may have been said to a
    /// full mailbox.
    pub(super) fn ask_who_listens(&self, workers: &Workers, room: RoomId) {
        for (worker, listening) in &self.hubs {
            let asked = hub::IsHeard {
                room,
                incarnation: self.incarnation,
                subscribed: listening.subscribed,
            };
            if let Some(worker) = workers.get(*worker) {
                // A hub that is too busy is asked the next time.
                let _ = worker.hub.try_send(asked);
            }
        }
    }

    /// A hub says that nobody listens there any more.
    pub(super) fn hub_empty(&mut self, worker: usize, incarnation: u64, subscribed: u64) {
        if incarnation != self.incarnation {
            // That was about subscriptions to an earlier start of the room.
            return;
        }
        // A hub counts from when its last listener had gone, so compare what came since.
        if let Some(listening) = self.hubs.get_mut(&worker) {
            listening.subscribed = listening.subscribed.saturating_sub(subscribed);
            if listening.subscribed == 0 {
                self.hubs.remove(&worker);
            }
        }
    }

    /// Hands over what each hub lacks. False when some hub was too busy: call again soon.
    pub(super) fn deliver(
        &mut self,
        workers: &Workers,
        room: RoomId,
        epoch: &Epoch,
        window: &Window,
        head: Seq,
    ) -> bool {
        let mut made: HashMap<Seq, Arc<Delivery>> = HashMap::new();
        let mut all_served = true;
        for (index, listening) in self.hubs.iter_mut().filter(|(_, hub)| hub.handed < head) {
            let Some(worker) = workers.get(*index) else {
                continue;
            };
            let sent = match window.after(listening.handed) {
                Some(entries) => {
                    let delivery = made
                        .entry(listening.handed)
                        .or_insert_with(|| Arc::new(encode(room, epoch, &entries)));
                    worker.hub.try_send(hub::Deliver(delivery.clone())).is_ok()
                }
                // It was busy for longer than the window reaches: everybody there is told.
                None => worker.hub.try_send(hub::Lost { room, head }).is_ok(),
            };
            if sent {
                listening.handed = head;
            }
            all_served &= sent;
        }
        all_served
    }

    /// Notes how somebody is to be seen. Large rooms are told sums only.
    pub(super) fn note_presence(
        &mut self,
        user: UserId,
        presence: Presence,
        text: Option<String>,
        online: usize,
        members: usize,
    ) {
        if members > SMALL_ROOM {
            self.news.online = Some(online);
        } else {
            self.news.presence.insert(user, (presence, text));
        }
    }

    /// Notes that somebody writes, or has stopped.
    pub(super) fn note_typing(&mut self, user: UserId, active: bool) {
        self.news.typing.insert(user, active);
    }

    /// Notes that somebody has read on, joined (no `before`) or gone (no `now`).
    pub(super) fn note_read(
        &mut self,
        user: UserId,
        before: Option<Seq>,
        now: Option<Seq>,
        members: usize,
    ) {
        if members <= SMALL_ROOM {
            if let Some(now) = now.filter(|_| before.is_some()) {
                self.news.reads.insert(user, now);
            }
            return;
        }
        for (seq, change) in [(before, -1), (now, 1)] {
            if let Some(seq) = seq {
                *self.news.readers.entry(seq).or_default() += change;
            }
        }
    }

    /// Is there anything to tell?
    pub(super) fn has_news(&self) -> bool {
        let News {
            presence,
            typing,
            reads,
            readers,
            online,
        } = &self.news;
        !(presence.is_empty()
            && typing.is_empty()
            && reads.is_empty()
            && readers.is_empty()
            && online.is_none())
    }

    /// Tells the merged news; they may be lost.
    pub(super) fn tell_news(&mut self, workers: &Workers, room: RoomId) {
        let news = std::mem::take(&mut self.news);
        for (frames, except) in news.frames(room) {
            for worker in self.hubs.keys().filter_map(|index| workers.get(*index)) {
                let ephemeral = hub::Ephemeral {
                    room,
                    frames: frames.clone(),
                    except,
                };
                if worker.hub.try_send(ephemeral).is_err() {
                    log::debug!("room={room} a hub is busy, ephemerals were lost");
                }
            }
        }
    }
}

impl News {
    /// The frames, each with who need not be told: their own typing is no news to people.
    fn frames(self, room: RoomId) -> Vec<(Bytes, Option<UserId>)> {
        let at = clock::now_ms();
        let mut shared = Vec::new();
        if let Some(online) = self.online {
            shared.push(PresenceChange::Many { online });
        }
        for (user, (status, text)) in self.presence {
            shared.push(PresenceChange::One { user, status, text });
        }
        let presence = shared
            .into_iter()
            .map(|who| ServerFrame::Presence(PresenceNotice { room, who, at }));
        let receipts = self
            .reads
            .into_iter()
            .map(|(user, read)| ReceiptMarks::One { user, read })
            .chain(histogram(self.readers))
            .map(|marks| ServerFrame::Receipt(Receipt { room, marks }));
        let mut joined = BytesMut::new();
        for frame in presence.chain(receipts) {
            joined.extend_from_slice(&wire::text(&frame.to_json()));
        }
        let mut frames = Vec::new();
        if !joined.is_empty() {
            frames.push((joined.freeze(), None));
        }
        for (user, active) in self.typing {
            let frame = ServerFrame::Typing(TypingNotice { room, user, active });
            frames.push((wire::text(&frame.to_json()), Some(user)));
        }
        frames
    }
}

fn histogram(readers: BTreeMap<Seq, i64>) -> Option<ReceiptMarks> {
    let readers: Vec<_> = readers
        .into_iter()
        .filter(|(_, change)| *change != 0)
        .collect();
    (!readers.is_empty()).then_some(ReceiptMarks::Many { readers })
}

/// Encodes events once for everybody.
fn encode(room: RoomId, epoch: &Epoch, entries: &[Arc<Entry>]) -> Delivery {
    let mut joined = BytesMut::new();
    let events: Vec<_> = entries
        .iter()
        .map(|entry| {
            let plain = wire::text(&event_frame(room, epoch, entry.json()));
            let from = entry.event.draft.from;
            let own = wire::text(&event_frame(room, epoch, entry.json_for(from)));
            joined.extend_from_slice(&plain);
            Encoded {
                seq: entry.seq(),
                from,
                plain,
                own,
                removes: entry.event.draft.removed(),
            }
        })
        .collect();
    let joined = match events.as_slice() {
        [only] => only.plain.clone(),
        _ => joined.freeze(),
    };
    Delivery {
        room,
        epoch: epoch.clone(),
        events,
        joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An audience with so many subscriptions on the first thread.
    fn listened(subscribed: u64) -> Audience {
        let mut audience = Audience::default();
        let handed = Seq::ZERO;
        let listening = Listening { subscribed, handed };
        audience.hubs.insert(0, listening);
        audience
    }

    #[test]
    fn an_empty_hub_that_was_overtaken_by_a_subscription_is_not_empty() {
        let mut audience = listened(3);
        audience.hub_empty(0, audience.incarnation(), 2);
        assert!(!audience.is_empty());
        audience.hub_empty(0, audience.incarnation(), 1);
        assert!(audience.is_empty());
    }

    #[test]
    fn what_a_hub_says_of_an_earlier_start_of_the_room_is_nothing() {
        let mut audience = listened(1);
        let before = Audience::default().incarnation();
        audience.hub_empty(0, before, 7);
        assert!(!audience.is_empty(), "somebody listens");
    }
}
