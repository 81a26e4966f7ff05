//! The HTTP side: REST, the web client, health, and the door to WebSockets.
//!
//! Handlers are thin: they read a request, ask the store or an actor, and word the answer.
//! [`routes`] is the one list of what exists and who may call it; every other file is one
//! group of it, or something that all of them share.

mod access;
mod address;
mod admin;
mod assets;
mod auth;
mod body;
mod caching;
mod common;
mod config;
mod edge;
mod error;
mod explain;
mod export;
mod health;
mod inbox;
mod list;
mod me;
mod members;
mod messages;
mod metric;
mod metrics;
mod nodes;
mod openapi;
mod origin;
mod revoke;
mod room_view;
mod rooms;
pub mod routes;
mod server;
mod users;
mod ws;

use actix_web::middleware::from_fn;
use actix_web::web;
use utoipa::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

pub use access::Access;
pub use error::{Problem, status};
pub use openapi::Description;
pub use server::{bind, serve};

/// Everything that a node serves, for one worker thread's `App`.
fn configure(app: &mut web::ServiceConfig) {
    let description = SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", Description::openapi());
    let everything = web::scope("")
        .wrap(from_fn(edge::guard))
        .service(web::redirect("/docs", "/docs/"))
        .service(description)
        .configure(routes::register);
    app.configure(body::configure).service(everything);
}
