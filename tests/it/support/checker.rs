//! Judges a room afterwards: *clean* means that every acknowledged message is in history
//! exactly once, `seq` has no hole, and every reader saw the same order.

use std::collections::HashMap;

use super::view::{Event, RoomView, events_of};
use super::{Answer, Rest};

/// A message that the node has acknowledged, and so promised to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub room: String,
    pub seq: u64,
    pub at: u64,
    pub from: String,
    pub client_id: String,
    pub text: String,
    pub duplicate: bool,
}

/// The whole raw log of a room, page by page.
pub async fn read_log(rest: &Rest, room: &str) -> Vec<Event> {
    let mut log: Vec<Event> = Vec::new();
    loop {
        let after = log.last().map_or(0, |event| event.seq);
        let page = page(rest, room, after).await.good();
        log.extend(events_of(&page));
        if page["more"] == false {
            return log;
        }
        let now = log.last().map_or(0, |event| event.seq);
        assert!(
            now > after,
            "a page with more behind it does not go on: {page}"
        );
    }
}

async fn page(rest: &Rest, room: &str, after: u64) -> Answer {
    rest.get(&format!("rooms/{room}/events?after={after}&limit=200"))
        .await
}

/// Fails unless the room is clean. Texts must be unique: they tell messages apart. Gives the log.
pub async fn assert_clean(
    rest: &Rest,
    room: &str,
    acknowledged: &[Published],
    readers: &[&RoomView],
) -> Vec<Event> {
    let log = read_log(rest, room).await;
    assert_dense(&log);
    let mut places: HashMap<(&str, &str), Vec<u64>> = HashMap::new();
    for event in log.iter().filter(|event| event.kind == "message") {
        places
            .entry((&event.from, event.text()))
            .or_default()
            .push(event.seq);
    }
    for message in acknowledged {
        let found = places.get(&(message.from.as_str(), message.text.as_str()));
        assert_eq!(
            found,
            Some(&vec![message.seq]),
            "promised once: {message:?}"
        );
    }
    let repeated = places.values().find(|places| places.len() > 1);
    assert_eq!(repeated, None, "one message at several places");
    for reader in readers {
        assert_same(&log, reader);
    }
    log
}

/// Numbers without holes, and messages counted one by one.
fn assert_dense(log: &[Event]) {
    let mut messages = 0;
    for (place, event) in log.iter().enumerate() {
        assert_eq!(
            event.seq,
            place as u64 + 1,
            "hole or repeat in history: {event:?}"
        );
        if event.kind == "message" {
            messages += 1;
            assert_eq!(event.n, Some(messages), "messages are counted: {event:?}");
        }
    }
}

/// Every event that a reader has seen is the one in history.
fn assert_same(log: &[Event], reader: &RoomView) {
    for (seq, seen) in &reader.log {
        let kept = log.get(*seq as usize - 1);
        assert!(
            kept.is_some_and(|kept| kept.is_same_as(seen)),
            "seen {seen:?}, kept {kept:?}"
        );
    }
}
