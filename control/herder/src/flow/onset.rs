//! Conditions that come and go in the normal course of things, and are incidents only once they have lasted.
use super::incidents::Key;
use std::collections::BTreeMap;
use std::time::Duration;

/// Records are read and not final, because the destination does not take them. Locks and slow commits pass by themselves.
pub(super) const COMMIT_PENDING: &str = "commit_pending";
/// A condition that lasts so long is an incident.
const LASTS: Duration = Duration::from_secs(60);
/// A condition that is away for less is taken to have lasted: between two tries of a commit the status says nothing of it.
const GAP: Duration = Duration::from_secs(10);

/// When conditions began, and when they were seen last.
#[derive(Debug, Default)]
pub(super) struct Onset(BTreeMap<Key, (Duration, Duration)>);

impl Onset {
    /// Takes out of what is wrong what has not lasted yet.
    pub(super) fn hold_back<C>(&mut self, wrong: &mut BTreeMap<Key, C>, now: Duration) {
        self.0.retain(|_, (_, seen)| now.saturating_sub(*seen) < GAP);
        wrong.retain(|key, _| {
            if key.0 != COMMIT_PENDING {
                return true;
            }
            let (began, seen) = self.0.entry(key.clone()).or_insert((now, now));
            *seen = now;
            now.saturating_sub(*began) >= LASTS
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which a condition that was there at these is an incident.
    fn told(seconds: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut onset = Onset::default();
        let mut is_told = |second: &u64| {
            let mut wrong = BTreeMap::from([((COMMIT_PENDING, "c/0".to_owned()), ())]);
            onset.hold_back(&mut wrong, Duration::from_secs(*second));
            !wrong.is_empty()
        };
        seconds.filter(|second| is_told(second)).collect()
    }

    #[test]
    fn what_lasts_a_minute_is_told_and_what_is_away_for_a_while_begins_anew() {
        assert_eq!(told(0..62), [60, 61]);
        assert_eq!(told((0..70).step_by(9)), [63], "between two tries it is not seen");
        assert_eq!(told((0..50).chain(60..120)), Vec::<u64>::new());
    }

    #[test]
    fn other_conditions_are_told_at_once() {
        let mut wrong = BTreeMap::from([(("task_failed", "c/0".to_owned()), ())]);
        Onset::default().hold_back(&mut wrong, Duration::ZERO);
        assert_eq!(wrong.len(), 1);
    }
}
