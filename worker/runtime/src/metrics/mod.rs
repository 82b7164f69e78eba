//! What a task counts. Counters are plain atomics, one set a task, written by its loops and read by the renderer.
//!
//! Names, labels and help texts are in [`names`] and nowhere else; `METRICS.md` says which question each answers.
pub mod names;
mod render;

pub use render::render;

use crate::spec::TaskKind;
use elasticflow_api::ErrorClass;
use elasticflow_api::position::TaskId;
use elasticflow_api::source::Report;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    /// What it stands at.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down; negative means "not known".
#[derive(Debug)]
pub struct Gauge(AtomicI64);

impl Default for Gauge {
    fn default() -> Self {
        Self(AtomicI64::new(-1))
    }
}

impl Gauge {
    pub(crate) fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }
    /// What it stands at, if known.
    pub fn value(&self) -> Option<i64> {
        Some(self.0.load(Relaxed)).filter(|n| *n >= 0)
    }
}

/// Durations or sizes: how many, their sum, the smallest and the largest.
#[derive(Debug)]
pub struct Spread {
    count: AtomicU64,
    sum: AtomicU64,
    least: AtomicU64,
    most: AtomicU64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            least: AtomicU64::new(u64::MAX),
            most: AtomicU64::new(0),
        }
    }
}

impl Spread {
    pub(crate) fn add(&self, value: u64) {
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        self.least.fetch_min(value, Relaxed);
        self.most.fetch_max(value, Relaxed);
    }
    pub(crate) fn time(&self, value: Duration) {
        self.add(u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    }
    /// How many values.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }
    /// The smallest, if any.
    pub fn least(&self) -> Option<u64> {
        (self.count() > 0).then(|| self.least.load(Relaxed))
    }
    /// The largest, if any.
    pub fn most(&self) -> Option<u64> {
        (self.count() > 0).then(|| self.most.load(Relaxed))
    }
    /// The average, if any.
    pub fn average(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum() as f64 / self.count() as f64)
    }
}

/// Everything that one task counts. Times are in microseconds.
#[derive(Debug)]
#[expect(missing_docs, reason = "names.rs describes each")]
pub struct TaskMetrics {
    pub id: TaskId,
    pub kind: TaskKind,
    pub polled: Counter,
    pub written: Counter,
    pub committed: Counter,
    pub bytes: Counter,
    pub transactions: Counter,
    pub transactions_cut: Counter,
    pub transactions_aborted: Counter,
    pub transaction_size: Spread,
    pub commit_time: Spread,
    pub commit_failures: Counter,
    pub poll_time: Spread,
    pub put_time: Spread,
    pub batch_size: Spread,
    pub blocked_us: Counter,
    pub active: Gauge,
    pub lag: Gauge,
    pub partitions: Gauge,
    pub skipped: Counter,
    pub record_errors: Counter,
    pub record_failures: Counter,
    pub retries: Counter,
    pub errors_logged: Counter,
    pub dead_letters: Counter,
    pub dead_letter_failures: Counter,
    pub last_error_ms: Gauge,
    pub recovered_units: Counter,
    pub units_in_doubt: Gauge,
    pub restarts: Counter,
    pub errors: [Counter; 6],
    /// What the connector itself tells; none while it tells nothing.
    pub report: Mutex<Option<Report>>,
}

impl TaskMetrics {
    pub(crate) fn new(id: TaskId, kind: TaskKind) -> Self {
        Self {
            id,
            kind,
            polled: Counter::default(),
            written: Counter::default(),
            committed: Counter::default(),
            bytes: Counter::default(),
            transactions: Counter::default(),
            transactions_cut: Counter::default(),
            transactions_aborted: Counter::default(),
            transaction_size: Spread::default(),
            commit_time: Spread::default(),
            commit_failures: Counter::default(),
            poll_time: Spread::default(),
            put_time: Spread::default(),
            batch_size: Spread::default(),
            blocked_us: Counter::default(),
            active: Gauge::default(),
            lag: Gauge::default(),
            partitions: Gauge::default(),
            skipped: Counter::default(),
            record_errors: Counter::default(),
            record_failures: Counter::default(),
            retries: Counter::default(),
            errors_logged: Counter::default(),
            dead_letters: Counter::default(),
            dead_letter_failures: Counter::default(),
            last_error_ms: Gauge::default(),
            recovered_units: Counter::default(),
            units_in_doubt: Gauge::default(),
            restarts: Counter::default(),
            errors: Default::default(),
            report: Mutex::default(),
        }
    }

    /// Errors of a class that ended an instance.
    pub fn errors_of(&self, class: ErrorClass) -> &Counter {
        let [config, transient, record, definite, fenced, bug] = &self.errors;
        match class {
            ErrorClass::Config => config,
            ErrorClass::Transient { .. } => transient,
            ErrorClass::Record => record,
            ErrorClass::Definite => definite,
            ErrorClass::Fenced => fenced,
            ErrorClass::Bug => bug,
        }
    }
}
