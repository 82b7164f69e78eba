//! Rates from the counters that workers report.
use elasticflow_store::flow::{ReportRow, TaskReport};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A worker that has not reported for so long says nothing any more.
const SILENT: Duration = Duration::from_secs(15);

/// What was sent so long ago has arrived, although no commit says so: transactions may stay open for minutes.
const SETTLED: Duration = Duration::from_secs(5);

/// Reasons that are a connector's own limits.
const OWN_LIMITS: &[&str] = &["RATE", "OVERRIDE", "QUOTA", "BREAKER"];

/// One task as last reported, with what follows from the report before.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    pub(crate) report: TaskReport,
    /// When its reason was heard of first, by this process's clock.
    pub(crate) since: Duration,
    /// Bytes that Kafka had when it was reported.
    pub(crate) arrived: u64,
    /// When it was heard how much had been sent; not longer ago than matters.
    pub(crate) sent: VecDeque<(Duration, u64)>,
    pub(crate) bytes_per_second: f64,
    pub(crate) records_per_second: f64,
    /// Part of the time in which it was not let.
    pub(crate) blocked_share: f64,
}

impl Meter {
    /// Another report of the same instance, or the first one of a new one.
    fn settle(&mut self, before: Option<&Self>, now: Duration) {
        self.sent = before.map(|meter| meter.sent.clone()).unwrap_or_default();
        self.sent.push_back((now, self.report.bytes));
        let is_old = |at: Duration| now.saturating_sub(at) >= SETTLED;
        while self.sent.get(1).is_some_and(|(at, _)| is_old(*at)) {
            self.sent.pop_front();
        }
        if let Some((_, bytes)) = self.sent.front().filter(|(at, _)| is_old(*at)) {
            self.arrived = self.arrived.max(*bytes);
        }
    }

    /// The part in which it was what the controller orders that did not let it: a source at its own static rate has
    /// all that it may want.
    fn held_back(&self) -> f64 {
        let own = self.report.reason.as_deref().is_some_and(|reason| OWN_LIMITS.contains(&reason));
        if own { 0.0 } else { self.blocked_share }
    }
}

/// A worker by its last report.
#[derive(Debug, Clone)]
pub(crate) struct Seen<'a> {
    pub(crate) at_ms: u64,
    pub(crate) load: Option<f64>,
    /// Bytes per second of each connector there.
    pub(crate) rates: BTreeMap<&'a str, f64>,
}

struct Worker {
    at_ms: u64,
    load: Option<f64>,
    heard: Duration,
    tasks: BTreeMap<(String, u32), Meter>,
}

/// What a connector has moved in all since this process reads reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Total {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) blocked_ms: u64,
    /// Instances that were seen to begin.
    pub(crate) instances: u64,
}

/// A connector over all its tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    pub(crate) bytes_per_second: f64,
    pub(crate) records_per_second: f64,
    /// The largest of its tasks.
    pub(crate) blocked_share: f64,
    /// The same, by what the controller orders.
    pub(crate) held_back: f64,
    pub(crate) tasks: BTreeMap<u32, Meter>,
}

/// Every task of the group.
#[derive(Default)]
pub(crate) struct Meters {
    workers: BTreeMap<String, Worker>,
    totals: BTreeMap<String, Total>,
}

