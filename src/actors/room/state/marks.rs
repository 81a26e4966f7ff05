//! How far everybody has read. Unread is two subtractions from a mark, never a counter.

use super::RoomState;
use crate::db::{Mark, MemberRecord};
use crate::ids::{Seq, UserId};

impl RoomState {
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
