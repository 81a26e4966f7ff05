//! A wire between a node and a server that a test can cut, or keep silent, and mend again.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire does with what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Whole,
    /// Connections end, and new ones end at once.
    Cut,
    /// Connections stay, and nothing comes through: neither side is told.
    Silent,
}

/// Passes bytes on to one server for as long as it is not told otherwise.
pub struct Proxy {
    address: String,
    wire: Arc<watch::Sender<Wire>>,
}

impl Proxy {
    /// A wire to this server (`HOST:PORT`).
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let wire = Arc::new(watch::Sender::new(Wire::Whole));
        tokio::spawn(listen(listener, server.to_owned(), wire.subscribe()));
        Self { address, wire }
    }

    /// Where its near end is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends every connection and refuses new ones.
    pub fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    /// Lets nothing through and tells nobody.
    pub fn silence(&self) {
        self.wire.send_replace(Wire::Silent);
    }

    /// Works again.
    pub fn mend(&self) {
        self.wire.send_replace(Wire::Whole);
    }
}

/// Takes connections until the [`Proxy`] is gone.
async fn listen(listener: TcpListener, server: String, mut wire: watch::Receiver<Wire>) {
    loop {
        tokio::select! {
            near = listener.accept() => {
                let Ok((near, _)) = near else { continue };
                tokio::spawn(join(near, server.clone(), wire.clone()));
            }
            changed = wire.changed() => if changed.is_err() { return },
        }
    }
}

/// One connection, both ways, until an end of it closes or the wire is cut.
async fn join(near: TcpStream, server: String, wire: watch::Receiver<Wire>) {
    let (mut silence, mut cut) = (wire.clone(), wire.clone());
    let pass = async {
        if silence.wait_for(|wire| *wire == Wire::Whole).await.is_err() {
            return;
        }
        let Ok(far) = TcpStream::connect(server).await else {
            return;
        };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::select! {
            () = copy(near_in, far_out, wire.clone()) => {}
            () = copy(far_in, near_out, wire.clone()) => {}
        }
    };
    tokio::select! {
        () = pass => {}
        _ = cut.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

/// One way, until it ends. Silent, it takes nothing, so that the sender's buffers fill up.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut wire: watch::Receiver<Wire>,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let open = wire.wait_for(|wire| *wire == Wire::Whole).await.is_ok();
        let count = if open {
            from.read(&mut bytes).await
        } else {
            Ok(0)
        };
        // What came in while the wire fell silent waits for it to be mended.
        let open = wire.wait_for(|wire| *wire == Wire::Whole).await.is_ok();
        match count {
            Ok(count) if count > 0 && open => {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
