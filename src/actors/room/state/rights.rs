//! Who may do what: each question answers with the draft to append, or with the refusal.

use std::cmp::Reverse;
use std::collections::HashSet;

use serde_json::json;

use super::{Asker, RoomChange, RoomState};
use crate::db::{MemberRecord, Role, RoomKind, UserRole};
use crate::error::{Error, Result};
use crate::ids::{Seq, UserId};
use crate::protocol::{Draft, ErrorCode, EventKind, MemberChange};

impl RoomState {
    /// The asker's standing, or the error that tells them no more than they may know.
    pub fn require_member(&self, asker: Asker) -> Result<(&MemberRecord, Role)> {
        self.require_visible(asker)?;
        self.member(asker.user)
            .ok_or_else(|| Error::new(ErrorCode::NotAMember, "join the room first"))
    }

    /// A private room does not exist for those who are not in it.
    pub fn require_visible(&self, asker: Asker) -> Result<()> {
        if self.is_hidden_from(asker) {
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

    /// May the asker not even know that the room exists?
    pub fn is_hidden_from(&self, asker: Asker) -> bool {
        let guest_may = asker.role != UserRole::Guest || self.record.kind == RoomKind::Open;
        let is_public = self.record.kind.is_public() && guest_may;
        self.member(asker.user).is_none() && !is_public
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

    /// The events by which the asker leaves.
    pub fn leave(&self, asker: Asker) -> Result<Vec<Draft>> {
        self.require_member(asker)?;
        if self.record.kind == RoomKind::Dm {
            return Err(Error::new(ErrorCode::Forbidden, "a dm cannot be left"));
        }
        self.departure(asker.user)
    }

    /// The events by which somebody is gone, whatever the room is: their account is. An
    /// owner hands the room on first, so that somebody can still look after it.
    pub fn departure(&self, user: UserId) -> Result<Vec<Draft>> {
        let mut drafts = Vec::new();
        let Some((_, role)) = self.member(user) else {
            return Ok(drafts);
        };
        if let Some(heir) = self.heir_of(user).filter(|_| role == Role::Owner) {
            let role = Some(Role::Owner.as_str().to_owned());
            drafts.push(draft(
                EventKind::Role,
                user,
                &MemberChange {
                    user: heir,
                    role,
                    until: None,
                },
            )?);
        }
        drafts.push(draft(
            EventKind::Leave,
            user,
            &MemberChange {
                user,
                role: None,
                until: None,
            },
        )?);
        Ok(drafts)
    }

    /// The most powerful of the others; among equals who has been here longest.
    fn heir_of(&self, owner: UserId) -> Option<UserId> {
        let others = self.members().filter(|(member, _)| member.user != owner);
        let heir = others.max_by_key(|(member, role)| (*role, Reverse(member.joined)));
        heir.map(|(member, _)| member.user)
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
}

fn draft(kind: EventKind, from: UserId, body: &impl serde::Serialize) -> Result<Draft> {
    Draft::system(kind, from, body).map_err(|cause| {
        log::error!("an event could not be encoded: {cause}");
        Error::internal()
    })
}
