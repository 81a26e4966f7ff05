//! A node inside the test process, for what a process cannot be told from outside.

use std::thread::JoinHandle;

use madang::config::Config;
use madang::node::Node;
use tokio::sync::{mpsc, oneshot};

use super::token::{Claims, SECRET, sign};
use super::{Backend, Postgres, Rest, WsClient};

/// What the node's thread is asked to do.
enum Order {
    Drain {
        moves: bool,
        done: oneshot::Sender<()>,
    },
    Stop {
        moves: bool,
    },
}

/// A node on a thread of its own, with its data in a temporary folder.
pub struct EmbeddedNode {
    /// `127.0.0.1:PORT`
    pub address: String,
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl EmbeddedNode {
    /// Starts a node with these settings beside the tests' own.
    pub async fn start(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("madang.db").display()),
            Backend::Postgres | Backend::Redis => Postgres::shared().await.database().await,
        };
        let common = [
            ("MADANG_LISTEN", "127.0.0.1:0"),
            ("MADANG_AUTO_PROVISION", "true"),
            ("MADANG_JWT_SECRET", SECRET),
            ("DATABASE_URL", database.as_str()),
        ];
        let config = Config::with(common.iter().chain(settings).copied()).expect("a configuration");
        let (orders, taken) = mpsc::unbounded_channel();
        let (started, address) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(live(config, started, taken));
        });
        Self {
            address: address.await.expect("the node starts"),
            orders,
            thread,
            _folder: folder,
        }
    }

    /// REST as this person.
    pub fn rest(&self, sub: &str) -> Rest {
        let url = format!("http://{}", self.address);
        Rest::new(&url, Some(sign(&Claims::of(sub))))
    }

    /// A connection on which this person has said `hello`.
    pub async fn connect(&self, sub: &str) -> WsClient {
        WsClient::connect(&self.address, &sign(&Claims::of(sub))).await
    }

    /// Begins to send everybody away; the node goes on.
    pub async fn drain(&self, moves: bool) {
        let (done, begun) = oneshot::channel();
        self.order(Order::Drain { moves, done });
        begun.await.expect("the node lives");
    }

    /// Begins to stop, and goes on while it does.
    pub fn begin_to_stop(&self, moves: bool) {
        self.order(Order::Stop { moves });
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        let ending = tokio::task::spawn_blocking(move || self.thread.join());
        ending.await.expect("a thread").expect("the node ends well");
    }

    fn order(&self, order: Order) {
        assert!(self.orders.send(order).is_ok(), "the node has gone");
    }
}

async fn live(
    config: Config,
    started: oneshot::Sender<String>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let node = Node::start(config).await.expect("the node starts");
    // Whoever asked waits for it.
    let _ = started.send(node.address().to_string());
    while let Some(order) = orders.recv().await {
        match order {
            Order::Drain { moves, done } => {
                node.services().drain(moves);
                let _ = done.send(());
            }
            Order::Stop { moves } => return node.stop_with(moves).await,
        }
    }
}
