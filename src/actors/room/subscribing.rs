//! Snapshot and subscription as one step (`docs/PROTOCOL.md`, rule 7).
//!
//! Both are one message to the hub, behind everything that the room has handed it so far
//! and before everything that follows: nothing falls in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::answer::Subscribed;
use super::command::From;
use super::state::{Asker, RoomState, SMALL_ROOM};
use super::{Reply, Room};
use crate::actors::hub::{self, Subscriber};
use crate::actors::wire;
use crate::db::{MemberRecord, Role};
use crate::error::{Error, Result};
use crate::ids::Seq;
use crate::protocol::{
    Batch, Entry, Gap, GapReason, Live, MAX_EVENTS, Me, Position, Ref, RoomInfo, ServerFrame,
    Snapshot,
};

/// Further behind than this, a client is told the gap and subscribes anew.
const MAX_RESUME: i64 = 1000;
/// When a client may try again whose hub has too much to do.
const RETRY_AFTER_MS: u64 = 250;

/// What a subscription begins with.
enum Opening {
    /// These frames, and then every event.
    Live(Bytes),
    /// These frames only.
    Gap(Bytes),
    /// Nothing yet: the client's position lies below the window.
    Behind,
}

impl Room {
    /// Begins a subscription.
    pub(super) fn subscribe(
        &mut self,
        asker: Asker,
        who: Subscriber,
        from: From,
        reference: Option<&Ref>,
        reply_to: Reply<Subscribed>,
    ) {
        let opening = match self.open(asker, from, reference) {
            Ok(opening) => opening,
            Err(error) => return reply_to.refuse(error),
        };
        match opening {
            Opening::Behind => reply_to.send(Ok(Subscribed::Behind)),
            Opening::Gap(frame) => reply_to.send(Ok(Subscribed::Gap(frame))),
            Opening::Live(frames) => self.go_live(who, frames, reply_to),
        }
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self, asker: Asker, who: Subscriber, reply_to: Reply<()>) {
        if self
            .state
            .as_ref()
            .is_none_or(|state| state.is_hidden_from(asker))
        {
            return reply_to.refuse(Error::room_not_found());
        }
        let (done, is_done) = oneshot::channel();
        let unsubscribe = hub::Unsubscribe {
            room: self.id,
            session: who.session,
            done,
        };
        let worker = self.services.workers.get(who.worker);
        if worker.is_none_or(|worker| worker.hub.try_send(unsubscribe).is_err()) {
            return reply_to.refuse(Error::overloaded(RETRY_AFTER_MS));
        }
        let answering = async move {
            reply_to.send(is_done.await.map_err(|_| Error::unavailable()));
        };
        // Not one of the room's own: it looks at all of those whenever it wakes.
        actix::spawn(answering);
    }

    fn open(&self, asker: Asker, from: From, reference: Option<&Ref>) -> Result<Opening> {
        let state = self.state.as_ref().ok_or_else(|| self.absent.clone())?;
        let (member, role) = state.require_member(asker)?;
        let floor = state.floor(asker)?;
        match from {
            From::Last(last) => {
                let events = state.window().newest(last, floor);
                Ok(Opening::Live(
                    self.snapshot(state, member, role, &events, reference),
                ))
            }
            From::After(position) => {
                let (gap, events) = missed(state, &position, floor)?;
                let snapshot = self.snapshot(state, member, role, &events, reference);
                let mut frames = BytesMut::new();
                if let Some((from, to, reason)) = gap {
                    frames.extend_from_slice(&self.gap(state, from, to, reason));
                }
                frames.extend_from_slice(&snapshot);
                Ok(Opening::Live(frames.freeze()))
            }
            From::Resume(position) => self.resume(state, asker, &position, floor),
        }
    }

    fn resume(
        &self,
        state: &RoomState,
        asker: Asker,
        position: &Position,
        floor: Seq,
    ) -> Result<Opening> {
        let (after, head) = (position.seq, state.head());
        let gap = |from, to, reason| Ok(Opening::Gap(self.gap(state, from, to, reason)));
        if position.epoch != state.record().epoch {
            return gap(Seq(1), head, GapReason::Epoch);
        }
        require_reached(after, head)?;
        if floor > after.next() {
            return gap(after.next(), Seq(floor.0 - 1), GapReason::Window);
        }
        if head.0 - after.0 > MAX_RESUME {
            return gap(after.next(), head, GapReason::Window);
        }
        let missed = if after == head {
            Some(Vec::new())
        } else {
            state.window().after(after)
        };
        let Some(missed) = missed else {
            return Ok(Opening::Behind);
        };
        let batch = ServerFrame::Batch(Batch {
            reference: None,
            room: self.id,
            epoch: &state.record().epoch,
            from: after.next(),
            to: head,
            events: missed
                .iter()
                .map(|entry| entry.json_for(asker.user))
                .collect(),
            more: false,
        });
        let live = ServerFrame::Live(Live {
            room: Some(self.id),
        });
        Ok(Opening::Live(together(&[batch, live])))
    }

