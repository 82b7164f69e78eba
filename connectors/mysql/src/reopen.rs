//! After a lost connection: when it is tried again, and when it is given up.
use crate::error::Error;
use std::time::Duration;

/// First wait but one; the first attempt is made at once.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait between attempts.
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that has lived so long counts as a good one.
const GOOD: Duration = Duration::from_secs(1);

/// The attempts since the log was read well.
#[derive(Debug, Default)]
pub(crate) struct Reopen {
    tries: u32,
    next: Duration,
    /// When the first of these attempts became due.
    since: Option<Duration>,
    opened: Duration,
}

impl Reopen {
    /// A connection was made.
    pub(crate) fn opened(&mut self, now: Duration) {
        self.opened = now;
        self.since = None;
    }

    /// Time left until the next attempt is due.
    pub(crate) fn left(&mut self, now: Duration) -> Duration {
        if self.since.is_none() {
            self.since = Some(now);
            if now.saturating_sub(self.opened) >= GOOD {
                self.tries = 0;
            }
            self.next = now + wait(self.tries);
        }
        self.next.saturating_sub(now)
    }

    /// An attempt failed; whether another is worth it within `most`.
    ///
    /// # Errors
    /// The time is over: the error that was handed in.
    pub(crate) fn failed(&mut self, now: Duration, most: Duration, error: Error) -> Result<(), Error> {
        let begun = self.since.unwrap_or(now);
        if now.saturating_sub(begun) >= most {
            return Err(error);
        }
        self.tries = self.tries.saturating_add(1);
        self.next = now + wait(self.tries);
        Ok(())
    }

    /// The log was lost again.
    pub(crate) fn lost(&mut self) {
        self.tries = self.tries.saturating_add(1);
        self.since = None;
    }
}

/// Nothing before the first attempt, then doubling.
fn wait(tries: u32) -> Duration {
    match tries {
        0 | 1 => Duration::ZERO,
        n => FIRST.saturating_mul(1 << (n - 2).min(9)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_attempt_is_made_at_once_and_later_ones_wait_longer_and_longer() {
        let mut reopen = Reopen::default();
        reopen.opened(Duration::ZERO);
        reopen.lost();
        assert_eq!(reopen.left(SECOND * 5), Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..12 {
            reopen.failed(SECOND * 5, SECOND * 300, Error::Closed).unwrap();
            waits.push(reopen.left(SECOND * 5).as_millis());
        }
        assert_eq!(waits[..4], [0, 100, 200, 400]);
        assert_eq!(waits[11], 30_000);
    }

    #[test]
    fn connections_that_are_lost_at_once_do_not_make_the_waits_short_again() {
        let mut reopen = Reopen::default();
        let mut now = Duration::ZERO;
        for _ in 0..5 {
            reopen.opened(now);
            now += Duration::from_millis(10);
            reopen.lost();
            now += reopen.left(now);
        }
        assert!(now > Duration::from_millis(700), "{now:?}");
    }

    #[test]
    fn the_last_error_is_handed_back_when_the_time_is_over() {
        let mut reopen = Reopen::default();
        reopen.lost();
        reopen.left(SECOND);
        assert!(reopen.failed(SECOND * 2, SECOND * 10, Error::Closed).is_ok());
        assert!(reopen.failed(SECOND * 11, SECOND * 10, Error::Closed).is_err());
    }
}