impl Meters {
    /// Takes in a report.
    pub(crate) fn take(&mut self, worker: &str, row: ReportRow, now: Duration) {
        let before = self.workers.remove(worker);
        let passed = before.as_ref().and_then(|b| row.at_ms.checked_sub(b.at_ms)).filter(|ms| *ms > 0);
        let mut tasks = BTreeMap::new();
        for report in row.tasks {
            let name = (report.connector.clone(), report.task);
            let older = before.as_ref().and_then(|b| b.tasks.get(&name));
            let same = older.filter(|o| o.report.instance == report.instance && o.report.bytes <= report.bytes);
            let mut meter = meter(report, same.map(|m| &m.report), passed);
            meter.since = older.filter(|o| o.report.reason == meter.report.reason).map_or(now, |o| o.since);
            meter.settle(same, now);
            let total = self.totals.entry(name.0.clone()).or_default();
            let base = |of: fn(&TaskReport) -> u64| of(&meter.report).saturating_sub(same.map_or(0, |m| of(&m.report)));
            // What a task had moved before this process heard of it for the first time is no movement.
            if same.is_some() || older.is_some() || before.is_some() {
                total.records += base(|r| r.records);
                total.bytes += base(|r| r.bytes);
                total.blocked_ms += meter.report.blocked_ms.saturating_sub(same.map_or(0, |m| m.report.blocked_ms));
            }
            total.instances += u64::from(same.is_none());
            tasks.insert(name, meter);
        }
        self.workers.insert(worker.to_owned(), Worker { at_ms: row.at_ms, load: row.load, heard: now, tasks });
    }

    /// A worker has ended.
    pub(crate) fn forget(&mut self, worker: &str) {
        self.workers.remove(worker);
    }

    /// Workers of which nothing has been heard for long.
    pub(crate) fn forget_silent(&mut self, now: Duration) {
        self.workers.retain(|_, worker| now.saturating_sub(worker.heard) < SILENT);
    }

    pub(crate) fn total(&self, connector: &str) -> Total {
        self.totals.get(connector).copied().unwrap_or_default()
    }

    /// Every worker that is heard of.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (&String, Seen<'_>)> {
        self.workers.iter().map(|(name, worker)| {
            let mut rates: BTreeMap<&str, f64> = BTreeMap::new();
            for ((connector, _), meter) in &worker.tasks {
                *rates.entry(connector).or_default() += meter.bytes_per_second;
            }
            (name, Seen { at_ms: worker.at_ms, load: worker.load, rates })
        })
    }

    /// A connector; a task that moved counts where it was last reported.
    pub(crate) fn connector(&self, name: &str) -> Measured {
        let mut tasks: BTreeMap<u32, Meter> = BTreeMap::new();
        for worker in self.workers.values() {
            for (_, meter) in worker.tasks.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX)) {
                let newer = tasks.get(&meter.report.task).is_none_or(|m| m.report.instance < meter.report.instance);
                if newer {
                    tasks.insert(meter.report.task, meter.clone());
                }
            }
        }
        let sum = |of: fn(&Meter) -> f64| tasks.values().map(of).sum();
        Measured {
            bytes_per_second: sum(|m| m.bytes_per_second),
            records_per_second: sum(|m| m.records_per_second),
            blocked_share: tasks.values().map(|m| m.blocked_share).fold(0.0, f64::max),
            held_back: tasks.values().map(Meter::held_back).fold(0.0, f64::max),
            tasks,
        }
    }
}

