//! REST, route by route as `docs/PROTOCOL.md` states it. Who may call each is in `access`.

mod accounts;
mod admin;
mod common;
mod config;
mod export;
mod messages;
mod metrics;
mod rooms;
