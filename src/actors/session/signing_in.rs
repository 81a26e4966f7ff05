//! `hello` and `auth`: who is behind a connection, and from where it goes on.

use actix::prelude::*;

use super::{Phase, Ready, Session};
use crate::actors::hub::SignIn;
use crate::actors::room::{self, Command, From, Span, Subscribed};
use crate::actors::user::{self, Listing};
use crate::clock;
use crate::db::{Range, Select};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::ids::RoomId;
use crate::protocol::{
    Auth, Batch, CloseCode, Context as FrameContext, ErrorCode, Hello, Limits, Live, MAX_EVENTS,
    MAX_FRAME_BYTES, Position, ServerFrame, Welcome,
};

/// The version of the protocol that this node speaks.
const VERSION: u32 = 1;
/// Most rooms that one `hello` may resume.
const MAX_RESUMED: usize = 1000;

impl Session {
    /// Signs the connection in. Whatever comes behind `hello` waits for its outcome.
    pub(super) fn hello(
        &mut self,
        context: FrameContext,
        hello: Hello,
        ctx: &mut actix::Context<Self>,
    ) {
        let Phase::Connecting { identity, .. } = &mut self.phase else {
            let error = Error::new(
                ErrorCode::BadFrame,
                "this connection has said hello already",
            );
            return self.refuse(&context, &error);
        };
        if hello.version != i64::from(VERSION) {
            let message = format!("this node speaks version {VERSION}");
            let error = Error::new(ErrorCode::VersionUnsupported, message);
            return self.fail_hello(&context, &error);
        }
        let known = identity.clone();
        let (services, token) = (self.services.clone(), hello.token.clone());
        let verifying = async move {
            match (token, known) {
                (Some(token), _) => services.identities.verify(&token).await,
                (None, Some(identity)) => Ok(identity),
                (None, None) => Err(Error::new(
                    ErrorCode::Unauthenticated,
                    "send a token in hello, or as Authorization: Bearer",
                )),
            }
        };
        let signing_in = verifying
            .into_actor(self)
            .then(move |verified, session, _| {
                session.attach(verified, hello.rooms_since.as_deref()).map(
                    move |attached, session, ctx| match attached {
                        Ok((identity, rooms)) => {
                            session.welcome(identity, rooms);
                            session.resume_all(hello.resume, ctx);
                        }
                        Err(error) => session.fail_hello(&context, &error),
                    },
                )
            });
        ctx.wait(signing_in);
    }

    /// Adds the session to its user, and learns their rooms.
    fn attach(
        &mut self,
        verified: Result<Identity>,
        since: Option<&str>,
    ) -> impl ActorFuture<Self, Output = Result<(Identity, Listing)>> + use<> {
        let since = since.and_then(|cursor| cursor.parse().ok());
        let asking = verified.map(|identity| {
            let asker = room::Asker {
                user: identity.user,
                role: identity.role,
            };
            let who = self.subscriber(asker);
            // From now on whoever ends the session also signs it out.
            self.lanes.sign_in(self.id, sign_in_of(&identity));
            let user = self.services.user(identity.user);
            let (login, issued_at) = (identity.login, identity.issued_at);
            let listing = user.ask(move |reply_to| user::Command::Attach {
                who,
                login,
                issued_at,
                since,
                reply_to,
            });
            (identity, listing)
        });
        let attaching = async move {
            let (identity, listing) = asking?;
            Ok((identity, listing.await?))
        };
        attaching.into_actor(self)
    }

    /// Says why, and closes when another try with the same `hello` is no use.
    fn fail_hello(&mut self, context: &FrameContext, error: &Error) {
        self.refuse(context, error);
        match error.code {
            ErrorCode::Unauthenticated => self.close(CloseCode::Unauthenticated),
            ErrorCode::TokenExpired => self.close(CloseCode::TokenExpired),
            ErrorCode::TokenInvalid => self.close(CloseCode::TokenInvalid),
            ErrorCode::Revoked => self.close(CloseCode::Revoked),
            ErrorCode::VersionUnsupported => self.close(CloseCode::VersionUnsupported),
            ErrorCode::RateLimited => self.close(CloseCode::ConnectionLimit),
            _ => {}
        }
    }

    fn welcome(&mut self, identity: Identity, listing: Listing) {
        let config = &self.services.config;
        let now = self.services.settings.now().live.limits;
        let limits = Limits {
            frame_bytes: MAX_FRAME_BYTES,
            in_flight: now.in_flight as usize,
            publish_per_second: now.publish_per_second,
        };
        let welcome = Welcome {
            version: VERSION,
            at: clock::now_ms(),
            session: self.id,
            user: identity.user,
            node: &config.node_id,
            heartbeat_ms: config.tuning.heartbeat.as_millis() as u64,
            limits,
            rooms: listing.rooms,
            rooms_more: listing.more,
            rooms_cursor: listing.cursor.to_string(),
            unread: listing.unread,
            token_expires_at: identity.expires_at,
        };
        self.send(&ServerFrame::Welcome(welcome));
        self.phase = Phase::Ready(Ready {
            identity,
            expiry_told: false,
        });
        self.wish_to_be_called();
    }

