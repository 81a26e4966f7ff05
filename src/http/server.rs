//! Starts the HTTP server and, with it, the actors of its worker threads.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::{Extensions, Server};
use actix_web::rt::net::{TcpSocket, TcpStream};
use actix_web::{App, HttpServer, web};

use crate::actors::directory::Directory;
use crate::actors::hub::{Hub, Lanes};
use crate::actors::socket::SocketGuard;
use crate::actors::{Services, Worker};

/// How long a client may take to send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(8);
/// How long an idle connection without a socket is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Connections that the system holds until a worker takes them.
const BACKLOG: u32 = 4096;

/// What the handlers of one worker thread share; stays on that thread.
#[derive(Clone)]
pub(super) struct Here {
    /// Which worker thread this is.
    pub worker: usize,
    /// Its sockets.
    pub lanes: Lanes,
}

/// Takes an address; nobody is served yet, but everybody who comes waits.
///
/// # Errors
/// The address is taken, or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A node that was killed a moment ago must not keep its successor waiting.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Serves whoever comes there.
///
/// # Errors
/// What the system says.
pub fn serve(services: web::Data<Services>, listener: TcpListener) -> io::Result<Server> {
    let workers = services.workers.count();
    let started = Arc::new(AtomicUsize::new(0));
    let factory = move || {
        let here = start_worker(&services, &started);
        App::new()
            .app_data(services.clone())
            .app_data(here)
            .configure(super::configure)
    };
    let server = HttpServer::new(factory)
        .workers(workers)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .on_connect(remember_socket)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?;
    Ok(server.run())
}

/// Called once on each worker thread: every worker is an arbiter, so what starts here lives
/// there.
fn start_worker(services: &web::Data<Services>, started: &AtomicUsize) -> Here {
    // A worker that is started again takes a place from the beginning.
    let worker = started.fetch_add(1, Ordering::Relaxed) % services.workers.count();
    let services = services.clone().into_inner();
    let lanes = Lanes::default();
    let hub = Hub::start_here(worker, lanes.clone(), services.clone());
    let directory = Directory::start_here(services.clone());
    services.workers.set(worker, Worker { hub, directory });
    Here { worker, lanes }
}

/// Keeps the descriptor of a connection, so that a stuck one can be cut.
fn remember_socket(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        data.insert(SocketGuard::new(stream));
    }
}
