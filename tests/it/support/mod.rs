//! What the system tests stand on: real processes, typed clients, and a judge.

mod checker;
mod client;
mod embedded;
mod node;
mod postgres;
mod process;
mod publisher;
pub mod raw;
mod rest;
mod script;
mod token;
mod view;
mod wait;
mod world;

pub use checker::{Published, assert_clean, read_log};
pub use client::{Draft, Refusal, WsClient, upgrade};
pub use embedded::EmbeddedNode;
pub use node::TestNode;
pub use postgres::Postgres;
pub use publisher::{Publisher, assert_in_order};
pub use rest::{Answer, Rest, answer};
pub use script::run_script;
pub use token::{Claims, SECRET, new_client_id, now_ms, sign};
pub use view::Event;
pub use wait::{eventually, free_port, seconds};
pub use world::{Backend, World, in_a_runtime, on_every_backend, rounds};
