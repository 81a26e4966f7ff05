//! What a room is about to append: decides drafts, and settles them when they have a place.
//!
//! One append is in flight; what comes meanwhile gathers, up to 64 drafts, and is decided on
//! the newest state when its turn comes. A refused append is decided again.

use std::collections::{HashSet, VecDeque};

use super::answer::{Acked, Joined};
use super::command::Command;
use super::state::{Asker, RoomState};
use crate::actors::Refuse;
use crate::db::Fate;
use crate::error::{Error, Result};
use crate::ids::{Seq, UserId};
use crate::protocol::{Draft, ErrorCode, EventKind, Place};

/// Most drafts in one append.
const MAX_DRAFTS: usize = 64;
/// Commands that may wait for their append.
const MAX_WAITING: usize = 2048;
/// When somebody may try again who met a full queue.
const RETRY_AFTER_MS: u64 = 500;

/// Commands that append, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Appends {
    waiting: VecDeque<Waiting>,
    /// What is being appended; empty when nothing is.
    in_flight: Vec<Planned>,
}

/// A command that waits for its turn.
#[derive(Debug)]
struct Waiting {
    command: Command,
    /// Came it before the head was last read? Then a *no* is one.
    certain: bool,
}

/// What is to be done next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To be appended; empty while an append is in flight, or when there is nothing.
    pub drafts: Vec<Draft>,
    /// Commands that would be refused, by a state that may be old, and what the same people
    /// sent behind them.
    pub doubtful: Vec<Command>,
}

/// A command with the drafts that were made for it.
#[derive(Debug)]
struct Planned {
    command: Command,
    drafts: usize,
}

impl Appends {
    /// Takes a command in, or refuses it. `certain`: a *no* from the present state is one.
    pub(super) fn push(&mut self, command: Command, certain: bool) {
        if self.waiting.len() >= MAX_WAITING {
            return command.refuse(Error::overloaded(RETRY_AFTER_MS));
        }
        self.waiting.push_back(Waiting { command, certain });
    }

    /// Has everything been settled?
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Has something of theirs no place yet?
    pub(super) fn holds(&self, asker: UserId) -> bool {
        let waiting = self.waiting.iter().map(|it| &it.command);
        let mut all = waiting.chain(self.in_flight.iter().map(|it| &it.command));
        all.any(|command| command.asker() == Some(asker))
    }

    /// Decides what to append now. Commands that need nothing, or may not for certain, are
    /// answered.
    pub(super) fn plan(&mut self, state: &RoomState, now: i64) -> Plan {
        let Plan {
            mut drafts,
            mut doubtful,
        } = Plan::default();
        if !self.in_flight.is_empty() {
            return Plan::default();
        }
        let mut joining = HashSet::new();
        while let Some(Waiting { command, certain }) = self.waiting.pop_front() {
            let alone = must_be_alone(&command) || asked_by_one_of(&command, &joining);
            if drafts.len() >= MAX_DRAFTS || (alone && !drafts.is_empty()) {
                self.waiting.push_front(Waiting { command, certain });
                break;
            }
            match decide(&command, state, &joining, now) {
                Ok(planned) if planned.is_empty() => answer_done(command, state),
                Ok(planned) => {
                    joining.extend(planned.iter().filter_map(|_| joiner(&command)));
                    self.in_flight.push(Planned {
                        command,
                        drafts: planned.len(),
                    });
                    drafts.extend(planned);
                }
                Err(error) if certain => command.refuse(error),
                Err(_) => {
                    let asker = command.asker();
                    doubtful.push(command);
                    // What they sent behind it must not overtake it.
                    let waiting = std::mem::take(&mut self.waiting).into_iter();
                    let (behind, rest): (Vec<_>, Vec<_>) =
                        waiting.partition(|it| it.command.asker() == asker);
                    self.waiting = rest.into();
                    doubtful.extend(behind.into_iter().map(|it| it.command));
                }
            }
            if alone && !drafts.is_empty() {
                break;
            }
        }
        Plan { drafts, doubtful }
    }

    /// The log has newer rights than the plan rested on, and its head has been reached since:
    /// everything is decided again, and a *no* is certain now.
    pub(super) fn decide_again(&mut self) {
        for planned in std::mem::take(&mut self.in_flight).into_iter().rev() {
            self.waiting.push_front(Waiting {
                command: planned.command,
                certain: true,
            });
        }
    }

    /// Nobody knows what became of the append. Everything behind it goes back to its
    /// senders, too, so that what they repeat keeps its order.
    pub(super) fn fail(&mut self, error: &Error) {
        let in_flight = std::mem::take(&mut self.in_flight)
            .into_iter()
            .map(|it| it.command);
        let waiting = std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|it| it.command);
        for command in in_flight.chain(waiting) {
            command.refuse(error.clone());
        }
    }

    /// Answers those whose drafts have their fate now.
    pub(super) fn settle(&mut self, fates: &[Fate], state: &RoomState) {
        let mut fates = fates.iter().copied();
        let mut unknown = HashSet::new();
        for planned in std::mem::take(&mut self.in_flight) {
            let own: Vec<_> = fates.by_ref().take(planned.drafts).collect();
            if own.contains(&Fate::Unknown) {
                unknown.insert(planned.command.asker());
            }
            match place_of(&own) {
                Ok((place, duplicate)) => answer(planned.command, place, duplicate, state),
                Err(error) => planned.command.refuse(error),
            }
        }
        if !unknown.is_empty() {
            // What they repeat must not be overtaken by what they sent behind it.
            let waiting = std::mem::take(&mut self.waiting).into_iter();
            let (behind, rest): (Vec<_>, Vec<_>) =
                waiting.partition(|it| unknown.contains(&it.command.asker()));
            self.waiting = rest.into();
            for it in behind {
                it.command.refuse(Error::unavailable());
            }
        }
    }
}

