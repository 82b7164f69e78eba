//! How fast a snapshot may read: rows and bytes per second, and what is left of it.
use std::time::Duration;

/// Limits of a snapshot, and when the next chunk is due.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Most rows per second; 0 is no limit.
    rows: u64,
    /// Most bytes per second; 0 is no limit.
    bytes: u64,
    due: Duration,
}

impl Pace {
    /// With limits.
    pub(crate) fn new(rows: u64, bytes: u64) -> Self {
        Self { rows, bytes, due: Duration::ZERO }
    }

    /// Most rows of one chunk: what may be read in a second, so that the limit holds from second to second.
    pub(crate) fn rows_max(&self) -> usize {
        if self.rows == 0 { usize::MAX } else { usize::try_from(self.rows).unwrap_or(usize::MAX) }
    }

    /// Rows went out: the next ones are due when these have had their time.
    pub(crate) fn passed(&mut self, now: Duration, rows: usize, bytes: usize) {
        let takes = share(rows, self.rows).max(share(bytes, self.bytes));
        self.due = self.due.max(now) + takes;
    }

    /// Time until more rows may be read.
    pub(crate) fn left(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }
}

fn share(n: usize, per_second: u64) -> Duration {
    if per_second == 0 {
        return Duration::ZERO;
    }
    let nanos = u128::from(u64::try_from(n).unwrap_or(u64::MAX)) * 1_000_000_000 / u128::from(per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How far a snapshot has come.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    begun: Option<Duration>,
    said: Duration,
    rows: u64,
    bytes: u64,
}

/// A rate says something once it has lasted so long.
const TELLING: Duration = Duration::from_secs(2);

/// How often the advance is logged.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The advance in numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Rows since the start of the task.
    pub(crate) rows: u64,
    pub(crate) rows_per_second: u64,
    pub(crate) bytes_per_second: u64,
    /// Seconds until the table is read, if the number of its rows is about known.
    pub(crate) table_seconds_left: Option<u64>,
}

impl Advance {
    /// Rows went out.
    pub(crate) fn passed(&mut self, now: Duration, rows: usize, bytes: usize) {
        if self.begun.is_none() {
            (self.begun, self.said) = (Some(now), now);
        }
        self.rows += u64::try_from(rows).unwrap_or(0);
        self.bytes += u64::try_from(bytes).unwrap_or(0);
    }

    /// How long it has lasted; none before its first row.
    pub(crate) fn lasted(&self, now: Duration) -> Option<Duration> {
        Some(now.saturating_sub(self.begun?))
    }

    /// Rows per second since its first row; none before that says something.
    pub(crate) fn rate(&self, now: Duration) -> Option<u64> {
        let lasted = self.lasted(now).filter(|lasted| *lasted >= TELLING)?;
        Some(self.rows.saturating_mul(1000) / u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX))
    }

    /// A report, if one is due; of the current table so many of about so many rows are done.
    pub(crate) fn report(&mut self, now: Duration, done: u64, about: Option<u64>) -> Option<Report> {
        let begun = self.begun?;
        if now.saturating_sub(self.said) < SAY_EVERY {
            return None;
        }
        self.said = now;
        let millis = u64::try_from(now.saturating_sub(begun).as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = |n: u64| n.saturating_mul(1000) / millis;
        let rate = per_second(self.rows).max(1);
        let table_seconds_left = about.map(|all| all.saturating_sub(done) / rate);
        let (rows_per_second, bytes_per_second) = (per_second(self.rows), per_second(self.bytes));
        Some(Report { rows: self.rows, rows_per_second, bytes_per_second, table_seconds_left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_slower_of_both_limits_decides_when_more_may_be_read() {
        let mut pace = Pace::new(1000, 10_000);
        assert_eq!((pace.left(SECOND), pace.rows_max()), (Duration::ZERO, 1000));
        pace.passed(SECOND, 500, 1000);
        assert_eq!(pace.left(SECOND), SECOND / 2);
        pace.passed(SECOND, 1, 20_000);
        assert_eq!(pace.left(SECOND * 2), SECOND + SECOND / 2);
        assert_eq!(pace.left(SECOND * 9), Duration::ZERO);
        let mut free = Pace::new(0, 0);
        free.passed(SECOND, 1_000_000, 1_000_000);
        assert_eq!((free.left(SECOND), free.rows_max()), (Duration::ZERO, usize::MAX));
    }

    #[test]
    fn the_advance_is_told_every_ten_seconds_with_the_time_that_is_left() {
        let mut advance = Advance::default();
        assert_eq!(advance.report(SECOND * 60, 0, None), None);
        advance.passed(SECOND, 500, 5000);
        assert_eq!(advance.report(SECOND * 9, 500, Some(10_000)), None);
        advance.passed(SECOND * 11, 500, 5000);
        let report = advance.report(SECOND * 11, 1000, Some(10_000)).unwrap();
        let expected =
            Report { rows: 1000, rows_per_second: 100, bytes_per_second: 1000, table_seconds_left: Some(90) };
        assert_eq!(report, expected);
        assert_eq!(advance.report(SECOND * 12, 1000, None), None);
    }
}
