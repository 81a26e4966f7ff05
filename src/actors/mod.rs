//! Who talks to whom.
//!
//! ```text
//!  socket ─frames─► Session ──► Directory ──► Room ──append──► Registry ──► Broker (the log)
//!     ▲                │            │          │ ▲                │ ▲             │
//!     └────── Lane ◄── Hub ◄────────┼──────────┘ └────────────────┘ └── rings ────┘
//!                       ▲           └──► User ◄───── inbox ───────┘
//!                       └────────────────┘            Persistence ──► database
//! ```
//!
//! Sessions, hubs, directories, rooms and users live on the worker threads of the HTTP
//! server; registry and persistence on the main thread. What crosses threads is a message.

mod backoff;
pub mod directory;
mod draining;
pub mod hub;
pub mod lane;
mod notices;
pub mod persistence;
pub mod registry;
mod resigning;
pub mod room;
mod services;
pub mod session;
pub mod socket;
pub mod user;
pub mod wire;

pub use notices::tell_notices;
pub use resigning::{leave_every_room, leave_what_is_left, sweep_resigned};
pub use services::{
    Cluster, Handle, Pending, Placed, Refuse, Reply, Services, Worker, Workers, context,
    send_always,
};
