//! The native protocol: one JSON frame in, one request to a room or user, one answer out.

use std::future::Future;

use actix::prelude::*;
use serde_json::json;

use super::Session;
use crate::actors::room::{
    Acked, Asker, Command as RoomCommand, From, Outgoing, Page, Span, Subscribed,
};
use crate::actors::user;
use crate::db::{Range, Select};
use crate::error::{Error, Result};
use crate::ids::{RoomId, Seq, UserId};
use crate::protocol::{
    Ack, Answer, Batch, Command, Context as FrameContext, Durability, ErrorCode, History,
    MembersPage, Publish, ServerFrame, Subscribe, page_size, parse,
};

/// Most requests in flight whose answers may be large.
const MAX_LARGE_IN_FLIGHT: usize = 4;
/// When a client may try again that has too much in flight.
const RETRY_AFTER_MS: u64 = 100;

impl Session {
    /// Serves one frame.
    pub(super) fn on_text(&mut self, text: &str, ctx: &mut actix::Context<Self>) {
        let frame = parse(text);
        let context = frame.context;
        let Some(asker) = self.asker() else {
            return match frame.command {
                Ok(Command::Hello(hello)) => self.hello(context, hello, ctx),
                Err(error) if frame.is_hello || error.code == ErrorCode::BadFrame => {
                    self.refuse(&context, &error);
                }
                Ok(_) | Err(_) => {
                    let error = Error::new(ErrorCode::Unauthenticated, "say hello first");
                    self.refuse(&context, &error);
                }
            };
        };
        let served = frame.command.and_then(|command| {
            self.check_rates(asker, &command)?;
            self.serve(asker, &context, command, ctx)
        });
        if let Err(error) = served {
            self.refuse(&context, &error);
        }
    }

    /// Counts a request against the limits of this connection and of its user.
    fn check_rates(&mut self, asker: Asker, command: &Command) -> Result<()> {
        let rates = &self.services.rates;
        let checked = match command {
            Command::Publish(_) => self
                .publishes
                .check()
                .and_then(|()| rates.publish.check(&asker.user)),
            Command::Join(_) | Command::Leave(_) => self
                .frames
                .check()
                .and_then(|()| rates.joins.check(&asker.user)),
            Command::History(_) | Command::Members(_) => self
                .frames
                .check()
                .and_then(|()| rates.reads.check(&asker.user)),
            _ => self.frames.check(),
        };
        if checked.is_err() {
            self.count_refused();
        }
        checked
    }

    fn serve(
        &mut self,
        asker: Asker,
        context: &FrameContext,
        command: Command,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        match command {
            Command::Hello(hello) => self.hello(context.clone(), hello, ctx),
            Command::Auth(auth) => self.auth(context.clone(), auth, ctx),
            Command::Ping => {
                let reference = context.reference.as_ref();
                self.send(&ServerFrame::Pong(Answer {
                    reference,
                    result: None,
                    data: None,
                }));
            }
            // Nothing here depends on focus yet; push notifications will.
            Command::Focus(_) => self.answer_ok(context, None, None),
            Command::Status(status) => {
                let command = user::Command::SetStatus {
                    status: status.status,
                    text: status.text,
                };
                self.services.user(asker.user).tell(command);
                self.answer_ok(context, None, None);
            }
            Command::Subscribe(subscribe) => self.subscribe(asker, context, subscribe, ctx)?,
            Command::Unsubscribe(it) => {
                let who = self.subscriber(asker);
                self.done(context, ctx, it.room, |reply_to| RoomCommand::Unsubscribe {
                    who,
                    reply_to,
                })?;
            }
            Command::Join(join) => self.join(asker, context, join.room, ctx)?,
            Command::Leave(it) => {
                let room = self.services.room(it.room);
                let leaving = room.ask(|reply_to| RoomCommand::Leave { asker, reply_to });
                self.answer(context, ctx, leaving, |session, context, _| {
                    session.answer_ok(context, None, None);
                })?;
            }
            Command::Publish(publish) => self.publish(asker, context, *publish, ctx)?,
            Command::Read(read) => {
                let room = self.services.room(read.room);
                let seq = read.seq;
                let marking = room.ask(|reply_to| RoomCommand::Read {
                    asker,
                    seq,
                    reply_to,
                });
                self.answer(context, ctx, marking, |session, context, _| {
                    session.answer_ok(context, None, None);
                })?;
            }
            Command::Typing(typing) => {
                let active = typing.active;
                self.done(context, ctx, typing.room, |reply_to| RoomCommand::Typing {
                    asker,
                    active,
                    reply_to,
                })?;
            }
            Command::History(history) => self.history(asker, context, &history, ctx)?,
            Command::Members(members) => {
                let after = members.cursor.as_deref().map(parse_cursor).transpose()?;
                let limit = page_size(members.limit)?;
                self.members(asker, context, members.room, after, limit, ctx)?;
            }
        }
        Ok(())
    }

