//! What may be done to a prepared unit, and by whom.

/// The owner epoch of a new claim.
///
/// Counted from the last claim and nothing else: a group's generation would order a late starter of an older generation
/// below the owner that it has just fenced.
pub fn next_owner(last_claim: u64) -> u64 {
    last_claim + 1
}

/// Whether an owner may remove a prepared unit of its own transactional id: one of an older owner that no decision names.
///
/// A unit of a newer owner is never touched, because that owner may be about to decide it. `decided` must be read after
/// older owners were fenced: then nothing of theirs can become decided any more.
pub fn may_abort(unit_owner: u64, mine: u64, decided: bool) -> bool {
    unit_owner < mine && !decided
}

/// Whether an owner must commit a unit before it reads on: every decided one that covers a partition of its own, whoever
/// prepared it, because otherwise newer records become visible before older ones; and every decided one of older owners of
/// its own transactional id, because nobody else may be there to do it.
pub fn must_adopt(decided: bool, covers_mine: bool, of_older_owner: bool) -> bool {
    decided && (covers_mine || of_older_owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_undecided_units_of_older_owners_are_removed() {
        assert!(may_abort(1, 2, false));
        assert!(!may_abort(2, 2, false) && !may_abort(3, 2, false), "a living or newer owner decides for itself");
        assert!(!may_abort(1, 2, true), "a decision is final");
    }

    #[test]
    fn owners_count_from_the_last_claim() {
        assert_eq!((next_owner(0), next_owner(7)), (1, 8));
    }
}
