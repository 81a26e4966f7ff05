//! The sockets of one worker thread.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use crate::actors::lane::Lane;
use crate::actors::session::{Due, Session};
use crate::actors::socket::Socket;
use crate::actors::{Services, user, wire};
use crate::ids::{LoginId, RoomId, SessionId, UserId};
use crate::protocol::CloseCode;

/// The sockets of one worker thread, shared between its hub and its sessions.
#[derive(Clone, Default)]
pub struct Lanes(Rc<RefCell<HashMap<SessionId, Connection>>>);

/// What a hub knows of one socket.
pub(super) struct Connection {
    /// What goes out to it.
    pub(super) lane: Rc<Lane>,
    /// The TCP connection below.
    socket: Socket,
    /// The actor behind it.
    session: Addr<Session>,
    /// The sign-in behind that, until it is signed out.
    pub(super) sign_in: Option<SignIn>,
    /// What it is subscribed to.
    pub(super) rooms: HashSet<RoomId>,
}

/// Who is behind a socket, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignIn {
    /// Which person.
    pub user: UserId,
    /// The sign-in that the token belongs to.
    pub login: Option<LoginId>,
    /// When the token was issued, Unix milliseconds.
    pub issued_at: Option<i64>,
}

impl Lanes {
    /// Adds a socket.
    pub fn add(&self, session: SessionId, lane: Rc<Lane>, socket: Socket, address: Addr<Session>) {
        let connection = Connection {
            lane,
            socket,
            session: address,
            sign_in: None,
            rooms: HashSet::new(),
        };
        self.0.borrow_mut().insert(session, connection);
    }

    /// Notes who is behind a socket.
    pub fn sign_in(&self, session: SessionId, sign_in: SignIn) {
        if let Some(connection) = self.change().get_mut(&session) {
            connection.sign_in = Some(sign_in);
        }
    }

    /// Tells the person behind a socket that it is none of theirs any more; once.
    pub fn sign_out(&self, session: SessionId, services: &Services) {
        let mut connections = self.change();
        let sign_in = connections
            .get_mut(&session)
            .and_then(|connection| connection.sign_in.take());
        if let Some(SignIn { user, .. }) = sign_in {
            services.user(user).tell(user::Command::Detach { session });
        }
    }

    /// The way out to one of them.
    pub(super) fn lane(&self, session: SessionId) -> Option<Rc<Lane>> {
        self.0
            .borrow()
            .get(&session)
            .map(|connection| connection.lane.clone())
    }

    /// Ends one of them; what is queued still leaves.
    pub(super) fn close(lane: &Lane, code: CloseCode) {
        lane.close(wire::close(code));
        // The session sees that its lane is closed and lingers for the peer's close frame.
        lane.call_at(Some(Instant::now()));
    }

    /// Looks at the connections. Not while they are being changed.
    pub(super) fn look(&self) -> Ref<'_, HashMap<SessionId, Connection>> {
        self.0.borrow()
    }

    /// Changes the connections.
    pub(super) fn change(&self) -> RefMut<'_, HashMap<SessionId, Connection>> {
        self.0.borrow_mut()
    }

    /// Calls sessions whose time has come and cuts those whose sockets are stuck; says whose
    /// session is gone.
    pub(super) fn look_over(&self, limit: Duration) -> Vec<SessionId> {
        let now = Instant::now();
        let mut gone = Vec::new();
        for (id, connection) in self.look().iter() {
            if !connection.session.connected() {
                gone.push(*id);
            } else if connection.lane.is_stuck(now, limit) {
                log::info!("session={id} took nothing for {limit:?}, cut");
                connection.socket.cut();
                connection.lane.end();
            } else if connection.lane.take_due(now) && connection.session.try_send(Due).is_err() {
                // The session's mailbox is full: it is called at the next tick.
                connection.lane.call_at(Some(now));
            }
        }
        gone
    }
}
