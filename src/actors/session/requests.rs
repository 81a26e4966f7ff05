//! The requests to rooms whose answers are more than `ok`.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::Session;
use super::native::Request;
use crate::actors::room::{
    Acked, Command as RoomCommand, From, Joined, Outgoing, Page, Span, Subscribed,
};
use crate::db::{Range, Select};
use crate::error::{Error, Result};
use crate::ids::{RoomId, Seq};
use crate::protocol::{
    Ack, Batch, Durability, Entry, History, Join, Members, MembersPage, Publish, ServerFrame,
    Subscribe, page_size,
};

/// Most requests in flight whose answers may be large.
const MAX_LARGE_IN_FLIGHT: usize = 4;

impl Session {
    pub(super) fn subscribe(
        &mut self,
        request: Request,
        subscribe: Subscribe,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        let (asker, who) = (request.asker, self.subscriber(request.asker));
        let from = match subscribe.after {
            Some(position) => From::After(position),
            None => From::Last(subscribe.last.unwrap_or(Subscribe::DEFAULT_LAST)),
        };
        let reference = request.context.reference.clone();
        let command = |reply_to| RoomCommand::Subscribe {
            asker,
            who,
            from,
            reference,
            reply_to,
        };
        let subscribed = self.room(subscribe.room)?.ask(command);
        // The snapshot is the answer, and is in the lane already.
        self.answer(request, subscribed, |_, _, _: Subscribed| {}, ctx);
        Ok(())
    }

    pub(super) fn join(
        &mut self,
        request: Request,
        join: &Join,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        let asker = request.asker;
        let joined = self
            .room(join.room)?
            .ask(|reply_to| RoomCommand::Join { asker, reply_to });
        let then = |session: &mut Self, request: &Request, joined: Joined| {
            let result = if joined.already { "already" } else { "joined" };
            let data = json!({ "seq": joined.seq, "epoch": joined.epoch });
            session.answer_ok(&request.context, Some(result), Some(data));
        };
        self.answer(request, joined, then, ctx);
        Ok(())
    }

    pub(super) fn publish(
        &mut self,
        request: Request,
        publish: Publish,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        let (asker, room) = (request.asker, publish.room);
        let body = serde_json::to_string(&publish.body).map_err(|_| Error::internal())?;
        let message = Outgoing {
            client_id: publish.client_id,
            body: body.into(),
            reply_to: publish.reply_to,
            thread: publish.thread,
            mentions: publish.mentions,
        };
        let command = |reply_to| RoomCommand::Publish {
            asker,
            message,
            reply_to,
        };
        let acked = self.room(room)?.ask(command);
        let (services, wanted) = (self.services.clone(), publish.ack);
        let durable = async move {
            let acked = acked.await?;
            let durable = services
                .durability_of(wanted, room, acked.place.seq)
                .await?;
            Ok((acked, durable))
        };
        let then = move |session: &mut Self, request: &Request, (acked, durable): (Acked, _)| {
            session.acknowledge(request, room, &acked, durable);
        };
        self.answer(request, Box::pin(durable), then, ctx);
        Ok(())
    }

    fn acknowledge(&self, request: &Request, room: RoomId, acked: &Acked, durability: Durability) {
        self.send(&ServerFrame::Ack(Ack {
            reference: request.context.reference.as_ref(),
            room,
            client_id: acked.client_id.as_str(),
            seq: acked.place.seq,
            epoch: &acked.epoch,
            at: acked.place.at,
            durability,
            duplicate: acked.duplicate,
        }));
    }

    pub(super) fn history(
        &mut self,
        request: Request,
        history: &History,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        let (asker, room) = (request.asker, history.room);
        // Held until the answer has come, and counted by its owners.
        let place = self.large_answers.clone();
        if Rc::strong_count(&place) > MAX_LARGE_IN_FLIGHT + 1 {
            return Err(Error::too_many_in_flight());
        }
        let span = match (history.before, history.after, history.around) {
            (Some(before), ..) => Span::Range(Range::Before(before)),
            (_, Some(after), _) => Span::Range(Range::After(after)),
            (.., Some(around)) => Span::Around(around),
            (None, None, None) => Span::Newest,
        };
        let (select, limit) = (Select::All, page_size(history.limit)?);
        let command = |reply_to| RoomCommand::GetHistory {
            asker,
            span,
            select,
            limit,
            reply_to,
        };
        let asking = self.room(room)?.ask(command);
        let page = async move {
            let page = asking.await;
            drop(place);
            page
        };
        let then = move |session: &mut Self, request: &Request, page: Page| {
            session.send_batch(request, room, &page);
        };
        self.answer(request, page, then, ctx);
        Ok(())
    }

    fn send_batch(&self, request: &Request, room: RoomId, page: &Page) {
        let seq = |entry: Option<&Arc<Entry>>| entry.map_or(Seq::ZERO, |entry| entry.seq());
        let viewer = request.asker.user;
        self.send(&ServerFrame::Batch(Batch {
            reference: request.context.reference.as_ref(),
            room,
            epoch: &page.epoch,
            from: seq(page.entries.first()),
            to: seq(page.entries.last()),
            events: page
                .entries
                .iter()
                .map(|entry| entry.json_for(viewer))
                .collect(),
            more: page.more,
        }));
    }

    pub(super) fn members(
        &mut self,
        request: Request,
        members: &Members,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        let bad_cursor = |_| Error::bad_field("cursor is one that an earlier page gave");
        let after = members
            .cursor
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(bad_cursor)?;
        let (room, limit) = (members.room, page_size(members.limit)?);
        self.room(room)?;
        let listing = self
            .services
            .list_members(request.asker, room, after, limit);
        self.answer(
            request,
            listing,
            move |session, request, page| {
                let cursor = page.next.map(|user| user.to_string());
                session.send(&ServerFrame::Members(MembersPage {
                    reference: request.context.reference.as_ref(),
                    room,
                    members: &page.members,
                    cursor: cursor.as_deref(),
                }));
            },
            ctx,
        );
        Ok(())
    }
}
