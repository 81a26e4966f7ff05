//! The floor: the smallest server that delivers a message to many, and what its work costs.
//!
//! A process of its own with one epoll loop: it keeps its sockets, and each byte that comes in on
//! any of them makes it write one prepared frame to every socket, one `write` each. A new client
//! is greeted with the frame, so that it knows that it is among them.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::{Outcome, wire};

/// The argument that turns this program into the floor; the payload's length follows it.
pub const ARGUMENT: &str = "--serve-floor";

/// A running floor.
pub struct Floor {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts one that writes text frames with a payload of this length.
    pub fn start(payload_bytes: usize) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &payload_bytes.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the floor has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self {
            child,
            address: line.trim().parse()?,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The floor itself: prints its address, serves until its last client is gone.
pub fn serve(payload_bytes: usize) -> Outcome<()> {
    const LISTENER: Token = Token(usize::MAX);
    let mut poll = Poll::new()?;
    let mut ready = Events::with_capacity(1024);
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?);

    let frame = prepared_frame(payload_bytes);
    let mut clients: Vec<TcpStream> = Vec::new();
    loop {
        poll.poll(&mut ready, None)?;
        for event in &ready {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut clients, &frame)?;
                continue;
            }
            match orders(&mut clients[event.token().0])? {
                None => return Ok(()),
                Some(orders) => (0..orders).try_for_each(|_| broadcast(&mut clients, &frame))?,
            }
        }
    }
}

fn prepared_frame(payload_bytes: usize) -> Vec<u8> {
    let start = br#"{"type":"event","body":""#;
    let mut payload = start.to_vec();
    payload.resize(payload_bytes.max(start.len() + 2) - 2, b'x');
    payload.extend_from_slice(b"\"}");
    wire::server_text(&payload)
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    clients: &mut Vec<TcpStream>,
    frame: &[u8],
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut client, _)) => {
                client.set_nodelay(true)?;
                let token = Token(clients.len());
                poll.registry()
                    .register(&mut client, token, Interest::READABLE)?;
                client.write_all(frame)?;
                clients.push(client);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// How many broadcasts a client asks for; none when it is gone.
fn orders(client: &mut TcpStream) -> io::Result<Option<usize>> {
    match client.read(&mut [0; 64]) {
        Ok(0) => Ok(None),
        Ok(orders) => Ok(Some(orders)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

fn broadcast(clients: &mut [TcpStream], frame: &[u8]) -> io::Result<()> {
    clients
        .iter_mut()
        .try_for_each(|client| client.write_all(frame))
}
