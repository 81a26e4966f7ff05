//! The rules of a room, tried without starting anything.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::error::Result;
use crate::ids::{Epoch, RoomId};
use crate::protocol::{ClientId, Draft, ErrorCode, Event, EventKind, Place};

const ANN: UserId = UserId::from_raw(1);
const BOB: UserId = UserId::from_raw(2);
const EVE: UserId = UserId::from_raw(3);

fn asker(user: UserId) -> Asker {
    Asker {
        user,
        role: UserRole::User,
    }
}

/// An open room of this person's.
pub(in crate::actors::room) fn room_of(owner: UserId) -> RoomState {
    let mut room = room(RoomKind::Open);
    let draft = room.join_draft(ANN, owner, Role::Owner).unwrap();
    append(&mut room, draft);
    room
}

/// A room of this kind that Ann owns.
fn room(kind: RoomKind) -> RoomState {
    let record = RoomRecord {
        id: RoomId::from_raw(9),
        kind,
        name: "tea".into(),
        topic: None,
        capacity: None,
        epoch: Epoch::random(),
        head: Seq::ZERO,
        messages: 0,
        last_message: Seq::ZERO,
        rights: Seq::ZERO,
        membership: Seq::ZERO,
        members: 0,
        closed: false,
        created_at: 0,
        changed_at: 0,
    };
    let loaded = LoadedRoom {
        room: record,
        members: Vec::new(),
        recent: Vec::new(),
    };
    let mut room = RoomState::load(loaded).unwrap();
    let founding = room.join_draft(ANN, ANN, Role::Owner).unwrap();
    append(&mut room, founding);
    room
}

/// What the log does: gives the draft the next place.
fn append(room: &mut RoomState, draft: Draft) -> Applied {
    let seq = room.head().next();
    let n = room.record().messages + i64::from(draft.kind.is_message());
    let event = Event {
        room: room.record().id,
        place: Place { seq, n, at: 0 },
        draft,
    };
    room.apply(Arc::new(Entry::new(event).unwrap()))
}

fn join(room: &mut RoomState, user: UserId) {
    let draft = room.join(asker(user), &HashSet::new()).unwrap().unwrap();
    append(room, draft);
}

fn say(room: &mut RoomState, user: UserId) {
    room.may_publish(asker(user), 0).unwrap();
    let draft = Draft {
        kind: EventKind::Message,
        from: user,
        client_id: ClientId::generate(),
        target: None,
        reply_to: None,
        thread: None,
        mentions: Vec::new(),
        body: r#"{"text":"hi"}"#.into(),
    };
    append(room, draft);
}

fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().unwrap().code
}

#[test]
fn a_private_room_does_not_exist_for_outsiders() {
    for kind in [RoomKind::Group, RoomKind::Dm] {
        let room = room(kind);
        assert_eq!(
            code(room.require_member(asker(EVE))),
            ErrorCode::RoomNotFound
        );
        assert_eq!(
            code(room.join(asker(EVE), &HashSet::new())),
            ErrorCode::RoomNotFound
        );
        assert_eq!(
            code(room.may_publish(asker(EVE), 0)),
            ErrorCode::RoomNotFound
        );
    }
    let open = room(RoomKind::Open);
    assert_eq!(code(open.require_member(asker(EVE))), ErrorCode::NotAMember);
}

#[test]
fn guests_see_open_rooms_only() {
    let guest = Asker {
        user: EVE,
        role: UserRole::Guest,
    };
    assert!(room(RoomKind::Open).join(guest, &HashSet::new()).is_ok());
    let broadcast = room(RoomKind::Broadcast);
    assert_eq!(
        code(broadcast.join(guest, &HashSet::new())),
        ErrorCode::RoomNotFound
    );
}

#[test]
fn joins_that_travel_together_count_against_the_capacity() {
    let mut room = room(RoomKind::Open);
    let change = RoomChange {
        capacity: Some(2),
        ..RoomChange::default()
    };
    let change = room.change(asker(ANN), &change).unwrap();
    append(&mut room, change);
    assert!(room.join(asker(BOB), &HashSet::new()).unwrap().is_some());
    let full = room.join(asker(EVE), &HashSet::from([BOB])).unwrap_err();
    assert_eq!(full.code, ErrorCode::RoomFull);
    assert_eq!(
        *full.detail.unwrap(),
        json!({ "capacity": 2, "members": 2 })
    );
    assert_eq!(
        room.join(asker(ANN), &HashSet::new()).unwrap(),
        None,
        "already in"
    );
}

