//! Producer, transactional producer, consumer, admin.
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::data::RawHeaders;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Errors of Kafka, sorted by what the caller may do next. The adapter has one tested table from the client's codes.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// Nothing was changed and the same call may succeed later.
    #[error("{0}")]
    Retriable(String),
    /// The open transaction must be aborted; the producer stays usable.
    #[error("{0}")]
    Abortable(String),
    /// Another owner has taken over.
    #[error("fenced")]
    Fenced,
    /// The producer or consumer is unusable: throw it away.
    #[error("{0}")]
    Fatal(String),
    /// This record cannot be written, such as one that is too large.
    #[error("{0}")]
    Record(String),
    /// Configuration or authorisation.
    #[error("{0}")]
    Config(String),
}

/// Why a transaction was not reported as committed. The difference decides between cleaning up and silence.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Certainly not committed: refused before the end of the transaction was asked for, and aborted since. The cause says
    /// whether the same may succeed later.
    #[error("not committed: {0}")]
    NotCommitted(#[source] KafkaError),
    /// Another owner has taken over; an earlier attempt may still have been applied.
    #[error("fenced")]
    Fenced,
    /// Asked for, no answer: it may be committed or not. The producer is thrown away, nothing is retried or cleaned up.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A record to write, borrowed: the client copies it into its own queue, so that a caller encodes every record into one
/// buffer that it reuses.
#[derive(Debug, Clone, Copy)]
pub struct OutRecord<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; `None` uses the key as Kafka's default partitioner does (murmur2), or spreads where there is none.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [(Arc<str>, Option<Bytes>)],
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: Option<i64>,
}

/// Why a record was not queued.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The queue is full, in records or in bytes: wait for [`Producer::room`], then send again.
    #[error("producer queue is full")]
    Full,
    /// Anything else.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// Number of a record within one producer, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// What both kinds of producer can do. Delivery reports are counted in the callback, never awaited one by one.
#[async_trait]
pub trait Producer: Send {
    /// Queues a record; never waits and never allocates per record on the caller's side.
    ///
    /// # Errors
    /// [`SendError::Full`] is the back pressure; `Record` and the rest as in [`KafkaError`].
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError>;
    /// Waits until the queue has room again (at most half full); cancel-safe.
    async fn room(&mut self) -> Result<(), KafkaError>;
    /// The highest number below which every record is acknowledged; an error once any record has failed for good.
    fn acknowledged(&self) -> Result<Sequence, KafkaError>;
    /// Waits until everything queued is acknowledged.
    async fn drain(&mut self) -> Result<(), KafkaError>;
}

/// A producer with a transactional id: one per exactly-once task.
#[async_trait]
pub trait TransactionalProducer: Producer {
    /// Fences older owners of the id and waits until their last transaction is finished. Once, before everything else.
    async fn init(&mut self) -> Result<(), KafkaError>;
    /// Opens a transaction; local, no round trip. Every record sent until `commit` or `abort` belongs to it.
    fn begin(&mut self) -> Result<(), KafkaError>;
    /// Adds consumed offsets. The group metadata carries member and generation: a member that has lost its partitions is refused.
    async fn send_offsets(&mut self, offsets: &ConsumedOffsets, group: &GroupMetadata) -> Result<(), KafkaError>;
    /// Drains and commits. Never dropped before it returns; never called twice for one transaction.
    async fn commit(&mut self) -> Result<(), CommitError>;
    /// Aborts.
    async fn abort(&mut self) -> Result<(), KafkaError>;
}

/// Opaque: member id, generation, group; taken from the consumer that read the records.
#[derive(Debug, Clone)]
pub struct GroupMetadata(pub Bytes);

/// What a consumer delivers, in order: no record of a partition comes after its revocation was confirmed.
#[derive(Debug)]
pub enum Consumed {
    /// Records of one partition.
    Records(TopicPartition, Vec<InRecord>),
    /// New partitions; reading starts after `Consumer::start_at`.
    Assigned(Vec<TopicPartition>),
    /// Partitions to give up in order: finish, commit, then `Consumer::confirm_revoked`.
    Revoked(Vec<TopicPartition>),
    /// Partitions already gone (session expired): drop buffers, write nothing.
    Lost(Vec<TopicPartition>),
    /// The record that is read next is not there any more, or the partition ends before it: nothing of the partition is
    /// delivered from here on.
    Gone(TopicPartition, Offset),
}

/// A record as read.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in OutRecord")]
pub struct InRecord {
    pub offset: Offset,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: RawHeaders,
}

