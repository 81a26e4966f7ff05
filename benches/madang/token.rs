//! Tokens for people that the node does not know yet: signed by its key, made on first use.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use crate::Outcome;

/// The key that every node of the benchmarks is started with.
pub const SECRET: &str = "a key for benchmarks only, of 32 bytes and more";

/// What tokens call the user with this number.
pub fn subject(user: usize) -> String {
    format!("bench-{user}")
}

/// An access token for the user with this number.
pub fn sign(user: usize) -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "sub": subject(user),
        "name": format!("Bench {user}"),
        "iat": now,
        "exp": now + 3600,
    });
    Ok(encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )?)
}
