//! Fakes of what the runtime gives to tasks.
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{Errant, Lease, Limits, SinkContext, SinkFlow, SourceContext, StoredOffsets, Unguarded};
use elasticflow_api::position::{
    Offset, SourceOffset, SourcePartition, SourcePosition, TaskId, TaskIndex, TopicPartition,
};
use elasticflow_api::sink::SinkRecord;
use elasticflow_api::{RecordError, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The system's clock, through tokio: a paused runtime pauses its waits.
pub struct TestClock(Instant);

impl Default for TestClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// Stored source positions.
#[derive(Debug, Default, Clone)]
pub struct Stored(pub Vec<(SourcePartition, SourceOffset)>);

impl Stored {
    /// Takes a position as the offsets topic would: the last of a partition wins.
    pub fn note(&mut self, position: &SourcePosition) {
        match self.0.iter_mut().find(|(p, _)| *p == *position.partition) {
            Some((_, offset)) => *offset = (*position.offset).clone(),
            None => self.0.push(((*position.partition).clone(), (*position.offset).clone())),
        }
    }
}

impl StoredOffsets for Stored {
    fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.0.iter().find(|(p, _)| p == partition).map(|(_, o)| o.clone()))
    }
    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        Ok(self.0.clone())
    }
}

/// Rejected records: topic partition, offset, reason.
#[derive(Debug, Default)]
pub struct Rejected(pub Mutex<Vec<(TopicPartition, Offset, String)>>);

impl Errant for Rejected {
    fn reject(&self, record: &SinkRecord, error: RecordError) -> Result<()> {
        self.0.lock().push((record.origin.at.clone(), record.origin.offset, error.to_string()));
        Ok(())
    }
}

/// What a sink asked of its loop.
#[derive(Debug, Default)]
pub struct Wishes {
    /// Partitions that are paused.
    pub paused: Mutex<Vec<TopicPartition>>,
    /// How often a commit was asked for.
    pub commits: Mutex<usize>,
}

impl SinkFlow for Wishes {
    fn pause(&self, partitions: &[TopicPartition]) {
        self.paused.lock().extend(partitions.iter().cloned());
    }
    fn resume(&self, partitions: &[TopicPartition]) {
        self.paused.lock().retain(|p| !partitions.contains(p));
    }
    fn request_commit(&self) {
        *self.commits.lock() += 1;
    }
}

struct Held;

impl Lease for Held {
    fn valid(&self) -> bool {
        true
    }
}

/// A task's name.
pub fn task_id(connector: &str, task: u32) -> TaskId {
    TaskId { group: "test".into(), connector: connector.into(), task: TaskIndex(task) }
}

/// A source's context with stored positions.
pub fn source_context(task: TaskId, stored: Stored) -> SourceContext {
    SourceContext {
        task,
        clock: Arc::new(TestClock::default()),
        offsets: Arc::new(stored),
        batch_max: Limits { records: 1000, bytes: 1 << 20 },
        poll_max: Duration::from_millis(100),
    }
}

/// A sink's context, with what it rejected and asked for.
pub fn sink_context(task: TaskId) -> (SinkContext, Arc<Rejected>, Arc<Wishes>) {
    let (rejected, wishes) = (Arc::new(Rejected::default()), Arc::new(Wishes::default()));
    let (errant, flow): (Arc<Rejected>, Arc<Wishes>) = (Arc::clone(&rejected), Arc::clone(&wishes));
    let context = SinkContext {
        task,
        version_epoch: 0,
        clock: Arc::new(TestClock::default()),
        errant,
        buffer_max: Limits { records: 10_000, bytes: 16 << 20 },
        flow,
        lease: Arc::new(Held),
        endpoint: Arc::new(Unguarded),
    };
    (context, rejected, wishes)
}
