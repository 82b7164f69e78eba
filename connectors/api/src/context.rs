//! What the runtime gives to connectors and tasks.
use crate::clock::{Boxed, Clock};
use crate::error::{RecordError, Result};
use crate::position::{SourceOffset, SourcePartition, TaskId, TopicPartition};
use crate::sink::SinkRecord;
use std::sync::Arc;
use std::time::Duration;

/// For validation and planning: both are time-boxed.
pub struct ConnectorContext {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Asks the control plane to plan again, such as when a table has appeared.
    pub replan: Arc<dyn Fn() + Send + Sync>,
}

/// For source tasks.
pub struct SourceContext {
    /// Who this task is.
    pub task: TaskId,
    /// The time; connectors never ask the system.
    pub clock: Arc<dyn Clock>,
    /// The stored positions: final, read after fencing.
    pub offsets: Arc<dyn StoredOffsets>,
    /// Most records and bytes of one batch.
    pub batch_max: Limits,
    /// Longest a poll may take, waiting included.
    pub poll_max: Duration,
}

/// For sink tasks.
pub struct SinkContext {
    /// Who this task is.
    pub task: TaskId,
    /// Epoch of external versions of idempotent sinks: the top 15 bits of a version are this, the rest is the offset.
    /// Raised when offsets are altered, a topic is re-created or gains partitions.
    pub version_epoch: u16,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where bad records go.
    pub errant: Arc<dyn Errant>,
    /// Most records and bytes a task may hold.
    pub buffer_max: Limits,
    /// Pauses and resumes partitions, asks for an early commit.
    pub flow: Arc<dyn SinkFlow>,
    /// Whether this task still holds its lease.
    pub lease: Arc<dyn Lease>,
    /// Asked before each attempt by sinks that try again by themselves.
    pub endpoint: Arc<dyn Endpoint>,
}

/// A bound in both units; the one reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

/// Read access to stored source positions.
pub trait StoredOffsets: Send + Sync {
    /// The position stored for a partition; an undecodable one is `Definite`, never "none".
    fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>>;
    /// All stored partitions of this connector.
    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>>;
}

/// Bad records of a sink.
pub trait Errant: Send + Sync {
    /// Hands a record to the tolerance policy: dead letter, skip, or `Err(Record)` when the policy says stop.
    ///
    /// The dead letter is durable before the record's offset is committed: inside the decide transaction for two-phase
    /// sinks, before the commit for the others (so it may repeat there; its headers name topic, partition and offset).
    fn reject(&self, record: &SinkRecord, error: RecordError) -> Result<()>;

    /// A dead letter that was put again has changed nothing, because the destination holds something newer: its state says
    /// so from then on. Called before the record counts as durable; for records that are no replay it does nothing.
    fn superseded(&self, _: &SinkRecord) {}

    /// Waits until the dead letters of what was rejected so far are durable.
    ///
    /// A transactional sink calls it right before it commits a transaction in which it rejected something: a crash after
    /// that may repeat the dead letter, and one before it leaves neither. Other sinks need not. On `Err`: the transaction is
    /// rolled back.
    fn settle(&self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Flow of a sink task.
pub trait SinkFlow: Send + Sync {
    /// Stops delivery from a partition.
    fn pause(&self, partitions: &[TopicPartition]);
    /// Resumes delivery.
    fn resume(&self, partitions: &[TopicPartition]);
    /// Asks for an epoch to end soon.
    fn request_commit(&self);
    /// Says why the call that runs now lasts: a lock, a full disk, a right that is missing. Shown as the task's status
    /// until the call has ended. No record contents, no secrets.
    fn waiting(&self, _reason: &str) {}
}

/// The circuit breaker before the system at the other end, for connectors that try again by themselves instead of failing
/// with the call. Whoever asks once asks before every attempt: from then on the runtime does not count the calls itself.
pub trait Endpoint: Send + Sync {
    /// Waits until an attempt may be made; while the breaker is half open, one at a time. Cancel-safe.
    fn permit(&self) -> Boxed<'_, Permit>;
}

/// Leave for one attempt. Dropped without a word it says nothing about the system at the other end.
pub struct Permit(Option<Box<dyn FnOnce(Option<bool>) + Send>>);

impl Permit {
    /// Calls a function once, with how the attempt went.
    pub fn new(ended: impl FnOnce(Option<bool>) + Send + 'static) -> Self {
        Self(Some(Box::new(ended)))
    }

    /// The system at the other end works, whatever it answered.
    pub fn answered(mut self) {
        self.end(Some(true));
    }

    /// It did not answer, or not for now.
    pub fn failed(mut self) {
        self.end(Some(false));
    }

    fn end(&mut self, went_well: Option<bool>) {
        if let Some(ended) = self.0.take() {
            ended(went_well);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// No breaker: every attempt may be made.
#[derive(Debug, Default, Clone, Copy)]
pub struct Unguarded;

impl Endpoint for Unguarded {
    fn permit(&self) -> Boxed<'_, Permit> {
        Box::pin(std::future::ready(Permit(None)))
    }
}

/// The task's lease, judged by this worker's own monotonic clock and its last answered heartbeat.
pub trait Lease: Send + Sync {
    /// False once the lease may have passed to another worker. Asked right before every external write that nothing else
    /// fences; it narrows the window of a frozen owner, it does not close it.
    fn valid(&self) -> bool;
}
