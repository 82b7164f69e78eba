//! Quotas: how much of what is left of a window each task gets ahead, so that all of them together never pass it.

/// A task of a connector with a quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taker {
    /// What it was given and is not known to have used.
    pub outstanding: u64,
    /// What it has used since the last period.
    pub used: u64,
}

/// A task that has used nothing yet gets one part in so many of the quota: that is what a task without work keeps from
/// the others.
const FIRST_PART: u64 = 100;
/// A task gets so many times what it has used in the last period: enough for a late period, and to grow.
const AHEAD: u64 = 4;

/// Further units for each task, together never more than what is left. `most` is the whole quota, `least` and `first`
/// bound what a task gets that has used nothing.
pub fn top_up(left: u64, most: u64, (least, first): (u64, u64), takers: &[Taker]) -> Vec<u64> {
    let count = u64::try_from(takers.len()).unwrap_or(u64::MAX).max(1);
    let first = (most / FIRST_PART / count).clamp(least.max(1), first.max(least).max(1));
    let lacks = |taker: &Taker| taker.used.saturating_mul(AHEAD).max(first).saturating_sub(taker.outstanding);
    let mut lacking: Vec<u64> = takers.iter().map(lacks).collect();
    let wanted = lacking.iter().fold(0_u64, |sum, lack| sum.saturating_add(*lack));
    if wanted <= left {
        return lacking;
    }
    // What is left is divided by what is lacked; units that remain go one by one to those who have least.
    let mut rest = left;
    let mut given = Vec::with_capacity(lacking.len());
    for lack in &mut lacking {
        let part = u64::try_from(u128::from(left) * u128::from(*lack) / u128::from(wanted.max(1))).unwrap_or(0);
        rest -= part;
        given.push(part);
    }
    let mut order: Vec<usize> = (0..takers.len()).filter(|at| lacking[*at] > given[*at]).collect();
    order.sort_by_key(|at| (takers[*at].outstanding + given[*at], *at));
    for at in order {
        let one = rest.min(1);
        given[at] += one;
        rest -= one;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: (u64, u64) = (1, 1_000);

    #[test]
    fn a_task_that_uses_more_gets_more_and_an_idle_one_keeps_little() {
        let takers = [Taker { outstanding: 0, used: 5_000 }, Taker { outstanding: 0, used: 0 }];
        assert_eq!(top_up(1_000_000, 1_000_000, BOUNDS, &takers), [20_000, 1_000]);
        let takers = [Taker { outstanding: 19_000, used: 5_000 }, Taker { outstanding: 1_000, used: 0 }];
        assert_eq!(top_up(1_000_000, 1_000_000, BOUNDS, &takers), [1_000, 0]);
    }

    #[test]
    fn the_last_units_are_given_out_to_the_last_one() {
        let takers = [Taker { outstanding: 0, used: 50 }, Taker { outstanding: 3, used: 50 }, Taker::default()];
        let given = top_up(4, 1_000, BOUNDS, &takers);
        assert_eq!(given.iter().sum::<u64>(), 4, "{given:?}");
        assert_eq!(top_up(0, 1_000, BOUNDS, &takers), [0, 0, 0]);
        assert_eq!(top_up(1, 1_000, BOUNDS, &[Taker::default()]), [1]);
    }

    /// A source goes from nothing to its rate within a few periods.
    #[test]
    fn a_fast_task_is_at_its_rate_soon() {
        let (mut outstanding, mut used, mut periods) = (0, 0, 0);
        while used < 50_000 {
            outstanding += top_up(100_000_000, 100_000_000, BOUNDS, &[Taker { outstanding, used }])[0];
            used = outstanding.min(50_000);
            outstanding -= used;
            periods += 1;
        }
        assert!(periods <= 5, "{periods}");
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_is_left_and_all_of_it_when_that_is_wanted(
            left in 0_u64..1_000_000, most in 0_u64..u64::MAX,
            takers in prop::collection::vec((0_u64..10_000, 0_u64..100_000), 0..8),
        ) {
            let takers: Vec<Taker> = takers.iter().map(|(outstanding, used)| Taker { outstanding: *outstanding, used: *used }).collect();
            let given = top_up(left, most, BOUNDS, &takers);
            let sum: u64 = given.iter().sum();
            prop_assert!(sum <= left);
            let wanted: u64 = top_up(u64::MAX, most, BOUNDS, &takers).iter().sum();
            prop_assert_eq!(sum, wanted.min(left));
        }
    }
}
