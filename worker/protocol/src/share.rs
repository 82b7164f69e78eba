//! Error budgets as a share: what was read of each partition, and how much of it was bad.
//!
//! One compacted topic of one partition a group of workers. A row tells of one partition of a sink, or of one task of a
//! source. Records are counted by their offsets, so that what is read again after a failure is not counted again.
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Bad records that a row names one by one: more than any sink holds on their way under settings of reason.
const OPEN_MAX: usize = 4096;
/// The one format that is written and read.
const FORMAT: u32 = 1;

/// Name of the topic of a group of workers.
pub fn share_topic(group: &str) -> String {
    format!("{group}-budget-shares")
}

/// How many records were read, and how many of them were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Records read.
    pub read: u64,
    /// Of these bad.
    pub bad: u64,
}

impl Sum {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { read: self.read.saturating_add(other.read), bad: self.bad.saturating_add(other.bad) }
    }

    /// Whether more than a share of at least so many records is bad.
    #[expect(clippy::cast_precision_loss, reason = "a share of more than 2^53 records may be off by one")]
    pub fn is_above(self, share: f64, least: u64) -> bool {
        let read = self.read.max(self.bad);
        read >= least.max(1) && self.bad as f64 > share * read as f64
    }
}

/// What is counted of one partition, or of one task of a source, which has no offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    v: u32,
    /// What stands below it has been counted as read.
    next: i64,
    read: u64,
    /// Bad records below it are in `bad`; those from there on are named.
    settled: i64,
    bad: u64,
    open: BTreeSet<i64>,
    /// The first one that was not skipped.
    stop: Option<i64>,
}

/// A bad record as its tally knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It was skipped before, and is counted.
    Before,
    /// It is counted, and whether it may be skipped depends on the share.
    ToJudge,
}

impl Tally {
    /// Read and bad, those on their way included.
    pub fn sum(&self) -> Sum {
        Sum { read: self.read, bad: self.bad + self.open.len() as u64 }
    }

    /// Counts offsets that were read, in their order.
    pub fn read(&mut self, offsets: impl Iterator<Item = i64>) {
        for offset in offsets {
            if offset >= self.next {
                (self.read, self.next) = (self.read + 1, offset + 1);
            }
        }
    }

    /// Counts a bad record once.
    pub fn meet(&mut self, offset: i64) -> Met {
        let is_new = offset >= self.settled && self.open.insert(offset);
        while self.open.len() > OPEN_MAX {
            let first = self.open.pop_first().unwrap_or(offset);
            (self.bad, self.settled) = (self.bad + 1, first + 1);
        }
        if is_new || self.stop.is_some_and(|stop| offset >= stop) { Met::ToJudge } else { Met::Before }
    }

    /// A bad record was judged: the first one that may not be skipped is remembered until it may.
    pub fn judged(&mut self, offset: i64, may_be_skipped: bool) {
        self.stop = match may_be_skipped {
            true => None,
            false => Some(self.stop.map_or(offset, |stop| stop.min(offset))),
        };
    }

    /// What stands below is final, and not met again.
    pub fn settle(&mut self, below: i64) {
        let later = self.open.split_off(&below);
        let done = std::mem::replace(&mut self.open, later);
        self.bad += done.len() as u64;
        self.settled = self.settled.max(below);
    }

    /// Adds what a transaction of a source has made final.
    pub fn add(&mut self, of: Sum) {
        (self.read, self.bad) = (self.read + of.read, self.bad + of.bad);
    }

    /// Says of a source that the next record is bad and was not skipped, or takes that back.
    pub fn refuse(&mut self, is_refused: bool) {
        self.open = BTreeSet::from_iter(is_refused.then_some(0));
    }

