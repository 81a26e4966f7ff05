//! The part of the simulation that stands for Redis.

#[path = "../../simulation/bugs.rs"]
pub(crate) mod bugs;
#[path = "../../simulation/log.rs"]
pub(crate) mod log;
#[path = "../../simulation/scripts.rs"]
pub(crate) mod scripts;
