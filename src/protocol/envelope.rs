//! What nodes say to each other through Redis.
//!
//! Everything begins with a version byte, here and in `doorbell` and `stored`. What is
//! malformed, or of a version that this program does not know, is refused by [`Malformed`];
//! whoever reads counts it and goes on. Plain data: a page of text one can read with any
//! Redis client.

use serde::{Deserialize, Serialize};

use super::Presence;
use crate::ids::{LoginId, RoomId, Seq, UserId};

/// The version that this program writes, and the newest that it understands.
pub const VERSION: u8 = 1;

/// Bytes from another node, or from the log, that say nothing to this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Written by a newer program.
    #[error("version {0:?} is not known here")]
    Version(char),
    /// Not what we write.
    #[error("malformed: {0}")]
    Content(&'static str),
}

/// What one node tells another, or all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who sends it.
    pub node: String,
    /// Which life of that node.
    pub generation: String,
    /// What it says.
    pub payload: Payload,
}

/// What an [`Envelope`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Payload {
    /// Somebody joined or left a room, or was added or removed; it is in the database.
    MembershipChanged {
        /// Whom it is about.
        user: UserId,
        /// Which room.
        room: RoomId,
        /// Who did it.
        by: UserId,
    },
    /// Somebody's tokens are worth nothing any more.
    Revoke {
        /// Whose.
        user: UserId,
        /// Only those of this login.
        login: Option<LoginId>,
        /// But not those of this one.
        except: Option<LoginId>,
    },
    /// An account has changed in a way that ends nothing: what is remembered of it is old.
    AccountChanged {
        /// Whose.
        user: UserId,
    },
    /// A frame for all devices of somebody.
    Notify {
        /// Whose.
        user: UserId,
        /// The frame, as JSON.
        frame: String,
    },
    /// Somebody has read on, on another node.
    Marked {
        /// Who.
        user: UserId,
        /// Where.
        room: RoomId,
        /// How far.
        read: Seq,
        /// Messages of the room up to there.
        n: i64,
        /// Their own among them.
        own: i64,
    },
    /// Who came to the sender, went, or changed.
    People {
        /// Counts these envelopes of one generation: 1, 2, 3 …
        number: u64,
        /// The changes.
        changes: Vec<PresenceChange>,
    },
    /// The settings have a new version in the database.
    Settings {
        /// Which.
        version: i64,
    },
    /// A node could not apply a version of the settings.
    SettingsRefused {
        /// Which.
        version: i64,
        /// Why.
        reason: String,
    },
    /// Redis has begun a new life, or is being given one.
    Life {
        /// Its name.
        life: String,
    },
    /// The receiver is to drain.
    Drain,
}

/// One person who came to a node, went, or changed how they want to be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresenceChange {
    /// Who.
    pub user: UserId,
    /// How they want to be seen; `None` when they went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
    /// In their own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The rooms that they are a member of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<RoomId>,
}

impl Envelope {
    /// As it travels.
    pub fn encode(&self) -> serde_json::Result<String> {
        Ok(format!("{VERSION}{}", serde_json::to_string(self)?))
    }

    /// Reads what another node sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Content("not UTF-8"))?;
        serde_json::from_str(versioned(text)?).map_err(|_| Malformed::Content("not an envelope"))
    }
}

/// What follows the version, if it is one that we know.
pub(super) fn versioned(text: &str) -> Result<&str, Malformed> {
    let mut rest = text.chars();
    let version = rest.next().ok_or(Malformed::Content("empty"))?;
    match version.to_digit(10) {
        Some(digit) if digit == u32::from(VERSION) => Ok(rest.as_str()),
        Some(_) => Err(Malformed::Version(version)),
        None => Err(Malformed::Content("no version")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANN: UserId = UserId::from_raw(1);

    #[test]
    fn an_envelope_comes_back() {
        let envelope = Envelope {
            node: "n1".into(),
            generation: "g".into(),
            payload: Payload::Revoke {
                user: ANN,
                login: None,
                except: Some(LoginId::from_raw(3)),
            },
        };
        let text = envelope.encode().unwrap();
        assert_eq!(Envelope::decode(text.as_bytes()), Ok(envelope));
        assert!(Envelope::decode(b"1{}").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::decode(&bytes);
        }
    }
}
