//! Workers at the end of their processors: a bottleneck of the sources that run there, like a slow consumer group.
use super::meters::Meters;
use elasticflow_flow::{Pressure, PressureLaw};
use std::collections::BTreeMap;

/// A worker that its sources must not load further.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pressed {
    /// Bytes per second of all sources that run there.
    pub(crate) limit: f64,
    /// Share of its processors that it uses.
    pub(crate) load: f64,
    pub(crate) goal: f64,
    /// The part of each source's bytes that comes from there.
    pub(crate) shares: BTreeMap<String, f64>,
}

/// What the leader remembers of workers: the report that it judged last, and the state of the law.
#[derive(Default)]
pub(crate) struct Pressing(BTreeMap<String, (u64, Pressure)>);

impl Pressing {
    /// One period: the workers whose sources share a limit.
    pub(crate) fn period(
        &mut self,
        meters: &Meters,
        goal: f64,
        is_source: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, Pressed> {
        let law = PressureLaw { goal, ..PressureLaw::default() };
        let mut next = BTreeMap::new();
        let mut pressed = BTreeMap::new();
        for (worker, seen) in meters.workers() {
            let Some(load) = seen.load else { continue };
            let sources: BTreeMap<&str, f64> = seen.rates.into_iter().filter(|(name, _)| is_source(name)).collect();
            let rate: f64 = sources.values().sum();
            let (judged, before) = self.0.get(worker).copied().unwrap_or_default();
            // A report counts once.
            let state = if judged == seen.at_ms { before } else { before.step(load, rate, &law) };
            next.insert(worker.clone(), (seen.at_ms, state));
            if state.limit.is_finite() {
                let share = |(name, here): (&str, f64)| {
                    let all = meters.connector(name).bytes_per_second;
                    (name.to_owned(), if all > 0.0 { here / all } else { 1.0 })
                };
                let shares = sources.into_iter().map(share).filter(|(_, share)| *share > 0.0).collect();
                pressed.insert(worker.clone(), Pressed { limit: state.limit, load, goal, shares });
            }
        }
        self.0 = next;
        pressed
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use elasticflow_store::flow::{ReportRow, TaskReport};
    use std::time::Duration;

    fn report(meters: &mut Meters, worker: &str, second: u64, load: f64, tasks: &[(&str, u64)]) {
        let task = |(name, bytes_per_second): &(&str, u64)| TaskReport {
            task: u32::from(worker == "b"),
            ..fixtures::report(name, 1, 0, bytes_per_second * second)
        };
        let tasks = tasks.iter().map(task).collect();
        let row = ReportRow { v: 1, at_ms: second * 1_000, load: Some(load), memory: None, tasks };
        meters.take(worker, row, Duration::from_secs(second));
    }

    #[test]
    fn a_worker_at_its_end_limits_what_runs_there_and_no_other_worker() {
        let (mut meters, mut pressing) = (Meters::default(), Pressing::default());
        for second in 1..=5 {
            report(&mut meters, "a", second, 1.0, &[("both", 300), ("here", 600), ("sink", 5_000)]);
            report(&mut meters, "b", second, 0.4, &[("both", 100)]);
            let pressed = pressing.period(&meters, 0.85, |name| name != "sink");
            // A report that is looked at twice is no second one.
            assert_eq!(pressing.period(&meters, 0.85, |name| name != "sink"), pressed);
            assert_eq!(pressed.len(), usize::from(second >= 3), "after {second} s");
            if second == 3 {
                let a = &pressed["a"];
                assert!((a.limit - 900.0 * 0.85).abs() < 1.0, "{a:?}");
                assert_eq!(a.shares, [("both".to_owned(), 0.75), ("here".to_owned(), 1.0)].into());
            }
        }
        let mut lower = Pressing::default();
        for second in 6..=8 {
            report(&mut meters, "a", second, 1.0, &[("both", 300), ("here", 600)]);
            lower.period(&meters, 0.5, |_| true);
            pressing.period(&meters, 0.85, |_| true);
        }
        let limit = lower.period(&meters, 0.5, |_| true)["a"].limit;
        assert!((limit - 900.0 * 0.5).abs() < 1.0, "worker.cpu.goal=0.5 leaves half: {limit}");
        for second in 9..=33 {
            report(&mut meters, "a", second, 0.5, &[("both", 30), ("here", 60)]);
            pressing.period(&meters, 0.85, |_| true);
        }
        assert!(pressing.period(&meters, 0.85, |_| true).is_empty(), "it has calmed down");
    }
}
