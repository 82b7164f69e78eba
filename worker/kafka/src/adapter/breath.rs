//! How long a producer breathes after a commit, so that its next transaction is not refused.
//!
//! The coordinator answers the end of a transaction before its markers are written. A transaction of the same id that
//! begins before that is refused, and the client asks again only after [`REFUSED`], which nobody can change. A breath of a
//! fraction of that saves it; how long it has to be depends on the brokers, so it is learned from refusals.
use std::time::Duration;

/// What the client waits after a refusal, less what clocks and rounding take off.
const REFUSED: Duration = Duration::from_millis(19);
/// Longest breath: more would cost more than it saves.
const LONGEST: Duration = Duration::from_millis(4);
/// What a refusal adds at the least.
const STEP: Duration = Duration::from_micros(300);
/// A breath without a refusal is shortened by this part: rarely enough that few transactions are refused.
const SHORTENED: u32 = 1024;
/// Weight of the latest flush in the ordinary one, one part of so many.
const WEIGHT: u32 = 8;

/// What was learned.
#[derive(Debug, Default)]
pub(super) struct Breath {
    /// How long a flush takes that was not refused; none before the first.
    ordinary: Option<Duration>,
    breath: Duration,
}

impl Breath {
    /// After a flush of a transaction that began right before it: how long to wait once it is committed.
    pub(super) fn after(&mut self, flush: Duration) -> Duration {
        let Some(ordinary) = self.ordinary else {
            // The first one looks for brokers and leaders as well.
            self.ordinary = Some(flush);
            return self.breath;
        };
        if flush < ordinary + REFUSED {
            self.ordinary = Some((ordinary * (WEIGHT - 1) + flush) / WEIGHT);
            self.breath -= self.breath / SHORTENED;
        } else {
            // Brokers that have become slow are not taken for ones that refuse for ever.
            self.ordinary = Some(ordinary + ordinary / WEIGHT);
            self.breath = (self.breath * 3 / 2).max(self.breath + STEP).min(LONGEST);
        }
        self.breath
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(3);

    fn refusals(breath: &mut Breath, transactions: usize, flush: impl Fn(Duration) -> Duration) -> usize {
        let mut last = Duration::ZERO;
        let mut refused = 0;
        for _ in 0..transactions {
            let took = flush(last);
            refused += usize::from(took > QUICK * 2);
            last = breath.after(took);
        }
        refused
    }

    #[test]
    fn markers_that_take_their_time_are_waited_for() {
        let markers = Duration::from_millis(1);
        let of = |breath: Duration| if breath < markers { QUICK + Duration::from_millis(21) } else { QUICK };
        let mut breath = Breath { ordinary: Some(QUICK), ..Breath::default() };
        refusals(&mut breath, 100, of);
        let refused = refusals(&mut breath, 10_000, of);
        assert!(refused < 100, "{refused} of 10,000");
        assert!(breath.breath < markers * 2, "{breath:?}");
    }

    #[test]
    fn nobody_waits_for_brokers_that_do_not_refuse() {
        let mut breath = Breath::default();
        assert_eq!(refusals(&mut breath, 1_000, |_| QUICK), 0);
        assert_eq!(breath.breath, Duration::ZERO);
    }

    #[test]
    fn slow_brokers_are_not_taken_for_ones_that_refuse() {
        let mut breath = Breath { ordinary: Some(QUICK), ..Breath::default() };
        refusals(&mut breath, 10_000, |_| Duration::from_millis(40));
        assert!(breath.breath < STEP, "{breath:?}");
    }
}
