//! Appends: one script call, and everything that may have to come before it works.
//!
//! A room that Redis does not hold is seeded; an id that only the database can know is
//! looked up there; an answer that never came is asked for again. What a caller gets is
//! either certain or `unavailable`; for those whose ids nobody can look up while the database
//! is away, and for nobody else, it is `Unknown`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::doubtful::Doubtful;
use super::link::Fault;
use super::reading::Seeded;
use super::reply::{AppendReply, Placing};
use super::scripts::Life;
use super::{Inner, keys};
use crate::actors::persistence::write_back;
use crate::db::{Append, Appended, Fate, new_events};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::protocol::stored::encode_draft;
use crate::protocol::{Draft, Event, EventKind};

/// How long an append is tried before its outcome is unknown to its sender.
const DEADLINE: Duration = Duration::from_secs(3);
/// Between two attempts while Redis is away.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How long the database may take to say which ids it knows: the room waits for it.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);
/// When a sender may try again who met a Redis without memory.
const RETRY_AFTER_MS: u64 = 1000;

/// An append under way.
struct Attempt<'a> {
    append: &'a Append,
    doubtful: Doubtful,
    /// What is known of each draft; `None` still has to be appended.
    fates: Vec<Option<Fate>>,
    /// When the database was found not to know the draft's id, by Redis' clock; 0 before.
    checked_at: Vec<i64>,
    /// The life of Redis in which it was last tried.
    life: Option<Arc<str>>,
    /// May an earlier attempt have taken place, without an answer?
    unsure: bool,
    until: Instant,
}

/// What one attempt has come to.
enum Step {
    /// It is certain; and did it make a clean room dirty?
    Done(Appended, bool),
    Again,
    Wait,
}

impl Inner {
    /// See [`crate::actors::registry::Broker::append`].
    pub(super) async fn append(&self, append: Append, doubtful: Doubtful) -> Result<Appended> {
        let count = append.drafts.len();
        let places = append.drafts.iter().map(Draft::places).sum();
        self.backlog.reserve(places)?;
        let mut attempt = Attempt {
            append: &append,
            doubtful,
            fates: vec![None; count],
            checked_at: vec![0; count],
            life: None,
            unsure: false,
            until: Instant::now() + DEADLINE,
        };
        let outcome = self.try_until_certain(&mut attempt).await;
        let (appended, became_dirty) = match outcome {
            Ok(certain) => certain,
            Err(error) => {
                self.backlog.release(places);
                return Err(error);
            }
        };
        let events = match &appended {
            Appended::Done(fates) => new_events(append.room, append.drafts.clone(), fates),
            _ => Vec::new(),
        };
        let kept: usize = events.iter().map(|event| event.draft.places()).sum();
        self.backlog.release(places - kept);
        if !events.is_empty() {
            self.tell_write_back(write_back::Appended {
                room: append.room,
                events,
                became_dirty,
            });
        }
        self.hold_repeats(&append, &appended);
        Ok(appended)
    }

    /// What is acknowledged is held here until it is in the database, also what another node
    /// has appended: if Redis is lost meanwhile, it may be in nobody else's hands.
    fn hold_repeats(&self, append: &Append, appended: &Appended) {
        let Appended::Done(fates) = appended else {
            return;
        };
        let repeats = append.drafts.iter().zip(fates);
        let repeats = repeats.filter_map(|(draft, fate)| match fate {
            Fate::Duplicate(place) => Some(Event {
                room: append.room,
                place: *place,
                draft: draft.clone(),
            }),
            Fate::New(_) | Fate::Conflict | Fate::Poison | Fate::Unknown => None,
        });
        let events: Vec<_> = repeats.collect();
        if !events.is_empty() {
            let room = append.room;
            self.tell_write_back(write_back::Heard { room, events });
        }
    }

    async fn try_until_certain(&self, attempt: &mut Attempt<'_>) -> Result<(Appended, bool)> {
        loop {
            match self.step(attempt).await? {
                Step::Done(appended, became_dirty) => return Ok((appended, became_dirty)),
                Step::Again => {}
                Step::Wait => tokio::time::sleep(RETRY_INTERVAL).await,
            }
            if Instant::now() >= attempt.until {
                return Err(Error::unavailable());
            }
        }
    }

