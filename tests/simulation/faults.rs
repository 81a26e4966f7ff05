//! The kinds of things that go wrong.

use super::bugs::Bug;
use super::time::{Ms, Time};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// Nothing goes wrong.
    Calm,
    /// Answers, rings and commits are lost, packets are slow.
    BadNetwork,
    /// A node is killed, and started again.
    KillNode,
    /// All nodes are killed, one after the other, and started again.
    KillAll,
    /// A node stands still for a while.
    StopNode,
    /// Redis dies and comes back with everything.
    RedisRestarts,
    /// Redis comes back without its last moments.
    RedisLosesTail,
    /// Redis comes back empty, or is emptied.
    RedisEmpty,
    /// A replica takes over that lagged, with another clock.
    Replica,
    /// Redis is lost again while it is being rebuilt.
    LostTwice,
    /// A node stands still while Redis is lost and rebuilt.
    StopAcrossRebuild,
    /// Redis restarts, and whoever leads the rebuilding dies.
    LeaderDies,
    /// Doorbells are cut and rings are lost.
    CutDoorbell,
    /// A node cannot reach Redis.
    CutRedis,
    /// Postgres is away, or dies in the middle of a transaction.
    PostgresAway,
    /// Redis and Postgres are lost together.
    BothLost,
    /// Rows that cannot be written.
    Poison,
    /// Clocks of clients are wrong.
    WrongClocks,
    /// Clocks are wrong and Redis is lost.
    ClocksAndLoss,
    /// Packets are slow, and Redis is lost twice.
    SlowAndLoss,
    /// A node stands still between two of its steps.
    StopAt,
    /// A node takes its time between two of its steps.
    SlowAt,
    /// A node is killed between two of its steps.
    KillAt,
    /// Redis is lost while a node is between two steps.
    LoseAt,
    /// A node stands still between two steps, and meanwhile Redis is lost.
    StopAndLoseAt,
}

/// A place between two steps of a node, where a fault can be aimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// The answer to an append has come.
    Appended,
    /// Its senders were told.
    Acked,
    /// The database has said that it does not know an id.
    Checked,
    /// The database was read for a seed.
    SeedRead,
    /// The hot log was read, the database not yet.
    LogRead,
    /// Written, `flushed` not moved.
    Written,
    /// Everything that was held is in the database.
    Salvaged,
    /// The barrier is ours.
    Leading,
    /// Everybody has reported, or was waited for.
    Survivors,
    /// The database has the new life, Redis not.
    Begun,
    /// The new life has its keys, not its scripts.
    Named,
    /// The marker is known, the scripts of this version are not loaded yet.
    Probed,
    /// The database has the new epoch, the event no new place.
    Renewed,
}

impl Point {
    /// All of them.
    pub(crate) const ALL: &[Point] = &[
        Point::Appended,
        Point::Acked,
        Point::Checked,
        Point::SeedRead,
        Point::LogRead,
        Point::Written,
        Point::Salvaged,
        Point::Leading,
        Point::Survivors,
        Point::Begun,
        Point::Named,
        Point::Probed,
        Point::Renewed,
    ];
}

impl Fault {
    /// All kinds.
    pub(crate) const ALL: &[Fault] = &[
        Fault::Calm,
        Fault::BadNetwork,
        Fault::KillNode,
        Fault::KillAll,
        Fault::StopNode,
        Fault::RedisRestarts,
        Fault::RedisLosesTail,
        Fault::RedisEmpty,
        Fault::Replica,
        Fault::LostTwice,
        Fault::StopAcrossRebuild,
        Fault::LeaderDies,
        Fault::CutDoorbell,
        Fault::CutRedis,
        Fault::PostgresAway,
        Fault::BothLost,
        Fault::Poison,
        Fault::WrongClocks,
        Fault::ClocksAndLoss,
        Fault::SlowAndLoss,
        Fault::StopAt,
        Fault::SlowAt,
        Fault::KillAt,
        Fault::LoseAt,
        Fault::StopAndLoseAt,
    ];

    /// May numbers have gone to other events, so that clients are told?
    pub(crate) fn may_change_epoch(self) -> bool {
        matches!(
            self,
            Fault::StopAcrossRebuild
                | Fault::LostTwice
                | Fault::BothLost
                | Fault::BadNetwork
                | Fault::SlowAndLoss
                | Fault::KillAt
                | Fault::StopAt
                | Fault::LoseAt
                | Fault::StopAndLoseAt
        )
    }
}

