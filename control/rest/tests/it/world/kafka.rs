//! Kafka in memory: what the control plane asks of it, on one partition per topic.
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::{
    Admin, ClientProperties, CommitError, Consumer, GroupMetadata, InRecord, Kafka, KafkaError, LogRecord, OutRecord,
    Producer, RecordPage, SendError, Sequence, Subscription, TopicLog, TopicSpec, TransactionalProducer,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

type Row = (Bytes, Option<Bytes>);
type Groups = BTreeMap<String, BTreeMap<TopicPartition, Offset>>;

#[derive(Default)]
struct Cluster {
    topics: BTreeMap<String, Vec<Row>>,
    groups: Groups,
    /// What becomes of the next commits.
    refusals: VecDeque<KafkaError>,
}

/// The cluster; clones share it.
#[derive(Clone)]
pub(crate) struct MemoryKafka {
    cluster: Arc<Mutex<Cluster>>,
    changed: watch::Sender<u64>,
}

impl Default for MemoryKafka {
    fn default() -> Self {
        Self { cluster: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl MemoryKafka {
    /// Writes a row, as a task would.
    pub(crate) fn put(&self, topic: &str, key: &[u8], value: Option<&[u8]>) {
        let row = (Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
        self.append(vec![(topic.to_owned(), row)]);
    }

    /// Refuses commits to come, one for each.
    pub(crate) fn refuse(&self, why: impl IntoIterator<Item = KafkaError>) {
        self.cluster.lock().refusals.extend(why);
    }

    /// Refusals that no commit has met.
    pub(crate) fn refusals_left(&self) -> usize {
        self.cluster.lock().refusals.len()
    }

    /// Number of rows of a topic.
    pub(crate) fn end(&self, topic: &str) -> usize {
        self.cluster.lock().topics.get(topic).map_or(0, Vec::len)
    }

    /// Values of a topic from an offset on.
    pub(crate) fn values(&self, topic: &str, from: usize) -> Vec<Bytes> {
        let cluster = self.cluster.lock();
        let rows = cluster.topics.get(topic).into_iter().flatten();
        rows.skip(from).map(|(_, value)| value.clone().unwrap_or_default()).collect()
    }

    /// Names of the topics.
    pub(crate) fn names(&self) -> Vec<String> {
        self.cluster.lock().topics.keys().cloned().collect()
    }

    /// Newest value of a key.
    pub(crate) fn latest(&self, topic: &str, key: &[u8]) -> Option<Bytes> {
        let cluster = self.cluster.lock();
        let rows = cluster.topics.get(topic)?;
        rows.iter().rev().find(|(k, _)| k == key).and_then(|(_, value)| value.clone())
    }

    /// A group's offset.
    pub(crate) fn group_offset(&self, group: &str, partition: &TopicPartition) -> Option<Offset> {
        self.cluster.lock().groups.get(group)?.get(partition).copied()
    }

    /// Sets a group's offset, as a sink task would.
    pub(crate) fn set_group_offset(&self, group: &str, partition: TopicPartition, offset: Offset) {
        self.cluster.lock().groups.entry(group.to_owned()).or_default().insert(partition, offset);
    }

    fn append(&self, rows: Vec<(String, Row)>) {
        let mut cluster = self.cluster.lock();
        for (topic, row) in rows {
            cluster.topics.entry(topic).or_default().push(row);
        }
        drop(cluster);
        self.changed.send_modify(|n| *n += 1);
    }
}

struct MemoryProducer {
    kafka: MemoryKafka,
    sent: u64,
    /// Rows of the open transaction; without one they are written at once.
    open: Option<Vec<(String, Row)>>,
}

#[async_trait]
impl Producer for MemoryProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError> {
        let row = (Bytes::copy_from_slice(record.key.unwrap_or_default()), record.value.map(Bytes::copy_from_slice));
        let row = (record.topic.to_owned(), row);
        match &mut self.open {
            Some(rows) => rows.push(row),
            None => self.kafka.append(vec![row]),
        }
        self.sent += 1;
        Ok(Sequence(self.sent))
    }
    async fn room(&mut self) -> Result<(), KafkaError> {
        Ok(())
    }
    fn acknowledged(&self) -> Result<Sequence, KafkaError> {
        Ok(Sequence(self.sent))
    }
    async fn drain(&mut self) -> Result<(), KafkaError> {
        Ok(())
    }
}

#[async_trait]
impl TransactionalProducer for MemoryProducer {
    async fn init(&mut self) -> Result<(), KafkaError> {
        Ok(())
    }
    fn begin(&mut self) -> Result<(), KafkaError> {
        self.open = Some(Vec::new());
        Ok(())
    }
    async fn send_offsets(&mut self, _: &ConsumedOffsets, _: &GroupMetadata) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn commit(&mut self) -> Result<(), CommitError> {
        let rows = self.open.take().unwrap_or_default();
        let refusal = self.kafka.cluster.lock().refusals.pop_front();
        if let Some(why) = refusal {
            return Err(CommitError::NotCommitted(why));
        }
        self.kafka.append(rows);
        Ok(())
    }
    async fn abort(&mut self) -> Result<(), KafkaError> {
        self.open = None;
        Ok(())
    }
}

struct MemoryLog {
    kafka: MemoryKafka,
    topic: String,
    next: Mutex<usize>,
    changed: tokio::sync::Mutex<watch::Receiver<u64>>,
    /// Moves with what has been delivered.
    delivered: watch::Sender<usize>,
}

#[async_trait]
impl TopicLog for MemoryLog {
    async fn read_to_end(&self) -> Result<(), KafkaError> {
        let end = self.kafka.end(&self.topic);
        let mut delivered = self.delivered.subscribe();
        delivered.wait_for(|n| *n >= end).await.map_err(|e| KafkaError::Fatal(e.to_string()))?;
        Ok(())
    }
    async fn next(&self) -> Result<LogRecord, KafkaError> {
        let mut changed = self.changed.lock().await;
        loop {
            changed.borrow_and_update();
            let row = {
                let mut next = self.next.lock();
                let row = self.kafka.cluster.lock().topics.get(&self.topic).and_then(|rows| rows.get(*next).cloned());
                row.map(|(key, value)| {
                    *next += 1;
                    LogRecord { offset: Offset(i64::try_from(*next - 1).unwrap()), key, value }
                })
            };
            if let Some(record) = row {
                self.delivered.send_modify(|n| *n = usize::try_from(record.offset.0).unwrap() + 1);
                return Ok(record);
            }
            changed.changed().await.map_err(|e| KafkaError::Fatal(e.to_string()))?;
        }
    }
}

#[async_trait]
impl Kafka for MemoryKafka {
    fn producer(&self, _: &ClientProperties) -> Result<Box<dyn Producer>, KafkaError> {
        Ok(Box::new(MemoryProducer { kafka: self.clone(), sent: 0, open: None }))
    }
    fn transactional_producer(
        &self,
        _: &str,
        _: &ClientProperties,
    ) -> Result<Box<dyn TransactionalProducer>, KafkaError> {
        Ok(Box::new(MemoryProducer { kafka: self.clone(), sent: 0, open: None }))
    }
    fn consumer(&self, _: &str, _: &Subscription, _: &ClientProperties) -> Result<Box<dyn Consumer>, KafkaError> {
        Err(KafkaError::Config("the control plane has no consumer".to_owned()))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.clone())
    }
    async fn log(&self, topic: &str) -> Result<Box<dyn TopicLog>, KafkaError> {
        Ok(Box::new(MemoryLog {
            kafka: self.clone(),
            topic: topic.to_owned(),
            next: Mutex::new(0),
            changed: tokio::sync::Mutex::new(self.changed.subscribe()),
            delivered: watch::Sender::new(0),
        }))
    }
    async fn read(&self, at: &TopicPartition, from: Option<Offset>, max: Limits) -> Result<RecordPage, KafkaError> {
        let first = from.map_or(0, |o| usize::try_from(o.0).unwrap());
        let cluster = self.cluster.lock();
        let rows = cluster.topics.get(&*at.topic).map(Vec::as_slice).unwrap_or_default();
        let record = |(n, (key, value)): (usize, &Row)| InRecord {
            offset: Offset(i64::try_from(n).unwrap()),
            timestamp_ms: None,
            key: Some(key.clone()),
            value: value.clone(),
            headers: elasticflow_api::data::RawHeaders::default(),
        };
        let records: Vec<_> = rows.iter().enumerate().skip(first).take(max.records).map(record).collect();
        let next = first + records.len();
        Ok(RecordPage { records, next: Offset(i64::try_from(next).unwrap()), is_end: next >= rows.len() })
    }
    async fn cluster_id(&self) -> Result<String, KafkaError> {
        Ok("memory".to_owned())
    }
}

#[async_trait]
impl Admin for MemoryKafka {
    async fn ensure_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        self.cluster.lock().topics.entry(topic.name.clone()).or_default();
        Ok(())
    }
    async fn end_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        Ok(of.iter().map(|tp| (tp.clone(), Offset(i64::try_from(self.end(&tp.topic)).unwrap()))).collect())
    }
    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        Ok(self.cluster.lock().groups.get(group).cloned().unwrap_or_default())
    }
    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), KafkaError> {
        let mut cluster = self.cluster.lock();
        let group = cluster.groups.entry(group.to_owned()).or_default();
        for (partition, offset) in offsets {
            match offset {
                Some(offset) => group.insert(partition.clone(), *offset),
                None => group.remove(partition),
            };
        }
        Ok(())
    }
    async fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        Ok(self.cluster.lock().topics.keys().map(|name| (name.clone(), 1)).collect())
    }
    async fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        self.cluster.lock().groups.remove(group);
        Ok(())
    }
    async fn fence(&self, _: &[String]) -> Result<(), KafkaError> {
        Ok(())
    }
}
