//! Records that a sink had not read when the broker deleted them: what is missing, and from where it could go on.
//!
//! Neither a task nor the control plane jumps over them by itself. The task says what is missing and ends; somebody accepts
//! exactly that number, and only then the group's position moves.
use serde::Serialize;
use std::fmt;

/// Partitions that a text names; the rest is counted.
const NAMED_MAX: usize = 10;

/// A partition whose next record is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gone {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset that is read next.
    pub expected: i64,
    /// The first offset that is there.
    pub earliest: i64,
    /// The offset after the last that is there.
    pub end: i64,
    /// Offsets that were not read and are not there any more.
    pub records: u64,
    /// Whether the topic was made again, or cut: it ends before the offset that is read next. What the former one still
    /// held is not known.
    pub recreated: bool,
}

impl Gone {
    /// Of a partition; `None` if its next record is there, or still to come.
    pub fn of(topic: &str, partition: i32, expected: i64, (earliest, end): (i64, i64)) -> Option<Self> {
        let recreated = expected > end;
        let records = u64::try_from(earliest.saturating_sub(expected)).unwrap_or(0);
        let gone = recreated || records > 0;
        gone.then(|| Self { topic: topic.to_owned(), partition, expected, earliest, end, records, recreated })
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, expected, earliest, end, records, recreated } = self;
        write!(f, "{topic}-{partition}: expected offset {expected}, ")?;
        match recreated {
            true => write!(f, "but it ends at {end} (earliest {earliest}): it was re-created or cut"),
            false => write!(f, "earliest {earliest}, {records} records lost"),
        }
    }
}

/// All that a connector has lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Over all partitions.
    pub records: u64,
    /// By topic and partition.
    pub partitions: Vec<Gone>,
}

impl Loss {
    /// Of partitions.
    pub fn of(partitions: impl IntoIterator<Item = Gone>) -> Self {
        let mut partitions: Vec<Gone> = partitions.into_iter().collect();
        partitions.sort();
        Self { records: partitions.iter().map(|gone| gone.records).sum(), partitions }
    }

    /// Whether nothing is missing.
    pub fn is_none(&self) -> bool {
        self.partitions.is_empty()
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, gone) in self.partitions.iter().take(NAMED_MAX).enumerate() {
            let between = if n > 0 { "; " } else { "" };
            write!(f, "{between}{gone}")?;
        }
        match self.partitions.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more partitions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(partition: i32, expected: i64, bounds: (i64, i64)) -> Option<Gone> {
        Gone::of("t", partition, expected, bounds)
    }

    #[test]
    fn a_partition_is_whole_while_its_next_record_is_there_or_still_to_come() {
        for (expected, bounds) in [(0, (0, 0)), (5, (0, 5)), (5, (5, 5)), (5, (5, 9)), (7, (3, 9))] {
            assert_eq!(gone(0, expected, bounds), None, "{expected} in {bounds:?}");
        }
        assert_eq!(gone(0, 4, (5, 9)).unwrap().records, 1);
        assert_eq!(gone(0, 4, (5, 5)).unwrap().records, 1, "also when nothing is left at all");
        let again = gone(0, 10, (0, 9)).unwrap();
        assert!(again.recreated && again.records == 0, "{again}");
    }

    #[test]
    fn a_loss_is_the_sum_of_its_partitions_and_its_text_names_the_first_ones() {
        let loss = Loss::of([gone(1, 10, (0, 3)).unwrap(), gone(0, 4, (10, 12)).unwrap()]);
        assert_eq!(loss.records, 6);
        assert_eq!(
            loss.to_string(),
            "t-0: expected offset 4, earliest 10, 6 records lost; t-1: expected offset 10, but it ends at 3 (earliest 0): it was re-created or cut"
        );
        let many = Loss::of((0..13).filter_map(|partition| gone(partition, 0, (1, 2))));
        assert_eq!(many.records, 13);
        assert!(
            many.to_string().ends_with("t-9: expected offset 0, earliest 1, 1 records lost; and 3 more partitions")
        );
        assert!(Loss::default().is_none() && !many.is_none());
    }
}
