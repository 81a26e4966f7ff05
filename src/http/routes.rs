//! The one list of routes.
use actix_web::web;

use super::ws;
use crate::actors::Services;

/// All routes.
pub fn configure(config: &mut web::ServiceConfig, _: &Services) {
    config.route("/v1/ws", web::get().to(ws::upgrade));
}
