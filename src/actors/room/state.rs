//! The rules of a room: who is in it, who may do what, how far everybody has read.
//!
//! A fold of the room's log; decides and never acts. No actix, no I/O.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::json;

use super::window::Window;
use crate::db::{Basis, LoadedRoom, Mark, MemberRecord, Role, RoomKind, RoomRecord, UserRole};
use crate::error::{Error, Result};
use crate::ids::{Seq, UserId};
use crate::protocol::{Draft, Entry, ErrorCode, Event, EventKind, MemberChange};

/// Rooms with more members get receipts and presence in sums, not by name.
pub const SMALL_ROOM: usize = 100;

/// Who asks, and what they are on the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Which person.
    pub user: UserId,
    /// Guests see open rooms only.
    pub role: UserRole,
}

/// Everything that a room is, up to its head.
#[derive(Debug)]
pub struct RoomState {
    record: RoomRecord,
    members: BTreeMap<UserId, MemberRecord>,
    /// How many of `members` are in the room.
    present: usize,
    window: Window,
}

/// What applying an event has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whose last event of the room it was.
    pub removed: Option<UserId>,
    /// Who is a member from now on.
    pub joined: Option<UserId>,
}

/// The fields of a `room` event: what has changed.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct RoomChange {
    /// Only in a room's first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RoomKind>,
    /// The new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new topic; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The new limit of members; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// Deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
}

impl RoomState {
    /// A room as it was read from the database.
    pub fn load(loaded: LoadedRoom) -> serde_json::Result<Self> {
        let mut window = Window::default();
        for event in loaded.recent {
            window.push(Arc::new(Entry::new(event)?));
        }
        let members: BTreeMap<_, _> = loaded
            .members
            .into_iter()
            .map(|member| (member.user, member))
            .collect();
        let present = members
            .values()
            .filter(|member| member.role.is_some())
            .count();
        Ok(Self {
            record: loaded.room,
            members,
            present,
            window,
        })
    }

    /// What the room is called and how far it is.
    pub fn record(&self) -> &RoomRecord {
        &self.record
    }

    /// The newest events.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The newest event.
    pub fn head(&self) -> Seq {
        self.record.head
    }

    /// What decisions rest on, for the append.
    pub fn basis(&self) -> Basis {
        let RoomRecord {
            head,
            rights,
            membership,
            ..
        } = self.record;
        Basis {
            head,
            rights,
            membership,
        }
    }

    /// How many people are in the room.
    pub fn member_count(&self) -> usize {
        self.present
    }

    /// Everybody who is in the room.
    pub fn members(&self) -> impl Iterator<Item = (&MemberRecord, Role)> {
        self.members
            .values()
            .filter_map(|member| member.role.map(|role| (member, role)))
    }

    /// Those behind a place in the order of ids.
    pub fn members_from(&self, from: Bound<UserId>) -> impl Iterator<Item = (&MemberRecord, Role)> {
        let members = self.members.range((from, Bound::Unbounded));
        members.filter_map(|(_, member)| member.role.map(|role| (member, role)))
    }

    /// Somebody's standing, if they are in the room.
    pub fn member(&self, user: UserId) -> Option<(&MemberRecord, Role)> {
        let member = self.members.get(&user)?;
        member.role.map(|role| (member, role))
    }

    // -- rights ----------------------------------------------------------------------

    /// The asker's standing, or the error that tells them no more than they may know.
    pub fn require_member(&self, asker: Asker) -> Result<(&MemberRecord, Role)> {
        self.require_visible(asker)?;
        self.member(asker.user)
            .ok_or_else(|| Error::new(ErrorCode::NotAMember, "join the room first"))
    }

