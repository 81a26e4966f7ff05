//! What a room tells those who ask: pages of its log and of its members, and what it is.

use std::ops::Bound;
use std::sync::Arc;

use actix::prelude::*;

use super::answer::{Description, MemberPage, Page};
use super::command::Span;
use super::state::{Asker, RoomState};
use super::{Reply, Room};
use crate::actors::Services;
use crate::actors::registry::{self, PageOf};
use crate::db::{Range, RoomKind, Select};
use crate::error::{Error, Result};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{Entry, Event, MAX_EVENTS_BYTES, MemberView};

/// When somebody may ask again who met a registry with too much to do.
const RETRY_AFTER_MS: u64 = 500;

impl Room {
    /// A page of the log: from the window when it reaches, else from the log and the database.
    pub(super) fn get_history(
        &mut self,
        asker: Asker,
        span: Span,
        select: Select,
        limit: usize,
        reply_to: Reply<Page>,
        ctx: &mut Context<Self>,
    ) {
        let Some(state) = &self.state else {
            return reply_to.refuse(self.absent.clone());
        };
        let floor = match state.floor(asker) {
            Ok(floor) => floor,
            Err(error) => return reply_to.refuse(error),
        };
        let epoch = state.record().epoch.clone();
        if let Some((entries, more)) = from_window(state, span, select, floor, limit) {
            return reply_to.send(Ok(Page {
                epoch,
                entries,
                more,
            }));
        }
        let asked = Asked {
            services: self.services.clone(),
            room: self.id,
            select,
            floor,
        };
        let reading = asked.read(span, limit);
        let answering = async move {
            reply_to.send(reading.await.and_then(|(events, more)| {
                let (entries, cut) = encode(events, span)?;
                Ok(Page {
                    epoch,
                    entries,
                    more: more || cut,
                })
            }));
        };
        ctx.spawn(answering.into_actor(self));
    }

    /// A page of the members, by id; names are looked up by whoever asked.
    pub(super) fn get_members(
        &self,
        asker: Asker,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<MemberPage> {
        let state = self.state.as_ref().ok_or_else(|| self.absent.clone())?;
        state.require_member(asker)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut members: Vec<_> = state
            .members_from(from)
            .take(limit + 1)
            .map(|(member, role)| MemberView {
                user: member.user,
                name: String::new(),
                role: role.as_str().to_owned(),
                online: self.online.contains_key(&member.user),
            })
            .collect();
        let more = members.len() > limit;
        members.truncate(limit);
        let next = members.last().filter(|_| more).map(|member| member.user);
        Ok(MemberPage { members, next })
    }

    /// What the room is, for somebody who may know of it.
    pub(super) fn describe(&self, asker: Asker) -> Result<Description> {
        let state = self.state.as_ref().ok_or_else(|| self.absent.clone())?;
        state.require_visible(asker)?;
        let standing = state.member(asker.user);
        let is_dm = state.record().kind == RoomKind::Dm;
        let mut others = state.members().map(|(member, _)| member.user);
        Ok(Description {
            record: state.record().clone(),
            role: standing.map(|(_, role)| role),
            read: standing.map_or(Seq::ZERO, |(member, _)| member.mark.read),
            unread: standing.map_or(0, |(member, _)| state.unread(member)),
            online: self.online.len(),
            peer: others.find(|user| is_dm && *user != asker.user),
        })
    }
}

/// A page that lies within the newest events; `None` when it does not for sure.
fn from_window(
    state: &RoomState,
    span: Span,
    select: Select,
    floor: Seq,
    limit: usize,
) -> Option<(Vec<Arc<Entry>>, bool)> {
    let wanted = |entry: &&Arc<Entry>| {
        entry.seq() >= floor && (select == Select::All || entry.event.draft.kind.is_message())
    };
    let window = state.window();
    if let Span::Range(Range::After(after)) = span {
        let behind = window.after(after.max(Seq(floor.0 - 1)))?;
        let mut entries: Vec<_> = behind.iter().filter(wanted).cloned().collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        return Some((entries, more));
    }
    let before = match span {
        Span::Newest => state.head().next(),
        Span::Range(Range::Before(before)) => before,
        Span::Range(Range::After(_)) | Span::Around(_) => return None,
    };
    let newest_first = window.iter().rev().filter(|entry| entry.seq() < before);
    let mut entries: Vec<_> = newest_first
        .filter(wanted)
        .take(limit + 1)
        .cloned()
        .collect();
    let reaches_the_floor = window.first().is_some_and(|first| first <= floor);
    if entries.len() <= limit && !reaches_the_floor {
        return None;
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    entries.reverse();
    Some((entries, more))
}

/// A page that does not lie within the newest events: the log is asked.
struct Asked {
    services: Arc<Services>,
    room: RoomId,
    select: Select,
    floor: Seq,
}

impl Asked {
    /// The page, ascending, and whether there is more in its direction.
    async fn read(self, span: Span, limit: usize) -> Result<(Vec<Event>, bool)> {
        match span {
            Span::Newest => self.side(Range::Before(Seq(i64::MAX)), limit).await,
            Span::Range(range) => self.side(range, limit).await,
            Span::Around(seq) => {
                let (mut events, _) = self.side(Range::Before(seq), limit / 2).await?;
                let after = Range::After(Seq(seq.0 - 1));
                let (behind, more) = self.side(after, limit - events.len()).await?;
                events.extend(behind);
                Ok((events, more))
            }
        }
    }

    async fn side(&self, range: Range, limit: usize) -> Result<(Vec<Event>, bool)> {
        let (reply_to, answer) = Reply::channel();
        let page = PageOf {
            room: self.room,
            range,
            floor: self.floor,
            select: self.select,
            limit: limit + 1,
        };
        let asked = registry::Page { page, reply_to };
        if self.services.registry.try_send(asked).is_err() {
            return Err(Error::overloaded(RETRY_AFTER_MS));
        }
        let mut events = answer.await?;
        let more = events.len() > limit;
        match range {
            Range::Before(_) if more => {
                events.remove(0);
            }
            Range::Before(_) | Range::After(_) => events.truncate(limit),
        }
        Ok((events, more))
    }
}

/// Encodes a page; what a frame cannot hold is cut off on the far side.
fn encode(events: Vec<Event>, span: Span) -> Result<(Vec<Arc<Entry>>, bool)> {
    let entries: serde_json::Result<Vec<_>> = events
        .into_iter()
        .map(|event| Entry::new(event).map(Arc::new))
        .collect();
    let mut entries = entries.map_err(|cause| {
        log::error!("an event cannot be read: {cause}");
        Error::internal()
    })?;
    let newest_first = matches!(span, Span::Newest | Span::Range(Range::Before(_)));
    if newest_first {
        entries.reverse();
    }
    let mut bytes = 0;
    let fitting = entries.iter().take_while(|entry| {
        bytes += entry.json_bytes();
        bytes <= MAX_EVENTS_BYTES
    });
    let fitting = fitting.count().max(1).min(entries.len());
    let cut = fitting < entries.len();
    entries.truncate(fitting);
    if newest_first {
        entries.reverse();
    }
    Ok((entries, cut))
}