    /// Tries once, and judges what came of it.
    async fn step(&self, attempt: &mut Attempt<'_>) -> Result<Step> {
        let patience = attempt.until.saturating_duration_since(Instant::now());
        let life = self.gate.opened(patience).await;
        let life = life.ok_or_else(Error::unavailable)?;
        attempt.enter(&life.name);
        let append = attempt.append;
        let open: Vec<usize> = (0..append.drafts.len())
            .filter(|index| attempt.fates[*index].is_none())
            .collect();
        if open.is_empty() {
            return Ok(Step::Done(attempt.settled()?, false));
        }
        let call = attempt.call(&life.append, &open)?;
        failpoint::at("redis::before_append");
        let answer = self.link.run(&call).await;
        failpoint::at("redis::after_append");
        if !self.gate.still_lives(&life) {
            // What was answered belongs to a life that has ended: it may be in no log.
            attempt.unsure = true;
            attempt.forget_checks();
            return Ok(Step::Wait);
        }
        match answer.and_then(|answer| AppendReply::read(append.room, open.len(), answer)) {
            Ok(reply) => self.judge(attempt, &open, &life, reply).await,
            Err(fault) => self.judge_fault(attempt, &fault),
        }
    }

    /// What an answer in the present life means for an append.
    async fn judge(
        &self,
        attempt: &mut Attempt<'_>,
        open: &[usize],
        life: &Life,
        reply: AppendReply,
    ) -> Result<Step> {
        match reply {
            AppendReply::Done { dirty, placings } => {
                attempt.settle(open, &placings);
                Ok(Step::Done(attempt.settled()?, dirty))
            }
            AppendReply::Stale { head, newer } => {
                Ok(Step::Done(Appended::Stale { newer, head }, false))
            }
            AppendReply::Ask { now, drafts } => {
                self.look_up(attempt, open, &drafts, now).await?;
                Ok(Step::Again)
            }
            AppendReply::Cold { now } => {
                attempt.forget_checks();
                match self.seed(attempt.append.room, life, now).await? {
                    Seeded::Here => Ok(Step::Again),
                    Seeded::TooLate => Ok(Step::Wait),
                    Seeded::NoRoom => Ok(Step::Done(Appended::NoRoom, false)),
                }
            }
            AppendReply::NoLife => self.judge_fault(attempt, &Fault::NoScript),
            AppendReply::Behind => {
                attempt.forget_checks();
                self.gate.fence_lossy(life);
                Ok(Step::Wait)
            }
        }
    }

    /// What it means that there is no answer, or none that can be read.
    fn judge_fault(&self, attempt: &mut Attempt<'_>, fault: &Fault) -> Result<Step> {
        match fault {
            Fault::NoScript => {
                attempt.forget_checks();
                self.gate.fence();
                Ok(Step::Wait)
            }
            Fault::Full => Err(Error::overloaded(RETRY_AFTER_MS)),
            Fault::Away(_) => {
                attempt.unsure = true;
                Ok(Step::Wait)
            }
            // It may have taken place: to repeat it is safe, to say that it was refused is not.
            Fault::Malformed(_) => {
                self.refused(fault);
                Err(Error::unavailable())
            }
            Fault::Refused(_) => {
                log::error!("room={} an append is refused", attempt.append.room);
                Err(self.refused(fault))
            }
        }
    }

