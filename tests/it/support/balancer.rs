//! What stands in front of a cluster: takes connections, and gives each to a node that listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::Doors;

/// One address for all nodes; no connection sticks to any.
pub struct Balancer {
    address: String,
}

impl Balancer {
    /// In front of these.
    pub async fn before(doors: Doors) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(serve(listener, doors));
        Self { address }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener, doors: Doors) {
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((near, _)) = listener.accept().await {
        let (doors, turn) = (doors.clone(), turn.clone());
        tokio::spawn(async move {
            let first = turn.fetch_add(1, Ordering::Relaxed);
            let Some(far) = any_node(&doors, first).await else {
                return;
            };
            join(near, far).await;
        });
    }
}

/// The first node that listens, from this one on.
async fn any_node(doors: &Doors, first: usize) -> Option<TcpStream> {
    for number in first..first + doors.count() {
        let (_, address) = doors.get(number);
        if let Ok(node) = TcpStream::connect(address).await {
            return Some(node);
        }
    }
    None
}

async fn join(mut near: TcpStream, mut far: TcpStream) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    // Either side may end it in any way.
    let _ = copy_bidirectional(&mut near, &mut far).await;
}
