//! What a node hears of its rooms, and whom it tells.

use super::*;
use crate::protocol::{Draft, EventKind, Place};

const TEA: RoomId = RoomId::from_raw(1);
const ANN: UserId = UserId::from_raw(1);
const BOB: UserId = UserId::from_raw(2);

fn message(seq: i64, from: UserId, mentions: &[UserId]) -> Event {
    let mut draft = Draft::system(EventKind::Message, from, &"").unwrap();
    draft.mentions = mentions.to_vec();
    Event {
        room: TEA,
        place: Place {
            seq: Seq(seq),
            n: seq,
            at: 0,
        },
        draft,
    }
}

fn known(head: i64) -> Known {
    Known {
        room: TEA,
        head: Seq(head),
        messages: head,
    }
}

/// What Ann is told, as (head, own, mentions).
fn told(interest: &mut Interest) -> Vec<(i64, i64, i64)> {
    let changes = interest.take_changes();
    let anns = changes.into_iter().filter(|(user, ..)| *user == ANN);
    anns.flat_map(|(_, loud, _)| loud)
        .map(|change| (change.head.0, change.own, change.mentions))
        .collect()
}

#[test]
fn a_member_is_told_sums_since_they_began_to_listen() {
    let mut interest = Interest::default();
    assert!(interest.watch(ANN, &[known(3)]).is_empty());
    let events = [
        message(4, BOB, &[ANN]),
        message(5, ANN, &[]),
        message(6, BOB, &[]),
    ];
    assert_eq!(interest.hear(TEA, &events), Heard::Counted);
    assert_eq!(told(&mut interest), [(6, 1, 1)]);
    assert_eq!(told(&mut interest), [], "told once");
    assert_eq!(interest.hear(TEA, &events[1..]), Heard::Counted);
    interest.hear(TEA, &[message(7, ANN, &[])]);
    assert_eq!(told(&mut interest), [(7, 2, 1)], "repeats do not count");
}

#[test]
fn a_hole_is_noticed_and_nothing_behind_it_counted() {
    let mut interest = Interest::default();
    interest.watch(ANN, &[known(3)]);
    assert_eq!(
        interest.hear(TEA, &[message(5, BOB, &[])]),
        Heard::Hole(Seq(3))
    );
    assert_eq!(interest.head(TEA), Some(Seq(3)));
}

#[test]
fn who_looked_earlier_than_the_node_looks_again() {
    let mut interest = Interest::default();
    interest.watch(BOB, &[known(5)]);
    assert_eq!(interest.watch(ANN, &[known(4)]), [TEA]);
    assert_eq!(interest.head(TEA), Some(Seq(5)));
    // Where others write all the time she may never be quick enough: she is told meanwhile.
    interest.hear(TEA, &[message(6, BOB, &[ANN])]);
    assert_eq!(told(&mut interest), [(6, 0, 1)]);
    assert!(interest.watch(ANN, &[known(6)]).is_empty());
}

#[test]
fn events_that_a_person_has_counted_themselves_are_not_counted_twice() {
    let mut interest = Interest::default();
    interest.watch(BOB, &[known(3)]);
    interest.watch(ANN, &[known(5)]);
    interest.hear(
        TEA,
        &[
            message(4, ANN, &[]),
            message(5, ANN, &[]),
            message(6, ANN, &[]),
        ],
    );
    assert_eq!(told(&mut interest), [(6, 1, 0)]);
}

#[test]
fn a_quiet_room_only_adds_to_the_total() {
    let mut interest = Interest::default();
    interest.watch(ANN, &[known(3)]);
    interest.set_quiet(ANN, TEA, true);
    interest.hear(TEA, &[message(4, BOB, &[])]);
    assert_eq!(told(&mut interest), []);
    interest.set_quiet(ANN, TEA, false);
    interest.hear(TEA, &[message(5, BOB, &[])]);
    assert_eq!(told(&mut interest), [(5, 0, 0)]);
}

#[test]
fn a_room_is_forgotten_with_the_last_who_cared() {
    let mut interest = Interest::default();
    interest.watch(ANN, &[known(3)]);
    interest.load(known(3));
    assert!(interest.leave(ANN).is_empty(), "its actor still runs");
    assert!(interest.unload(TEA));
    assert_eq!(interest.hear(TEA, &[message(4, BOB, &[])]), Heard::Unwanted);
}

#[test]
fn loaded_rooms_are_compared_each_time_and_many_others_in_turn() {
    let mut interest = Interest::default();
    let light: Vec<_> = (1..=5000)
        .map(|number| Known {
            room: RoomId::from_raw(number * 7919),
            ..known(1)
        })
        .collect();
    interest.watch(ANN, &light);
    interest.load(known(1));
    let mut turns: HashMap<RoomId, usize> = HashMap::new();
    for turn in 0..6 {
        let rooms = interest.next_rooms(turn);
        assert!(rooms.len() < 2500, "{} in one turn", rooms.len());
        for room in rooms {
            *turns.entry(room).or_default() += 1;
        }
    }
    assert_eq!(turns.remove(&TEA), Some(6));
    assert_eq!(turns.len(), 5000);
    assert!(turns.values().all(|times| *times == 2), "three slices");
}
