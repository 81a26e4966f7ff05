//! The client's side of RFC 6455 and of the native protocol, as little as a load generator needs.
//!
//! Frames are masked with a key of zero: the server unmasks all the same, the generator, which
//! shares the machine with it, saves the work. JSON is never parsed here, only looked at.

/// One whole WebSocket frame as a server sends it.
pub enum Frame<'a> {
    /// A text message: one frame of the native protocol.
    Text(&'a [u8]),
    /// A ping, to be answered with the same bytes.
    Ping(&'a [u8]),
    /// The server closes, with this code.
    Close(u16),
    /// Anything else, of no interest.
    Other,
}

/// The request that turns a fresh connection into a WebSocket.
pub fn upgrade(host: &str) -> Vec<u8> {
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: bWFkYW5nIGJlbmNobWFyaw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// The length of a complete answer to [`upgrade`], and whether the server agreed.
pub fn upgraded(bytes: &[u8]) -> Option<(usize, bool)> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    Some((end, bytes.starts_with(b"HTTP/1.1 101")))
}

/// A client's text frame.
pub fn text(payload: &str) -> Vec<u8> {
    client_frame(0x81, payload.as_bytes())
}

/// A client's answer to a ping.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    client_frame(0x8a, payload)
}

/// A server's text frame: what the floor writes.
pub fn server_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(0x81, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length + 14);
    frame.push(first);
    if length < 126 {
        frame.push(mask | length as u8);
    } else if let Ok(short) = u16::try_from(length) {
        frame.push(mask | 126);
        frame.extend_from_slice(&short.to_be_bytes());
    } else {
        frame.push(mask | 127);
        frame.extend_from_slice(&(length as u64).to_be_bytes());
    }
    frame
}

/// Takes one whole server frame off the front and says how long it was.
pub fn take(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (
            4,
            u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]) as usize,
        ),
        127 => {
            let long: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
            (10, u64::from_be_bytes(long) as usize)
        }
        short => (2, short as usize),
    };
    let payload = bytes.get(start..start + length)?;
    let frame = match bytes[0] & 0x0f {
        1 => Frame::Text(payload),
        8 => Frame::Close(
            payload
                .get(..2)
                .map_or(1005, |c| u16::from_be_bytes([c[0], c[1]])),
        ),
        9 => Frame::Ping(payload),
        _ => Frame::Other,
    };
    Some((frame, start + length))
}

/// Whether a text is a room's event. The type stands first when the server writes it so.
pub fn is_event(text: &[u8]) -> bool {
    is(text, "event")
}

/// Whether a text is a frame of this type.
pub fn is(text: &[u8], kind: &str) -> bool {
    string(text, "type") == Some(kind)
}

/// The text of the first field of that name, for values without escapes.
pub fn string<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    let rest = after_name(text, name)?.strip_prefix(b"\"")?;
    let end = rest.iter().position(|&byte| byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The number in the first field of that name.
pub fn number(text: &[u8], name: &str) -> Option<u64> {
    let rest = after_name(text, name)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// What follows `"name":`, looked for without any allocation.
fn after_name<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(quote) = text.get(from..)?.iter().position(|&byte| byte == b'"') {
        let rest = &text[from + quote + 1..];
        if let Some(value) = rest
            .strip_prefix(name.as_bytes())
            .and_then(|r| r.strip_prefix(b"\":"))
        {
            return Some(value);
        }
        from += quote + 1;
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