/// How the network and the people's clocks are; 0 is never.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// Once in so many answers of Redis.
    pub(crate) lost_answers: i64,
    /// Once in so many rings, per node.
    pub(crate) lost_rings: i64,
    /// Once in so many commits, whose answer is lost.
    pub(crate) lost_commits: i64,
    /// Once in so many acknowledgements.
    pub(crate) lost_acks: i64,
    /// The writers wait up to so long, so that there is something to lose.
    pub(crate) lag: Ms,
    /// Are some packets slow?
    pub(crate) slow: bool,
    /// Are some clocks wrong?
    pub(crate) clocks: bool,
    /// Once in so many messages.
    pub(crate) poison: i64,
}

impl Weather {
    /// What belongs to a kind of fault.
    pub(crate) fn of(fault: Fault, time: &Time) -> Self {
        let rough = time.once_in(2) && fault != Fault::Calm;
        let some = |often: i64| if rough { often } else { 0 };
        let mut weather = Self {
            lost_answers: some(60),
            lost_rings: some(20),
            lost_commits: some(40),
            lost_acks: some(10),
            lag: if time.once_in(2) { 30 } else { 4_000 },
            ..Self::default()
        };
        match fault {
            Fault::BadNetwork => {
                weather.slow = true;
                weather.lost_answers = 15;
            }
            Fault::CutDoorbell => weather.lost_rings = 3,
            Fault::Poison => weather.poison = 4,
            Fault::WrongClocks | Fault::ClocksAndLoss => weather.clocks = true,
            Fault::SlowAndLoss => {
                weather.slow = true;
                weather.lag = 4_000;
                weather.lost_rings = 2;
                weather.lost_answers = 6;
            }
            Fault::StopAt | Fault::SlowAt | Fault::KillAt => {
                weather.clocks = time.once_in(2);
            }
            Fault::LoseAt | Fault::StopAndLoseAt => {
                weather.lag = 4_000;
                weather.clocks = time.once_in(2);
                weather.lost_rings = 2;
            }
            Fault::StopAcrossRebuild => weather.lost_rings = 3,
            _ => {}
        }
        weather
    }
}

/// All that can be switched on, each with a kind of fault that shows it.
pub(crate) const BUGS: &[(Bug, Fault)] = &[
    (Bug::TrimPastFlushed, Fault::BadNetwork),
    (Bug::LoadAgain, Fault::LoseAt),
    (Bug::CompletesTheLost, Fault::LoseAt),
    (Bug::NoBasis, Fault::CutDoorbell),
    (Bug::NoMembers, Fault::StopAt),
    (Bug::DatabaseFirst, Fault::SlowAndLoss),
    (Bug::DedupeByTime, Fault::Calm),
    (Bug::NewNameAfterLoss, Fault::BadNetwork),
    (Bug::NoSweep, Fault::KillAll),
    (Bug::FlushedToHead, Fault::PostgresAway),
    (Bug::OldSeed, Fault::LostTwice),
    (Bug::NoHeads, Fault::CutDoorbell),
    (Bug::StaleNo, Fault::CutDoorbell),
    (Bug::NoLifeInDatabase, Fault::StopAndLoseAt),
    (Bug::FloorStays, Fault::Calm),
    (Bug::FutureForgotten, Fault::WrongClocks),
    (Bug::SeedWithoutFloor, Fault::RedisLosesTail),
    (Bug::RingsWithoutLife, Fault::StopAndLoseAt),
    (Bug::LateAnswers, Fault::LoseAt),
    (Bug::CheckedForEver, Fault::LoseAt),
    (Bug::NoSalvage, Fault::RedisRestarts),
    (Bug::NoBarrier, Fault::RedisEmpty),
    (Bug::LateForgets, Fault::StopAndLoseAt),
    (Bug::SameEpoch, Fault::StopAndLoseAt),
    (Bug::PlaceholderConflicts, Fault::Poison),
    (Bug::ReadsUnfenced, Fault::StopAndLoseAt),
    (Bug::DeliverPastHole, Fault::CutDoorbell),
    (Bug::EarlyAck, Fault::Calm),
    (Bug::BatchBehindChange, Fault::StopAcrossRebuild),
    (Bug::LeadUnseen, Fault::SlowAt),
    (Bug::AckUnheld, Fault::SlowAndLoss),
];
