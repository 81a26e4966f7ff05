//! A WebSocket without manners: sends what no library would.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;

use super::{seconds, upgrade};

/// A connection whose frames are written by hand.
pub struct RawSocket {
    stream: TcpStream,
}

/// First byte of a frame: FIN, and the kind.
pub const TEXT: u8 = 0x81;
pub const TEXT_BEGINS: u8 = 0x01;
pub const TEXT_GOES_ON: u8 = 0x00;
pub const TEXT_ENDS: u8 = 0x80;
pub const PING: u8 = 0x89;
pub const CLOSE: u8 = 0x88;

impl RawSocket {
    /// Connects and upgrades.
    pub async fn dial(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the node takes connections");
        let (socket, _) = client_async(upgrade(address), stream)
            .await
            .expect("an upgrade");
        Self {
            stream: socket.into_inner(),
        }
    }

    /// Sends one frame, masked with zeros. False once the connection is gone.
    pub async fn send(&mut self, first: u8, payload: &[u8]) -> bool {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(0x80 | short as u8),
            middle @ 126..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(0x80 | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        self.send_bytes(&bytes).await
    }

    /// Sends bytes that need not be a frame. False once the connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame from the server, without its head; `None` at the end.
    pub async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(seconds(60), self.read_frame())
            .await
            .expect("the server does not fall silent")
    }

    async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.ok()? {
            126 => self.stream.read_u16().await.ok()?.into(),
            127 => self.stream.read_u64().await.ok()?,
            short => short.into(),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    /// Reads to the end: the texts that came, and the close code, if there was one.
    pub async fn farewell(&mut self) -> (Vec<String>, Option<u16>) {
        let mut texts = Vec::new();
        while let Some((first, payload)) = self.read().await {
            match (first, payload.as_slice()) {
                (CLOSE, [high, low, ..]) => {
                    return (texts, Some(u16::from_be_bytes([*high, *low])));
                }
                (TEXT, text) => texts.push(String::from_utf8_lossy(text).into_owned()),
                _ => {}
            }
        }
        (texts, None)
    }
}
