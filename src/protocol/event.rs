//! What a room's log is made of: drafts become events when they get their place.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::ClientId;
use crate::ids::{RoomId, Seq, UserId};

/// What happened. Extension events are spelled `x.<extension>.<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the names are those of docs/PROTOCOL.md, which explains them"
)]
pub enum EventKind {
    Message,
    Edit,
    Delete,
    React,
    Pin,
    Join,
    Leave,
    Kick,
    Ban,
    Mute,
    Role,
    Room,
    System,
    Void,
    Extension(Arc<str>),
}

impl EventKind {
    /// The word in `kind`.
    pub fn as_str(&self) -> &str {
        match self {
            EventKind::Message => "message",
            EventKind::Edit => "edit",
            EventKind::Delete => "delete",
            EventKind::React => "react",
            EventKind::Pin => "pin",
            EventKind::Join => "join",
            EventKind::Leave => "leave",
            EventKind::Kick => "kick",
            EventKind::Ban => "ban",
            EventKind::Mute => "mute",
            EventKind::Role => "role",
            EventKind::Room => "room",
            EventKind::System => "system",
            EventKind::Void => "void",
            EventKind::Extension(name) => name,
        }
    }

    /// Does it count in `n`, and so in unread?
    pub fn is_message(&self) -> bool {
        matches!(self, EventKind::Message)
    }

    /// May it take a right away from somebody? (`rights` in the append, `docs/ARCHITECTURE.md`)
    pub fn restricts(&self) -> bool {
        matches!(
            self,
            EventKind::Leave
                | EventKind::Kick
                | EventKind::Ban
                | EventKind::Mute
                | EventKind::Role
                | EventKind::Room
        )
    }

    /// Does it change who is a member?
    pub fn changes_membership(&self) -> bool {
        matches!(
            self,
            EventKind::Join | EventKind::Leave | EventKind::Kick | EventKind::Ban
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that no event is called by.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a kind of event")]
pub struct UnknownKind(String);

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Ok(match text {
            "message" => EventKind::Message,
            "edit" => EventKind::Edit,
            "delete" => EventKind::Delete,
            "react" => EventKind::React,
            "pin" => EventKind::Pin,
            "join" => EventKind::Join,
            "leave" => EventKind::Leave,
            "kick" => EventKind::Kick,
            "ban" => EventKind::Ban,
            "mute" => EventKind::Mute,
            "role" => EventKind::Role,
            "room" => EventKind::Room,
            "system" => EventKind::System,
            "void" => EventKind::Void,
            name if name.starts_with("x.") => EventKind::Extension(name.into()),
            _ => return Err(UnknownKind(text.into())),
        })
    }
}

/// An event before the log has given it a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it is.
    pub kind: EventKind,
    /// Who did it.
    pub from: UserId,
    /// Its name, unique per room and sender for ever.
    pub client_id: ClientId,
    /// The earlier event that it is about.
    pub target: Option<Seq>,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// The message whose thread it belongs to.
    pub thread: Option<Seq>,
    /// Whom it calls by name.
    pub mentions: Vec<UserId>,
    /// Its body, a JSON object.
    pub body: Arc<str>,
}

impl Draft {
    /// An event about the room itself, made by the node on somebody's behalf.
    pub fn system(
        kind: EventKind,
        from: UserId,
        body: &impl Serialize,
    ) -> serde_json::Result<Self> {
        Ok(Self {
            kind,
            from,
            client_id: ClientId::generate(),
            target: None,
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
            body: serde_json::to_string(body)?.into(),
        })
    }

    /// How much room it takes in a backlog: one place for each begun KiB of its body, so that
    /// a limit of places is one of memory, too.
    pub fn places(&self) -> usize {
        self.body.len().div_ceil(1024).max(1)
    }

    /// To whom it happens, in a `join leave kick ban mute role`; `None` when its body does not
    /// say.
    pub fn member_change(&self) -> Option<MemberChange> {
        serde_json::from_str(&self.body).ok()
    }

    /// Whom it takes out of the room.
    pub fn removed(&self) -> Option<UserId> {
        let removes = matches!(
            self.kind,
            EventKind::Leave | EventKind::Kick | EventKind::Ban
        );
        let change = removes.then(|| self.member_change()).flatten();
        change.map(|change| change.user)
    }

