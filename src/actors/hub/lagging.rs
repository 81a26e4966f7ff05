//! Listeners who do not keep up lose rooms, and are told what they will not get
//! (`docs/PROTOCOL.md`, rule 9).

use super::{Delivery, Hub};
use crate::actors::lane::Lane;
use crate::actors::wire;
use crate::ids::{RoomId, Seq, SessionId};
use crate::protocol::{Gap, GapReason, ServerFrame};

impl Hub {
    /// The room has moved on, or was started again: its listeners subscribe anew.
    pub(super) fn lose(&mut self, room: RoomId, head: Seq) {
        let Some(audience) = self.rooms.get_mut(&room) else {
            return;
        };
        audience.head = head;
        let sessions: Vec<_> = audience.listeners.iter().map(|who| who.session).collect();
        for session in sessions {
            if let Some(lane) = self.lanes.lane(session) {
                self.drop_for_lag(session, &lane, room);
            }
        }
    }

    /// The socket could not take what is due: its busiest rooms go, until this one fits.
    pub(super) fn make_way(&mut self, session: SessionId, delivery: &Delivery) {
        let Some(lane) = self.lanes.lane(session) else {
            return;
        };
        loop {
            let busiest = lane.busiest_room().unwrap_or(delivery.room);
            self.drop_for_lag(session, &lane, busiest);
            let Some(audience) = self.rooms.get_mut(&delivery.room) else {
                return;
            };
            let mut listeners = audience.listeners.iter_mut();
            let listener = listeners.find(|listener| listener.session == session);
            if listener.is_none_or(|listener| listener.take(delivery).is_ok()) {
                return;
            }
        }
    }

    /// Ends a subscription of a socket that does not keep up, and says what it will not get.
    fn drop_for_lag(&mut self, session: SessionId, lane: &Lane, room: RoomId) {
        let unsent = lane.drop_room(room);
        let Some(audience) = self.rooms.get(&room) else {
            return;
        };
        let Some(listener) = audience
            .listeners
            .iter()
            .find(|other| other.session == session)
        else {
            return;
        };
        let from = unsent.unwrap_or(listener.after.next()).min(audience.head);
        let gap = Gap {
            room,
            epoch: &audience.epoch,
            from,
            to: audience.head,
            reason: GapReason::Lag,
        };
        lane.reply(wire::text(&ServerFrame::Gap(gap).to_json()));
        log::debug!("session={session} room={room} lags, dropped from seq={from}");
        self.remove(room, session);
    }
}
