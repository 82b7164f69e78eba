//! What the runtime gives to tasks, scripted.
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{Errant, Lease, Limits, SinkContext, SinkFlow, SourceContext, StoredOffsets, Unguarded};
use elasticflow_api::error::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_api::position::{SourceOffset, SourcePartition, TaskId, TaskIndex, TopicPartition};
use elasticflow_api::sink::SinkRecord;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn sleep(&self, _: Duration) -> Boxed<'static, ()> {
        Box::pin(async {})
    }
}

/// Collects rejected offsets, or refuses as `errors.tolerance=none` does.
#[derive(Default)]
pub(crate) struct Rejected {
    pub(crate) offsets: Mutex<Vec<i64>>,
    pub(crate) intolerant: bool,
}

impl Errant for Rejected {
    fn reject(&self, record: &SinkRecord, error: RecordError) -> Result<()> {
        if self.intolerant {
            return Err(ConnectorError {
                class: ErrorClass::Record,
                code: "TEST-0001",
                message: error.to_string(),
                source: None,
            });
        }
        self.offsets.lock().unwrap().push(record.origin.offset.0);
        Ok(())
    }
}

struct Free;

impl SinkFlow for Free {
    fn pause(&self, _: &[TopicPartition]) {}
    fn resume(&self, _: &[TopicPartition]) {}
    fn request_commit(&self) {}
}

impl Lease for Free {
    fn valid(&self) -> bool {
        true
    }
}

pub(crate) fn task_id() -> TaskId {
    TaskId { group: Arc::from("g"), connector: Arc::from("c"), task: TaskIndex(0) }
}

const LIMITS: Limits = Limits { records: 3, bytes: 1 << 20 };

pub(crate) fn sink_context(errant: Arc<Rejected>) -> SinkContext {
    SinkContext {
        task: task_id(),
        version_epoch: 0,
        clock: Arc::new(Still),
        errant,
        buffer_max: LIMITS,
        flow: Arc::new(Free),
        lease: Arc::new(Free),
        endpoint: Arc::new(Unguarded),
    }
}

pub(crate) struct Stored(pub(crate) Vec<(SourcePartition, SourceOffset)>);

impl StoredOffsets for Stored {
    fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.0.iter().rev().find(|(p, _)| p == partition).map(|(_, o)| o.clone()))
    }
    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        Ok(self.0.clone())
    }
}

pub(crate) fn source_context(stored: Vec<(SourcePartition, SourceOffset)>) -> SourceContext {
    SourceContext {
        task: task_id(),
        clock: Arc::new(Still),
        offsets: Arc::new(Stored(stored)),
        batch_max: LIMITS,
        poll_max: Duration::from_millis(10),
    }
}