/// A group consumer: read_committed, manual commit. `auto.offset.reset` says where a partition begins for which the group
/// has no offset; a position that is not there is never moved by itself, but told ([`Consumed::Gone`]).
#[async_trait]
pub trait Consumer: Send {
    /// Next event; cancel-safe.
    async fn next(&mut self) -> Result<Consumed, KafkaError>;
    /// Whether records come with their headers, as they do at first: taking them out is a tenth of a small record's cost.
    fn with_headers(&mut self, wanted: bool) {
        let _ = wanted;
    }
    /// Says how important topics are, 9 the most; those without a word have 5. From here on, what waits of an important
    /// topic is handed out before what waits of others; the order of a partition stays. Called again with the same ranks
    /// where Ok said `false`: some partitions keep their old place until a record of theirs was handed out. Not
    /// cancel-safe: the consumer is dropped then.
    async fn prefer(&mut self, topics: &BTreeMap<String, u8>) -> Result<bool, KafkaError> {
        let _ = topics;
        Ok(true)
    }
    /// Most records of one event from here on, one at least.
    fn take_at_most(&mut self, records: usize) {
        let _ = records;
    }
    /// Positions partitions after `Assigned`.
    async fn start_at(&mut self, at: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<(), KafkaError>;
    /// Ends the rebalance after `Revoked`.
    async fn confirm_revoked(&mut self) -> Result<(), KafkaError>;
    /// Committed offsets that no open transaction is about to change; waits for those, at most `max`.
    async fn stable_offsets(
        &self,
        of: &[TopicPartition],
        max: Duration,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, KafkaError>;
    /// Commits outside a transaction (acknowledged sinks; best effort for transactional ones, so that lag can be seen).
    async fn commit(&mut self, offsets: &ConsumedOffsets) -> Result<(), KafkaError>;
    /// For `send_offsets`, taken right before it: the generation moves on by itself while the partitions stay. `None`: some
    /// were lost, and `next` has not told it yet; the group may have given them to somebody else.
    fn group_metadata(&self) -> Option<GroupMetadata>;
    /// Stops and resumes delivery without leaving the group.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError>;
    /// See `pause`.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError>;
}

/// Administration.
#[async_trait]
pub trait Admin: Send + Sync {
    /// Why no broker can be used, while that is so and calls still wait: refused credentials, a certificate that is not
    /// trusted. Names the properties to look at.
    fn complaint(&self) -> Option<String> {
        None
    }
    /// Creates a topic, or checks that an existing one has what is required; a difference that matters is `Config`.
    /// Ok means that every partition of a new one has a leader that answers.
    async fn ensure_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError>;
    /// Creates a topic that was not there a moment ago; one that somebody has created since is fine, whatever it has.
    /// Ok as for [`Self::ensure_topic`].
    async fn create_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        self.ensure_topic(topic).await
    }
    /// High watermarks (read_uncommitted): "the end" for every reader of an internal topic.
    async fn end_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError>;
    /// The first offsets that are there.
    async fn begin_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let _ = of;
        Err(KafkaError::Config("this cluster is not asked for its first offsets".to_owned()))
    }
    /// The first offsets whose records are not older than a moment, ms since 1970 UTC; partitions without such a record
    /// are left out.
    async fn offsets_since(
        &self,
        of: &[TopicPartition],
        since_ms: i64,
    ) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let _ = (of, since_ms);
        Err(KafkaError::Config("this cluster is not asked for offsets by time".to_owned()))
    }
    /// A topic's configuration, the broker's defaults included.
    async fn topic_config(&self, topic: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        Err(KafkaError::Config(format!("this cluster does not tell the configuration of `{topic}`")))
    }
    /// Sets one key of a topic's configuration; the others stay.
    async fn set_topic_config(&self, topic: &str, key: &str, value: &str) -> Result<(), KafkaError> {
        Err(KafkaError::Config(format!("this cluster does not set {key}={value} of `{topic}`")))
    }
    /// Group offsets, stable.
    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError>;
    /// Alters or deletes offsets of a group without members.
    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), KafkaError>;
    /// Every topic's name with its number of partitions; internal ones of the broker left out.
    async fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError>;
    /// Number of partitions of those of some topics that are there, and may be seen; creates none.
    async fn partitions(&self, topics: &[String]) -> Result<BTreeMap<String, i32>, KafkaError> {
        let mut all = self.topics().await?;
        all.retain(|name, _| topics.contains(name));
        Ok(all)
    }
    /// The same for one topic; `None`: it is not there, or may not be seen.
    async fn partitions_of(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        Ok(self.partitions(&[topic.to_owned()]).await?.get(topic).copied())
    }
    /// Deletes a consumer group; a group that does not exist is fine, one with members is `Config`.
    async fn delete_group(&self, group: &str) -> Result<(), KafkaError>;
    /// Fences transactional ids by initialising a short-lived producer for each.
    async fn fence(&self, transactional_ids: &[String]) -> Result<(), KafkaError>;
}

/// A topic as it must be.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Partitions when created; an existing topic keeps its count.
    pub partitions: i32,
    /// Replication when created; `None` leaves it to the broker.
    pub replication: Option<i16>,
    /// Configuration that must hold, such as `cleanup.policy=compact`.
    pub configs: BTreeMap<String, String>,
}
