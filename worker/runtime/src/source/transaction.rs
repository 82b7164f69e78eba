//! What is written to Kafka: records and offsets, in a transaction or in order.
//!
//! Invariant: between `commit`'s beginning and its end nothing is sent. An outcome that is not known ends the producer.
use super::offsets::{KeyBook, Pending, write_value};
use crate::dead_letters::{DeadLetters, Letter};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::metrics::TaskMetrics;
use crate::share::part_of_task;
use crate::supervise::Supervision;
use elasticflow_api::clock::Clock;
use elasticflow_api::position::SourcePosition;
use elasticflow_kafka::ports::{KafkaError, OutRecord, Producer, SendError, TransactionalProducer};
use elasticflow_protocol::share_topic;
use std::sync::Arc;

/// How a task writes.
pub(super) enum Outlet {
    /// Exactly once.
    Transactional {
        /// One a task.
        producer: Box<dyn TransactionalProducer>,
        /// Whether a transaction is open.
        open: bool,
    },
    /// At least once.
    Plain(Box<dyn Producer>),
}

/// The writing end of a task.
pub(super) struct Transaction {
    pub(super) outlet: Outlet,
    /// The worker's offsets topic and the connector's own.
    pub(super) offsets_topics: Vec<String>,
    pub(super) connector: Arc<str>,
    pub(super) keys: KeyBook,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<TaskMetrics>,
    pub(super) value: Vec<u8>,
}

/// Why a record was not sent.
pub(super) enum Refused {
    /// This record cannot be written.
    Record(String),
    /// Anything else.
    Task(TaskError),
}

impl Transaction {
    /// Queues a record, opening a transaction if none is open. Waits only when the producer's queue is full.
    pub(super) async fn send(&mut self, record: OutRecord<'_>) -> Result<(), Refused> {
        self.begin().map_err(Refused::Task)?;
        loop {
            let producer = self.outlet.producer();
            match producer.send(record) {
                Ok(_) => return Ok(()),
                Err(SendError::Full) => {
                    let began = self.clock.monotonic();
                    producer.room().await.doing("sending records").map_err(Refused::Task)?;
                    let waited = self.clock.monotonic().saturating_sub(began);
                    self.metrics.blocked_us.add(u64::try_from(waited.as_micros()).unwrap_or(0));
                }
                Err(SendError::Kafka(KafkaError::Record(reason))) => return Err(Refused::Record(reason)),
                Err(SendError::Kafka(source)) => {
                    return Err(Refused::Task(TaskError::Kafka { doing: "sending a record", source }));
                }
            }
        }
    }

    /// Queues a dead letter with the records.
    pub(super) async fn send_letter(&mut self, to: &DeadLetters, letter: &Letter) -> Result<(), TaskError> {
        self.begin()?;
        to.send(std::slice::from_ref(letter), self.outlet.producer()).await
    }

    /// Queues what is counted for the error budget with the records that are counted.
    pub(super) async fn send_share(&mut self, task: &Supervision) -> Result<(), TaskError> {
        let part = part_of_task(task.spec.id.task.0);
        let Some((key, value)) = task.budget.share.commit(&part, self.clock.monotonic()) else { return Ok(()) };
        let topic = share_topic(&task.services.options.group);
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let row = OutRecord { topic: &topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
        self.send(row).await.map_err(|refused| match refused {
            Refused::Record(reason) => TaskError::Definite(format!("{topic} takes no rows: {reason}")),
            Refused::Task(error) => error,
        })
    }

    fn begin(&mut self) -> Result<(), TaskError> {
        if let Outlet::Transactional { producer, open } = &mut self.outlet
            && !*open
        {
            producer.begin().doing("opening a transaction")?;
            *open = true;
            failpoint!("source.begin.after");
        }
        Ok(())
    }

    /// The commit point: offsets, then the end of the transaction; or every acknowledgement, then the offsets.
    pub(super) async fn commit(&mut self, pending: &Pending) -> Result<(), TaskError> {
        if let Outlet::Plain(producer) = &mut self.outlet {
            producer.drain().await.doing("waiting for acknowledgements")?;
        }
        self.send_offsets(pending.latest()).await?;
        failpoint!("source.offsets.sent");
        failpoint!("source.commit.before");
        match &mut self.outlet {
            Outlet::Transactional { producer, open } => {
                // Whatever the answer is, this transaction is not used again.
                *open = false;
                producer.commit().await.map_err(TaskError::Commit)?;
            }
            Outlet::Plain(producer) => producer.drain().await.doing("storing source offsets")?,
        }
        failpoint!("source.commit.after");
        Ok(())
    }

    async fn send_offsets(&mut self, positions: &[SourcePosition]) -> Result<(), TaskError> {
        for position in positions {
            let key = self.keys.key(&self.connector, &position.partition);
            let mut value = std::mem::take(&mut self.value);
            write_value(&position.offset, &mut value)?;
            for at in 0..self.offsets_topics.len() {
                let topic = self.offsets_topics.get(at).cloned().unwrap_or_default();
                let record = OutRecord {
                    topic: &topic,
                    partition: None,
                    key: Some(&key),
                    value: Some(&value),
                    headers: &[],
                    timestamp_ms: None,
                };
                self.send(record).await.map_err(|refused| match refused {
                    Refused::Record(reason) => {
                        TaskError::Definite(format!("a source offset cannot be stored in {topic}: {reason}"))
                    }
                    Refused::Task(error) => error,
                })?;
            }
            self.value = value;
        }
        Ok(())
    }

    /// Throws away what is open; nothing of it becomes visible.
    pub(super) async fn abort(&mut self) -> Result<(), TaskError> {
        if let Outlet::Transactional { producer, open } = &mut self.outlet
            && std::mem::take(open)
        {
            producer.abort().await.doing("aborting a transaction")?;
            self.metrics.transactions_aborted.add(1);
        }
        Ok(())
    }

    /// Whether a transaction can be rolled back.
    pub(super) fn can_abort(&self) -> bool {
        matches!(self.outlet, Outlet::Transactional { .. })
    }

    /// Whether a topic is one of those that hold this task's offsets.
    pub(super) fn holds_offsets(&self, topic: &str) -> bool {
        self.offsets_topics.iter().any(|t| t == topic)
    }
}

impl Outlet {
    fn producer(&mut self) -> &mut dyn Producer {
        match self {
            Self::Transactional { producer, .. } => producer.as_mut(),
            Self::Plain(producer) => producer.as_mut(),
        }
    }
}
