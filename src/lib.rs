//! **madang** (마당, the yard where people gather): a chat cluster that does not lose messages.
//!
//! One binary is a node; this library is what it is made of. `docs/ARCHITECTURE.md` has
//! the picture, [`actors`] who talks to whom, [`protocol`] the wire, [`db`] what lasts.

pub mod actors;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod failpoint;
mod hex;
pub mod http;
pub mod identity;
pub mod ids;
pub mod limits;
mod locks;
pub mod node;
pub mod protocol;
pub mod settings;
