//! How the scripts say what the model says.

use std::collections::BTreeMap;

use super::model::log::{Draft, Event, Kind, Life, Room};
use super::model::scripts::{Fate, Hot, No};

/// The keys of a room, in the scripts' order.
pub(super) fn keys(room: Room) -> [String; 6] {
    ["life", "dirty", "r", "l", "i", "q"].map(|key| format!("{{b{room}}}:{key}"))
}

/// The same, borrowed.
pub(super) fn refs(keys: &[String; 6]) -> [&str; 6] {
    keys.each_ref().map(String::as_str)
}

/// The name of a life.
pub(super) fn name(life: Life) -> String {
    format!("L{life}")
}

/// What the append script has to know of a kind.
pub(super) fn flags(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "m",
        Kind::Join => "c",
        Kind::Kick => "rc",
        Kind::Void => "",
    }
}

/// What stands behind an event's place.
pub(super) fn payload(draft: &Draft) -> String {
    let text = format!("{}:{} {}", draft.name.0, draft.name.1, flags(draft.kind));
    format!("{text:.<width$}", width = draft.bytes)
}

/// As the log holds them.
pub(super) fn events(events: &[Event]) -> Vec<String> {
    let spell = |e: &Event| format!("1 {} {} {} {}", e.seq, e.n, e.at, payload(&e.draft));
    events.iter().map(spell).collect()
}

/// A fate, without what the model does not tell.
pub(super) fn spell(fate: Fate) -> String {
    match fate {
        Fate::New(seq, at) => format!("N {seq} {at}"),
        Fate::Duplicate(seq, at) => format!("D {seq} {at}"),
        Fate::Conflict(seq) => format!("C {seq}"),
    }
}

/// A fate without what the model does not tell.
pub(super) fn short(fate: &str) -> String {
    let parts: Vec<&str> = fate.split(' ').collect();
    match parts[0] {
        "C" => format!("C {}", parts[1]),
        of => format!("{of} {} {}", parts[1], parts[3]),
    }
}

/// Why nothing was done.
pub(super) fn spell_no(no: No) -> Vec<String> {
    match no {
        No::OtherLife => vec!["NOLIFE".into()],
        No::Cold(now) => vec!["COLD".into(), now.to_string()],
        No::Behind => vec!["BEHIND".into()],
        No::Stale => vec!["STALE".into()],
        No::Old => vec!["OLD".into()],
        No::Ahead => vec!["AHEAD".into()],
        No::Ask(which, now) => {
            let mut answer = vec!["ASK".into(), now.to_string()];
            answer.extend(which.iter().map(|index| (index + 1).to_string()));
            answer
        }
    }
}

/// The hash of a room.
pub(super) fn fields(hot: &Hot) -> BTreeMap<String, String> {
    let numbers = [
        ("epoch", i64::from(hot.epoch)),
        ("head", hot.head),
        ("n", hot.n),
        ("flushed", hot.flushed),
        ("floor", hot.floor),
        ("rights", hot.rights),
        ("members", hot.members),
        ("at", hot.at),
        ("bytes", hot.bytes as i64),
        ("weighed", hot.weighed),
    ];
    let numbers = numbers.map(|(field, number)| (field.to_owned(), number.to_string()));
    let ahead = hot.ahead.iter();
    let ahead = ahead.map(|(person, at)| (format!("a:{person}"), at.to_string()));
    let life = ("life".to_owned(), name(hot.life));
    numbers.into_iter().chain(ahead).chain([life]).collect()
}
