//! Who leaves when: a node that stops sends its people to other nodes, a few at a time.
//!
//! All at once would be a storm for those who take them. Everybody gets a turn; then `move`
//! asks them to open a second connection elsewhere and close this one, so that they miss
//! nothing. Who is still here some time after their turn is closed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::lanes::Lanes;
use super::message::Moves;
use crate::actors::wire;
use crate::ids::SessionId;
use crate::protocol::{CloseCode, Move, MoveReason, ServerFrame};

/// Those whose turn is looked for together do not all begin in the same moment.
const STAGGER_MS: u64 = 250;

/// The plan of one worker thread.
pub(super) struct Leaving {
    turns: HashMap<SessionId, Turn>,
    /// How long after their turn somebody may stay.
    grace: Duration,
}

/// When somebody is told to go, and whether that has been done.
struct Turn {
    at: Instant,
    told: bool,
}

impl Leaving {
    /// Gives everybody who is signed in a turn, evenly spread. Others have none, nor has
    /// anybody without `moves`: they are closed when turns are taken.
    pub(super) fn plan(moves: Option<Moves>, lanes: &Lanes, now: Instant) -> Self {
        let Some(Moves { spread, grace }) = moves else {
            return Self {
                turns: HashMap::new(),
                grace: Duration::ZERO,
            };
        };
        let connections = lanes.look();
        let signed_in = connections
            .iter()
            .filter(|(_, connection)| connection.sign_in.is_some());
        let sessions: Vec<_> = signed_in.map(|(session, _)| *session).collect();
        let step = spread.div_f64(sessions.len().max(1) as f64);
        let turn = |(place, session)| {
            let at = now + step.mul_f64(place as f64);
            (session, Turn { at, told: false })
        };
        let turns = sessions.into_iter().enumerate().map(turn).collect();
        Self { turns, grace }
    }

    /// Tells those whose turn has come, and closes those who have stayed too long.
    pub(super) fn take_turns(&mut self, lanes: &Lanes, now: Instant) {
        for (session, connection) in lanes.look().iter() {
            let lane = &connection.lane;
            match self.turns.get_mut(session) {
                _ if lane.is_closed() => {}
                Some(turn) if turn.at > now => {}
                Some(turn) if !turn.told => {
                    turn.told = true;
                    lane.reply(move_frame());
                }
                Some(turn) if now < turn.at + self.grace => {}
                Some(_) | None => Lanes::close(lane, CloseCode::Drain),
            }
        }
    }
}

fn move_frame() -> bytes::Bytes {
    let after_ms = rand::random_range(0..=STAGGER_MS);
    let reason = MoveReason::Drain;
    wire::text(&ServerFrame::Move(Move { after_ms, reason }).to_json())
}