    /// Waits for an answer and hands it on; counts what is in flight meanwhile.
    fn answer<T: 'static>(
        &mut self,
        context: &FrameContext,
        ctx: &mut actix::Context<Self>,
        answer: impl Future<Output = Result<T>> + 'static,
        then: impl FnOnce(&mut Self, &FrameContext, T) + 'static,
    ) -> Result<()> {
        let limit = self.services.config.limits.in_flight as usize;
        if limit > 0 && self.in_flight >= limit {
            return Err(too_many());
        }
        self.in_flight += 1;
        let context = context.clone();
        ctx.spawn(answer.into_actor(self).map(move |answer, session, _| {
            session.in_flight -= 1;
            match answer {
                Ok(answer) => then(session, &context, answer),
                Err(error) => session.refuse(&context, &error),
            }
        }));
        Ok(())
    }

    /// Asks a room for something that is answered with a bare `ok`.
    fn done(
        &mut self,
        context: &FrameContext,
        ctx: &mut actix::Context<Self>,
        room: RoomId,
        command: impl FnOnce(crate::actors::Reply<()>) -> RoomCommand,
    ) -> Result<()> {
        self.require_place()?;
        let asking = self.services.room(room).ask(command);
        self.answer(context, ctx, asking, |session, context, ()| {
            session.answer_ok(context, None, None);
        })
    }

    /// Is there room for one more request? Asked before it is sent on its way.
    fn require_place(&self) -> Result<()> {
        let limit = self.services.config.limits.in_flight as usize;
        if limit > 0 && self.in_flight >= limit {
            Err(too_many())
        } else {
            Ok(())
        }
    }

    fn subscribe(
        &mut self,
        asker: Asker,
        context: &FrameContext,
        subscribe: Subscribe,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        self.require_place()?;
        let who = self.subscriber(asker);
        let from = match subscribe.after {
            Some(position) => From::After(position),
            None => From::Last(subscribe.last.unwrap_or(Subscribe::DEFAULT_LAST)),
        };
        let reference = context.reference.clone();
        let asking = self
            .services
            .room(subscribe.room)
            .ask(|reply_to| RoomCommand::Subscribe {
                asker,
                who,
                from,
                reference,
                reply_to,
            });
        // The snapshot is the answer, and is in the lane already.
        self.answer(context, ctx, asking, |_, _, _: Subscribed| {})
    }

    fn join(
        &mut self,
        asker: Asker,
        context: &FrameContext,
        room: RoomId,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        self.require_place()?;
        let asking = self
            .services
            .room(room)
            .ask(|reply_to| RoomCommand::Join { asker, reply_to });
        self.answer(context, ctx, asking, |session, context, joined| {
            let result = if joined.already { "already" } else { "joined" };
            let data = json!({ "seq": joined.seq, "epoch": joined.epoch });
            session.answer_ok(context, Some(result), Some(data));
        })
    }

    fn publish(
        &mut self,
        asker: Asker,
        context: &FrameContext,
        publish: Publish,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        self.require_place()?;
        let body = serde_json::to_string(&publish.body).map_err(|_| Error::internal())?;
        let message = Outgoing {
            client_id: publish.client_id,
            body: body.into(),
            reply_to: publish.reply_to,
            thread: publish.thread,
            mentions: publish.mentions,
        };
        let room = publish.room;
        let asking = self
            .services
            .room(room)
            .ask(|reply_to| RoomCommand::Publish {
                asker,
                message,
                reply_to,
            });
        self.answer(context, ctx, asking, move |session, context, acked| {
            session.acknowledge(context, room, &acked);
        })
    }

    fn acknowledge(&self, context: &FrameContext, room: RoomId, acked: &Acked) {
        self.send(&ServerFrame::Ack(Ack {
            reference: context.reference.as_ref(),
            room,
            client_id: acked.client_id.as_str(),
            seq: acked.place.seq,
            epoch: &acked.epoch,
            at: acked.place.at,
            // The log of a node that is alone is the database.
            durability: Durability::Db,
            duplicate: acked.duplicate,
        }));
    }

    fn history(
        &mut self,
        asker: Asker,
        context: &FrameContext,
        history: &History,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        self.require_place()?;
        if self.large_in_flight >= MAX_LARGE_IN_FLIGHT {
            return Err(too_many());
        }
        let limit = page_size(history.limit)?;
        let span = match (history.before, history.after, history.around) {
            (Some(before), ..) => Span::Range(Range::Before(before)),
            (_, Some(after), _) => Span::Range(Range::After(after)),
            (.., Some(around)) => Span::Around(around),
            (None, None, None) => Span::Newest,
        };
        let room = history.room;
        let asking = self
            .services
            .room(room)
            .ask(|reply_to| RoomCommand::GetHistory {
                asker,
                span,
                select: Select::All,
                limit,
                reply_to,
            });
        self.large_in_flight += 1;
        let counted = asking.into_actor(self).map(|page, session: &mut Self, _| {
            session.large_in_flight -= 1;
            page
        });
        self.in_flight += 1;
        let context = context.clone();
        ctx.spawn(counted.map(move |page, session, _| {
            session.in_flight -= 1;
            match page {
                Ok(page) => session.send_batch(&context, asker, room, &page),
                Err(error) => session.refuse(&context, &error),
            }
        }));
        Ok(())
    }

    fn send_batch(&self, context: &FrameContext, asker: Asker, room: RoomId, page: &Page) {
        let seq = |entry: Option<&std::sync::Arc<crate::protocol::Entry>>| {
            entry.map_or(Seq::ZERO, |entry| entry.seq())
        };
        self.send(&ServerFrame::Batch(Batch {
            reference: context.reference.as_ref(),
            room,
            epoch: &page.epoch,
            from: seq(page.entries.first()),
            to: seq(page.entries.last()),
            events: page
                .entries
                .iter()
                .map(|entry| entry.json_for(asker.user))
                .collect(),
            more: page.more,
        }));
    }

    fn members(
        &mut self,
        asker: Asker,
        context: &FrameContext,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        self.require_place()?;
        let listing = self.services.list_members(asker, room, after, limit);
        self.answer(context, ctx, listing, move |session, context, page| {
            let cursor = page.next.map(|user| user.to_string());
            session.send(&ServerFrame::Members(MembersPage {
                reference: context.reference.as_ref(),
                room,
                members: &page.members,
                cursor: cursor.as_deref(),
            }));
        })
    }
}

fn parse_cursor(cursor: &str) -> Result<UserId> {
    cursor
        .parse()
        .map_err(|_| Error::bad_field("cursor is one that an earlier page gave"))
}

fn too_many() -> Error {
    Error::new(
        ErrorCode::TooManyInFlight,
        "too many requests wait for their answer; send the next when one has come",
    )
    .retry_after(RETRY_AFTER_MS)
}
