//! What one client knows of one room, and the rules that the server must keep towards it.
//!
//! Written from the protocol's text, not from the server's code: a hole, a repeat, a change of
//! what was said before is a failed test, wherever it happens.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// One entry of a room's log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub kind: String,
    pub from: String,
    pub at: u64,
    pub n: Option<u64>,
    pub client_id: Option<String>,
    pub target: Option<u64>,
    pub reply_to: Option<u64>,
    pub thread: Option<u64>,
    pub mentions: Option<Vec<String>>,
    #[serde(default)]
    pub body: Value,
}

impl Event {
    /// What a message says; empty for everything else.
    pub fn text(&self) -> &str {
        self.body["text"].as_str().unwrap_or_default()
    }

    /// The same fact, whoever is told: only the sender hears the `client_id`.
    pub fn is_same_as(&self, other: &Event) -> bool {
        let mut other = other.clone();
        other.client_id.clone_from(&self.client_id);
        *self == other
    }
}

/// What the server said it would not send here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Gap {
    pub epoch: String,
    pub from: u64,
    pub to: u64,
    pub reason: String,
}

/// One client's picture of one room.
#[derive(Debug, Default)]
pub struct RoomView {
    pub epoch: String,
    /// Everything received of this epoch, by place.
    pub log: BTreeMap<u64, Event>,
    /// What was received in earlier epochs.
    pub past: Vec<(String, BTreeMap<u64, Event>)>,
    /// What lies up to here, the first snapshot of this epoch did not promise.
    before: u64,
    pub gaps: Vec<Gap>,
    /// Does the client mean to be subscribed, now or when it is back?
    pub wanted: bool,
    /// Is a stream of events promised at this moment?
    pub subscribed: bool,
    /// Place of the last event that the stream has brought; the next is one more.
    pub last: u64,
    /// The place after which the client asked to go on, until the answer is complete.
    asked_after: Option<u64>,
}

impl RoomView {
    /// The client has asked to go on from here (`subscribe` with `after`, or `resume`).
    pub fn ask_after(&mut self, seq: u64) {
        self.asked_after = Some(seq);
    }

    /// Where the client is, as `after` and `resume` say it.
    pub fn position(&self) -> Value {
        json!({"epoch": self.epoch, "seq": self.last})
    }

    /// The client has asked for the newest events, wherever it was before.
    pub fn ask_newest(&mut self) {
        self.asked_after = None;
    }

    pub fn snapshot(&mut self, frame: &Value) {
        let events = events_of(frame);
        let head = number(frame, "head");
        let begin = events.first().map_or(head, |event| event.seq - 1);
        self.enter(frame, begin);
        assert!(events.len() <= 200, "a snapshot of {} events", events.len());
        if let Some(after) = self.asked_after.take() {
            assert_eq!(begin, after, "snapshot does not go on where asked: {frame}");
        }
        match events.last() {
            Some(last) => assert_eq!(last.seq, head, "snapshot does not end at its head"),
            None => self.last = head,
        }
        self.keep_run(events, None);
        self.last = head;
        self.subscribed = true;
    }

    pub fn event(&mut self, frame: &Value) {
        let event = Event::deserialize(frame).unwrap_or_else(|cause| panic!("{cause}: {frame}"));
        assert!(self.subscribed, "event without a subscription: {frame}");
        assert_eq!(
            self.epoch, frame["epoch"],
            "event of another epoch: {frame}"
        );
        assert_eq!(
            event.seq,
            self.last + 1,
            "hole or repeat in the stream: {frame}"
        );
        self.last = event.seq;
        self.keep(event);
    }

    /// A piece of the replay after `resume`.
    pub fn replay(&mut self, frame: &Value) {
        let after = self
            .asked_after
            .unwrap_or_else(|| panic!("nobody asked: {frame}"));
        let (from, to) = (number(frame, "from"), number(frame, "to"));
        assert_eq!(
            self.epoch, frame["epoch"],
            "replay of another epoch: {frame}"
        );
        let events = events_of(frame);
        assert!(events.len() <= 200, "a batch of {} events", events.len());
        assert_eq!(
            from,
            after + 1,
            "replay does not go on where asked: {frame}"
        );
        assert_eq!(
            to + 1 - from,
            events.len() as u64,
            "batch is not from…to: {frame}"
        );
        self.keep_run(events, Some(from));
        self.last = to;
        self.asked_after = Some(to);
        if frame["more"] == false {
            self.asked_after = None;
            self.subscribed = true;
        }
    }

