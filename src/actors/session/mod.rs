//! One socket: keeps its phase, deadlines and limits; turns frames into messages.
//! Owns: the identity behind it, its [`Lane`], its rates and what is in flight.
//! Takes: what the socket says ([`Incoming`]), `Due` (hub).
//! Sends: `user::Command`, `room::Command`; what it answers goes into its lane.
//! Full mailbox: `Due` is repeated. Restart: there is none; the client connects again.
//! Knows no room rules.

mod inbound;
mod native;
mod pace;
mod requests;
mod signing_in;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

pub use self::inbound::{Inbound, Incoming, Violation};
use self::pace::Pace;
use super::hub::{Lanes, Subscriber};
use super::lane::Lane;
use super::room::Asker;
use super::socket::Socket;
use super::{Services, context, wire};
use crate::clock;
use crate::error::Error;
use crate::identity::Identity;
use crate::ids::SessionId;
use crate::limits::{Address, Slot};
use crate::protocol::{
    Account, AccountNotice, CloseCode, Context as FrameContext, ErrorCode, ServerFrame,
};

/// Calls that may wait for one session.
const MAILBOX: usize = 8;
/// How long a closed connection waits for the peer's close frame.
const LINGER: Duration = Duration::from_secs(2);
/// How long before its end a client is told that its token expires.
const EXPIRY_NOTICE_MS: i64 = 60_000;
/// Refused frames without a pause after which a connection is taken for an attack.
const MAX_REFUSED: u32 = 10_000;
/// A pause after which refused frames are forgotten.
const FORGET_REFUSED: Duration = Duration::from_secs(1);

/// One connected socket.
pub struct Session {
    id: SessionId,
    /// The worker thread it lives on.
    worker: usize,
    services: Arc<Services>,
    /// The sockets of its thread, itself among them.
    lanes: Lanes,
    /// Everything that goes out.
    lane: Rc<Lane>,
    phase: Phase,
    /// When the client last said anything.
    heard: Instant,
    /// When the next ping is due.
    ping_at: Instant,
    /// Requests that are not answered yet.
    in_flight: usize,
    /// Owned once more by each request in flight whose answer may be large.
    large_answers: Rc<()>,
    /// How fast it may go.
    pace: Pace,
    /// Frames refused since the last pause, and when the last of them came.
    refused: (u32, Instant),
    /// Its places in the node's limits, given back when it ends.
    _places: Places,
}

/// Where a connection stands.
enum Phase {
    /// Waiting for `hello`; the identity is there if the upgrade request had a token.
    Connecting {
        until: Instant,
        identity: Option<Identity>,
    },
    /// Signed in.
    Ready(Ready),
    /// The close frame is on its way.
    Closing { until: Instant },
}

/// A connection that is signed in.
struct Ready {
    identity: Identity,
    /// Has the client been told that its token will expire?
    expiry_told: bool,
}

/// A connection's places in the node's limits.
pub struct Places {
    /// On the node.
    pub node: Slot<()>,
    /// Of its address.
    pub address: Slot<Address>,
}

/// What the edge knows of a new connection.
pub struct Connected {
    /// The worker thread it lives on.
    pub worker: usize,
    /// The sockets of that thread.
    pub lanes: Lanes,
    /// The connection itself, to be cut if need be.
    pub socket: Socket,
    /// Who it is, if the upgrade request said so.
    pub identity: Option<Identity>,
    /// Its places in the node's limits.
    pub places: Places,
}

/// A deadline of the session may have passed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Due;

impl Session {
    /// Starts the session of a socket on the current thread.
    pub fn start_here<S>(services: Arc<Services>, connected: Connected, payload: S, lane: Rc<Lane>)
    where
        S: futures_util::Stream<Item = Result<bytes::Bytes, actix_http::error::PayloadError>>
            + Unpin
            + 'static,
    {
        let now = Instant::now();
        let Connected {
            worker,
            lanes,
            socket,
            identity,
            places,
        } = connected;
        let session = Self {
            id: SessionId::random(),
            worker,
            lanes: lanes.clone(),
            lane: lane.clone(),
            phase: Phase::Connecting {
                until: now + services.config.tuning.hello,
                identity,
            },
            heard: now,
            ping_at: now + services.config.tuning.heartbeat,
            in_flight: 0,
            large_answers: Rc::new(()),
            pace: Pace::of(&services.settings),
            refused: (0, now),
            _places: places,
            services,
        };
        let id = session.id;
        session.wish_to_be_called();
        let mut ctx = context(MAILBOX);
        ctx.add_stream(Inbound::new(payload, lane.clone()));
        let address = ctx.run(session);
        lanes.add(id, lane, socket, address);
    }

    /// Who this is, to rooms.
    fn asker(&self) -> Option<Asker> {
        match &self.phase {
            Phase::Ready(Ready { identity, .. }) => Some(Asker {
                user: identity.user,
                role: identity.role,
            }),
            Phase::Connecting { .. } | Phase::Closing { .. } => None,
        }
    }

    /// Where this is, to rooms and users.
    fn subscriber(&self, asker: Asker) -> Subscriber {
        Subscriber {
            user: asker.user,
            session: self.id,
            worker: self.worker,
        }
    }

    fn send(&self, frame: &ServerFrame<'_>) {
        self.lane.reply(wire::text(&frame.to_json()));
    }

    /// Counts a frame that was over a limit; too many in a row are an attack.
    fn count_refused(&mut self) {
        let now = Instant::now();
        let (count, last) = self.refused;
        let rested = now.duration_since(last) > FORGET_REFUSED;
        let count = if rested { 1 } else { count + 1 };
        self.refused = (count, now);
        if count > MAX_REFUSED {
            log::info!("session={} is flooding, closed", self.id);
            self.close(CloseCode::Abuse);
        }
    }

