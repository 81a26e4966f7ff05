//! The native protocol, rule by rule as `docs/PROTOCOL.md` states it.

mod connection;
mod details;
mod ephemeral;
mod heartbeat;
mod limits;
mod publishing;
mod reading;
mod rooms;
mod wire;
