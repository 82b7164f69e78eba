//! Waiting: how long between attempts, and one line in the log per outage instead of one per attempt.
use parking_lot::Mutex;
use std::time::Duration;
use tracing::{info, warn};

/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Shortest wait, so that a failure that comes at once does not become a loop.
const BACKOFF_LEAST: Duration = Duration::from_millis(10);

/// Whether the destination answers at all.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Mutex<Option<Duration>>,
}

impl Outage {
    /// An attempt without an answer; says how long this has been so.
    pub(crate) fn failed(&self, now: Duration, url: &str, error: &dyn std::fmt::Display) -> Duration {
        let mut since = self.since.lock();
        match *since {
            Some(start) => now.saturating_sub(start),
            None => {
                *since = Some(now);
                warn!(url, %error, "elasticsearch does not answer; waiting, nothing is lost");
                Duration::ZERO
            }
        }
    }

    /// An answer.
    pub(crate) fn answered(&self, now: Duration, url: &str) {
        let since = self.since.lock().take();
        if let Some(start) = since {
            info!(url, outage_s = now.saturating_sub(start).as_secs(), "elasticsearch answers again");
        }
    }
}

/// The wait before another attempt: full jitter below a limit that doubles.
pub(crate) fn backoff(first: Duration, attempt: u32, now: Duration) -> Duration {
    let limit = first.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(BACKOFF_MAX);
    // The low digits of the time are as good as dice here: attempts of different tasks drift apart, which is all.
    let dice = u64::from(now.subsec_nanos()).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let share = u32::try_from(dice % 1000).unwrap_or(500);
    (limit * share / 1000).max(BACKOFF_LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_never_vanish() {
        for attempt in 0..40 {
            for nanos in [0, 1, 999_999_999, 123_456_789] {
                let wait = backoff(Duration::from_millis(100), attempt, Duration::new(5, nanos));
                assert!(wait >= BACKOFF_LEAST && wait <= BACKOFF_MAX);
                assert!(wait <= Duration::from_millis(100) * 2_u32.pow(attempt.min(16)));
            }
        }
    }

    #[test]
    fn an_outage_lasts_from_its_first_failure_to_the_next_answer() {
        let outage = Outage::default();
        let at = Duration::from_secs;
        assert_eq!(outage.failed(at(10), "u", &"refused"), at(0));
        assert_eq!(outage.failed(at(70), "u", &"refused"), at(60));
        outage.answered(at(75), "u");
        assert_eq!(outage.failed(at(80), "u", &"refused"), at(0));
    }
}