    /// A page of `history`.
    pub fn page(&mut self, frame: &Value) {
        assert_eq!(
            self.epoch, frame["epoch"],
            "history of another epoch: {frame}"
        );
        self.keep_run(events_of(frame), None);
    }

    pub fn gap(&mut self, frame: &Value) {
        let gap = Gap::deserialize(frame).unwrap_or_else(|cause| panic!("{cause}: {frame}"));
        assert!(gap.from <= gap.to, "an empty gap: {frame}");
        match gap.reason.as_str() {
            "window" => {
                let after = self
                    .asked_after
                    .unwrap_or_else(|| panic!("nobody asked: {frame}"));
                assert_eq!(
                    gap.from,
                    after + 1,
                    "gap does not begin where asked: {frame}"
                );
                self.asked_after = Some(gap.to);
            }
            "epoch" => {
                assert_eq!(gap.from, 1, "{frame}");
                assert_ne!(
                    self.epoch, gap.epoch,
                    "gap for an epoch that is the same: {frame}"
                );
                self.asked_after = None;
                self.subscribed = false;
            }
            "lag" => {
                assert!(self.subscribed, "lag without a subscription: {frame}");
                assert_eq!(self.epoch, gap.epoch, "lag in another epoch: {frame}");
                // It may name what has come already, but must not leave anything out.
                assert!(
                    gap.from <= self.last + 1,
                    "gap does not follow the stream at {}: {frame}",
                    self.last
                );
                self.subscribed = false;
            }
            other => panic!("a gap for no known reason: {other}"),
        }
        self.gaps.push(gap);
    }

    /// Goes back to what was known at this place.
    pub fn forget_after(&mut self, seq: u64) {
        self.log.split_off(&(seq + 1));
        self.last = seq;
    }

    /// The connection is gone, and with it the subscription.
    pub fn disconnected(&mut self) {
        self.subscribed = false;
        self.asked_after = None;
    }

    /// The numbers below the last that this client never got.
    pub fn holes(&self) -> Vec<u64> {
        (1..=self.last)
            .filter(|seq| !self.log.contains_key(seq))
            .collect()
    }

    /// The numbers that this client never got, though it never was told so.
    pub fn untold(&self) -> Vec<u64> {
        let told = |seq: &u64| {
            let gaps = self.gaps.iter().filter(|gap| gap.epoch == self.epoch);
            *seq <= self.before
                || gaps
                    .into_iter()
                    .any(|gap| (gap.from..=gap.to).contains(seq))
        };
        let holes = self.holes().into_iter();
        holes.filter(|seq| !told(seq)).collect()
    }

    fn enter(&mut self, frame: &Value, begin: u64) {
        let epoch = frame["epoch"].as_str().expect("an epoch is a string");
        if self.epoch != epoch {
            let known = std::mem::take(&mut self.log);
            let before = std::mem::replace(&mut self.epoch, epoch.to_owned());
            if !known.is_empty() {
                self.past.push((before, known));
            }
            self.before = begin;
        }
    }

    fn keep_run(&mut self, events: Vec<Event>, from: Option<u64>) {
        let mut next = from;
        for event in events {
            assert!(
                next.is_none_or(|next| next == event.seq),
                "hole before {event:?}"
            );
            next = Some(event.seq + 1);
            self.keep(event);
        }
    }

    fn keep(&mut self, event: Event) {
        let known = self.log.entry(event.seq).or_insert_with(|| event.clone());
        assert!(
            known.is_same_as(&event),
            "two stories: {known:?} and {event:?}"
        );
    }
}

/// The events inside a `snapshot` or `batch`, or an answer of REST.
pub fn events_of(frame: &Value) -> Vec<Event> {
    Vec::deserialize(&frame["events"]).unwrap_or_else(|cause| panic!("{cause}: {frame}"))
}

/// A number that the frame must have.
pub fn number(frame: &Value, field: &str) -> u64 {
    frame[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field} in {frame}"))
}
