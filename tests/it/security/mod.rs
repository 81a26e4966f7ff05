//! What is tried against a node, and must hold. S1, S2 … are the rows of the threat list.

mod cluster;
mod everywhere;
mod frames;
mod guessing;
mod origins;
mod redis_user;
mod sessions;
mod slowness;
mod tokens;
