//! What follows the decide transaction.

/// How the decide transaction was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Committed.
    Committed,
    /// Refused before its end was asked for, and aborted.
    NotCommitted,
    /// Another owner of the transactional id exists.
    Fenced,
    /// The end was asked for and no answer came.
    Unknown,
}

/// What the owner does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Commits the unit at the destination until that succeeds.
    CommitUnit,
    /// Removes its own unit, which is certainly undecided, and drops the instance.
    RemoveOwnUnit,
    /// Drops the instance and touches nothing: the successor finds out from the log.
    Silence,
}

/// Only a certain refusal lets an owner remove its own unit: a fenced owner's decide may have been applied and its answer lost.
pub fn after_decide(answer: Answer) -> Consequence {
    match answer {
        Answer::Committed => Consequence::CommitUnit,
        Answer::NotCommitted => Consequence::RemoveOwnUnit,
        Answer::Fenced | Answer::Unknown => Consequence::Silence,
    }
}
