//! The rate: how many records are due.
use std::time::Duration;

/// Most that is made up for after a stall; more would be a flood after a pause.
const BACKLOG_MAX: Duration = Duration::from_secs(5);

/// Longest wait where bursts come.
const BURST_STEP: Duration = Duration::from_millis(20);

/// Times in which records come faster: the first tenth of every period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bursts {
    every: f64,
    factor: f64,
}

impl Bursts {
    /// Never.
    pub(crate) const NONE: Self = Self { every: 0.0, factor: 1.0 };

    pub(crate) fn new(every_ms: u64, factor: f64) -> Self {
        Self { every: Duration::from_millis(every_ms).as_secs_f64(), factor }
    }

    /// Seconds that a time counts for.
    fn counted(self, seconds: f64) -> f64 {
        if self.every <= 0.0 {
            return seconds;
        }
        let tenth = self.every / 10.0;
        let bursts = (seconds / self.every).floor() * tenth + (seconds % self.every).min(tenth);
        seconds + bursts * (self.factor - 1.0)
    }
}

/// When records are due, counted from a start so that no rounding adds up.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// `None` is as fast as they are taken.
    per_second: Option<f64>,
    start: Duration,
    made: u64,
    bursts: Bursts,
}

impl Pace {
    /// From an instant of the monotonic clock on.
    pub(crate) fn new(per_second: Option<f64>, start: Duration, bursts: Bursts) -> Self {
        Self { per_second, start, made: 0, bursts }
    }

    /// How many records are due.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of records, at least zero")]
    pub(crate) fn due(&mut self, now: Duration) -> u64 {
        let Some(rate) = self.per_second else { return u64::MAX };
        let late = if self.bursts.every > 0.0 { Duration::ZERO } else { now.saturating_sub(self.due_at(rate)) };
        if late > BACKLOG_MAX {
            self.start += late - BACKLOG_MAX;
        }
        let elapsed = self.bursts.counted(now.saturating_sub(self.start).as_secs_f64());
        ((elapsed * rate + 1e-9) as u64).saturating_add(1).saturating_sub(self.made)
    }

    /// Counts records that were made.
    pub(crate) fn made(&mut self, records: u64) {
        self.made += records;
    }

    /// How long until the next record is due.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        match self.per_second {
            None => Duration::ZERO,
            Some(_) if self.bursts.every > 0.0 => BURST_STEP,
            Some(rate) => self.due_at(rate).saturating_sub(now),
        }
    }

    /// When the next record is due.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 records")]
    fn due_at(&self, rate: f64) -> Duration {
        self.start + Duration::try_from_secs_f64(self.made as f64 / rate).unwrap_or(Duration::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_exact_over_time_however_often_it_is_asked() {
        let mut pace = Pace::new(Some(300.0), Duration::from_secs(7), Bursts::NONE);
        let mut made = 0;
        for step in 0..=7000_u64 {
            let due = pace.due(Duration::from_secs(7) + Duration::from_micros(step * 1429));
            pace.made(due);
            made += due;
        }
        assert_eq!(made, 1 + (7000.0 * 0.001_429 * 300.0) as u64);
    }

    #[test]
    fn a_burst_is_the_first_tenth_of_its_period() {
        let mut pace = Pace::new(Some(100.0), Duration::ZERO, Bursts::new(1000, 10.0));
        let made: Vec<u64> = [100, 1000, 1100, 2000]
            .map(|ms| {
                let due = pace.due(Duration::from_millis(ms));
                pace.made(due);
                due
            })
            .to_vec();
        assert_eq!(made, [101, 90, 100, 90]);
    }

    #[test]
    fn a_long_stall_is_made_up_for_in_part_only() {
        let mut pace = Pace::new(Some(100.0), Duration::ZERO, Bursts::NONE);
        assert_eq!(pace.due(Duration::from_secs(3600)), 501);
    }

    #[test]
    fn the_wait_ends_when_the_next_record_is_due() {
        let mut pace = Pace::new(Some(2.0), Duration::ZERO, Bursts::NONE);
        assert_eq!(pace.due(Duration::ZERO), 1);
        pace.made(1);
        assert_eq!(pace.due(Duration::from_millis(100)), 0);
        assert_eq!(pace.wait(Duration::from_millis(100)), Duration::from_millis(400));
        assert_eq!(pace.due(Duration::from_millis(500)), 1);
    }
}
