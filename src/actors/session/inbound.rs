//! Bytes from a socket to whole WebSocket messages, with every limit kept on the way.
//!
//! The codec of the WebSocket crate waits for all of a frame however large it says it is,
//! and leaves fragments to its user; both are seen to here. After a violation the rest of
//! the input is thrown away, so that the error and the close frame still reach the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::error::PayloadError;
use actix_http::ws::{Codec, Item};
use actix_web_actors::ws::{CloseReason, Frame, ProtocolError};
use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream;
use tokio_util::codec::Decoder;

use crate::actors::lane::Lane;
use crate::protocol::MAX_FRAME_BYTES;

/// The longest header of a masked frame (RFC 6455, section 5.2).
const MAX_HEADER_BYTES: usize = 14;
/// The three reserved bits of a frame's first byte.
const RESERVED: u8 = 0b0111_0000;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message.
    Text(ByteString),
    /// A binary message; nobody sends one here.
    Binary,
    /// A ping with what the pong repeats.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client closes.
    Close(Option<CloseReason>),
}

/// What ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A frame, or a message in fragments, of more than 64 KiB.
    TooLarge,
    /// A text message that is not UTF-8.
    NotUtf8,
    /// Broken framing.
    Framing,
}

/// The messages of one socket. Stands still while too many answers are unsent.
pub struct Inbound<S> {
    payload: S,
    lane: Rc<Lane>,
    codec: Codec,
    buffer: BytesMut,
    /// The message that is still coming, in fragments.
    fragments: Option<Fragments>,
    /// After a violation: read on, but only to throw away.
    draining: bool,
}

struct Fragments {
    is_text: bool,
    bytes: BytesMut,
}

impl<S> Inbound<S> {
    /// Reads this payload; answers leave through this lane.
    pub fn new(payload: S, lane: Rc<Lane>) -> Self {
        let codec = Codec::new().max_size(MAX_FRAME_BYTES);
        let buffer = BytesMut::new();
        Self {
            payload,
            lane,
            codec,
            buffer,
            fragments: None,
            draining: false,
        }
    }

    /// The next message that is whole already.
    fn decode(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            if self
                .buffer
                .first()
                .is_some_and(|first| first & RESERVED != 0)
            {
                return Err(Violation::Framing);
            }
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(frame)) => {
                    if let Some(incoming) = self.assemble(frame)? {
                        return Ok(Some(incoming));
                    }
                }
                Ok(None) if self.buffer.len() > MAX_FRAME_BYTES + MAX_HEADER_BYTES => {
                    return Err(Violation::TooLarge);
                }
                Ok(None) => return Ok(None),
                Err(ProtocolError::Overflow) => return Err(Violation::TooLarge),
                Err(_) => return Err(Violation::Framing),
            }
        }
    }

    fn assemble(&mut self, frame: Frame) -> Result<Option<Incoming>, Violation> {
        Ok(Some(match frame {
            Frame::Text(bytes) => Incoming::Text(utf8(bytes)?),
            Frame::Binary(_) => Incoming::Binary,
            Frame::Ping(bytes) => Incoming::Ping(bytes),
            Frame::Pong(_) => Incoming::Pong,
            Frame::Close(reason) => Incoming::Close(reason),
            Frame::Continuation(item) => return self.fragment(item),
        }))
    }

    fn fragment(&mut self, item: Item) -> Result<Option<Incoming>, Violation> {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) => return self.begin(&bytes, true),
            Item::FirstBinary(bytes) => return self.begin(&bytes, false),
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some(fragments) = &mut self.fragments else {
            return Err(Violation::Framing);
        };
        if fragments.bytes.len() + bytes.len() > MAX_FRAME_BYTES {
            return Err(Violation::TooLarge);
        }
        fragments.bytes.extend_from_slice(&bytes);
        let Some(whole) = self.fragments.take_if(|_| is_last) else {
            return Ok(None);
        };
        if !whole.is_text {
            return Ok(Some(Incoming::Binary));
        }
        Ok(Some(Incoming::Text(utf8(whole.bytes.freeze())?)))
    }

    fn begin(&mut self, bytes: &[u8], is_text: bool) -> Result<Option<Incoming>, Violation> {
        if self.fragments.is_some() {
            return Err(Violation::Framing);
        }
        self.fragments = Some(Fragments {
            is_text,
            bytes: bytes.into(),
        });
        Ok(None)
    }
}