/// Commands that take rights away, or make a room, travel alone: what follows them in the
/// same append would be decided on a state that is about to change.
fn must_be_alone(command: &Command) -> bool {
    !matches!(
        command,
        Command::Publish { .. } | Command::Join { .. } | Command::Add { .. }
    )
}

/// Somebody whose join is planned asks for something: it is decided when they have joined.
fn asked_by_one_of(command: &Command, joining: &HashSet<UserId>) -> bool {
    match command {
        Command::Publish { asker, .. } | Command::Join { asker, .. } => {
            joining.contains(&asker.user)
        }
        Command::Add { asker, user, .. } => joining.contains(&asker.user) || joining.contains(user),
        _ => false,
    }
}

fn joiner(command: &Command) -> Option<UserId> {
    match command {
        Command::Join { asker, .. } => Some(asker.user),
        Command::Add { user, .. } => Some(*user),
        _ => None,
    }
}

/// The drafts for a command; none when there is nothing to do.
fn decide(
    command: &Command,
    state: &RoomState,
    joining: &HashSet<UserId>,
    now: i64,
) -> Result<Vec<Draft>> {
    match command {
        Command::Publish { asker, message, .. } => {
            state.may_publish(*asker, now)?;
            for place in [message.reply_to, message.thread].into_iter().flatten() {
                require_message(state, place)?;
            }
            Ok(vec![Draft {
                kind: EventKind::Message,
                from: asker.user,
                client_id: message.client_id.clone(),
                target: None,
                reply_to: message.reply_to,
                thread: message.thread,
                mentions: message.mentions.clone(),
                body: message.body.clone(),
            }])
        }
        Command::Join { asker, .. } => Ok(state.join(*asker, joining)?.into_iter().collect()),
        Command::Add { asker, user, .. } => {
            Ok(state.add(*asker, *user, joining)?.into_iter().collect())
        }
        Command::Leave { asker, .. } => state.leave(*asker),
        Command::Resign { user, .. } => state.departure(*user),
        Command::Kick { asker, user, .. } => Ok(vec![state.kick(*asker, *user)?]),
        Command::SetRole {
            asker, user, role, ..
        } => Ok(state.set_role(*asker, *user, *role)?.into_iter().collect()),
        Command::Change { asker, change, .. } => Ok(vec![state.change(*asker, change)?]),
        Command::Found {
            by,
            change,
            members,
            ..
        } => {
            let mut drafts = Vec::new();
            if state.head() == Seq::ZERO {
                let founded = Draft::system(EventKind::Room, *by, change);
                drafts.push(founded.map_err(|_| Error::internal())?);
            }
            for (user, role) in members
                .iter()
                .filter(|(user, _)| state.member(*user).is_none())
            {
                drafts.push(state.join_draft(*by, *user, *role)?);
            }
            Ok(drafts)
        }
        _ => Ok(Vec::new()),
    }
}

/// A message can only answer what stands before it.
fn require_message(state: &RoomState, seq: Seq) -> Result<()> {
    if seq > Seq::ZERO && seq <= state.head() {
        return Ok(());
    }
    let message = format!("there is no event {seq} in this room yet");
    Err(Error::new(ErrorCode::MessageNotFound, message))
}

/// Where a command's last draft stands, and whether it stood there before.
fn place_of(fates: &[Fate]) -> Result<(Place, bool)> {
    match fates.last() {
        Some(Fate::New(place)) => Ok((*place, false)),
        Some(Fate::Duplicate(place)) => Ok((*place, true)),
        Some(Fate::Conflict) => Err(Error::new(
            ErrorCode::Conflict,
            "another message has this client_id; make a new one",
        )),
        Some(Fate::Unknown) => Err(Error::unavailable()),
        Some(Fate::Poison) => Err(Error::bad_field("the database cannot hold this")),
        None => Err(Error::internal()),
    }
}

fn answer(command: Command, place: Place, duplicate: bool, state: &RoomState) {
    let epoch = state.record().epoch.clone();
    match command {
        Command::Publish {
            message, reply_to, ..
        } => {
            let client_id = message.client_id;
            reply_to.send(Ok(Acked {
                place,
                epoch,
                duplicate,
                client_id,
            }));
        }
        Command::Join { reply_to, .. } | Command::Add { reply_to, .. } => {
            reply_to.send(Ok(Joined {
                already: duplicate,
                seq: place.seq,
                epoch,
            }));
        }
        Command::Leave { reply_to, .. } | Command::Kick { reply_to, .. } => {
            reply_to.send(Ok(place));
        }
        Command::Found { reply_to, .. }
        | Command::Resign { reply_to, .. }
        | Command::SetRole { reply_to, .. }
        | Command::Change { reply_to, .. } => reply_to.send(Ok(place.seq)),
        other => answer_done(other, state),
    }
}

/// Answers a command for which nothing had to be appended.
fn answer_done(command: Command, state: &RoomState) {
    let joined = |user: UserId| Joined {
        already: true,
        seq: state
            .member(user)
            .map_or(Seq::ZERO, |(member, _)| member.joined),
        epoch: state.record().epoch.clone(),
    };
    match command {
        Command::Join {
            asker: Asker { user, .. },
            reply_to,
        } => reply_to.send(Ok(joined(user))),
        Command::Add { user, reply_to, .. } => reply_to.send(Ok(joined(user))),
        Command::Found { reply_to, .. }
        | Command::Resign { reply_to, .. }
        | Command::SetRole { reply_to, .. }
        | Command::Change { reply_to, .. } => reply_to.send(Ok(state.head())),
        other => other.refuse(Error::internal()),
    }
}

#[cfg(test)]
mod tests;