    fn snapshot(
        &self,
        state: &RoomState,
        member: &MemberRecord,
        role: Role,
        events: &[Arc<Entry>],
        reference: Option<&Ref>,
    ) -> Bytes {
        let record = state.record();
        let (reads, readers) = read_marks(state);
        let snapshot = Snapshot {
            reference,
            room: self.id,
            epoch: &record.epoch,
            head: record.head,
            count: record.messages,
            info: RoomInfo {
                name: &record.name,
                kind: record.kind.as_str(),
                capacity: record.capacity,
                topic: record.topic.as_deref(),
            },
            me: Me {
                role: role.as_str(),
                read: member.mark.read,
                unread: state.unread(member),
                muted_until: member.muted_until,
            },
            members: state.member_count(),
            online: self.online.len(),
            events: events
                .iter()
                .map(|entry| entry.json_for(member.user))
                .collect(),
            reads,
            readers,
        };
        wire::text(&ServerFrame::Snapshot(snapshot).to_json())
    }

    fn gap(&self, state: &RoomState, from: Seq, to: Seq, reason: GapReason) -> Bytes {
        let epoch = &state.record().epoch;
        let gap = Gap {
            room: self.id,
            epoch,
            from,
            to,
            reason,
        };
        wire::text(&ServerFrame::Gap(gap).to_json())
    }

    fn go_live(&mut self, who: Subscriber, frames: Bytes, reply_to: Reply<Subscribed>) {
        let Some(state) = &self.state else {
            return reply_to.refuse(self.absent.clone());
        };
        let (done, is_done) = oneshot::channel();
        let (epoch, head) = (state.record().epoch.clone(), state.head());
        let subscribe = hub::Subscribe {
            room: self.id,
            incarnation: self.audience.incarnation(),
            who,
            epoch,
            head,
            frames,
            done,
        };
        if !self.audience.subscribe(&self.services.workers, subscribe) {
            return reply_to.refuse(Error::overloaded(RETRY_AFTER_MS));
        }
        let answering = async move {
            let done = is_done.await.unwrap_or_else(|_| Err(Error::unavailable()));
            reply_to.send(done.map(|()| Subscribed::Live));
        };
        actix::spawn(answering);
    }
}

/// What a client at this position has missed: the newest events, and the gap before them.
#[expect(
    clippy::type_complexity,
    reason = "a gap and what follows it, used in one place"
)]
fn missed(
    state: &RoomState,
    position: &Position,
    floor: Seq,
) -> Result<(Option<(Seq, Seq, GapReason)>, Vec<Arc<Entry>>)> {
    let head = state.head();
    if position.epoch != state.record().epoch {
        let events = state.window().newest(MAX_EVENTS, floor);
        return Ok((Some((Seq(1), head, GapReason::Epoch)), events));
    }
    require_reached(position.seq, head)?;
    let wanted = position.seq.next();
    let events = state.window().newest(MAX_EVENTS, floor.max(wanted));
    let first = events.first().map_or(head.next(), |entry| entry.seq());
    let gap = (first > wanted).then(|| (wanted, Seq(first.0 - 1), GapReason::Window));
    Ok((gap, events))
}

fn require_reached(seq: Seq, head: Seq) -> Result<()> {
    if seq <= head {
        return Ok(());
    }
    Err(Error::bad_field(format!(
        "the position lies beyond the head of the room, {head}"
    )))
}

/// Read marks by member in a small room, by place in a large one. Marks from before the
/// window stand together at its beginning.
#[expect(
    clippy::type_complexity,
    reason = "the two spellings of one thing, used in one place"
)]
fn read_marks(
    state: &RoomState,
) -> (
    Option<BTreeMap<crate::ids::UserId, Seq>>,
    Option<Vec<(Seq, i64)>>,
) {
    if state.member_count() <= SMALL_ROOM {
        let reads = state
            .members()
            .map(|(member, _)| (member.user, member.mark.read));
        return (Some(reads.collect()), None);
    }
    let before_window = state
        .window()
        .first()
        .map_or(Seq::ZERO, |first| Seq(first.0 - 1));
    let mut readers = BTreeMap::<Seq, i64>::new();
    for (member, _) in state.members() {
        *readers
            .entry(member.mark.read.max(before_window))
            .or_default() += 1;
    }
    (None, Some(readers.into_iter().collect()))
}

/// Several frames in one piece.
fn together(frames: &[ServerFrame<'_>]) -> Bytes {
    let mut joined = BytesMut::new();
    for frame in frames {
        joined.extend_from_slice(&wire::text(&frame.to_json()));
    }
    joined.freeze()
}
