//! The native protocol: one JSON frame in, one request to a room or user, one answer out.

use std::future::Future;

use actix::prelude::*;

use super::Session;
use crate::actors::room::{Asker, Command as RoomCommand};
use crate::actors::{Handle, user};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::ids::RoomId;
use crate::protocol::{
    Answer, Command, Context as FrameContext, ErrorCode, Refusal, ServerFrame, parse,
};

/// A request that is being served.
#[derive(Clone)]
pub(super) struct Request {
    /// Who asks.
    pub(super) asker: Asker,
    /// What the answer repeats.
    pub(super) context: FrameContext,
}

impl Session {
    /// Serves one frame.
    pub(super) fn on_text(&mut self, text: &str, ctx: &mut actix::Context<Self>) {
        failpoint::at("session::frame");
        let frame = parse(text);
        let context = frame.context;
        let Some(asker) = self.asker() else {
            self.count_frame();
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
        let request = Request { asker, context };
        if frame.command.is_err() {
            self.count_frame();
        }
        let served = frame.command.and_then(|command| {
            self.check_rates(asker, &command)?;
            self.serve(request.clone(), command, ctx)
        });
        if let Err(error) = served {
            self.refuse(&request.context, &error);
        }
    }

    /// Counts a request against the limits of this connection and of its user.
    fn check_rates(&mut self, asker: Asker, command: &Command) -> Result<()> {
        let rates = &self.services.rates;
        let checked = match command {
            Command::Publish(_) => self
                .pace
                .publishes
                .check()
                .and_then(|()| rates.publish.check(&asker.user)),
            Command::Join(_) | Command::Leave(_) => self
                .pace
                .frames
                .check()
                .and_then(|()| rates.joins.check(&asker.user)),
            Command::History(_) | Command::Members(_) => self
                .pace
                .frames
                .check()
                .and_then(|()| rates.reads.check(&asker.user)),
            _ => self.pace.frames.check(),
        };
        if checked.is_err() {
            self.count_refused();
        }
        checked
    }

    fn serve(
        &mut self,
        request: Request,
        command: Command,
        ctx: &mut actix::Context<Self>,
    ) -> Result<()> {
        let asker = request.asker;
        match command {
            Command::Hello(hello) => self.hello(request.context, hello, ctx),
            Command::Auth(auth) => self.auth(request.context, auth, ctx),
            Command::Ping => {
                let reference = request.context.reference.as_ref();
                self.send(&ServerFrame::Pong(Answer {
                    reference,
                    result: None,
                    data: None,
                }));
            }
            // Nothing here depends on focus yet; push notifications will.
            Command::Focus(_) => self.answer_ok(&request.context, None, None),
            Command::Status(status) => {
                let (status, text) = (status.status, status.text);
                self.services
                    .user(asker.user)
                    .tell(user::Command::SetStatus { status, text });
                self.answer_ok(&request.context, None, None);
            }
            Command::Subscribe(subscribe) => self.subscribe(request, subscribe, ctx)?,
            Command::Unsubscribe(it) => {
                let who = self.subscriber(asker);
                let room = self.room(it.room)?;
                let done = room.ask(|reply_to| RoomCommand::Unsubscribe {
                    asker,
                    who,
                    reply_to,
                });
                self.answer_done(request, done, ctx);
            }
            Command::Join(join) => self.join(request, &join, ctx)?,
            Command::Leave(it) => {
                let room = self.room(it.room)?;
                let left = room.ask(|reply_to| RoomCommand::Leave { asker, reply_to });
                self.answer_done(request, left, ctx);
            }
            Command::Publish(publish) => self.publish(request, *publish, ctx)?,
            Command::Read(read) => {
                let (room, seq) = (self.room(read.room)?, read.seq);
                let marked = room.ask(|reply_to| RoomCommand::Read {
                    asker,
                    seq,
                    reply_to,
                });
                self.answer_done(request, marked, ctx);
            }
            Command::Typing(typing) => {
                let (room, active) = (self.room(typing.room)?, typing.active);
                let told = room.ask(|reply_to| RoomCommand::Typing {
                    asker,
                    active,
                    reply_to,
                });
                self.answer_done(request, told, ctx);
            }
            Command::History(history) => self.history(request, &history, ctx)?,
            Command::Members(members) => self.members(request, &members, ctx)?,
        }
        Ok(())
    }

    /// Waits for an answer and hands it on; counts what is in flight meanwhile.
    pub(super) fn answer<T: 'static>(
        &mut self,
        request: Request,
        answer: impl Future<Output = Result<T>> + 'static,
        then: impl FnOnce(&mut Self, &Request, T) + 'static,
        ctx: &mut actix::Context<Self>,
    ) {
        self.in_flight += 1;
        ctx.spawn(answer.into_actor(self).map(move |answer, session, _| {
            session.in_flight -= 1;
            match answer {
                Ok(answer) => then(session, &request, answer),
                Err(error) => session.refuse(&request.context, &error),
            }
        }));
    }

    /// Waits for something that is answered with a bare `ok`.
    fn answer_done<T: 'static>(
        &mut self,
        request: Request,
        answer: impl Future<Output = Result<T>> + 'static,
        ctx: &mut actix::Context<Self>,
    ) {
        let ok = |session: &mut Self, request: &Request, _: T| {
            session.answer_ok(&request.context, None, None);
        };
        self.answer(request, answer, ok, ctx);
    }

    /// Answers `ok`, if the request had a number.
    pub(super) fn answer_ok(
        &self,
        context: &FrameContext,
        result: Option<&str>,
        data: Option<serde_json::Value>,
    ) {
        if let Some(reference) = &context.reference {
            self.send(&ServerFrame::Ok(Answer {
                reference: Some(reference),
                result,
                data,
            }));
        }
    }

    /// Tells the client that a request was refused.
    pub(super) fn refuse(&self, context: &FrameContext, error: &Error) {
        self.send(&ServerFrame::Error(Refusal::new(context, error)));
    }

    /// The way to a room, if there is a place for one more request in flight.
    pub(super) fn room(&self, room: RoomId) -> Result<Handle<RoomId>> {
        let limit = self.pace.in_flight;
        if limit > 0 && self.in_flight >= limit {
            return Err(Error::too_many_in_flight());
        }
        Ok(self.services.room(room))
    }
}
