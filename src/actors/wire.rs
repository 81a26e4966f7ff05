//! WebSocket framing of what the node sends. Server frames are not masked (RFC 6455,
//! section 5.1), so the same bytes serve every receiver and are made once.

use actix_http::ws::{OpCode, Parser};
use bytes::{Bytes, BytesMut};

use crate::protocol::CloseCode;

/// One text message, ready to be written.
pub fn text(json: &str) -> Bytes {
    message(json.as_bytes(), OpCode::Text)
}

/// A ping without content.
pub fn ping() -> Bytes {
    message(&[], OpCode::Ping)
}

/// The answer to a ping.
pub fn pong(content: &[u8]) -> Bytes {
    message(content, OpCode::Pong)
}

/// A close frame with one of our codes.
pub fn close(code: CloseCode) -> Bytes {
    close_with(code.code(), code.name())
}

/// A close frame with any code, for those of RFC 6455 itself.
pub fn close_with(code: u16, reason: &str) -> Bytes {
    let mut content = code.to_be_bytes().to_vec();
    content.extend_from_slice(reason.as_bytes());
    message(&content, OpCode::Close)
}

fn message(content: &[u8], code: OpCode) -> Bytes {
    let mut frame = BytesMut::with_capacity(content.len() + 10);
    Parser::write_message(&mut frame, content, code, true, false);
    frame.freeze()
}
