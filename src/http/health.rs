//! Whether the node lives, whether it wants traffic, and how it is.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::error::Result;
use super::metrics;
use crate::actors::{Cluster, Services};

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It lives")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The node takes connections.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, description = "It does"), (status = 503, description = "It is stopping, or Redis is out of reach")))]
pub(super) async fn readyz(services: web::Data<Services>) -> HttpResponse {
    let without_redis = |cluster: &Cluster| !cluster.broker.is_ready();
    if services.is_draining() {
        HttpResponse::ServiceUnavailable().json(json!({"status": "draining"}))
    } else if services.cluster.as_ref().is_some_and(without_redis) {
        HttpResponse::ServiceUnavailable().json(json!({"status": "without redis"}))
    } else {
        HttpResponse::Ok().json(json!({"status": "ready"}))
    }
}

/// How the node is, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "In Prometheus' text format", content_type = "text/plain")))]
pub(super) async fn metrics(services: web::Data<Services>) -> Result {
    let text = metrics::render(&services).await?;
    Ok(HttpResponse::Ok()
        .content_type(prometheus::TEXT_FORMAT)
        .body(text))
}
