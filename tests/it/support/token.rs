//! Tokens as an existing service would sign them, and ids as a good client makes them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// The key that every test node is given.
pub const SECRET: &str = "a-key-for-tests-only-0123456789abcdef";

/// What a token says. Fields that are `None` are left out.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    pub sub: String,
    pub exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Claims {
    /// Good for an hour; named like the subject.
    pub fn of(sub: &str) -> Self {
        let now = now_ms() / 1000;
        Self {
            sub: sub.into(),
            exp: now + 3600,
            iat: Some(now),
            name: Some(sub.into()),
            role: None,
        }
    }
}

/// A token with these claims, signed with the tests' key.
pub fn sign(claims: &impl Serialize) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("claims are JSON")
}

/// A `client_id` that nobody has used before.
pub fn new_client_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Unix milliseconds by this machine's clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later than 1970").as_millis() as u64
}
