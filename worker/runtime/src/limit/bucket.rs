//! A token bucket that may run into debt: a batch overruns it once, and what it overran delays the next one.
use std::time::Duration;

/// Least that is waited for, as time at the rate: smaller batches would cost more than they are worth.
pub(super) const QUANTUM: Duration = Duration::from_millis(50);

/// Added to waits, so that rounding never leaves a bucket a hair below what was waited for.
const SLACK: Duration = Duration::from_micros(1);

/// Tokens that come in at a rate, up to a capacity. Time comes in as a value.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    rate: f64,
    capacity: f64,
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: f64, burst: Duration, now: Duration) -> Self {
        let capacity = capacity(rate, burst);
        Self { rate, capacity, level: capacity, at: now }
    }

    /// Another rate from now on. A debt stays as long as it was in time, so that a lower rate takes effect at once and
    /// does not stretch what an older one has left.
    pub(super) fn set(&mut self, rate: f64, burst: Duration, now: Duration) {
        let level = self.level(now);
        self.capacity = capacity(rate, burst);
        self.level = if level < 0.0 { level * rate / self.rate } else { level.min(self.capacity) };
        self.rate = rate;
    }

    /// Tokens that are there; negative is a debt.
    pub(super) fn level(&mut self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.capacity);
        self.at = self.at.max(now);
        self.level
    }

    /// Takes tokens, more than there are if need be; a negative number gives them back.
    pub(super) fn take(&mut self, tokens: f64, now: Duration) {
        self.level = (self.level(now) - tokens).min(self.capacity);
    }

    /// How long until it is worth while to go on; `None` when it is.
    pub(super) fn wait(&mut self, quantum: Duration, now: Duration) -> Option<Duration> {
        let wanted = (self.rate * quantum.as_secs_f64()).max(1.0).min(self.capacity);
        let missing = wanted - self.level(now);
        if missing <= 0.0 {
            return None;
        }
        let wait = Duration::try_from_secs_f64(missing / self.rate).unwrap_or(Duration::MAX / 4);
        Some(wait.saturating_add(SLACK))
    }
}

/// At least one token, or a slow rate would never let anything go.
fn capacity(rate: f64, burst: Duration) -> f64 {
    (rate * burst.as_secs_f64()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: Duration = Duration::from_millis(250);

    /// Takes batches of a size as fast as the bucket allows; answers what was taken in each window.
    fn windows(rate: f64, batch: f64, window: Duration, count: usize) -> Vec<f64> {
        let mut bucket = Bucket::new(rate, BURST, Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut taken = vec![0.0; count];
        while let Some(slot) = taken.get_mut((now.as_nanos() / window.as_nanos()) as usize) {
            match bucket.wait(QUANTUM, now) {
                Some(wait) => now += wait,
                None => {
                    let batch = batch.min(bucket.level(now).floor().max(1.0));
                    bucket.take(batch, now);
                    *slot += batch;
                    now += Duration::from_micros(50);
                }
            }
        }
        taken
    }

    #[test]
    fn what_goes_in_any_five_seconds_is_the_rate() {
        for rate in [1.0_f64, 7.0, 100.0, 5_000.0, 1_000_000.0] {
            for batch in [1.0_f64, 100.0, 5_000.0] {
                // The bucket is full at the beginning; a batch a time bounds what 50 us a batch can take.
                let most = rate.min(batch / 0.000_050);
                if most < rate {
                    continue;
                }
                for taken in windows(rate, batch, Duration::from_secs(5), 4) {
                    let off = (taken / (rate * 5.0) - 1.0).abs();
                    assert!(off <= 0.0501 || (taken - rate * 5.0).abs() <= 1.0, "{rate}/s by {batch}: {taken}");
                }
            }
        }
    }

    #[test]
    fn an_overrun_is_paid_for_before_anything_else_goes() {
        let mut bucket = Bucket::new(100.0, BURST, Duration::ZERO);
        bucket.take(525.0, Duration::ZERO);
        let wait = bucket.wait(QUANTUM, Duration::ZERO).unwrap();
        assert_eq!(wait.as_millis(), 5_050);
        assert_eq!(bucket.wait(QUANTUM, wait), None);
    }

    #[test]
    fn another_rate_holds_at_once_and_keeps_a_debt_as_long_as_it_was() {
        let mut bucket = Bucket::new(1_000.0, BURST, Duration::ZERO);
        bucket.take(1_250.0, Duration::ZERO);
        bucket.set(10.0, BURST, Duration::ZERO);
        assert_eq!(bucket.level(Duration::from_secs(1)).round(), 0.0);
        bucket.set(1_000.0, BURST, Duration::from_secs(1));
        assert!(bucket.level(Duration::from_secs(2)) > 249.0);
        bucket.set(10.0, BURST, Duration::from_secs(2));
        assert_eq!(
            bucket.level(Duration::from_secs(2)),
            2.5,
            "what was saved up at a high rate is not spent at a low one"
        );
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_back_gives_nothing() {
        let mut bucket = Bucket::new(10.0, BURST, Duration::from_secs(9));
        bucket.take(2.5, Duration::from_secs(9));
        assert_eq!(bucket.level(Duration::from_secs(3)), 0.0);
        assert_eq!(bucket.level(Duration::from_secs(9)), 0.0);
    }
}