    /// A private room does not exist for those who are not in it.
    pub fn require_visible(&self, asker: Asker) -> Result<()> {
        let guest_may = asker.role != UserRole::Guest || self.record.kind == RoomKind::Open;
        let seen = self.member(asker.user).is_some() || (self.record.kind.is_public() && guest_may);
        if !seen {
            return Err(Error::room_not_found());
        }
        if self.record.closed {
            return Err(Error::new(
                ErrorCode::RoomClosed,
                "the room has been deleted",
            ));
        }
        Ok(())
    }

    fn require_role(&self, asker: Asker, least: Role) -> Result<()> {
        let (_, role) = self.require_member(asker)?;
        if role >= least {
            return Ok(());
        }
        let message = format!(
            "this takes the role of {}; you are {}",
            least.as_str(),
            role.as_str()
        );
        Err(Error::new(ErrorCode::Forbidden, message))
    }

    /// The first event that the asker may read, in rooms that hide what was before them.
    pub fn floor(&self, asker: Asker) -> Result<Seq> {
        let (member, _) = self.require_member(asker)?;
        Ok(if self.record.kind == RoomKind::Group {
            member.joined
        } else {
            Seq(1)
        })
    }

    /// May the asker write a message now?
    pub fn may_publish(&self, asker: Asker, now: i64) -> Result<()> {
        let (member, role) = self.require_member(asker)?;
        if self.record.kind == RoomKind::Broadcast && role < Role::Moderator {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "in a broadcast room only the owner and moderators write",
            ));
        }
        if let Some(until) = member.muted_until.filter(|until| *until > now) {
            let wait = u64::try_from(until - now).unwrap_or(0);
            return Err(
                Error::new(ErrorCode::Muted, "you are muted in this room").retry_after(wait)
            );
        }
        Ok(())
    }

    /// The event by which the asker joins, or `None` when they are in already.
    ///
    /// `joining` are those whose joins travel in the same append: they count, too.
    pub fn join(&self, asker: Asker, joining: &HashSet<UserId>) -> Result<Option<Draft>> {
        self.require_visible(asker)?;
        if self.member(asker.user).is_some() {
            return Ok(None);
        }
        self.require_room_for_one(joining)?;
        self.join_draft(asker.user, asker.user, Role::Member)
            .map(Some)
    }

    /// The event by which the asker adds somebody, or `None` when they are in already.
    pub fn add(
        &self,
        asker: Asker,
        user: UserId,
        joining: &HashSet<UserId>,
    ) -> Result<Option<Draft>> {
        self.require_role(asker, Role::Moderator)?;
        if self.record.kind == RoomKind::Dm {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "a dm has two people for ever",
            ));
        }
        if self.member(user).is_some() {
            return Ok(None);
        }
        self.require_room_for_one(joining)?;
        self.join_draft(asker.user, user, Role::Member).map(Some)
    }

    fn require_room_for_one(&self, joining: &HashSet<UserId>) -> Result<()> {
        let members = self.present + joining.len();
        match self.record.capacity {
            Some(capacity) if members as i64 >= capacity => {
                let detail = json!({ "capacity": capacity, "members": members });
                Err(Error::new(
                    ErrorCode::RoomFull,
                    "the room is full; try again when somebody left",
                )
                .detail(detail))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The event by which somebody becomes a member; for new rooms, without asking anybody.
    pub fn join_draft(&self, by: UserId, user: UserId, role: Role) -> Result<Draft> {
        let body = MemberChange {
            user,
            role: Some(role.as_str().to_owned()),
            until: None,
        };
        draft(EventKind::Join, by, &body)
    }

    /// The event by which the asker leaves.
    pub fn leave(&self, asker: Asker) -> Result<Draft> {
        self.require_member(asker)?;
        if self.record.kind == RoomKind::Dm {
            return Err(Error::new(ErrorCode::Forbidden, "a dm cannot be left"));
        }
        self.leave_draft(asker.user)
    }

    /// The event by which somebody is gone, whatever the room is: their account is.
    pub fn leave_draft(&self, user: UserId) -> Result<Draft> {
        draft(
            EventKind::Leave,
            user,
            &MemberChange {
                user,
                role: None,
                until: None,
            },
        )
    }

    /// The event by which the asker removes somebody.
    pub fn kick(&self, asker: Asker, user: UserId) -> Result<Draft> {
        self.require_power_over(asker, user)?;
        draft(
            EventKind::Kick,
            asker.user,
            &MemberChange {
                user,
                role: None,
                until: None,
            },
        )
    }

    /// The event by which the owner gives somebody another role.
    pub fn set_role(&self, asker: Asker, user: UserId, role: Role) -> Result<Option<Draft>> {
        self.require_role(asker, Role::Owner)?;
        match self.member(user) {
            None => Err(Error::new(
                ErrorCode::NotAMember,
                "that person is not in the room",
            )),
            Some((_, current)) if current == role => Ok(None),
            Some(_) if user == asker.user => Err(Error::new(
                ErrorCode::Forbidden,
                "an owner cannot change their own role",
            )),
            Some(_) => {
                let role = Some(role.as_str().to_owned());
                draft(
                    EventKind::Role,
                    asker.user,
                    &MemberChange {
                        user,
                        role,
                        until: None,
                    },
                )
                .map(Some)
            }
        }
    }

    fn require_power_over(&self, asker: Asker, user: UserId) -> Result<()> {
        self.require_role(asker, Role::Moderator)?;
        let (_, mine) = self.require_member(asker)?;
        match self.member(user) {
            None => Err(Error::new(
                ErrorCode::NotAMember,
                "that person is not in the room",
            )),
            Some((_, theirs)) if theirs >= mine => Err(Error::new(
                ErrorCode::Forbidden,
                "their role is not below yours",
            )),
            Some(_) => Ok(()),
        }
    }

    /// The event by which the owner changes the room or closes it.
    pub fn change(&self, asker: Asker, change: &RoomChange) -> Result<Draft> {
        self.require_role(asker, Role::Owner)?;
        if self.record.kind == RoomKind::Dm {
            return Err(Error::new(ErrorCode::Forbidden, "a dm has no settings"));
        }
        draft(EventKind::Room, asker.user, change)
    }

    // -- the fold --------------------------------------------------------------------

    /// Takes in the next event. The caller has made sure that it is the next.
    pub fn apply(&mut self, entry: Arc<Entry>) -> Applied {
        let event = &entry.event;
        let kind = &event.draft.kind;
        self.record.head = event.seq();
        self.record.messages = event.place.n;
        self.record.changed_at = event.place.at;
        if kind.restricts() {
            self.record.rights = event.seq();
        }
        if kind.changes_membership() {
            self.record.membership = event.seq();
        }
        let applied = match kind {
            EventKind::Message => self.count_message(event),
            EventKind::Room => self.apply_change(event),
            _ => self.apply_to_member(event),
        };
        self.window.push(entry);
        applied
    }

    fn count_message(&mut self, event: &Event) -> Applied {
        self.record.last_message = event.seq();
        if let Some(sender) = self.members.get_mut(&event.draft.from) {
            sender.sent += 1;
        }
        Applied::default()
    }

    fn apply_change(&mut self, event: &Event) -> Applied {
        if let Ok(change) = serde_json::from_str::<RoomChange>(&event.draft.body) {
            let record = &mut self.record;
            record.name = change.name.unwrap_or(std::mem::take(&mut record.name));
            if let Some(topic) = change.topic {
                record.topic = (!topic.is_empty()).then_some(topic);
            }
            if let Some(capacity) = change.capacity {
                record.capacity = (capacity > 0).then_some(capacity);
            }
            record.closed = change.closed.unwrap_or(record.closed);
        }
        Applied::default()
    }

    fn apply_to_member(&mut self, event: &Event) -> Applied {
        let Ok(change) = serde_json::from_str::<MemberChange>(&event.draft.body) else {
            return Applied::default();
        };
        let user = change.user;
        match event.draft.kind {
            EventKind::Join => {
                let role = change
                    .role
                    .as_deref()
                    .and_then(Role::parse)
                    .unwrap_or(Role::Member);
                self.enter(user, role, event);
                return Applied {
                    joined: Some(user),
                    removed: None,
                };
            }
            EventKind::Leave | EventKind::Kick | EventKind::Ban => {
                self.exit(user, event.seq());
                return Applied {
                    joined: None,
                    removed: Some(user),
                };
            }
            EventKind::Role => {
                if let Some(member) = self.members.get_mut(&user).filter(|who| who.role.is_some()) {
                    member.role = change.role.as_deref().and_then(Role::parse).or(member.role);
                    member.seq = event.seq();
                }
            }
            EventKind::Mute => {
                if let Some(member) = self.members.get_mut(&user) {
                    member.muted_until = change.until;
                    member.seq = event.seq();
                }
            }
            _ => {}
        }
        Applied::default()
    }

    fn enter(&mut self, user: UserId, role: Role, event: &Event) {
        let seq = event.seq();
        let before = self.members.get(&user);
        let sent = before.map_or(0, |member| member.sent);
        self.present += usize::from(before.is_none_or(|member| member.role.is_none()));
        let mark = Mark {
            read: seq,
            n: event.place.n,
            own: sent,
        };
        let muted_until = before.and_then(|member| member.muted_until);
        let role = Some(role);
        self.members.insert(
            user,
            MemberRecord {
                user,
                role,
                seq,
                joined: seq,
                sent,
                mark,
                muted_until,
            },
        );
        self.record.members = self.present as i64;
    }

    fn exit(&mut self, user: UserId, seq: Seq) {
        if let Some(member) = self.members.get_mut(&user) {
            self.present -= usize::from(member.role.is_some());
            member.role = None;
            member.seq = seq;
        }
        self.record.members = self.present as i64;
    }

    // -- marks -----------------------------------------------------------------------

    /// Where a mark at `seq` would stand; `None` when the window does not reach that far
    /// back and the database has to be asked.
    pub fn mark_at(&self, user: UserId, seq: Seq) -> Option<Mark> {
        let sent = self.members.get(&user)?.sent;
        if seq >= self.head() {
            return Some(Mark {
                read: self.head(),
                n: self.record.messages,
                own: sent,
            });
        }
        let n = self.window.get(seq)?.event.place.n;
        let newer = self
            .window
            .iter()
            .rev()
            .take_while(|entry| entry.seq() > seq);
        let own_newer = newer
            .filter(|entry| entry.event.draft.kind.is_message() && entry.event.draft.from == user);
        Some(Mark {
            read: seq,
            n,
            own: sent - own_newer.count() as i64,
        })
    }

    /// How far somebody had read, even if they have left.
    pub fn mark_of(&self, user: UserId) -> Option<Seq> {
        self.members.get(&user).map(|member| member.mark.read)
    }

    /// Moves somebody's mark forward; says where it was, or `None` when it did not move.
    pub fn set_mark(&mut self, user: UserId, mark: Mark) -> Option<Seq> {
        let member = self
            .members
            .get_mut(&user)
            .filter(|member| member.role.is_some())?;
        if mark.read <= member.mark.read {
            return None;
        }
        Some(std::mem::replace(&mut member.mark, mark).read)
    }

    /// Messages of others behind somebody's mark.
    pub fn unread(&self, member: &MemberRecord) -> i64 {
        let by_others = (self.record.messages - member.mark.n) - (member.sent - member.mark.own);
        by_others.max(0)
    }
}

fn draft(kind: EventKind, from: UserId, body: &impl serde::Serialize) -> Result<Draft> {
    Draft::system(kind, from, body).map_err(|cause| {
        log::error!("an event could not be encoded: {cause}");
        Error::internal()
    })
}

#[cfg(test)]
mod tests;
