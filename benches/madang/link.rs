//! One connection of the load generator.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::Outcome;
use crate::client::Incoming;
use crate::wire::{self, Frame};

/// A socket, and what lies on both sides of it.
pub struct Link {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    phase: Phase,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq)]
pub enum Phase {
    /// Asked to become a WebSocket.
    Upgrading,
    /// Frames come and go.
    Open,
}

impl Link {
    /// Connects without waiting; `first` is sent as soon as the socket takes it.
    pub fn connect(address: SocketAddr, phase: Phase, first: Vec<u8>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            partial: Vec::new(),
            unsent: first,
            phase,
        })
    }

    /// The socket, to be registered.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether the socket has taken everything.
    pub fn is_clear(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends bytes, or keeps what the socket does not take now.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Gives the socket what it did not take before.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(taken) => drop(self.unsent.drain(..taken)),
                // Still connecting, or full: the poll will say when to try again.
                Err(error) if is_early(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Reads all that the socket has and hands over every whole frame.
    pub fn receive<F>(&mut self, buffer: &mut [u8], mut each: F) -> Outcome<()>
    where
        F: FnMut(Incoming<'_>) -> Outcome<()>,
    {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err("closed by the server".into()),
                Ok(read) => read,
                Err(error) if is_early(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.digest(&buffer[..read], &mut each)?;
            // A short read has emptied the socket: the poll tells when there is more (epoll(7)).
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn digest(
        &mut self,
        fresh: &[u8],
        each: &mut impl FnMut(Incoming<'_>) -> Outcome<()>,
    ) -> Outcome<()> {
        if self.partial.is_empty() {
            let used = self.frames(fresh, each)?;
            self.partial.extend_from_slice(&fresh[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(fresh);
            let used = self.frames(&whole, each)?;
            self.partial.extend_from_slice(&whole[used..]);
        }
        Ok(())
    }

    /// Takes frames off the front and says how many bytes they had.
    fn frames(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Incoming<'_>) -> Outcome<()>,
    ) -> Outcome<usize> {
        let mut used = 0;
        if self.phase == Phase::Upgrading {
            match wire::upgraded(bytes) {
                None => return Ok(0),
                Some((_, false)) => return Err(String::from_utf8_lossy(bytes).into()),
                Some((length, true)) => used = length,
            }
            self.phase = Phase::Open;
            each(Incoming::Open)?;
        }
        while let Some((frame, length)) = wire::take(&bytes[used..]) {
            used += length;
            match frame {
                Frame::Text(text) if wire::is_event(text) => each(Incoming::Event(text))?,
                Frame::Text(text) => each(Incoming::Other(text))?,
                Frame::Ping(payload) => self.send(&wire::pong(payload))?,
                Frame::Close(code) => return Err(format!("closed with {code}").into()),
                Frame::Other => {}
            }
        }
        Ok(used)
    }
}

fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
