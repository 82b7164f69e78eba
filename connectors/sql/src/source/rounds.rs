//! Rounds of bulk reads: a run is one read of every table, and is over with the last of them.

/// What is stored of a table: how often it was read to its end, and whether another read of it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Reads that are done.
    pub run: i64,
    /// Whether a further one has begun.
    pub is_under_way: bool,
}

/// With which runs the tables go on after a start; `None`: nothing is stored of a table.
///
/// No table has more than one read to make up for, however many more the others have had. A table that is new waits for the
/// next round where this one is over.
pub fn resumed(stored: &[Option<Reads>]) -> Vec<i64> {
    let known = || stored.iter().flatten().map(|reads| reads.run);
    let last = known().max().unwrap_or(0);
    let of_new = if known().all(|run| run == last) { last } else { last - 1 };
    stored.iter().map(|reads| reads.map_or(of_new, |reads| reads.run.max(last - 1))).collect()
}

/// Where a start finds the round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// No row of it is read.
    Fresh,
    /// Some tables, or rows of one, are read.
    Inside,
    /// Every table is read, and nothing says whether somebody has heard of it.
    Over,
}

/// Where a start finds the round.
pub fn round_of(stored: &[Option<Reads>]) -> Round {
    if stored.iter().flatten().any(|reads| reads.is_under_way) || !is_over(resumed(stored)) {
        return Round::Inside;
    }
    if stored.iter().flatten().any(|reads| reads.run > 0) { Round::Over } else { Round::Fresh }
}

/// Whether every table has been read as often as the others.
pub fn is_over(runs: impl IntoIterator<Item = i64>) -> bool {
    let mut runs = runs.into_iter();
    let first = runs.next();
    runs.all(|run| Some(run) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(run: i64) -> Option<Reads> {
        Some(Reads { run, is_under_way: false })
    }

    fn begun(run: i64) -> Option<Reads> {
        Some(Reads { run, is_under_way: true })
    }

    #[test]
    fn a_start_goes_on_in_the_round_that_it_finds() {
        for (stored, runs, round) in [
            (vec![], vec![], Round::Fresh),
            (vec![None, None], vec![0, 0], Round::Fresh),
            (vec![begun(0), None], vec![0, 0], Round::Inside),
            (vec![done(1), None], vec![1, 1], Round::Over),
            (vec![done(1), done(0)], vec![1, 0], Round::Inside),
            (vec![done(1), done(0), None], vec![1, 0, 0], Round::Inside),
            (vec![done(4), done(4)], vec![4, 4], Round::Over),
            (vec![done(4), done(4), None], vec![4, 4, 4], Round::Over),
            (vec![done(7), begun(3), done(2)], vec![7, 6, 6], Round::Inside),
        ] {
            assert_eq!((resumed(&stored), round_of(&stored)), (runs, round), "{stored:?}");
        }
    }

    #[test]
    fn a_round_is_over_with_the_last_table() {
        assert!(is_over([]));
        assert!(is_over([3, 3, 3]));
        assert!(!is_over([3, 3, 2]));
    }
}