fn meter(report: TaskReport, before: Option<&TaskReport>, passed_ms: Option<u64>) -> Meter {
    let (Some(before), Some(ms)) = (before, passed_ms) else {
        let since = Duration::ZERO;
        return Meter {
            arrived: report.arrived.unwrap_or(0),
            sent: VecDeque::new(),
            report,
            since,
            bytes_per_second: 0.0,
            records_per_second: 0.0,
            blocked_share: 0.0,
        };
    };
    let per_ms = |new: u64, old: u64| new.saturating_sub(old) as f64 / ms as f64;
    Meter {
        since: Duration::ZERO,
        arrived: report.arrived.unwrap_or(before.bytes),
        sent: VecDeque::new(),
        bytes_per_second: per_ms(report.bytes, before.bytes) * 1000.0,
        records_per_second: per_ms(report.records, before.records) * 1000.0,
        blocked_share: per_ms(report.blocked_ms, before.blocked_ms).min(1.0),
        report,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn report(instance: u64, records: u64, bytes: u64, blocked_ms: u64) -> TaskReport {
        TaskReport { blocked_ms, ..fixtures::report("c", instance, records, bytes) }
    }

    fn row(at_ms: u64, task: TaskReport) -> ReportRow {
        ReportRow { v: 1, at_ms, load: None, memory: None, tasks: vec![task] }
    }

    #[test]
    fn rates_follow_from_two_reports_of_one_instance() {
        let mut meters = Meters::default();
        meters.take("w", row(1_000, report(1, 10, 1_000, 0)), Duration::ZERO);
        assert_eq!(meters.connector("c").bytes_per_second, 0.0, "one report says nothing of a rate");
        meters.take("w", row(3_000, report(1, 30, 5_000, 500)), Duration::ZERO);
        let measured = meters.connector("c");
        assert_eq!((measured.bytes_per_second, measured.records_per_second), (2_000.0, 10.0));
        assert_eq!((measured.blocked_share, measured.held_back), (0.25, 0.25));
        let own =
            TaskReport { state: "limited".to_owned(), reason: Some("RATE".to_owned()), ..report(1, 40, 6_000, 1_000) };
        meters.take("w", row(4_000, own), Duration::ZERO);
        let measured = meters.connector("c");
        assert_eq!((measured.blocked_share, measured.held_back), (0.5, 0.0), "its own rate holds nobody back");
        assert_eq!((meters.total("c").records, meters.total("c").bytes), (30, 5_000));
    }

    #[test]
    fn what_kafka_has_is_what_was_committed_or_sent_long_ago() {
        let mut meters = Meters::default();
        let arrived = |meters: &Meters| meters.connector("c").tasks[&0].arrived;
        for (second, arrives) in [(1, 0), (2, 0), (5, 0), (6, 100), (7, 200)] {
            let report = TaskReport { arrived: Some(0), ..report(1, 0, second * 100, 0) };
            meters.take("w", row(second * 1_000, report), Duration::from_secs(second));
            assert_eq!(arrived(&meters), arrives, "after {second} s of one open transaction");
        }
        let committed = TaskReport { arrived: Some(790), ..report(1, 0, 800, 0) };
        meters.take("w", row(8_000, committed), Duration::from_secs(8));
        assert_eq!(arrived(&meters), 790);
        meters.take("w", row(9_000, TaskReport { arrived: Some(0), ..report(2, 0, 50, 0) }), Duration::from_secs(9));
        assert_eq!(arrived(&meters), 0, "another instance begins anew");
    }

    #[test]
    fn a_reason_lasts_from_the_first_report_of_it() {
        let mut meters = Meters::default();
        let because = |reason: Option<&str>, at: u64| {
            row(at * 1_000, TaskReport { reason: reason.map(str::to_owned), ..report(1, 0, 0, 0) })
        };
        for (reason, at, since) in [(None, 1, 1), (Some("RATE"), 2, 2), (Some("RATE"), 3, 2), (Some("CAP"), 4, 4)] {
            meters.take("w", because(reason, at), Duration::from_secs(at));
            assert_eq!(meters.connector("c").tasks[&0].since, Duration::from_secs(since), "{reason:?} at {at}");
        }
    }

    #[test]
    fn another_instance_begins_from_zero_and_is_noticed() {
        let mut meters = Meters::default();
        meters.take("w", row(1_000, report(1, 10, 1_000, 0)), Duration::ZERO);
        meters.take("w", row(2_000, report(2, 3, 300, 0)), Duration::ZERO);
        assert_eq!(meters.connector("c").bytes_per_second, 0.0);
        assert_eq!((meters.total("c").records, meters.total("c").instances), (3, 2));
    }

    #[test]
    fn a_task_that_moved_counts_once_and_a_silent_worker_not_at_all() {
        let mut meters = Meters::default();
        for at in [1, 2] {
            meters.take("old", row(at * 1_000, report(1, at, at * 100, 0)), Duration::ZERO);
            meters.take("new", row(at * 1_000, report(2, at, at * 500, 0)), Duration::from_secs(20));
        }
        assert_eq!(meters.connector("c").bytes_per_second, 500.0);
        meters.forget_silent(Duration::from_secs(21));
        assert_eq!(meters.connector("c").tasks.len(), 1);
        meters.forget("new");
        assert!(meters.connector("c").tasks.is_empty());
    }
}
