//! Starts the HTTP server and, with it, the actors of its worker threads.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::{Extensions, Server};
use actix_web::rt::net::TcpStream;
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

/// Listens where the configuration says; answers with where that is.
///
/// # Errors
/// The address is taken, or not this machine's.
pub fn listen(services: web::Data<Services>) -> io::Result<(Server, SocketAddr)> {
    let address = services.config.listen;
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
        .backlog(BACKLOG)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .on_connect(remember_socket)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(address)?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
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
