//! Reading an offsets topic on demand, and altering it for a stopped connector.
use super::record::{OffsetTable, StoredPosition};
use crate::config::send_with_room;
use crate::follow::read_to_end;
use bytes::Bytes;
use elasticflow_kafka::ports::{ClientProperties, CommitError, Kafka, KafkaError, OutRecord, TopicLog};
use std::sync::Arc;
use tokio::sync::Mutex;

/// An offsets topic as a table that is read up to its end whenever it is asked.
///
/// Nothing is read before the first question: tasks read their own positions, so a worker may run for long without one.
pub struct OffsetsTopic {
    kafka: Arc<dyn Kafka>,
    name: String,
    open: Mutex<Option<Open>>,
}

struct Open {
    log: Box<dyn TopicLog>,
    table: OffsetTable,
}

/// A row to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRow {
    /// Key bytes: those that are stored, where the partition is.
    pub key: Bytes,
    /// Position as JSON, or `None` to forget it.
    pub value: Option<String>,
}

impl OffsetsTopic {
    /// A topic that exists.
    pub fn new(kafka: Arc<dyn Kafka>, name: &str) -> Self {
        Self { kafka, name: name.to_owned(), open: Mutex::new(None) }
    }

    /// Name of the topic.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Positions of a connector, everything committed before this call included. Cancel-safe.
    ///
    /// # Errors
    /// What Kafka answers. The next call begins anew.
    pub async fn positions(&self, connector: &str) -> Result<Vec<StoredPosition>, KafkaError> {
        let mut open = self.open.lock().await;
        if open.is_none() {
            *open = Some(Open { log: self.kafka.log(&self.name).await?, table: OffsetTable::default() });
        }
        let Some(Open { log, table }) = open.as_mut() else { return Ok(Vec::new()) };
        let name = &self.name;
        let read = read_to_end(log.as_ref(), |record| {
            if let Err(problem) = table.fold(&record) {
                tracing::error!(topic = name, %problem, "a foreign record in the offsets topic is left alone");
            }
        });
        match read.await {
            Ok(()) => Ok(table.of(connector)),
            Err(error) => {
                *open = None;
                Err(error)
            }
        }
    }
}

/// Writes rows in one transaction of a transactional id, which fences whoever used it before.
///
/// # Errors
/// `Retriable` when nothing was written, `Fatal` when the outcome is not known.
pub async fn write_offsets(
    kafka: &dyn Kafka,
    transactional_id: &str,
    topic: &str,
    rows: &[OffsetRow],
) -> Result<(), KafkaError> {
    let at_once = ClientProperties::from([("linger.ms".to_owned(), "0".to_owned())]);
    let mut producer = kafka.transactional_producer(transactional_id, &at_once)?;
    producer.init().await?;
    producer.begin()?;
    for row in rows {
        let record = OutRecord {
            topic,
            partition: None,
            key: Some(&row.key),
            value: row.value.as_deref().map(str::as_bytes),
            headers: &[],
            timestamp_ms: None,
        };
        if let Err(error) = send_with_room(producer.as_mut(), record).await {
            // The abort tidies up early; without it the next owner's `init` does.
            let _ = producer.abort().await;
            return Err(error);
        }
    }
    producer.commit().await.map_err(|error| match error {
        CommitError::NotCommitted(why) => KafkaError::Retriable(why.to_string()),
        CommitError::Fenced => KafkaError::Fenced,
        CommitError::Unknown(why) => KafkaError::Fatal(why),
    })
}