    /// A number that tells a true repeat from another event under the same `client_id`.
    ///
    /// Covers what `conflict` compares: kind, target, body, `reply_to`, `thread`, `mentions`.
    pub fn digest(&self) -> i64 {
        let mut hash = Sha256::new();
        hash.update(self.kind.as_str());
        for place in [self.target, self.reply_to, self.thread] {
            hash.update(place.unwrap_or_default().0.to_le_bytes());
        }
        hash.update((self.mentions.len() as u64).to_le_bytes());
        for user in &self.mentions {
            hash.update(user.raw().to_le_bytes());
        }
        hash.update(self.body.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        i64::from_le_bytes(first)
    }
}

/// Why an event has no place of its own, and a `void` event stands there instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voided {
    /// The same event already stands at another number.
    Repeats,
    /// The database refuses it for good.
    Lost,
}

impl Draft {
    /// What stands at `seq` instead of this draft: by the same sender, under an id that
    /// whoever replaces it finds as well.
    pub fn stand_in(&self, room: RoomId, seq: Seq, why: Voided) -> Self {
        let body = match why {
            Voided::Repeats => r#"{"repeats":true}"#,
            Voided::Lost => r#"{"lost":true}"#,
        };
        Self::void(self.from, self.stand_in_id(room, seq), body)
    }

    /// The id of [`Draft::stand_in`].
    pub fn stand_in_id(&self, room: RoomId, seq: Seq) -> ClientId {
        let words = format!("{room} {seq} {}", self.client_id);
        ClientId::derived(self.client_id.made_at(), &words)
    }

    fn void(from: UserId, client_id: ClientId, body: &str) -> Self {
        Self {
            kind: EventKind::Void,
            from,
            client_id,
            target: None,
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
            body: body.into(),
        }
    }
}

/// Where the log put a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number in the room.
    pub seq: Seq,
    /// How many messages the room has up to and with it.
    pub n: i64,
    /// When the log took it, Unix milliseconds.
    pub at: i64,
}

/// One entry of a room's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The room whose log it stands in.
    pub room: RoomId,
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub draft: Draft,
}

impl Event {
    /// Its number in the room.
    pub fn seq(&self) -> Seq {
        self.place.seq
    }

    /// Fills a number whose event nobody has any more: the same one, whoever fills it. It
    /// was sent by nobody, which is user 0.
    pub fn filler(room: RoomId, place: Place) -> Self {
        // No time of its own: ids in it must not look newer than those of people.
        let id = ClientId::derived(0, &format!("{room} {}", place.seq));
        Self {
            room,
            place,
            draft: Draft::void(UserId::from_raw(0), id, "{}"),
        }
    }
}

/// The body of `join leave kick ban mute role`: to whom it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChange {
    /// Whom it is about.
    pub user: UserId,
    /// Their role from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Until when it holds, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// An event with its JSON, made once and shared by every frame that carries it.
#[derive(Debug)]
pub struct Entry {
    /// The event itself.
    pub event: Event,
    /// As everybody else sees it.
    plain: Box<RawValue>,
    /// As its sender sees it: with `client_id`.
    own: Box<RawValue>,
}

/// The JSON of an event inside `snapshot` and `batch`: no type, room or epoch.
#[derive(Serialize)]
struct Inner<'a> {
    seq: Seq,
    kind: &'a str,
    from: UserId,
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<Seq>,
    #[serde(skip_serializing_if = "<[UserId]>::is_empty")]
    mentions: &'a [UserId],
    body: &'a RawValue,
}

impl Entry {
    /// Encodes an event. Fails only when its body is not JSON.
    pub fn new(event: Event) -> serde_json::Result<Self> {
        let draft = &event.draft;
        let mut inner = Inner {
            seq: event.place.seq,
            kind: draft.kind.as_str(),
            from: draft.from,
            at: event.place.at,
            n: draft.kind.is_message().then_some(event.place.n),
            client_id: None,
            target: draft.target,
            reply_to: draft.reply_to,
            thread: draft.thread,
            mentions: &draft.mentions,
            body: serde_json::from_str(&draft.body)?,
        };
        let plain = serde_json::value::to_raw_value(&inner)?;
        inner.client_id = Some(&draft.client_id);
        let own = serde_json::value::to_raw_value(&inner)?;
        Ok(Self { event, plain, own })
    }

    /// Its number in the room.
    pub fn seq(&self) -> Seq {
        self.event.place.seq
    }

    /// Its JSON as this person may see it (`client_id` is shown to its sender only).
    pub fn json_for(&self, viewer: UserId) -> &RawValue {
        if viewer == self.event.draft.from {
            &self.own
        } else {
            &self.plain
        }
    }

    /// Its JSON for everybody but the sender.
    pub fn json(&self) -> &RawValue {
        &self.plain
    }

    /// Bytes that it adds to a frame.
    pub fn json_bytes(&self) -> usize {
        self.own.get().len() + 1
    }
}
