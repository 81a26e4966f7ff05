//! The judge is judged: doctored logs, each of which it must find.

use serde_json::{Value, json};

use crate::support::{Event, History, Published, RoomView, assert_all_told, judge};

/// A room in which ann has said `m1` … `m5`, all acknowledged, and a reader has heard it all.
struct Case {
    history: History,
    promised: Vec<Published>,
    reader: RoomView,
}

fn event(seq: u64, text: &str) -> Value {
    json!({
        "seq": seq, "kind": "message", "from": "ann", "at": 1000 + seq, "n": seq,
        "body": {"text": text},
    })
}

fn parsed(event: &Value) -> Event {
    serde_json::from_value(event.clone()).unwrap()
}

fn promise(epoch: &str, seq: u64) -> Published {
    Published {
        room: "r".into(),
        epoch: epoch.into(),
        seq,
        at: 1000 + seq,
        from: "ann".into(),
        client_id: format!("id{seq}"),
        text: format!("m{seq}"),
        duplicate: false,
    }
}

/// A reader who came to this epoch with a snapshot of these events, the last of which is the head.
fn snapshot(reader: &mut RoomView, epoch: &str, events: &[Value]) {
    let head = events.last().unwrap()["seq"].clone();
    reader.snapshot(&json!({"epoch": epoch, "head": head, "events": events}));
}

fn case() -> Case {
    let events: Vec<_> = (1..=5).map(|seq| event(seq, &format!("m{seq}"))).collect();
    let mut reader = RoomView::default();
    snapshot(&mut reader, "e1", &events);
    Case {
        history: History {
            epoch: "e1".into(),
            events: events.iter().map(parsed).collect(),
        },
        promised: (1..=5).map(|seq| promise("e1", seq)).collect(),
        reader,
    }
}

/// What the judge says about a case that was doctored.
fn verdict(doctor: impl FnOnce(&mut Case)) -> String {
    let mut case = case();
    doctor(&mut case);
    judge(&case.history, &case.promised, &[&case.reader]).join("\n")
}

#[track_caller]
fn assert_found(what: &str, doctor: impl FnOnce(&mut Case)) {
    let said = verdict(doctor);
    assert!(said.contains(what), "not found: {what}; instead: {said:?}");
}

#[test]
fn a_sound_room_is_clean() {
    assert_eq!(verdict(|_| {}), "");
    let case = case();
    assert_all_told(&case.reader, &case.history);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_found() {
    // Lost from the end, which leaves no hole; and turned into nothing.
    assert_found("lost", |case| {
        case.history.events.pop();
        case.reader.forget_after(4);
    });
    assert_found("lost", |case| {
        let void = json!({"seq": 5, "kind": "void", "from": "ann", "at": 1005});
        case.history.events[4] = parsed(&void);
        case.reader.forget_after(4);
    });
}

#[test]
fn a_hole_and_a_wrong_count_are_found() {
    assert_found("hole or repeat in history at 3", |case| {
        case.history.events.remove(2);
    });
    assert_found("not counted as 4", |case| {
        case.history.events[3].n = Some(7);
    });
}

#[test]
fn one_message_at_two_places_is_found() {
    assert_found("at several places", |case| {
        case.history.events.push(parsed(&event(6, "m2")));
    });
}

#[test]
fn a_message_elsewhere_than_promised_is_found() {
    assert_found("promised", |case| {
        case.promised[1].seq = 3;
    });
    assert_found("promised", |case| {
        case.promised[1].at = 5;
    });
}

#[test]
fn two_orders_are_found() {
    assert_found("seen", |case| {
        let mut other = RoomView::default();
        let swapped = [event(1, "m1"), event(2, "m3"), event(3, "m2")];
        snapshot(&mut other, "e1", &swapped);
        case.reader = other;
    });
    // Something that was seen and is not there any more.
    assert_found("seen", |case| {
        let more = json!({"epoch": "e1"});
        let mut more = more.as_object().unwrap().clone();
        more.extend(event(6, "m6").as_object().unwrap().clone());
        case.reader.event(&Value::Object(more));
    });
}

#[test]
fn two_stories_about_an_epoch_that_is_over_are_found() {
    let over = |case: &mut Case, text: &str| {
        let mut reader = RoomView::default();
        snapshot(&mut reader, "e0", &[event(1, text)]);
        let events: Vec<_> = (1..=5).map(|seq| event(seq, &format!("m{seq}"))).collect();
        snapshot(&mut reader, "e1", &events);
        case.reader = reader;
    };
    // An epoch's places may differ from the next one's, and a promise moves with its message …
    assert_eq!(
        verdict(|case| {
            case.promised[1] = promise("e0", 1);
            case.promised[1].text = "m2".into();
            over(case, "m2");
        }),
        ""
    );
    // … but within one epoch a place holds one thing.
    assert_found("in e0", |case| {
        case.promised[1] = promise("e0", 1);
        case.promised[1].text = "m2".into();
        over(case, "m3");
    });
    let mut case = case();
    over(&mut case, "m3");
    let mut other = RoomView::default();
    snapshot(&mut other, "e0", &[event(1, "m2")]);
    let said = judge(&case.history, &[], &[&case.reader, &other]);
    assert!(said.join("").contains("in e0"), "{said:?}");
}

#[test]
fn what_a_reader_was_not_told_of_is_found() {
    let mut reader = RoomView::default();
    snapshot(&mut reader, "e1", &[event(3, "m3")]);
    assert!(reader.untold().is_empty(), "what lies before the snapshot");
    reader.forget_after(2);
    reader.last = 5;
    assert_eq!(reader.untold(), vec![3_u64, 4, 5]);
    reader.ask_after(2);
    let gap = json!({"epoch": "e1", "from": 3, "to": 4, "reason": "window"});
    reader.gap(&gap);
    assert_eq!(reader.untold(), vec![5_u64]);
    let missing = std::panic::catch_unwind(|| assert_all_told(&reader, &case().history));
    assert!(missing.is_err(), "a hole that nobody told of");
    reader.last = 4;
    let behind = std::panic::catch_unwind(|| assert_all_told(&reader, &case().history));
    assert!(behind.is_err(), "a reader who is not at the end");
}
