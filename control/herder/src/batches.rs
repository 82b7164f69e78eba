//! Batches of sources, and which sinks have made them visible.
use crate::answer::RunState;
use crate::error::HerderError;
use crate::handle::HerderHandle;
use crate::letters::Letters;
use elasticflow_kafka::ports::{ClientProperties, KafkaError, OutRecord, SendError};
use elasticflow_protocol::{BatchRecord, BatchRow, BatchState, batches_topic};
use elasticflow_store::follow::read_to_end;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most batches of one answer: the newest.
const BATCHES_MAX: usize = 1000;

/// A batch as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct BatchView {
    /// Name.
    pub id: String,
    /// The source.
    pub connector: String,
    /// Attempt, from 1.
    pub attempt: u32,
    /// What the source says that publishing does: append or replace.
    pub kind: &'static str,
    /// `open` while the source writes, then `ended`; `aborted` when it was given up.
    pub state: &'static str,
    /// Records in Kafka.
    pub records: u64,
    /// Topics.
    pub topics: Vec<String>,
    /// Milliseconds since 1970 UTC.
    pub started_ms: i64,
    /// Milliseconds since 1970 UTC.
    pub ended_ms: Option<i64>,
    /// Sinks that have published it, with the time.
    pub published: BTreeMap<String, i64>,
}

impl BatchView {
    fn of(row: BatchRow) -> Self {
        Self {
            id: row.id,
            connector: row.connector,
            attempt: row.attempt,
            kind: row.kind.name(),
            state: row.state.name(),
            records: row.records,
            topics: row.topics.into_keys().collect(),
            started_ms: row.started_ms,
            ended_ms: row.ended_ms,
            published: BTreeMap::new(),
        }
    }
}

impl HerderHandle {
    /// The newest batches, oldest first; `id` names one.
    ///
    /// # Errors
    /// `Failed` when Kafka cannot be read.
    pub async fn batches(&self, id: Option<&str>) -> Result<Vec<BatchView>, HerderError> {
        let read = self.letters.batches().await;
        let records = read.map_err(|error| HerderError::Failed(format!("Failed to read batches: {error}")))?;
        let mut views = BTreeMap::new();
        let mut published = Vec::new();
        for record in records {
            match record {
                BatchRecord::Run(row) if id.is_none_or(|id| row.id == id) => {
                    views.insert(row.id.clone(), BatchView::of(row));
                }
                BatchRecord::Run(_) => {}
                BatchRecord::Published(row) => published.push(row),
            }
        }
        for row in published {
            if let Some(view) = views.get_mut(&row.id) {
                view.published.insert(row.sink, row.time_ms);
            }
        }
        let mut views: Vec<BatchView> = views.into_values().collect();
        views.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
        let surplus = views.len().saturating_sub(BATCHES_MAX);
        Ok(views.split_off(surplus))
    }
}

impl HerderHandle {
    /// Gives a batch up whose source is stopped or gone: sinks throw away what they have staged of it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is complete, or its source may still write; `Failed` when Kafka cannot be used.
    pub async fn abort_batch(&self, id: &str) -> Result<(), HerderError> {
        let failed = |error: KafkaError| HerderError::Failed(format!("Failed to give up batch {id}: {error}"));
        let records = self.letters.batches().await.map_err(failed)?;
        let row = records.into_iter().find_map(|record| match record {
            BatchRecord::Run(row) if row.id == id => Some(row),
            BatchRecord::Run(_) | BatchRecord::Published(_) => None,
        });
        let Some(mut row) = row else { return Err(HerderError::NotFound(format!("there is no batch {id}"))) };
        match row.state {
            BatchState::Aborted => return Ok(()),
            BatchState::Ended => {
                let text = format!("batch {id} is complete in Kafka and will be published; it cannot be given up");
                return Err(HerderError::Conflict(text));
            }
            BatchState::Open => {}
        }
        if !self.is_stopped(&row.connector).await? {
            let text = format!("connector {} still writes batch {id}; stop it first", row.connector);
            return Err(HerderError::Conflict(text));
        }
        row.state = BatchState::Aborted;
        row.ended_ms = Some(self.context().clock.wall_ms());
        self.letters.write_batch(&BatchRecord::Run(row)).await.map_err(failed)
    }

    /// Whether no task of a connector runs, and none will.
    async fn is_stopped(&self, name: &str) -> Result<bool, HerderError> {
        if self.stored_config(name).await?.is_none() {
            return Ok(true);
        }
        let status = self.status(name).await?;
        Ok(status.connector.state == RunState::Stopped && status.tasks.is_empty())
    }
}

impl Letters {
    async fn write_batch(&self, record: &BatchRecord) -> Result<(), KafkaError> {
        let topic = batches_topic(self.group());
        let mut producer =
            self.kafka().producer(&ClientProperties::from([("linger.ms".to_owned(), "0".to_owned())]))?;
        let (key, value) = (record.key(), record.value());
        let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
        let out = OutRecord { topic: &topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
        loop {
            match producer.send(out) {
                Ok(_) => return producer.drain().await,
                Err(SendError::Full) => producer.room().await?,
                Err(SendError::Kafka(error)) => return Err(error),
            }
        }
    }

    async fn batches(&self) -> Result<Vec<BatchRecord>, KafkaError> {
        let topic = batches_topic(self.group());
        if self.kafka().admin().partitions_of(&topic).await?.is_none() {
            return Ok(Vec::new());
        }
        let log = self.kafka().log(&topic).await?;
        let mut rows: BTreeMap<bytes::Bytes, bytes::Bytes> = BTreeMap::new();
        read_to_end(log.as_ref(), |record| {
            match record.value {
                Some(value) => rows.insert(record.key, value),
                None => rows.remove(&record.key),
            };
        })
        .await?;
        Ok(rows.iter().filter_map(|(key, value)| BatchRecord::read(key, value)).collect())
    }
}