    /// Nothing is counted, from what is final on.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { v: FORMAT, next: self.settled, settled: self.settled, ..Self::default() }
    }

    /// Whether it tells of more than another one of the same partition.
    pub fn is_ahead_of(&self, other: &Self) -> bool {
        (self.next, self.settled, self.sum().read) > (other.next, other.settled, other.sum().read)
    }

    /// As stored.
    pub fn value(&self) -> String {
        // Numbers alone: it can always be written.
        serde_json::to_string(&Self { v: FORMAT, ..self.clone() }).unwrap_or_default()
    }
}

/// What a row tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareKey {
    /// The connector.
    pub connector: String,
    /// What the budget is for: `run`, or an hour or day of the calendar.
    pub window: String,
    /// When counting was begun anew, milliseconds since 1970 UTC; 0 if never.
    pub since: i64,
    /// The partition, or the task.
    pub part: String,
}

impl ShareKey {
    /// As stored.
    pub fn text(&self) -> String {
        json!([self.connector, self.window, self.since, self.part]).to_string()
    }

    /// From what is stored.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let parts: Vec<Json> = serde_json::from_slice(key).ok()?;
        let text = |at: usize| parts.get(at).and_then(Json::as_str).map(str::to_owned);
        Some(Self { connector: text(0)?, window: text(1)?, since: parts.get(2)?.as_i64()?, part: text(3)? })
    }
}

/// A tally as it is stored; `None` for rows of later versions and what is no row.
pub fn stored_tally(value: &[u8]) -> Option<Tally> {
    serde_json::from_slice(value).ok().filter(|tally: &Tally| tally.v == FORMAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_judged_once_enough_was_read() {
        let all = Sum { read: 1000, bad: 11 };
        assert!(all.is_above(0.01, 1000), "11 of 1000 are more than one in a hundred");
        assert!(!all.is_above(0.011, 1000), "and not more than eleven in a thousand");
        assert!(!all.is_above(0.01, 1001), "too few to judge");
        assert!(Sum { read: 1, bad: 1 }.is_above(0.0, 0));
        assert!(!Sum::default().is_above(0.0, 0));
    }

    #[test]
    fn what_is_read_again_is_counted_once() {
        let mut tally = Tally::default();
        tally.read(0..10);
        assert_eq!((tally.meet(7), tally.meet(3)), (Met::ToJudge, Met::ToJudge), "in any order");
        tally.judged(3, true);
        tally.settle(5);
        let mut again = stored_tally(tally.value().as_bytes()).unwrap();
        again.read(5..12);
        assert_eq!((again.meet(7), again.meet(3)), (Met::Before, Met::Before));
        assert_eq!(again.meet(11), Met::ToJudge);
        assert_eq!(again.sum(), Sum { read: 12, bad: 3 });
    }

    #[test]
    fn a_record_that_was_not_skipped_is_judged_each_time_and_those_before_it_are_not() {
        let mut tally = Tally::default();
        for offset in [2, 4] {
            tally.meet(offset);
            tally.judged(offset, offset == 2);
        }
        assert_eq!((tally.meet(2), tally.meet(4)), (Met::Before, Met::ToJudge));
        assert_eq!(tally.sum().bad, 2);
        tally.judged(4, true);
        assert_eq!(tally.meet(4), Met::Before);
    }

    #[test]
    fn many_bad_records_do_not_make_a_row_grow() {
        let mut tally = Tally::default();
        for offset in 0..10_000 {
            tally.meet(offset);
        }
        assert_eq!((tally.sum().bad, tally.open.len()), (10_000, OPEN_MAX));
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_junk_is_no_row() {
        let key = ShareKey { connector: "c".into(), window: "run".into(), since: 5, part: "t/0".into() };
        assert_eq!(ShareKey::decode(key.text().as_bytes()), Some(key));
        for junk in ["", "[]", "{", r#"["c","run"]"#, r#"{"v":2}"#] {
            assert_eq!(ShareKey::decode(junk.as_bytes()), None, "{junk}");
            assert_eq!(stored_tally(junk.as_bytes()), None, "{junk}");
        }
    }
}
