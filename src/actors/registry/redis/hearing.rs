//! What comes from other nodes through Redis: read, judged, and handed on.
//!
//! What is malformed, of a newer version or of another life of Redis is dropped and counted;
//! nothing of it is acted on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::prelude::*;
use redis::Msg;

use super::listener::Subscriber;
use super::{Inner, keys};
use crate::actors::persistence::write_back;
use crate::actors::registry::broker::Ring;
use crate::actors::registry::remote::{EphemeralReceived, EpochEnded, ForgetRooms, FromNode};
use crate::actors::send_always;
use crate::failpoint;
use crate::ids::{Epoch, RoomId};
use crate::protocol::Event;
use crate::protocol::doorbell::{RoomNews, decode_news};
use crate::protocol::envelope::{Envelope, Payload};

/// Where things go that come from Redis.
pub struct Subscribers {
    /// New events.
    pub rings: Recipient<Ring>,
    /// Logs that are over.
    pub over: Recipient<EpochEnded>,
    /// Things that pass.
    pub passed: Recipient<EphemeralReceived>,
    /// Envelopes.
    pub envelopes: Recipient<FromNode>,
    /// That rooms are to be read again; past any limit, as they serve numbers that are over.
    pub forget: Box<dyn Fn() + Send + Sync>,
}

impl Subscribers {
    /// Everything goes to one actor.
    pub fn all<A>(hearer: &Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>>
            + Handler<Ring>
            + Handler<EpochEnded>
            + Handler<EphemeralReceived>
            + Handler<FromNode>
            + Handler<ForgetRooms>,
    {
        Self {
            rings: hearer.clone().recipient(),
            over: hearer.clone().recipient(),
            passed: hearer.clone().recipient(),
            envelopes: hearer.clone().recipient(),
            forget: Box::new({
                let hearer = hearer.clone();
                move || send_always(&hearer, ForgetRooms)
            }),
        }
    }
}

/// What the doorbells' connection calls.
pub(super) struct BrokerSubscriber(pub(super) Arc<Inner>);

impl Subscriber for BrokerSubscriber {
    fn hear(&self, message: &Msg) {
        let channel = message.get_channel_name();
        match keys::room_of(channel) {
            Some(room) => self.hear_room(room, message.get_payload_bytes()),
            None => self.hear_node(channel, message.get_payload_bytes()),
        }
    }

    fn was_cut(&self) {
        self.0.cut.store(true, Ordering::Relaxed);
    }
}

impl BrokerSubscriber {
    fn hear_room(&self, room: RoomId, bytes: &[u8]) {
        let inner = &self.0;
        if failpoint::loses("redis::ring") {
            return;
        }
        inner.counts.rings.fetch_add(1, Ordering::Relaxed);
        let (at, news) = match decode_news(room, bytes) {
            Ok(news) => news,
            Err(malformed) => return inner.count_malformed("a doorbell", &malformed),
        };
        let lives = inner.gate.life_if_open();
        if lives.is_none_or(|life| *life.name != *at.life) {
            // From a life that has ended, or one that we have not heard of yet.
            inner.counts.foreign.fetch_add(1, Ordering::Relaxed);
            return inner.gate.look_again();
        }
        let epoch = at.epoch;
        let Some(subscribers) = inner.subscribers.get() else {
            return;
        };
        let heard = match news {
            RoomNews::Events(events) => self.hear_events(subscribers, room, epoch, events),
            RoomNews::Flushed(seq) => {
                inner.tell_write_back(write_back::FlushedTo { room, seq });
                true
            }
            RoomNews::EpochEnded => subscribers
                .over
                .try_send(EpochEnded { room, epoch })
                .is_ok(),
            RoomNews::Ephemeral(ephemeral) => {
                // It may be lost: that is what ephemeral means.
                let _ = subscribers
                    .passed
                    .try_send(EphemeralReceived { room, ephemeral });
                true
            }
        };
        if !heard {
            inner.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hear_events(
        &self,
        subscribers: &Subscribers,
        room: RoomId,
        epoch: Epoch,
        events: Vec<Event>,
    ) -> bool {
        let heard = write_back::Heard {
            room,
            events: events.clone(),
        };
        if let Some(write_back) = self.0.write_back.get()
            && write_back.try_send(heard).is_err()
        {
            // It reads them from the log when it needs them.
            self.0.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        let ring = Ring {
            room,
            epoch: Some(epoch),
            events,
        };
        subscribers.rings.try_send(ring).is_ok()
    }

    fn hear_node(&self, channel: &str, bytes: &[u8]) {
        let envelope = match Envelope::decode(bytes) {
            Ok(envelope) => envelope,
            Err(malformed) => return self.0.count_malformed(channel, &malformed),
        };
        if let Payload::Life { .. } = &envelope.payload {
            self.0.gate.look_again();
        }
        let Some(subscribers) = self.0.subscribers.get() else {
            return;
        };
        if subscribers.envelopes.try_send(FromNode(envelope)).is_err() {
            self.0.counts.lost.fetch_add(1, Ordering::Relaxed);
            // As good as cut: what such envelopes say is read again.
            self.was_cut();
        }
    }
}
