//! What tests of flow control begin with: a source of one topic, a sink that reads it, a task that reports.
use super::meters::Meter;
use super::picture::{GroupView, Picture, SourceView};
use elasticflow_config::flow::{LagControl, RetentionGuard};
use elasticflow_store::flow::TaskReport;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A source of topic `t` without limits of its own.
pub(crate) fn source() -> SourceView {
    SourceView {
        priority: 5,
        weight: 1.0,
        floor: None,
        control: LagControl::Auto,
        rate_max: f64::INFINITY,
        tasks: 1,
        topics: ["t".to_owned()].into(),
        foreign: Vec::new(),
        target: 10.0,
        cap: None,
        holds: true,
        counts: Default::default(),
        cap_ratio: 0.0,
        derived: BTreeMap::new(),
        guard: RetentionGuard::Alarm,
    }
}

/// The group of a sink `k` that runs and reads topic `t`.
pub(crate) fn group() -> GroupView {
    GroupView {
        sink: Some("k".to_owned()),
        topics: ["t".to_owned()].into(),
        target: 10.0,
        steers: true,
        state: "running",
    }
}

/// A source `s` and a group `g`.
pub(crate) fn picture(source: SourceView, group: GroupView) -> Picture {
    Picture { sources: [("s".to_owned(), source)].into(), groups: [("g".to_owned(), group)].into() }
}

/// What an instance of the first task of a connector says that has moved so much.
pub(crate) fn report(connector: &str, instance: u64, records: u64, bytes: u64) -> TaskReport {
    TaskReport {
        connector: connector.to_owned(),
        task: 0,
        instance,
        records,
        bytes,
        arrived: None,
        blocked_ms: 0,
        state: "free".to_owned(),
        reason: None,
        detail: None,
    }
}

/// A task by its first report.
pub(crate) fn meter(report: TaskReport) -> Meter {
    Meter {
        arrived: report.arrived.unwrap_or(0),
        report,
        since: Duration::ZERO,
        sent: VecDeque::new(),
        bytes_per_second: 0.0,
        records_per_second: 0.0,
        blocked_share: 0.0,
    }
}
