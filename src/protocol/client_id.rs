//! The client's own name for an event, by which a repeat is known for ever.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A lower-case UUIDv7 or an upper-case ULID: both begin with the time they were made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// An id for an event that the node itself makes.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The id of an event that follows from others: made at `at`, and the same whoever makes
    /// it from the same words.
    pub fn derived(at: i64, words: &str) -> Self {
        let hash = Sha256::digest(words);
        let mut bits = [0; 10];
        bits.copy_from_slice(&hash[..10]);
        let at = u64::try_from(at).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(at, &bits).into_uuid();
        Self(id.to_string().into())
    }

    /// Reads a client's id; anything that is not canonical is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = if text.len() == 26 {
            is_ulid(text)
        } else {
            is_uuid_v7(text)
        };
        canonical.then(|| Self(text.into()))
    }

    /// An id that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// When its maker's clock says it was made, Unix milliseconds: both forms begin with it.
    pub fn made_at(&self) -> i64 {
        let digits = self.0.bytes().filter(|b| *b != b'-');
        let time = if self.0.len() == 26 {
            digits
                .take(10)
                .map(crockford_value)
                .fold(0, |sum, d| sum << 5 | d)
        } else {
            let hex = digits
                .take(12)
                .map(|b| (b as char).to_digit(16).map_or(0, i64::from));
            hex.fold(0, |sum, d| sum << 4 | d)
        };
        time & 0xffff_ffff_ffff
    }

    /// The id as it is sent and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `xxxxxxxx-xxxx-7xxx-[89ab]xxx-xxxxxxxxxxxx`, lower case (RFC 9562, section 5.7).
fn is_uuid_v7(text: &str) -> bool {
    text.len() == 36
        && !text.bytes().any(|b| b.is_ascii_uppercase())
        && Uuid::try_parse(text)
            .is_ok_and(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
}

/// 26 characters of Crockford's base 32, upper case, not above 128 bits.
fn is_ulid(text: &str) -> bool {
    text.as_bytes()[0] <= b'7'
        && text.bytes().all(|b| {
            b.is_ascii_digit()
                || (b.is_ascii_uppercase() && !matches!(b, b'I' | b'L' | b'O' | b'U'))
        })
}

/// What a digit of Crockford's base 32 is worth; 0 for what is none.
fn crockford_value(digit: u8) -> i64 {
    b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        .iter()
        .position(|d| *d == digit)
        .map_or(0, |value| value as i64)
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("client_id is a lower-case UUIDv7 or an upper-case ULID")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_when_they_were_made() {
        for (id, at) in [
            ("0192c2c8-73ff-7c3d-8e4f-0123456789ab", 1_729_844_769_791),
            ("01JB1CGWZZ8R9S0T1A2B3C4D5E", 1_729_844_769_791),
        ] {
            assert_eq!(ClientId::parse(id).map(|id| id.made_at()), Some(at), "{id}");
        }
    }

    #[test]
    fn what_is_derived_is_canonical_and_follows_from_its_words() {
        let id = ClientId::derived(1_729_844_769_791, "a");
        assert_eq!(ClientId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.made_at(), 1_729_844_769_791);
        assert_eq!(id, ClientId::derived(1_729_844_769_791, "a"));
        assert_ne!(id, ClientId::derived(1_729_844_769_791, "b"));
    }

    #[test]
    fn only_canonical_ids_are_taken() {
        for good in [
            "01939c3e-7a1b-7c3d-8e4f-0123456789ab",
            "01J9ZK3V7Q8R9S0T1A2B3C4D5E",
        ] {
            assert!(ClientId::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "01939C3E-7A1B-7C3D-8E4F-0123456789AB",
            "01939c3e-7a1b-4c3d-8e4f-0123456789ab",
            "01939c3e-7a1b-7c3d-0e4f-0123456789ab",
            "01939c3e7a1b7c3d8e4f0123456789ab",
            "81J9ZK3V7Q8R9S0T1A2B3C4D5E",
            "01J9ZK3V7Q8R9S0T1A2B3C4D5U",
            "01j9zk3v7q8r9s0t1a2b3c4d5e",
        ] {
            assert!(ClientId::parse(bad).is_none(), "{bad}");
        }
        assert!(ClientId::parse(ClientId::generate().as_str()).is_some());
    }
}
