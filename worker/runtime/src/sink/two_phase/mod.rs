//! Two-phase sinks: prepare, decide in one Kafka transaction, commit, forget.
//!
//! The decide transaction is the commit point: before it everything may vanish, after it everything may repeat. Steps and
//! crashes are those of the delivery contract; the order of a take-over is never changed: fence, stable offsets, decisions
//! to the end, claim, adopt what is decided, abort what older owners of this id left undecided, consume. Order and decisions
//! are asked of `elasticflow_protocol`, whose model visits every state of overlapping owners.
mod records;
mod take_over;
mod unit;

pub(super) use take_over::STABLE_MAX;

use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::supervise::Supervision;
use crate::table::Table;
use elasticflow_api::position::{Offset, OwnerEpoch, TopicPartition};
use elasticflow_api::sink::TwoPhaseSink;
use elasticflow_kafka::ports::{ClientProperties, OutRecord, Producer, SendError, TopicSpec, TransactionalProducer};
use elasticflow_protocol::{OutOfOrder, Step, TakeOver};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bounds how long others wait for a transaction of a worker that has died.
const TRANSACTION_TIMEOUT_MS: &str = "15000";

/// Partitions of the decisions topic when it is created. All records of a connector lie in one of them.
const PARTITIONS: i32 = 1;

/// A step out of order is a defect of this program, and is never taken.
fn in_order(reached: Result<(), OutOfOrder>) -> Result<(), TaskError> {
    reached.map_err(|error| TaskError::Bug(error.to_string()))
}

/// The owner of a two-phase sink task.
pub(super) struct TwoPhase {
    pub(super) sink: Box<dyn TwoPhaseSink>,
    task: Arc<Supervision>,
    producer: Box<dyn TransactionalProducer>,
    decisions: Arc<Table>,
    /// Known once the claim is written.
    owner: Option<OwnerEpoch>,
    /// Commit epochs count from 1 within an owner.
    commits: u64,
    /// Keys of units that are committed: their tombstones go with the next transaction.
    forget: Vec<String>,
    /// Watches the order of take-overs.
    order: TakeOver,
    /// Partitions of the claim with their offsets.
    claimed: BTreeMap<TopicPartition, Option<Offset>>,
}

impl TwoPhase {
    /// Fences older owners of the task and finishes their last transaction.
    pub(super) async fn fence(task: &Arc<Supervision>, sink: Box<dyn TwoPhaseSink>) -> Result<Self, TaskError> {
        let options = &task.services.options;
        let id = &task.spec.id;
        let spec = TopicSpec {
            name: options.decisions_topic.clone(),
            partitions: PARTITIONS,
            replication: options.decisions_replication,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        options.kafka.admin().ensure_topic(&spec).await.doing("creating the decisions topic")?;
        if !options.assignment.current(id, task.spec.generation).await {
            return Err(TaskError::Fenced);
        }
        let client: ClientProperties = BTreeMap::from([
            ("client.id".to_owned(), format!("connector-decisions-{id}")),
            ("transaction.timeout.ms".to_owned(), TRANSACTION_TIMEOUT_MS.to_owned()),
        ]);
        let transactional_id = format!("{}-sink-{}-{}", options.group, id.connector, id.task.0);
        let producer = options.kafka.transactional_producer(&transactional_id, &client);
        let mut producer = producer.doing("making a transactional producer")?;
        producer.init().await.doing("fencing older owners of the transactional id")?;
        failpoint!("sink.take_over.init");
        if !options.assignment.current(id, task.spec.generation).await {
            return Err(TaskError::Fenced);
        }
        let mut order = TakeOver::default();
        in_order(order.reached(Step::Fenced))?;
        Ok(Self {
            sink,
            task: Arc::clone(task),
            producer,
            decisions: task.services.tables.table(&options.decisions_topic, records::owner),
            owner: None,
            commits: 0,
            forget: Vec::new(),
            order,
            claimed: BTreeMap::new(),
        })
    }

    /// Queues one record of the decisions topic in the open transaction.
    async fn write(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), TaskError> {
        let record = OutRecord {
            topic: &self.task.services.options.decisions_topic,
            partition: Some(0),
            key: Some(key.as_bytes()),
            value,
            headers: &[],
            timestamp_ms: None,
        };
        loop {
            match self.producer.send(record) {
                Ok(_) => return Ok(()),
                Err(SendError::Full) => self.producer.room().await.doing("writing decisions")?,
                Err(SendError::Kafka(source)) => return Err(TaskError::Kafka { doing: "writing decisions", source }),
            }
        }
    }

    fn writer(&mut self) -> &mut dyn Producer {
        self.producer.as_mut()
    }
}
