//! Mistakes that can be switched on. Each is a rule of the protocol left out; a simulation
//! that does not notice is worth nothing.

/// One rule left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Bug {
    /// The protocol as it should be.
    #[default]
    None,
    /// The log is trimmed past `flushed`.
    TrimPastFlushed,
    /// A node that finds its scripts unknown loads them again, without a barrier.
    LoadAgain,
    /// A node of another version completes a life over a connection that came back by itself.
    CompletesTheLost,
    /// The log takes a decision on old rights.
    NoBasis,
    /// The log takes a join decided on an old count.
    NoMembers,
    /// History reads the database before the log.
    DatabaseFirst,
    /// A repeat is only recognised for a while.
    DedupeByTime,
    /// No answer is taken for a failure, and the event gets a new name.
    NewNameAfterLoss,
    /// Nobody takes over the rooms of a dead writer.
    NoSweep,
    /// `flushed` moves to what is in the log, not to what is in the database.
    FlushedToHead,
    /// A room is seeded from a reading of any age.
    OldSeed,
    /// Heads are never compared.
    NoHeads,
    /// A node says no from what it happens to know.
    StaleNo,
    /// The database does not look at the life.
    NoLifeInDatabase,
    /// Ids leave Redis without raising the floor.
    FloorStays,
    /// An id from the future moves the floor for all, or is forgotten with the others.
    FutureForgotten,
    /// A seeded room knows no floor.
    SeedWithoutFloor,
    /// Rings do not say which life they belong to.
    RingsWithoutLife,
    /// An answer of the old life counts after the salvage.
    LateAnswers,
    /// A check against the database is good for ever.
    CheckedForEver,
    /// Nothing is written before a new life begins.
    NoSalvage,
    /// Nobody waits for the others before a new life begins.
    NoBarrier,
    /// A node that missed the barrier forgets what it held.
    LateForgets,
    /// What was appended again keeps the old epoch.
    SameEpoch,
    /// A placeholder counts as another event.
    PlaceholderConflicts,
    /// History is read from the log without looking at the life.
    ReadsUnfenced,
    /// Events behind a hole are delivered.
    DeliverPastHole,
    /// Acknowledged before it is in the log.
    EarlyAck,
    /// A repeat is acknowledged by a node that does not hold the event.
    AckUnheld,
    /// A leader does not look again whether the life that it ends is known to Redis by now.
    LeadUnseen,
    /// What stands behind a change of membership in one append is decided before it.
    BatchBehindChange,
}
