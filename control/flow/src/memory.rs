//! A worker whose memory is nearly used up reads smaller batches, the least important sources first.
//!
//! Work only shrinks by it: that memory stays within bounds rests on bounded queues. Each class of sources is halved down to
//! a sixteenth before the next one is touched, and gets back what it had in the other direction.
use std::time::Duration;

/// Shares of the memory that it may use at which a worker reads less, and below which it reads more again.
const ON: f64 = 0.9;
const OFF: f64 = 0.8;
/// Times between two steps.
const HALVE_EVERY: Duration = Duration::from_secs(5);
const DOUBLE_EVERY: Duration = Duration::from_secs(30);
/// Halvings of one class: down to a sixteenth.
const HALVINGS_MOST: u32 = 4;

/// How much less a worker reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shrinking {
    /// Over all classes.
    halvings: u32,
    /// When that was changed last.
    since: Option<Duration>,
}

impl Shrinking {
    /// One look, at which the worker uses `used` of its memory and runs sources of so many classes.
    #[must_use]
    pub fn step(&self, used: f64, classes: u32, now: Duration) -> Self {
        let most = classes.saturating_mul(HALVINGS_MOST);
        let halvings = self.halvings.min(most);
        let is_due = |wait| self.since.is_none_or(|since| now.saturating_sub(since) >= wait);
        if used >= ON && halvings < most && is_due(HALVE_EVERY) {
            return Self { halvings: halvings + 1, since: Some(now) };
        }
        if used < OFF && halvings > 0 && is_due(DOUBLE_EVERY) {
            return Self { halvings: halvings - 1, since: Some(now) };
        }
        Self { halvings, ..*self }
    }

    /// How often batches of a class are halved; 0 is the least important one.
    pub fn of_class(&self, rank: u32) -> u32 {
        self.halvings.saturating_sub(rank.saturating_mul(HALVINGS_MOST)).min(HALVINGS_MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(mut state: Shrinking, used: f64, seconds: std::ops::Range<u64>) -> Shrinking {
        for second in seconds {
            state = state.step(used, 2, Duration::from_secs(second));
        }
        state
    }

    fn classes(state: Shrinking) -> [u32; 2] {
        [state.of_class(0), state.of_class(1)]
    }

    #[test]
    fn the_least_important_class_is_halved_every_five_seconds_and_the_next_one_only_after_it() {
        let mut state = Shrinking::default();
        for (until, expected) in [(1, [1, 0]), (6, [2, 0]), (16, [4, 0]), (21, [4, 1]), (60, [4, 4])] {
            state = after(Shrinking::default(), 0.95, 0..until);
            assert_eq!(classes(state), expected, "after {until} s");
        }
        assert_eq!(classes(after(state, 0.85, 60..600)), [4, 4], "between the two nothing changes");
        assert_eq!(classes(after(state, 0.5, 60..65)), [4, 4], "room is not given back at once");
        assert_eq!(classes(after(state, 0.5, 60..125)), [4, 2]);
        assert_eq!(classes(after(state, 0.5, 60..400)), [0, 0]);
    }

    #[test]
    fn memory_that_is_not_known_changes_nothing_and_without_sources_there_is_nothing_to_shrink() {
        assert_eq!(Shrinking::default().step(f64::NAN, 3, Duration::ZERO), Shrinking::default());
        assert_eq!(Shrinking::default().step(0.99, 0, Duration::ZERO), Shrinking::default());
    }
}
