//! Who hears a room on one worker thread, and what each of them has been handed.

use std::rc::Rc;

use super::message::{Delivery, Encoded};
use crate::actors::lane::{Full, Lane};
use crate::ids::{Epoch, Seq, SessionId, UserId};

/// Everybody on this thread who hears one room.
pub(super) struct Audience {
    pub(super) listeners: Vec<Listener>,
    pub(super) epoch: Epoch,
    /// The newest event that was handed over.
    pub(super) head: Seq,
    /// Which start of the room they hear.
    pub(super) incarnation: u64,
    /// Subscriptions to it ever made; tells the room whether "empty" is still true.
    pub(super) subscribed: u64,
}

pub(super) struct Listener {
    pub(super) session: SessionId,
    pub(super) user: UserId,
    pub(super) lane: Rc<Lane>,
    /// The newest event that is in the lane, or was in the snapshot.
    pub(super) after: Seq,
}

impl Listener {
    /// Queues what is new to this listener: in one piece when it may be shared. After an
    /// error the same call goes on where it stopped.
    pub(super) fn take(&mut self, delivery: &Delivery) -> Result<(), Full> {
        let (Some(first), Some(last)) = (delivery.events.first(), delivery.events.last()) else {
            return Ok(());
        };
        let roomy = self.lane.keeps_up();
        let mine = |event: &Encoded| event.from == self.user || event.removes == Some(self.user);
        if first.seq > self.after && !delivery.events.iter().any(mine) {
            self.lane
                .events(delivery.joined.clone(), delivery.room, first.seq, roomy)?;
            self.after = last.seq;
            return Ok(());
        }
        for event in &delivery.events {
            if event.seq <= self.after {
                continue;
            }
            let frame = if event.from == self.user {
                &event.own
            } else {
                &event.plain
            };
            self.lane
                .events(frame.clone(), delivery.room, event.seq, roomy)?;
            self.after = event.seq;
            if event.removes == Some(self.user) {
                break;
            }
        }
        Ok(())
    }
}
