//! What the system tests stand on: real processes, typed clients, and a judge.

mod balancer;
mod checker;
mod client;
mod cluster;
mod doors;
mod draft;
mod embedded;
mod node;
mod postgres;
mod process;
mod proxy;
mod publisher;
pub mod raw;
mod redis;
mod rest;
mod script;
mod token;
mod view;
mod wait;
mod world;

pub use balancer::Balancer;
pub use checker::{
    History, Published, assert_all_told, assert_clean, judge, read_history, read_log,
};
pub use client::{Refusal, WsClient, upgrade};
pub use cluster::{Cluster, Setup, Wires};
pub use doors::Doors;
pub use draft::Draft;
pub use embedded::EmbeddedNode;
pub use node::TestNode;
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use publisher::{Goals, Plan, Publisher, assert_in_order};
pub use redis::Redis;
pub use rest::{Answer, Rest, answer};
pub use script::{run_script, run_script_with};
pub use token::{Claims, SECRET, new_client_id, now_ms, sign};
pub use view::{Event, RoomView};
pub use wait::{eventually, free_port, seconds};
pub use world::{Backend, World, in_a_runtime, on_every_backend, on_every_pair, rounds, seed};
