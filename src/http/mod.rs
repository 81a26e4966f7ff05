//! The edge.
mod access;
mod address;
mod error;
mod routes;
mod server;
mod ws;

pub use server::listen;