#[test]
fn in_a_broadcast_room_members_only_read() {
    let mut room = room(RoomKind::Broadcast);
    join(&mut room, BOB);
    assert_eq!(code(room.may_publish(asker(BOB), 0)), ErrorCode::Forbidden);
    let promote = room
        .set_role(asker(ANN), BOB, Role::Moderator)
        .unwrap()
        .unwrap();
    append(&mut room, promote);
    assert!(room.may_publish(asker(BOB), 0).is_ok());
}

#[test]
fn power_reaches_downwards_only() {
    let mut room = room(RoomKind::Open);
    join(&mut room, BOB);
    join(&mut room, EVE);
    assert_eq!(code(room.kick(asker(BOB), EVE)), ErrorCode::Forbidden);
    let promote = room
        .set_role(asker(ANN), BOB, Role::Moderator)
        .unwrap()
        .unwrap();
    append(&mut room, promote);
    assert_eq!(code(room.kick(asker(BOB), ANN)), ErrorCode::Forbidden);
    let kick = room.kick(asker(BOB), EVE).unwrap();
    let rights_before = room.basis().rights;
    assert_eq!(append(&mut room, kick).removed, Some(EVE));
    assert!(
        room.basis().rights > rights_before,
        "the log will refuse older decisions"
    );
    assert_eq!(code(room.may_publish(asker(EVE), 0)), ErrorCode::NotAMember);
    assert_eq!(room.member_count(), 2);
}

#[test]
fn who_joins_a_group_again_reads_from_there() {
    let mut room = room(RoomKind::Group);
    let add = room.add(asker(ANN), BOB, &HashSet::new()).unwrap().unwrap();
    append(&mut room, add);
    assert_eq!(room.floor(asker(BOB)).unwrap(), Seq(2));
    for leave in room.leave(asker(BOB)).unwrap() {
        append(&mut room, leave);
    }
    say(&mut room, ANN);
    let add = room.add(asker(ANN), BOB, &HashSet::new()).unwrap().unwrap();
    append(&mut room, add);
    assert_eq!(room.floor(asker(BOB)).unwrap(), Seq(5));
}

#[test]
fn unread_is_two_subtractions() {
    let mut room = room(RoomKind::Open);
    join(&mut room, BOB);
    let unread = |room: &RoomState| room.unread(room.member(BOB).unwrap().0);
    assert_eq!(unread(&room), 0);
    say(&mut room, ANN);
    say(&mut room, BOB);
    say(&mut room, ANN);
    assert_eq!(
        unread(&room),
        2,
        "one's own message is not unread, and moves no mark"
    );
    let mark = room.mark_at(BOB, Seq(3)).unwrap();
    assert_eq!(room.set_mark(BOB, mark), Some(Seq(2)));
    assert_eq!(unread(&room), 1);
    let back = room.mark_at(BOB, Seq(2)).unwrap();
    assert_eq!(room.set_mark(BOB, back), None, "marks only move forward");
    let beyond = room.mark_at(BOB, Seq(1000)).unwrap();
    assert_eq!(beyond.read, room.head());
    room.set_mark(BOB, beyond);
    assert_eq!(unread(&room), 0);
}

#[test]
fn a_closed_room_takes_nothing() {
    let mut room = room(RoomKind::Open);
    let close = RoomChange {
        closed: Some(true),
        ..RoomChange::default()
    };
    let close = room.change(asker(ANN), &close).unwrap();
    append(&mut room, close);
    assert_eq!(code(room.may_publish(asker(ANN), 0)), ErrorCode::RoomClosed);
    assert_eq!(
        code(room.join(asker(BOB), &HashSet::new())),
        ErrorCode::RoomClosed
    );
}

#[test]
fn an_owner_who_leaves_hands_the_room_on() {
    let mut room = room(RoomKind::Open);
    join(&mut room, EVE);
    join(&mut room, BOB);
    let promote = room
        .set_role(asker(ANN), BOB, Role::Moderator)
        .unwrap()
        .unwrap();
    append(&mut room, promote);
    for event in room.leave(asker(ANN)).unwrap() {
        append(&mut room, event);
    }
    assert_eq!(
        room.member(BOB).unwrap().1,
        Role::Owner,
        "a moderator before older members"
    );
    assert_eq!(room.member_count(), 2);
    for event in room.departure(BOB).unwrap() {
        append(&mut room, event);
    }
    assert_eq!(room.member(EVE).unwrap().1, Role::Owner);
    assert_eq!(
        room.departure(EVE).unwrap().len(),
        1,
        "the last one just leaves"
    );
}