    /// A fresh token for the same person; another person's changes nothing.
    pub(super) fn auth(
        &mut self,
        context: FrameContext,
        auth: Auth,
        ctx: &mut actix::Context<Self>,
    ) {
        let services = self.services.clone();
        let verifying = async move { services.identities.verify(&auth.token).await };
        let renewing = verifying
            .into_actor(self)
            .then(|verified, session, _| session.renew(verified));
        ctx.wait(renewing.map(move |renewed, session, _| {
            let Phase::Ready(ready) = &mut session.phase else {
                return;
            };
            match renewed {
                Ok(identity) => {
                    *ready = Ready {
                        identity,
                        expiry_told: false,
                    };
                    session.wish_to_be_called();
                    session.answer_ok(&context, None, None);
                }
                Err(error) => {
                    session
                        .lanes
                        .sign_in(session.id, sign_in_of(&ready.identity));
                    session.refuse(&context, &error);
                }
            }
        }));
    }

    /// Has whoever ends sessions judge this one by its fresh token.
    fn renew(
        &mut self,
        verified: Result<Identity>,
    ) -> impl ActorFuture<Self, Output = Result<Identity>> + use<> {
        let asking = verified.and_then(|identity| {
            if self.asker().is_none_or(|asker| asker.user != identity.user) {
                let message = "the token is another person's; the old one stays";
                return Err(Error::new(ErrorCode::Forbidden, message));
            }
            let sign_in = sign_in_of(&identity);
            self.lanes.sign_in(self.id, sign_in);
            let session = self.id;
            let renewed =
                self.services
                    .user(identity.user)
                    .ask(move |reply_to| user::Command::Renew {
                        session,
                        login: sign_in.login,
                        issued_at: sign_in.issued_at,
                        reply_to,
                    });
            Ok((identity, renewed))
        });
        let renewing = async move {
            let (identity, renewed) = asking?;
            renewed.await?;
            Ok(identity)
        };
        renewing.into_actor(self)
    }

    /// Resumes every room of a `hello`, one after the other; `live` ends it.
    fn resume_all(
        &mut self,
        positions: std::collections::BTreeMap<String, Position>,
        ctx: &mut actix::Context<Self>,
    ) {
        if positions.len() > MAX_RESUMED {
            let error = Error::bad_field(format!("hello resumes at most {MAX_RESUMED} rooms"));
            return self.refuse(&FrameContext::default(), &error);
        }
        let Some(asker) = self.asker() else { return };
        let (services, lane, who) = (
            self.services.clone(),
            self.lane.clone(),
            self.subscriber(asker),
        );
        let resuming = async move {
            for (name, position) in positions {
                let resumed = match name.parse::<RoomId>() {
                    Ok(room) => {
                        Resumption {
                            services: &services,
                            lane: &lane,
                            asker,
                            who,
                            room,
                        }
                        .resume(position)
                        .await
                    }
                    Err(_) => Err(Error::room_not_found()),
                };
                if let Err(error) = resumed {
                    let context = FrameContext {
                        room: Some(name),
                        ..FrameContext::default()
                    };
                    let refusal = crate::protocol::Refusal::new(&context, &error);
                    lane.reply(super::wire::text(&ServerFrame::Error(refusal).to_json()));
                }
            }
            let live = ServerFrame::Live(Live { room: None });
            lane.reply(super::wire::text(&live.to_json()));
        };
        ctx.spawn(resuming.into_actor(self));
    }
}

fn sign_in_of(identity: &Identity) -> SignIn {
    SignIn {
        user: identity.user,
        login: identity.login,
        issued_at: identity.issued_at,
    }
}

/// One room of a `hello` that is being resumed.
struct Resumption<'a> {
    services: &'a super::Services,
    lane: &'a super::Lane,
    asker: room::Asker,
    who: super::Subscriber,
    room: RoomId,
}

impl Resumption<'_> {
    /// Goes on from a position: pages of the log until the room's newest events reach.
    async fn resume(&self, mut position: Position) -> Result<()> {
        loop {
            // A client that asks for much and reads nothing waits for itself.
            self.lane.has_room().await;
            let from = From::Resume(position.clone());
            let (asker, who) = (self.asker, self.who);
            let subscribing = self
                .services
                .room(self.room)
                .ask(|reply_to| Command::Subscribe {
                    asker,
                    who,
                    from,
                    reference: None,
                    reply_to,
                });
            match subscribing.await? {
                Subscribed::Live => return Ok(()),
                Subscribed::Gap(frame) => {
                    self.lane.reply(frame);
                    return Ok(());
                }
                Subscribed::Behind => position = self.page(position).await?,
            }
        }
    }

    /// Sends one page of the log and says where it ends.
    async fn page(&self, position: Position) -> Result<Position> {
        let (asker, after) = (self.asker, position.seq);
        let asking = self
            .services
            .room(self.room)
            .ask(|reply_to| Command::GetHistory {
                asker,
                span: Span::Range(Range::After(after)),
                select: Select::All,
                limit: MAX_EVENTS,
                reply_to,
            });
        let page = asking.await?;
        let to = page.entries.last().map_or(after, |entry| entry.seq());
        if to == after || page.epoch != position.epoch {
            return Err(Error::unavailable());
        }
        let batch = ServerFrame::Batch(Batch {
            reference: None,
            room: self.room,
            epoch: &page.epoch,
            from: after.next(),
            to,
            events: page
                .entries
                .iter()
                .map(|entry| entry.json_for(asker.user))
                .collect(),
            more: true,
        });
        self.lane.reply(super::wire::text(&batch.to_json()));
        Ok(Position {
            epoch: page.epoch.clone(),
            seq: to,
        })
    }
}
