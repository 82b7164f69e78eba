//! A compacted topic as a table: config, offsets, status, decisions.
use super::KafkaError;
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::position::Offset;

/// One record of the log; `value: None` is a tombstone.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// Position in its partition.
    pub offset: Offset,
    /// Key as written; kept, because an overwrite must use the same bytes.
    pub key: Bytes,
    /// Value, or tombstone.
    pub value: Option<Bytes>,
}

/// Reads a topic from the start and follows it. Writing is a producer's business: most writes belong to a transaction.
#[async_trait]
pub trait TopicLog: Send + Sync {
    /// Returns once everything that was in the log when this call began has been delivered.
    ///
    /// The end is the high watermark, not the last stable offset: a committed record behind another producer's open
    /// transaction counts, so this waits for that transaction, at most its time-out. Called after fencing, after a
    /// leader change, before every answer that must be current. Cancel-safe.
    async fn read_to_end(&self) -> Result<(), KafkaError>;
    /// The next record in order, per partition; cancel-safe.
    async fn next(&self) -> Result<LogRecord, KafkaError>;
}
