//! Source connectors and tasks.
use crate::context::{ConnectorContext, SourceContext};
use crate::data::Record;
use crate::error::{RecordError, Result};
use crate::position::SourcePosition;
use crate::registry::{Guarantee, TaskConfig};
use crate::written::{JsonForm, Written};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_config::{Settings, ValidationReport};
use serde_json::{Map, Value as Json};
use std::future::Future;
use std::sync::Arc;

/// A source connector: a plan of tasks. Holds no connection while tasks run.
pub trait SourceConnector: Send + Sync + 'static {
    /// Short name; the Java class names it answers to are given at registration.
    const NAME: &'static str;
    /// Field docs become the reference page, declared keys are the configuration keys.
    type Config: Settings + 'static;
    /// What runs.
    type Task: SourceTask;

    /// What this configuration can promise.
    fn guarantee(&self, config: &Self::Config) -> Guarantee;

    /// Whether a run comes to an end, which [`SourceBatch::end_of_data`] or [`SourceBatch::end_of_run`] tells: a batch can be
    /// made of it.
    fn ends(&self, config: &Self::Config) -> bool {
        let _ = config;
        false
    }

    /// Checks the configuration against the outside world.
    ///
    /// Called: on validation and before every plan; concurrently with itself. Reports every error, not the first.
    /// Time-boxed by the caller; dropped at any await.
    fn validate(&self, config: &Self::Config, cx: &ConnectorContext) -> impl Future<Output = ValidationReport> + Send;

    /// Splits the work into at most `tasks_max` tasks.
    ///
    /// Called: when the configuration or the outside world has changed. Same input, same plan: a differing plan restarts
    /// every task.
    fn plan(
        &self,
        config: &Self::Config,
        tasks_max: usize,
        cx: &ConnectorContext,
    ) -> impl Future<Output = Result<Vec<TaskConfig>>> + Send;

    /// Builds a task without I/O.
    fn task(&self, config: &Self::Config, task: TaskConfig) -> Result<Self::Task>;

    /// Checks a position that a user wants to set on a stopped connector; `None` as offset forgets the partition.
    ///
    /// Called: for every entry, before anything is written. On `Err`: nothing is altered, the message is the answer.
    fn check_offset(
        &self,
        config: &Self::Config,
        partition: Option<&Map<String, Json>>,
        offset: Option<&Map<String, Json>>,
    ) -> Result<()> {
        let _ = (config, partition, offset);
        Ok(())
    }
}

/// A source task: one owner, never called concurrently, dropped after an error other than `Record`.
#[async_trait]
pub trait SourceTask: Send + 'static {
    /// Records go to Kafka as they come from this task, their keys and values as JSON of these forms: a task that can may
    /// hand over written records in [`SourceBatch::written`].
    ///
    /// Called: at most once, before `start`; not if a transform is to see the records, or a converter writes anything else.
    fn written_as(&mut self, key: JsonForm, value: JsonForm) {
        let _ = (key, value);
    }

    /// Connects and positions.
    ///
    /// Called: once, after older owners are fenced and the stored positions are final. On `Err(Transient)`: the instance
    /// is dropped and a new one started. On stop: may be dropped at any await. Duplicate: never.
    async fn start(&mut self, cx: &SourceContext) -> Result<()>;

    /// Whether it goes on amid a run, which an instance before it began.
    ///
    /// Called: once, after `start`, where the runs of the source are batches and no batch is open: what remains of such a
    /// run is no whole batch. Only a source whose configuration `ends` answers anything but `false`.
    fn is_inside_run(&self) -> bool {
        false
    }

    /// Returns what has arrived, bounded by `cx.batch_max()`; an empty batch means nothing new, never the end.
    ///
    /// Called: again and again, outside the rate limit's wait. On `Ok`: the positions are in order within a partition.
    /// On `Err(Transient)`: the open transaction is aborted and the task restarted from committed positions. On
    /// `Err(Record)`: the tolerance is asked; if it allows the error, the next poll goes on after what was bad. A source
    /// that knows the position after a bad record tells it in [`SourceBatch::rejected`] instead. On stop: dropped at an await, so a cancelled poll must not have consumed anything that a new instance cannot
    /// read again. Must return within `cx.poll_max()`.
    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch>;

    /// These positions are durable in Kafka: upstream resources up to them may be released.
    ///
    /// Called: after each commit, at least once per position, also again after a restart. On `Err`: logged, the task
    /// goes on; the next call covers it.
    async fn committed(&mut self, positions: &[SourcePosition]) -> Result<()> {
        let _ = positions;
        Ok(())
    }

    /// What the task does and how far it is, for people and for metrics.
    ///
    /// Called: after polls, about once a second. Must be quick: no I/O, no contents of records. `None`: nothing to tell.
    fn report(&self) -> Option<Report> {
        None
    }

    /// A topic whose records tell the task what to do.
    ///
    /// Called: once, after `start`. `None`: there is none.
    fn inbox(&self) -> Option<Inbox> {
        None
    }

    /// Takes new records of the inbox, in order. The task stores `next`, the place after them, with the position that
    /// covers what follows from them.
    ///
    /// Called: once before the first poll with none and the place where reading begins, then before polls when some have
    /// come. Each record once per instance, again after a restart if its place was not stored.
    fn instruct(&mut self, records: Vec<Instruction>, next: i64) {
        let _ = (records, next);
    }

    /// Releases everything. Called once, last, also after a failed `start`; bounded by the caller; cannot fail.
    async fn stop(&mut self);
}

