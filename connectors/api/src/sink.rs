//! Sink connectors and the three kinds of sink task. The kind is a type: the runtime cannot run one as another.
use crate::context::{ConnectorContext, SinkContext};
use crate::data::{Origin, Record};
use crate::error::Result;
use crate::position::{BatchId, ConsumedOffsets, Offset, TaskId, TopicPartition, UnitId};
use crate::registry::{Guarantee, TaskConfig};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_config::{Settings, ValidationReport};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// A sink connector.
pub trait SinkConnector: Send + Sync + 'static {
    /// Short name.
    const NAME: &'static str;
    /// Field docs become the reference page.
    type Config: Settings + 'static;

    /// What this configuration can promise.
    fn guarantee(&self, config: &Self::Config) -> Guarantee;
    /// As for sources.
    fn validate(&self, config: &Self::Config, cx: &ConnectorContext) -> impl Future<Output = ValidationReport> + Send;
    /// Mostly `tasks_max` equal configurations: the consumer group spreads the partitions.
    fn plan(&self, config: &Self::Config, tasks_max: usize) -> Result<Vec<TaskConfig>>;
    /// Builds a task without I/O; its kind may depend on the configuration.
    fn task(&self, config: &Self::Config, task: TaskConfig) -> Result<SinkKind>;
    /// What a batch can do here when it is published as a whole; none where the destination, or this configuration, cannot
    /// publish one.
    fn publishes(&self, config: &Self::Config) -> &'static [PublishKind] {
        let _ = config;
        &[]
    }
    /// Offsets changed by a user on a stopped connector, for destinations that store them: written there in one
    /// transaction that also raises the owner epoch. `None` removes the row. `id` names group and connector (its task index is 0). Other kinds: nothing to do.
    fn alter_offsets(
        &self,
        config: &Self::Config,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// The kinds of sink.
pub enum SinkKind {
    /// Offsets are committed to the group after the destination has acknowledged.
    Idempotent(Box<dyn IdempotentSink>),
    /// Offsets live in the destination, in the data's own transaction.
    Transactional(Box<dyn TransactionalSink>),
    /// Prepare, decide in Kafka, commit.
    TwoPhase(Box<dyn TwoPhaseSink>),
}

/// Records for a sink, in offset order per partition.
#[derive(Debug)]
pub struct SinkBatch {
    /// What is left after converters and transforms.
    pub records: Vec<SinkRecord>,
    /// Where the partitions stand after this batch, filtered and rejected records included.
    pub consumed: ConsumedOffsets,
}

/// A record for a sink.
#[derive(Debug, Clone)]
pub struct SinkRecord {
    /// After converters and transforms.
    pub record: Record,
    /// As read: position and original bytes.
    pub origin: Origin,
}

/// What all sinks share. One owner, never called concurrently, dropped after an error other than `Record`.
#[async_trait]
pub trait SinkTask: Send + 'static {
    /// Whether values may come as the JSON they are, in [`Value::Bytes`](crate::data::Value::Bytes) without a schema: checked,
    /// without blanks between their parts, numbers with all their digits. A null comes as ever.
    ///
    /// Called: at most once, before `start`, where values are JSON without schemas and no transform looks at values.
    fn takes_json(&mut self) -> bool {
        false
    }

    /// Whether it looks at the fields `op` and `after` alone of change events
    /// ([`Schema::is_envelope`](crate::data::Schema::is_envelope)): then the others may come as nulls.
    ///
    /// Called: at most once, before `start`, where no transform is to see the records.
    fn reads_rows_alone(&self) -> bool {
        false
    }

    /// Whether it looks at the keys of records; else they are checked and may come as anything.
    ///
    /// Called: as [`SinkTask::reads_headers`].
    fn reads_keys(&self) -> bool {
        true
    }

    /// Whether it looks at the headers of records; those as read are there in any case.
    ///
    /// Called: at most once, before `start`, where no transform is to see the records.
    fn reads_headers(&self) -> bool {
        true
    }

    /// Connects. Called once, before `open`.
    async fn start(&mut self, cx: &SinkContext) -> Result<()>;

    /// Takes over partitions and says where to begin.
    ///
    /// Called: on assignment, with the new partitions only. On `Ok`: a transactional sink has raised the owner epoch of
    /// each partition and answers what it has stored. On `Err(Transient)`: the instance is dropped.
    async fn open(&mut self, new: &[TopicPartition], cx: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>>;

    /// Takes records. Idempotent and two-phase sinks may buffer them, bounded by `cx.buffer_max()`.
    ///
    /// Called: never concurrently. A bad record goes to `cx.errant` and the call goes on. On `Err(Transient)`: the batch
    /// may have been applied in part; a new instance gets it again. On `Err(Record)`, for a destination that does not say
    /// which record it refuses: nothing of the batch may have been taken. The same records come again in halves, down to
    /// the bad ones, which the runtime hands to the error policy; a batch without records moves the offsets past them.
    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()>;

    /// Gives partitions up. Called after their last commit; `lost` means that there was none and that nothing may be
    /// written for them any more: buffers are dropped.
    async fn close(&mut self, gone: &[TopicPartition], lost: bool) -> Result<()>;

    /// Releases everything; once, last, cannot fail.
    async fn stop(&mut self);

    /// The calls for atomic batches, if the destination can do them.
    fn batches(&mut self) -> Option<&mut dyn AtomicBatches> {
        None
    }
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At the group's committed offset.
    Group,
    /// At the offset that the destination has stored.
    Stored(Offset),
}

/// Idempotent or at-least-once destinations.
#[async_trait]
pub trait IdempotentSink: SinkTask {
    /// Makes everything put so far durable and says up to where that is true.
    ///
    /// Called: at the end of an epoch and before `close`. On `Ok(o)`: every record below `o` is durable or rejected; `o`
    /// may lag behind what was put. The runtime then commits `o` to the group. Repeated with the same records after a restart.
    async fn flush(&mut self, cx: &SinkContext) -> Result<ConsumedOffsets>;
}

/// Destinations whose transaction can hold the offsets: every `put` is one destination transaction with rows, next
/// offsets and owner epochs.
///
/// The transaction first reads the epochs of the partitions with a lock: a newer one is `Err(Fenced)`, an offset below the
/// stored one is skipped. On a lost answer: a new session reads under the lock what was stored, never assumes. Group
/// offsets are committed afterwards, for lag displays only.
pub trait TransactionalSink: SinkTask {}

/// Destinations that can prepare a unit durably and invisibly.
#[async_trait]
pub trait TwoPhaseSink: SinkTask {
    /// Time between units where `commit.interval.ms` is not set: nothing of a unit is seen before it is committed.
    fn unit_every(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Makes everything put since the last unit durable but invisible.
    ///
    /// Called: once per unit, after the last `put`. On `Ok(Some)`: the unit survives a crash of this process and of the
    /// destination, and `in_doubt` lists it. On `Ok(None)`: there was nothing to write. On `Err`: the instance is
    /// dropped; what it left is aborted by its successor. Cancel-safe: no, the runtime never drops it.
    async fn prepare(&mut self, unit: &UnitId, cx: &SinkContext) -> Result<Option<Handle>>;

    /// Makes a decided unit visible.
    ///
    /// Called: after the decision, by this owner, by a successor, by the leader, by several at once; repeated until it
    /// succeeds. On `Ok`: applied, now or before. A handle that neither is prepared nor was applied is looked for again
    /// with bounded backoff (another caller may be in the middle), then `Err(Bug)`.
    async fn commit(&mut self, handle: &Handle) -> Result<Committed>;

    /// Removes an undecided unit. Only the same transactional id calls it: its owner after a certain refusal, else its
    /// successor. Repeated until it succeeds.
    async fn abort(&mut self, handle: &Handle) -> Result<()>;

    /// Every prepared unit of this connector at the destination, of whatever task and owner.
    async fn in_doubt(&mut self) -> Result<Vec<Handle>>;
}

/// Atomic batches: staged with the sink's ordinary commit, published at once. Publishing and dropping may be repeated and may
/// come from another task or process; what is done is recognised by names or a ledger at the destination, never by memory.
#[async_trait]
pub trait AtomicBatches: Send {
    /// Directs the next `put` to the staging of its batch.
    ///
    /// Called: before every `put` of records of a batch. The numbers of `part` are made durable together with that `put`,
    /// so that [`AtomicBatches::publish`] can tell whether everything is there.
    async fn stage(&mut self, part: &BatchPart) -> Result<()>;
    /// Makes the whole batch visible in one step.
    ///
    /// Called: once the group has passed everything of the batch, by task 0, and again when its answer was lost. On
    /// `Ok(Incomplete)`: less is staged than was announced, and nothing was published; the call is repeated. On
    /// `Err(Definite)`: more is staged, and nothing was published.
    async fn publish(&mut self, batch: &Announced, kind: PublishKind) -> Result<Published>;
    /// Removes the staging of a batch that was given up. Nothing staged is no error.
    async fn drop_staged(&mut self, batch: &BatchId) -> Result<()>;
}

/// What the next `put` holds of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPart {
    /// The batch.
    pub batch: BatchId,
    /// Which attempt at it, from 1. Smaller ones are void.
    pub attempt: u32,
    /// Records consumed per partition, those included that are filtered or rejected.
    pub records: BTreeMap<TopicPartition, u64>,
}

/// A batch that is complete in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The batch.
    pub batch: BatchId,
    /// The attempt that counts.
    pub attempt: u32,
    /// Records of this attempt.
    pub records: u64,
    /// Replaced versions that stay at the destination; older ones are removed.
    pub keep: usize,
}

/// How publishing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// By this call.
    Now,
    /// By an earlier call.
    Before,
    /// Not yet.
    Incomplete {
        /// Records that are staged.
        staged: u64,
    },
}

/// What publishing does to what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishKind {
    /// The batch takes the place of everything.
    Replace,
    /// The batch is added.
    Append,
    /// Rows of the batch overwrite rows of the same key.
    Upsert,
}

impl PublishKind {
    /// As in configurations.
    pub fn word(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Upsert => "upsert",
        }
    }
}

/// A prepared unit: its name and what the sink needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// Name, readable at the destination.
    pub unit: UnitId,
    /// Versioned bytes of the sink's own, at most [`Handle::TOKEN_MAX`].
    pub token: Bytes,
}

impl Handle {
    /// Bytes. A decision record must stay far below `max.message.bytes` (1 MiB) with a thousand partitions in it.
    pub const TOKEN_MAX: usize = 4096;
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// By this call.
    Now,
    /// By an earlier call; counted as a recovery.
    Before,
}
