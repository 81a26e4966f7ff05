//! The system as its users meet it: real processes, real sockets, on every backend.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking, and a test binary exports nothing"
)]

mod support;

mod access;
mod broker_contract;
mod migrations;
mod store_contract;
mod tidy;