    /// Counts what gets no answer that costs anything: even that may not come without end.
    fn count_frame(&mut self) {
        if self.pace.frames.check().is_err() {
            self.count_refused();
        }
    }

    /// Closes with one of our codes; what is queued still leaves.
    fn close(&mut self, code: CloseCode) {
        self.lane.close(wire::close(code));
        self.linger();
    }

    /// Waits a moment for the peer's close frame: ending at once could lose ours.
    fn linger(&mut self) {
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.lanes.sign_out(self.id, &self.services);
            self.phase = Phase::Closing {
                until: Instant::now() + LINGER,
            };
            self.wish_to_be_called();
        }
    }

    fn wish_to_be_called(&self) {
        let due = match &self.phase {
            Phase::Connecting { until, .. } | Phase::Closing { until } => *until,
            Phase::Ready(ready) => self.ping_at.min(ready.next_deadline()),
        };
        self.lane.call_at(Some(due));
    }

    fn on_due(&mut self, ctx: &mut Context<Self>) {
        if self.lane.is_closed() {
            self.linger();
        }
        let now = Instant::now();
        match &mut self.phase {
            Phase::Connecting { until, .. } if now >= *until => self.close(CloseCode::HelloTimeout),
            Phase::Closing { until } if now >= *until => {
                self.lane.end();
                return ctx.stop();
            }
            Phase::Connecting { .. } | Phase::Closing { .. } => {}
            Phase::Ready(ready) => match ready.check_token() {
                TokenState::Good => self.heartbeat(now),
                TokenState::Expiring(data) => {
                    let kind = AccountNotice::TokenExpiring;
                    self.send(&ServerFrame::Account(Account { kind, data }));
                }
                TokenState::Expired => self.expire(),
            },
        }
        self.wish_to_be_called();
    }

    fn expire(&mut self) {
        let error = Error::new(
            ErrorCode::TokenExpired,
            "the token has expired; get a new one",
        );
        self.refuse(&FrameContext::default(), &error);
        self.close(CloseCode::TokenExpired);
    }

    fn heartbeat(&mut self, now: Instant) {
        let interval = self.services.config.tuning.heartbeat;
        if now.duration_since(self.heard) >= interval * 2 {
            log::debug!("session={} has gone silent", self.id);
            self.close(CloseCode::HeartbeatTimeout);
        } else if now >= self.ping_at {
            self.lane.reply(wire::ping());
            self.ping_at = now + interval;
        }
    }

    fn on_violation(&mut self, violation: Violation) {
        match violation {
            Violation::TooLarge => {
                let error = Error::new(ErrorCode::FrameTooLarge, "a frame has at most 64 KiB");
                self.refuse(&FrameContext::default(), &error);
                self.close(CloseCode::BadProtocol);
            }
            Violation::NotUtf8 => self.close_with(1007, "text is not UTF-8"),
            Violation::Framing => self.close_with(1002, "broken framing"),
        }
    }

    fn close_with(&mut self, code: u16, reason: &str) {
        self.lane.close(wire::close_with(code, reason));
        self.linger();
    }

    fn on_incoming(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        self.heard = Instant::now();
        self.pace.keep_up();
        match incoming {
            Incoming::Close(_) => {
                self.close_with(1000, "");
                self.lane.end();
                ctx.stop();
            }
            _ if matches!(self.phase, Phase::Closing { .. }) || self.lane.is_closed() => {}
            Incoming::Text(text) => self.on_text(&text, ctx),
            Incoming::Binary => {
                self.count_frame();
                let error = Error::new(ErrorCode::BadFrame, "frames are text messages");
                self.refuse(&FrameContext::default(), &error);
            }
            Incoming::Ping(content) => match self.pace.frames.check() {
                Ok(()) => self.lane.reply(wire::pong(&content)),
                Err(_) => self.count_refused(),
            },
            Incoming::Pong => self.count_frame(),
        }
    }
}

/// How a connection's token stands.
enum TokenState {
    Good,
    /// Ends within a minute; the data of the notice.
    Expiring(serde_json::Value),
    Expired,
}

impl Ready {
    fn check_token(&mut self) -> TokenState {
        let expires_at = self.identity.expires_at;
        let left = expires_at - clock::now_ms();
        if left <= 0 {
            return TokenState::Expired;
        }
        if left <= EXPIRY_NOTICE_MS && !std::mem::replace(&mut self.expiry_told, true) {
            return TokenState::Expiring(serde_json::json!({ "expires_at": expires_at }));
        }
        TokenState::Good
    }

    /// When the token wants attention next.
    fn next_deadline(&self) -> Instant {
        let notice = if self.expiry_told {
            0
        } else {
            EXPIRY_NOTICE_MS
        };
        let left = self.identity.expires_at.saturating_sub(notice) - clock::now_ms();
        // A token may be good for longer than an `Instant` can say.
        let left = left.clamp(0, 24 * 3600 * 1000);
        Instant::now() + Duration::from_millis(left.unsigned_abs())
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.lanes.sign_out(self.id, &self.services);
        self.lane.end();
    }
}

impl StreamHandler<Result<Incoming, Violation>> for Session {
    fn handle(&mut self, item: Result<Incoming, Violation>, ctx: &mut Context<Self>) {
        match item {
            Ok(incoming) => self.on_incoming(incoming, ctx),
            Err(violation) => self.on_violation(violation),
        }
    }

    fn finished(&mut self, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Due> for Session {
    type Result = ();

    fn handle(&mut self, _: Due, ctx: &mut Context<Self>) {
        self.on_due(ctx);
    }
}
