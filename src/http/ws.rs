//! `GET /v1/ws`: checks who knocks, starts a session, and has nothing to do with it after.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use actix_web_actors::ws;

use super::access::bearer;
use super::address::client_address;
use super::error::Problem;
use super::server::Here;
use crate::actors::Services;
use crate::actors::lane::{Lane, Outbound};
use crate::actors::session::{Connected, Places, Session};
use crate::actors::socket::SocketGuard;
use crate::error::{Error, Result};
use crate::protocol::ErrorCode;

/// The subprotocols of this endpoint; the first is also spoken when none is offered.
const SUBPROTOCOLS: [&str; 1] = ["madang.v1"];
/// When a client may try again that found no place: long enough for others to go.
const RETRY_AFTER_SECONDS: u64 = 30;
/// When it may try again that came to a node which stops: behind a load balancer the next try
/// goes elsewhere.
const RETRY_STOPPING_SECONDS: u64 = 1;

/// Upgrades a request to a WebSocket and starts its session.
pub(super) async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> actix_web::Result<HttpResponse> {
    if services.is_draining() {
        return Ok(Problem::from(stopping()).error_response());
    }
    let places = match take_places(&request, &services) {
        Ok(places) => places,
        Err(error) => return Ok(Problem::from(error).error_response()),
    };
    let identity = match bearer(&request).map_err(Problem::from)? {
        Some(token) => Some(
            services
                .identities
                .verify(token)
                .await
                .map_err(Problem::from)?,
        ),
        None => None,
    };
    let here = request
        .app_data::<Here>()
        .cloned()
        .ok_or_else(|| Problem::from(Error::internal()))?;
    let socket = request
        .conn_data::<SocketGuard>()
        .map(SocketGuard::socket)
        .unwrap_or_default();
    let mut response = ws::handshake_with_protocols(&request, &SUBPROTOCOLS)?;
    let lane = Lane::new();
    let Here { worker, lanes } = here;
    let connected = Connected {
        worker,
        lanes,
        socket,
        identity,
        places,
    };
    Session::start_here(services.into_inner(), connected, payload, lane.clone());
    Ok(response.streaming(Outbound(lane)))
}

/// Another node takes the client, or this one once it is back.
fn stopping() -> Error {
    Error::new(
        ErrorCode::Unavailable,
        "this node is about to stop; connect again",
    )
    .retry_after(RETRY_STOPPING_SECONDS * 1000)
}

/// The connection's places in the limits of the node and of its address.
fn take_places(request: &HttpRequest, services: &Services) -> Result<Places> {
    let address = client_address(request, &services.config.trusted_proxies)
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let full = |whose| {
        Error::new(
            ErrorCode::Overloaded,
            format!("{whose} has as many connections as it may"),
        )
        .retry_after(RETRY_AFTER_SECONDS * 1000)
    };
    let node = services
        .rates
        .connections
        .take(())
        .ok_or_else(|| full("this node"))?;
    let by_address = &services.rates.connections_by_address;
    let address = by_address
        .take(address.into())
        .ok_or_else(|| full("your address"))?;
    Ok(Places { node, address })
}
