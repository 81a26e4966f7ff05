//! What happens to every request before and after its handler: whose page it comes from,
//! and the headers that keep browsers careful.

use std::time::Duration;

use actix_http::ConnectionType;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};

use super::error::Problem;
use super::origin::Origin;
use crate::actors::Services;
use crate::error::Error;
use crate::protocol::ErrorCode;

/// How long a request may take, its body included; everything inside gives up earlier. Who
/// sends a body drop by drop holds a connection no longer than this.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Scripts, styles and connections of this node only; nothing inline, no frames.
/// Pictures may be written into the page: styles do so with small ones.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const CAREFUL: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Refuses foreign pages, answers browsers that ask first, and adds the headers.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (origin, stops) = match request.app_data::<web::Data<Services>>() {
        Some(services) => (
            Origin::of(&request, &services.settings.now().live.allowed_origins),
            services.is_draining(),
        ),
        None => (Origin::Foreign, false),
    };
    let mut response = match origin.preflight(&request) {
        Some(answer) => request.into_response(answer),
        None if origin == Origin::Foreign => request.into_response(foreign().error_response()),
        None => tokio::time::timeout(TIMEOUT, next.call(request))
            .await
            .map_err(|_| Problem::TooSlow)??
            .map_into_boxed_body(),
    };
    if stops && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // Proxies keep connections; the next request on this one shall go to another node.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    origin.add_headers(response.headers_mut());
    add_careful(response.headers_mut());
    Ok(response)
}

fn foreign() -> Problem {
    Error::new(
        ErrorCode::Forbidden,
        "this page is not from here; MADANG_ALLOWED_ORIGINS names others that are welcome",
    )
    .into()
}

fn add_careful(headers: &mut HeaderMap) {
    for (name, value) in CAREFUL {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