fn utf8(bytes: Bytes) -> Result<ByteString, Violation> {
    ByteString::try_from(bytes).map_err(|_| Violation::NotUtf8)
}

impl<S> Stream for Inbound<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Incoming, Violation>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if !this.draining {
                if this.lane.is_crowded() {
                    this.lane.wake_when_sent(cx.waker());
                    return Poll::Pending;
                }
                match this.decode() {
                    Ok(Some(incoming)) => return Poll::Ready(Some(Ok(incoming))),
                    Ok(None) => {}
                    Err(violation) => {
                        this.draining = true;
                        this.buffer = BytesMut::new();
                        return Poll::Ready(Some(Err(violation)));
                    }
                }
                if !this.buffer.has_remaining() {
                    // Idle connections hold no buffers.
                    this.buffer = BytesMut::new();
                }
            }
            match ready!(Pin::new(&mut this.payload).poll_next(cx)) {
                Some(Ok(_)) if this.draining => {}
                Some(Ok(bytes)) => this.buffer.extend_from_slice(&bytes),
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    /// A masked frame, as clients send it; the mask is zero.
    fn frame(first: u8, content: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match content.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(content);
        frame
    }

    /// What comes out when these bytes arrive in pieces of this size.
    async fn read(bytes: &[u8], piece: usize) -> Vec<Result<Incoming, Violation>> {
        let pieces: Vec<_> = bytes
            .chunks(piece)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Inbound::new(stream::iter(pieces), Lane::new())
            .collect()
            .await
    }

    fn text(text: &str) -> Result<Incoming, Violation> {
        Ok(Incoming::Text(text.into()))
    }

    #[actix::test]
    async fn frames_are_found_however_the_bytes_arrive() {
        let mut bytes = frame(0x81, "안녕".as_bytes());
        bytes.extend(frame(0x89, b"p"));
        bytes.extend(frame(0x01, b"in "));
        bytes.extend(frame(0x8a, b""));
        bytes.extend(frame(0x80, b"pieces"));
        for piece in [1, 2, 7, 4096] {
            let expected = [
                text("안녕"),
                Ok(Incoming::Ping(Bytes::from_static(b"p"))),
                Ok(Incoming::Pong),
                text("in pieces"),
            ];
            assert_eq!(read(&bytes, piece).await, expected, "in pieces of {piece}");
        }
    }

    #[actix::test]
    async fn what_is_too_large_is_refused_before_it_has_all_come() {
        let largest = "x".repeat(MAX_FRAME_BYTES);
        assert_eq!(
            read(&frame(0x81, largest.as_bytes()), 1000).await,
            [text(&largest)]
        );
        let larger = vec![b'x'; MAX_FRAME_BYTES + 1];
        assert_eq!(
            read(&frame(0x81, &larger), 1000).await,
            [Err(Violation::TooLarge)]
        );
        let mut claim = vec![0x81, 0xff];
        claim.extend((1_u64 << 40).to_be_bytes());
        claim.extend(vec![0; 100_000]);
        assert_eq!(read(&claim, 1000).await, [Err(Violation::TooLarge)]);
    }

    #[actix::test]
    async fn fragments_together_keep_the_limit() {
        let mut bytes = frame(0x01, &vec![b'x'; 40_000]);
        bytes.extend(frame(0x00, &vec![b'x'; 40_000]));
        assert_eq!(read(&bytes, 4096).await, [Err(Violation::TooLarge)]);
    }

    #[actix::test]
    async fn broken_input_is_told_once_and_then_thrown_away() {
        let mut cases = vec![
            (frame(0x81, &[0xff, 0xfe]), Violation::NotUtf8),
            (frame(0xc1, b"reserved bit"), Violation::Framing),
            (frame(0x83, b"unknown opcode"), Violation::Framing),
            (frame(0x80, b"continues nothing"), Violation::Framing),
            (vec![0x81, 0x02, b'n', b'o'], Violation::Framing),
        ];
        for (bytes, violation) in &mut cases {
            bytes.extend(frame(0x81, b"and more"));
            assert_eq!(read(bytes, 4096).await, [Err(*violation)], "{bytes:?}");
        }
    }
}