/// A topic of one partition with records that tell a task what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// Topic; made if it is not there.
    pub topic: String,
    /// First record that has not been taken; `None` is the present end of the topic.
    pub next: Option<i64>,
}

/// A record of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Option<Bytes>,
}

/// What a task tells of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What it does, in a word that changes seldom; a change is shown at once.
    pub phase: &'static str,
    /// The same with its place and how far it is, in plain words for people.
    pub words: String,
    /// Numbers for metrics.
    pub figures: Vec<Figure>,
}

/// A number of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name of the metric.
    pub name: &'static str,
    /// What it says, in one line.
    pub help: &'static str,
    /// Whether it only grows.
    pub counts: bool,
    /// A label beside connector and task, with its value.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// What a poll returns.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// Records in source order.
    pub records: Vec<SourceRecord>,
    /// Records that the source has written itself, among `records` where each of them says. They have no positions: what
    /// stands in `progress` is the position after all of them.
    pub written: Written,
    /// What upstream has and the task cannot read, in source order.
    pub rejected: Vec<Rejected>,
    /// Positions passed without a record: heartbeats, filtered events.
    pub progress: Vec<SourcePosition>,
    /// Where the upstream transaction stands after the last record.
    pub boundary: Boundary,
    /// Which rate limits the batch counts for, and most likely the next one.
    pub read: Read,
    /// True once a bounded source has nothing left, ever: positive knowledge, not an empty poll.
    pub end_of_data: bool,
    /// A run is over with this batch, and another one begins later. Says nothing where `end_of_data` is true.
    pub end_of_run: bool,
}

impl SourceBatch {
    /// Number of records, written ones included.
    pub fn len(&self) -> usize {
        self.records.len() + self.written.len()
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.written.is_empty()
    }
}

/// A record and the position after it. Transforms see the record alone.
#[derive(Debug)]
pub struct SourceRecord {
    /// To the pipeline.
    pub record: Record,
    /// To the offsets topic, even if the pipeline drops the record. `None` where a task cannot resume right after this
    /// record or leaves it to a later record or to [`SourceBatch::progress`]; the runtime never cuts after such a record.
    pub position: Option<SourcePosition>,
}

/// Something upstream that cannot become a record: the error policy is asked, and if it allows the error, the task goes on
/// after it. Its position and its dead letter become durable together.
#[derive(Debug)]
pub struct Rejected {
    /// How many records of the batch come before it.
    pub after: usize,
    /// Where the record would have gone.
    pub topic: Arc<str>,
    /// The bytes that could not be read, if they are at hand: they become the dead letter's value.
    pub value: Option<Bytes>,
    /// The record's time, if known.
    pub timestamp_ms: Option<i64>,
    /// Why; no contents.
    pub error: RecordError,
    /// The position after it, if the task can go on there.
    pub position: Option<SourcePosition>,
}

/// What a batch was read from: snapshots may have rate limits of their own.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// What changes: a log, a queue, new lines.
    #[default]
    Stream,
    /// What exists: a snapshot, a batch read of a table.
    Snapshot,
}

/// State of the upstream transaction at the end of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// Between upstream transactions: the runtime may commit here.
    #[default]
    Complete,
    /// Inside one: the runtime commits here only when a limit forces a split.
    Inside,
    /// The upstream transaction was rolled back: the runtime aborts.
    Abort,
}
