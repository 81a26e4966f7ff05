//! The system as its users meet it: real processes, real sockets, on every backend.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    unreachable_pub,
    reason = "a test fails by panicking, and a test binary exports nothing"
)]

mod support;

mod access;
mod broker_contract;
mod churn;
mod crash;
mod drain;
mod faults;
mod migrations;
mod ops;
mod protocol;
mod python;
mod rechecks;
mod rest;
mod resume;
mod room_actor;
mod scripts;
mod security;
mod settings;
mod slow;
mod store_contract;
mod subscribe;
mod text;
mod tidy;
mod together;
mod web;
