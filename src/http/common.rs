//! Facts that have nothing to do with chat, answered from memory.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::caching::unless_known;
use super::error::{Problem, Result};
use crate::actors::Services;
use crate::clock::now_ms;

/// One fact.
#[derive(Serialize, ToSchema)]
pub(super) struct Fact {
    key: String,
    /// What it is; see the list of keys.
    #[schema(value_type = Object)]
    value: Value,
}

/// One of `version`, `min_client_version`, `time`, `health`, `features` and `notice`.
#[utoipa::path(get, path = "/v1/common/{key}", tag = "common", params(("key" = String, Path)),
    responses((status = 200, body = Fact), (status = 304, description = "As you know it")))]
pub(super) async fn get(
    services: web::Data<Services>,
    request: HttpRequest,
    key: web::Path<String>,
) -> Result {
    let key = key.into_inner();
    let value = value(&services, &key).ok_or(Problem::NotFound)?;
    let content = value.to_string();
    Ok(unless_known(&request, content.as_bytes(), |ok| {
        ok.json(Fact { key, value })
    }))
}

fn value(services: &Services, key: &str) -> Option<Value> {
    let now = services.settings.now();
    Some(match key {
        "version" => json!(env!("CARGO_PKG_VERSION")),
        "min_client_version" => json!(now.live.min_client_version),
        "time" => json!(now_ms()),
        "health" => json!(if services.is_draining() {
            "draining"
        } else {
            "ok"
        }),
        "features" => json!({
            "guests": now.live.guests,
            "sign_up": true,
            "stomp": false,
            "sse": false,
            "uploads": false,
        }),
        "notice" => json!(now.live.notice),
        _ => return None,
    })
}