    /// Learns from the database which of these drafts it has, or leaves them out.
    async fn look_up(
        &self,
        attempt: &mut Attempt<'_>,
        open: &[usize],
        numbers: &[usize],
        now: i64,
    ) -> Result<()> {
        let asked: Vec<usize> = numbers
            .iter()
            .filter_map(|number| open.get(number.wrapping_sub(1)).copied())
            .collect();
        if attempt.doubtful == Doubtful::FailAll {
            return self.ask_database(attempt, &asked, now).await;
        }
        if !self.silence.lasts() {
            let asking = self.ask_database(attempt, &asked, now);
            match tokio::time::timeout(QUESTION_TIMEOUT, asking).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) | Err(_) => self.silence.begin(),
            }
        }
        attempt.leave_out(&asked);
        Ok(())
    }

    /// Learns from the database which of these drafts it has.
    async fn ask_database(
        &self,
        attempt: &mut Attempt<'_>,
        asked: &[usize],
        now: i64,
    ) -> Result<()> {
        let drafts = &attempt.append.drafts;
        let ids: Vec<_> = asked
            .iter()
            .map(|index| (drafts[*index].from, drafts[*index].client_id.clone()))
            .collect();
        let room = attempt.append.room;
        let found = self.db.run(move |store| store.find(room, &ids)).await?;
        for (index, found) in asked.iter().zip(found) {
            attempt.checked_at[*index] = now;
            attempt.fates[*index] = found.map(|(digest, place)| {
                if digest == drafts[*index].digest() {
                    Fate::Duplicate(place)
                } else {
                    Fate::Conflict
                }
            });
        }
        Ok(())
    }
}

impl Attempt<'_> {
    fn call(&self, script: &super::scripts::Called, open: &[usize]) -> Result<redis::Cmd> {
        let Append {
            room,
            basis,
            drafts,
        } = self.append;
        let joins = drafts.iter().any(|draft| draft.kind == EventKind::Join);
        let mut call = script.call(&keys::of_append(*room));
        call.arg(room.to_string())
            .arg(keys::channel(*room))
            .arg(basis.head.0)
            .arg(basis.rights.0)
            .arg(basis.membership.0)
            .arg(u8::from(joins));
        for index in open {
            let draft = &drafts[*index];
            let payload = encode_draft(draft).map_err(|_| Error::bad_field("body is not JSON"))?;
            call.arg(id(draft))
                .arg(draft.client_id.made_at())
                .arg(draft.digest())
                .arg(flags(&draft.kind))
                .arg(payload)
                .arg(self.checked_at[*index]);
        }
        Ok(call)
    }

    /// Leaves out what the senders of these have in this append: all of it, so that nothing
    /// overtakes what was sent before it, and what was decided as one stays one.
    fn leave_out(&mut self, asked: &[usize]) {
        let drafts = &self.append.drafts;
        let senders: HashSet<_> = asked.iter().map(|index| drafts[*index].from).collect();
        for (draft, fate) in drafts.iter().zip(&mut self.fates) {
            if senders.contains(&draft.from) {
                fate.get_or_insert(Fate::Unknown);
            }
        }
    }

    /// What was not in the database in another life may have been brought there since.
    fn enter(&mut self, life: &Arc<str>) {
        if self
            .life
            .replace(life.clone())
            .is_some_and(|before| before != *life)
        {
            self.forget_checks();
        }
    }

    /// What the database did not know belongs to the life in which it was asked.
    fn forget_checks(&mut self) {
        self.checked_at.fill(0);
    }

    fn settle(&mut self, open: &[usize], placings: &[Placing]) {
        for (index, placing) in open.iter().zip(placings) {
            self.fates[*index] = Some(match placing {
                Placing::New(place) => Fate::New(*place),
                // It was this very call, whose answer was lost.
                Placing::Same(place) if self.unsure => Fate::New(*place),
                Placing::Same(place) => Fate::Duplicate(*place),
                Placing::Other => Fate::Conflict,
            });
        }
    }

    /// All fates; what has none may be in the log all the same.
    fn settled(&self) -> Result<Appended> {
        let fates: Option<Vec<Fate>> = self.fates.iter().copied().collect();
        fates.map(Appended::Done).ok_or_else(Error::unavailable)
    }
}

/// What a draft is known by in its room.
fn id(draft: &Draft) -> String {
    format!("{}:{}", draft.from, draft.client_id.as_str())
}

/// What the script has to know of a draft.
fn flags(kind: &EventKind) -> String {
    let flags = [
        (kind.is_message(), 'm'),
        (kind.restricts(), 'r'),
        (kind.changes_membership(), 'c'),
    ];
    flags
        .iter()
        .filter_map(|(set, letter)| set.then_some(letter))
        .collect()
}
