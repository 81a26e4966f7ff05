//! Judges a room afterwards: *clean* means that every acknowledged message is in history
//! exactly once, `seq` has no hole, every reader saw the same order, and nobody lacks what they
//! were not told of.

use std::collections::{BTreeMap, HashMap};

use super::view::{Event, RoomView, events_of};
use super::{Answer, Rest};

/// A message that the node has acknowledged, and so promised to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub room: String,
    pub epoch: String,
    pub seq: u64,
    pub at: u64,
    pub from: String,
    pub client_id: String,
    pub text: String,
    pub duplicate: bool,
}

/// A room's raw log, as it stands in the end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub epoch: String,
    pub events: Vec<Event>,
}

/// The whole raw log of a room, page by page.
pub async fn read_log(rest: &Rest, room: &str) -> Vec<Event> {
    read_history(rest, room).await.events
}

/// The same with the epoch that it belongs to.
pub async fn read_history(rest: &Rest, room: &str) -> History {
    let mut history = History::default();
    loop {
        let after = history.events.last().map_or(0, |event| event.seq);
        let page = page(rest, room, after).await.good();
        history.epoch = page["epoch"].as_str().expect("an epoch").to_owned();
        history.events.extend(events_of(&page));
        if page["more"] == false {
            return history;
        }
        let now = history.events.last().map_or(0, |event| event.seq);
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
    let history = read_history(rest, room).await;
    let wrong = judge(&history, acknowledged, readers);
    assert!(
        wrong.is_empty(),
        "{room} is not clean:\n{}",
        wrong.join("\n")
    );
    history.events
}

/// Everything that is wrong with a room.
pub fn judge(history: &History, acknowledged: &[Published], readers: &[&RoomView]) -> Vec<String> {
    let mut wrong = Vec::new();
    judge_numbers(&history.events, &mut wrong);
    judge_promises(history, acknowledged, &mut wrong);
    let mut stories = Stories::new(history, acknowledged);
    for reader in readers {
        stories.judge(reader, &mut wrong);
    }
    wrong
}

/// Numbers without holes, and messages counted one by one.
fn judge_numbers(log: &[Event], wrong: &mut Vec<String>) {
    let mut messages = 0;
    for (seq, event) in (1..).zip(log) {
        if event.seq != seq {
            wrong.push(format!("hole or repeat in history at {seq}: {event:?}"));
            return;
        }
        if event.kind == "message" {
            messages += 1;
            if event.n != Some(messages) {
                wrong.push(format!("not counted as {messages}: {event:?}"));
            }
        }
    }
}

/// Each acknowledged message once, at its place; and no other message twice either.
fn judge_promises(history: &History, acknowledged: &[Published], wrong: &mut Vec<String>) {
    let mut places: HashMap<(&str, &str), Vec<&Event>> = HashMap::new();
    for event in history
        .events
        .iter()
        .filter(|event| event.kind == "message")
    {
        let key = (event.from.as_str(), event.text());
        places.entry(key).or_default().push(event);
    }
    for found in places.values().filter(|found| found.len() > 1) {
        wrong.push(format!("one message at several places: {found:?}"));
    }
    for message in acknowledged {
        let key = (message.from.as_str(), message.text.as_str());
        match places.get(&key).map_or(&[][..], Vec::as_slice) {
            [] => wrong.push(format!("lost: {message:?}")),
            // A room that got a new epoch may have given the message a new place.
            [kept]
                if history.epoch == message.epoch
                    && (kept.seq, kept.at) != (message.seq, message.at) =>
            {
                wrong.push(format!("promised {message:?}, kept {kept:?}"));
            }
            _ => {}
        }
    }
}

/// What stands where, in every epoch that anybody has heard of.
struct Stories {
    last_epoch: String,
    told: HashMap<String, BTreeMap<u64, Event>>,
    /// What was acknowledged in epochs that are over: sender and text.
    promised: HashMap<(String, u64), (String, String)>,
}

impl Stories {
    fn new(history: &History, acknowledged: &[Published]) -> Self {
        let events = history.events.iter();
        let last = events.map(|event| (event.seq, event.clone())).collect();
        let over = acknowledged
            .iter()
            .filter(|message| message.epoch != history.epoch);
        Self {
            last_epoch: history.epoch.clone(),
            told: HashMap::from([(history.epoch.clone(), last)]),
            promised: over
                .map(|message| {
                    let place = (message.epoch.clone(), message.seq);
                    (place, (message.from.clone(), message.text.clone()))
                })
                .collect(),
        }
    }

    /// Every event that a reader has seen is the one that everybody else saw there.
    fn judge(&mut self, reader: &RoomView, wrong: &mut Vec<String>) {
        let past = reader.past.iter().map(|(epoch, log)| (epoch, log));
        for (epoch, log) in past.chain([(&reader.epoch, &reader.log)]) {
            let is_over = *epoch != self.last_epoch;
            let told = self.told.entry(epoch.clone()).or_default();
            for (seq, seen) in log {
                let known = told.get(seq).or(is_over.then_some(seen));
                if !known.is_some_and(|known| known.is_same_as(seen)) {
                    wrong.push(format!("seen {seen:?}, known {known:?} in {epoch}"));
                }
                let promised = self.promised.get(&(epoch.clone(), *seq));
                let is_it = |(from, text): &(String, String)| {
                    (from.as_str(), text.as_str()) == (&*seen.from, seen.text())
                };
                if !promised.is_none_or(is_it) {
                    wrong.push(format!("seen {seen:?}, promised {promised:?} in {epoch}"));
                }
                told.entry(*seq).or_insert_with(|| seen.clone());
            }
        }
    }
}

/// Fails unless this reader, who has stayed to the end, has everything or was told what not.
pub fn assert_all_told(reader: &RoomView, history: &History) {
    let end = history.events.last().map_or(0, |event| event.seq);
    assert_eq!(
        (&reader.epoch, reader.last),
        (&history.epoch, end),
        "a reader has not come to the end"
    );
    assert_eq!(reader.untold(), Vec::<u64>::new(), "missing, and not told");
}
