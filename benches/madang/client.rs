//! The load generator: thousands of sockets on one thread, frames counted and not parsed.
//!
//! It shares the machine with the server, so it does as little as it can: one `read` for all that
//! a socket has, an event is only counted, everything else is handed to the caller as bytes.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::link::{Link, Phase};
use crate::{Outcome, wire};

/// Connections that may be on their way at once: below any listener's backlog.
const OPENING_AT_ONCE: usize = 200;

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 256 * 1024;

/// What a turn of the loop brings.
pub enum Incoming<'a> {
    /// The connection is a WebSocket now.
    Open,
    /// A room's event.
    Event(&'a [u8]),
    /// Any other frame of the protocol.
    Other(&'a [u8]),
}

/// Frames that a caller wants sent when the loop has let go of the sockets.
#[derive(Default)]
pub struct Outbox(Vec<(usize, Vec<u8>)>);

impl Outbox {
    /// Sends a frame of the protocol on a link.
    pub fn send(&mut self, link: usize, payload: &str) {
        self.0.push((link, wire::text(payload)));
    }
}

/// Many connections to one server, or to several in turn.
pub struct Load {
    poll: Poll,
    ready: Events,
    links: Vec<Link>,
    buffer: Vec<u8>,
    addresses: Vec<SocketAddr>,
}

impl Load {
    /// A generator without connections yet.
    pub fn new(address: SocketAddr) -> Outcome<Self> {
        Self::over(vec![address])
    }

    /// The same, whose connections go to each of these addresses in turn.
    pub fn over(addresses: Vec<SocketAddr>) -> Outcome<Self> {
        Ok(Self {
            poll: Poll::new()?,
            ready: Events::with_capacity(1024),
            links: Vec::new(),
            buffer: vec![0; READ_BYTES],
            addresses,
        })
    }

    /// How many connections there are. They are numbered from zero in the order they were made.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// Opens `many` WebSockets, sends `hello` on each, and waits until each was welcomed.
    pub fn sign_in(
        &mut self,
        many: usize,
        hello: impl Fn(usize) -> Outcome<String>,
    ) -> Outcome<()> {
        let welcomed = |incoming: &Incoming<'_>| matches!(incoming, Incoming::Other(text) if wire::is(text, "welcome"));
        self.arrive(many, |link| hello(link).map(Some), welcomed)
    }

    /// Opens `many` WebSockets, sends on each what `first` says, and waits until each has got
    /// what `arrived` recognises.
    pub fn arrive(
        &mut self,
        many: usize,
        first: impl Fn(usize) -> Outcome<Option<String>>,
        arrived: fn(&Incoming<'_>) -> bool,
    ) -> Outcome<()> {
        let goal = self.count() + many;
        let mut here = self.count();
        let mut deadline = Deadline::default();
        while here < goal {
            while self.count() < goal && self.count() - here < OPENING_AT_ONCE {
                let request = wire::upgrade("bench");
                self.open(Phase::Upgrading, request)?;
            }
            let before = here;
            self.turn(|link, incoming, outbox| {
                here += usize::from(arrived(&incoming));
                match incoming {
                    Incoming::Open => {
                        if let Some(text) = first(link)? {
                            outbox.send(link, &text);
                        }
                        Ok(())
                    }
                    Incoming::Event(_) => Ok(()),
                    Incoming::Other(text) => accept(text),
                }
            })?;
            deadline.check(here != before, || format!("{here} of {goal} arrived"))?;
        }
        Ok(())
    }

    /// Opens `many` bare connections, to a server that greets each with a frame.
    pub fn connect_raw(&mut self, many: usize) -> Outcome<()> {
        let goal = self.count() + many;
        let mut greeted = self.count();
        let mut deadline = Deadline::default();
        while greeted < goal {
            while self.count() < goal && self.count() - greeted < OPENING_AT_ONCE {
                self.open(Phase::Open, Vec::new())?;
            }
            let before = greeted;
            self.turn(|_, incoming, _| {
                greeted += usize::from(matches!(incoming, Incoming::Event(_)));
                Ok(())
            })?;
            deadline.check(greeted != before, || format!("{greeted} of {goal} greeted"))?;
        }
        Ok(())
    }

    fn open(&mut self, phase: Phase, first: Vec<u8>) -> Outcome<()> {
        let address = self.addresses[self.links.len() % self.addresses.len()];
        let mut link = Link::connect(address, phase, first)?;
        let token = Token(self.links.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(link.stream(), token, interest)?;
        self.links.push(link);
        Ok(())
    }

    /// Sends each request on its link, `window` at once, and waits for each answer: a frame with
    /// the request's `ref`. A refused request is an error.
    pub fn ask(
        &mut self,
        requests: impl Iterator<Item = (usize, String)>,
        window: usize,
    ) -> Outcome<()> {
        self.ask_and(requests, window, accept)
    }

    /// The same, where `judge` says which answers are errors.
    pub fn ask_and(
        &mut self,
        mut requests: impl Iterator<Item = (usize, String)>,
        window: usize,
        judge: fn(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        let (mut sent, mut answered, mut all_sent) = (0, 0, false);
        let mut deadline = Deadline::default();
        while !all_sent || answered < sent {
            while !all_sent && sent - answered < window {
                match requests.next() {
                    Some((link, request)) => self.send(link, &request)?,
                    None => all_sent = true,
                }
                sent += usize::from(!all_sent);
            }
            let before = answered;
            self.turn(|_, incoming, _| {
                if let Incoming::Other(text) = incoming {
                    judge(text)?;
                    answered += usize::from(wire::number(text, "ref").is_some());
                }
                Ok(())
            })?;
            deadline.check(answered != before, || {
                format!("{answered} of {sent} answered")
            })?;
        }
        Ok(())
    }

    /// Turns the loop until nothing but heartbeats has come for `quiet`.
    pub fn settle(&mut self, quiet: Duration) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut last = Instant::now();
        while last.elapsed() < quiet {
            if Instant::now() > deadline {
                return Err("the server does not come to rest within 60 s".into());
            }
            self.turn(|_, _, _| {
                last = Instant::now();
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Keeps the connections alive (pings are answered) for this long.
    pub fn idle(&mut self, time: Duration) -> Outcome<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(|_, _, _| Ok(()))?;
        }
        Ok(())
    }

    /// Sends a frame of the protocol.
    pub fn send(&mut self, link: usize, payload: &str) -> Outcome<()> {
        self.send_bytes(link, &wire::text(payload))
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, link: usize, bytes: &[u8]) -> Outcome<()> {
        Ok(self.links[link].send(bytes)?)
    }

    /// Whether the server takes what is sent on this link.
    pub fn is_clear(&self, link: usize) -> bool {
        self.links[link].is_clear()
    }

    /// One turn: waits a little for sockets, reads what they have, hands over the frames.
    pub fn turn<F>(&mut self, on: F) -> Outcome<()>
    where
        F: FnMut(usize, Incoming<'_>, &mut Outbox) -> Outcome<()>,
    {
        self.turn_within(Duration::from_millis(50), on)
    }

    /// One turn that waits at most this long.
    pub fn turn_within<F>(&mut self, wait: Duration, mut on: F) -> Outcome<()>
    where
        F: FnMut(usize, Incoming<'_>, &mut Outbox) -> Outcome<()>,
    {
        match self.poll.poll(&mut self.ready, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut outbox = Outbox::default();
        for event in &self.ready {
            let index = event.token().0;
            let link = &mut self.links[index];
            if event.is_writable() {
                link.flush()?;
            }
            if event.is_readable() {
                link.receive(&mut self.buffer, |incoming| {
                    on(index, incoming, &mut outbox)
                })
                .map_err(|error| format!("connection {index}: {error}"))?;
            }
        }
        for (link, bytes) in outbox.0 {
            self.send_bytes(link, &bytes)?;
        }
        Ok(())
    }
}

/// Turns an error, or a subscription that was dropped, into a failure of the whole figure.
pub fn accept(text: &[u8]) -> Outcome<()> {
    match wire::string(text, "type") {
        Some("error" | "gap") => Err(String::from_utf8_lossy(text).into()),
        _ => Ok(()),
    }
}

/// Waits for something that goes on, and gives up when it has stood still for too long.
pub struct Deadline(Instant);

impl Deadline {
    /// How long nothing may happen.
    const LIMIT: Duration = Duration::from_secs(60);

    /// Notes whether there was progress; says how far things came when there was none.
    pub fn check(&mut self, progress: bool, state: impl FnOnce() -> String) -> Outcome<()> {
        if progress {
            self.0 = Instant::now();
        } else if self.0.elapsed() > Self::LIMIT {
            return Err(format!("no progress for {:?}: {}", Self::LIMIT, state()).into());
        }
        Ok(())
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self(Instant::now())
    }
}
