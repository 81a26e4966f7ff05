//! What the system tests stand on: real processes, typed clients, and a judge.

mod checker;
mod client;
mod node;
mod postgres;
mod process;
mod rest;
mod token;
mod view;
mod wait;
mod world;

pub use checker::{Published, assert_clean, read_log};
pub use client::{Refusal, WsClient};
pub use node::TestNode;
pub use postgres::Postgres;
pub use rest::{Answer, Rest};
pub use token::{Claims, new_client_id, sign};
pub use view::{Event, Gap, RoomView};
pub use wait::{eventually, free_port, seconds};
pub use world::{Backend, World, on_every_backend, rounds};
