//! A Kafka that is played: topics, transactions with fencing, readers that see what is committed.
use super::group::{Coordinator, SimConsumer};
use super::network::{Dice, Link, Lost, Signal};
use super::trace::trace;
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::{
    Admin, ClientProperties, CommitError, Consumer, GroupMetadata, Kafka, KafkaError, LogRecord, OutRecord, Producer,
    RecordPage, SendError, Sequence, Subscription, TopicLog, TopicSpec, TransactionalProducer,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A broker ends a transaction whose owner is silent.
const TRANSACTION_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open(u64),
    Committed,
    Aborted,
}

struct Row {
    key: Bytes,
    value: Option<Bytes>,
    fate: Fate,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Vec<Row>>,
    /// Epoch of each transactional id, and its open transaction.
    ids: BTreeMap<String, (u64, Option<u64>)>,
    transactions: u64,
}

impl State {
    fn end(&mut self, transaction: u64, fate: Fate) {
        let rows = self.topics.values_mut().flatten().filter(|row| row.fate == Fate::Open(transaction));
        rows.for_each(|row| row.fate = fate);
        for (_, open) in self.ids.values_mut().filter(|(_, open)| *open == Some(transaction)) {
            *open = None;
        }
    }

    /// Raises the epoch of an id and ends what it has open.
    fn fence(&mut self, id: &str) -> u64 {
        let open = self.ids.get(id).and_then(|(_, open)| *open);
        open.into_iter().for_each(|transaction| self.end(transaction, Fate::Aborted));
        let (epoch, _) = self.ids.entry(id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }
}

/// For people.
fn text(bytes: Option<&Bytes>) -> String {
    bytes.map_or_else(|| "nothing".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    changed: Arc<Signal<u64>>,
    pub(super) coordinator: Coordinator,
    dice: Dice,
    /// Whether older owners of a transactional id are refused.
    fences: bool,
}

impl Cluster {
    pub(super) fn new(dice: &Dice, coordinator: Coordinator, fences: bool) -> Self {
        Self { state: Arc::default(), changed: Arc::new(Signal::new(0)), coordinator, dice: dice.clone(), fences }
    }

    fn note(&self) {
        self.changed.modify(|n| *n += 1);
    }
}

/// The cluster as one worker reaches it.
#[derive(Clone)]
pub(super) struct SimKafka {
    pub(super) cluster: Cluster,
    pub(super) link: Arc<Link>,
}

fn away(_: Lost) -> KafkaError {
    KafkaError::Retriable("no answer".to_owned())
}

type Rows = Vec<(String, Bytes, Option<Bytes>)>;

struct SimProducer {
    kafka: SimKafka,
    /// Transactional id and epoch.
    id: Option<(String, u64)>,
    queued: Rows,
    sent: u64,
}

#[async_trait]
impl Producer for SimProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError> {
        let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
        self.queued.push((record.topic.to_owned(), key, record.value.map(Bytes::copy_from_slice)));
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
        self.kafka.link.pass().await.map_err(away)?;
        {
            let mut state = self.kafka.cluster.state.lock().unwrap();
            for (topic, key, value) in self.queued.drain(..) {
                trace(|| format!("  row {} {}", text(Some(&key)), text(value.as_ref())));
                state.topics.entry(topic).or_default().push(Row { key, value, fate: Fate::Committed });
            }
        }
        self.kafka.cluster.note();
        self.kafka.link.pass().await.map_err(away)
    }
}

impl SimProducer {
    /// Whether this is still the owner of the id.
    fn owns(&self) -> bool {
        let Some((id, epoch)) = &self.id else { return false };
        let state = self.kafka.cluster.state.lock().unwrap();
        !self.kafka.cluster.fences || state.ids.get(id).is_some_and(|(known, _)| known == epoch)
    }

    /// Writes what is queued as an open transaction.
    fn write_open(&mut self) -> u64 {
        let mut state = self.kafka.cluster.state.lock().unwrap();
        state.transactions += 1;
        let transaction = state.transactions;
        if let Some(known) = self.id.as_ref().and_then(|(id, _)| state.ids.get_mut(id)) {
            known.1 = Some(transaction);
        }
        for (topic, key, value) in self.queued.drain(..) {
            trace(|| format!("  open {} {}", text(Some(&key)), text(value.as_ref())));
            state.topics.entry(topic).or_default().push(Row { key, value, fate: Fate::Open(transaction) });
        }
        transaction
    }

    fn end(&self, transaction: u64, fate: Fate) {
        self.kafka.cluster.state.lock().unwrap().end(transaction, fate);
        self.kafka.cluster.note();
    }
}

#[async_trait]
impl TransactionalProducer for SimProducer {
    async fn init(&mut self) -> Result<(), KafkaError> {
        self.kafka.link.pass().await.map_err(away)?;
        if let Some((id, epoch)) = &mut self.id {
            *epoch = self.kafka.cluster.state.lock().unwrap().fence(id);
        }
        self.kafka.cluster.note();
        self.kafka.link.pass().await.map_err(away)
    }
    fn begin(&mut self) -> Result<(), KafkaError> {
        self.queued.clear();
        Ok(())
    }
    async fn send_offsets(&mut self, _: &ConsumedOffsets, _: &GroupMetadata) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn commit(&mut self) -> Result<(), CommitError> {
        let unknown = |_: Lost| CommitError::Unknown("no answer".to_owned());
        self.kafka.link.pass().await.map_err(unknown)?;
        if !self.owns() {
            return Err(CommitError::Fenced);
        }
        let transaction = self.write_open();
        let cluster = self.kafka.cluster.clone();
        tokio::spawn(async move {
            tokio::time::sleep(TRANSACTION_MAX).await;
            cluster.state.lock().unwrap().end(transaction, Fate::Aborted);
            cluster.note();
        });
        self.kafka.link.pass().await.map_err(unknown)?;
        if !self.owns() {
            return Err(CommitError::Fenced);
        }
        self.end(transaction, Fate::Committed);
        self.kafka.link.pass().await.map_err(unknown)
    }
    async fn abort(&mut self) -> Result<(), KafkaError> {
        self.queued.clear();
        Ok(())
    }
}

/// Partitions of a topic: rows of one key stay in order, others do not. The config topic has one.
fn partition_of(topic: &str, key: &[u8]) -> usize {
    if topic == "statuses" && !key.starts_with(b"worker-") {
        1 + usize::from(key.last().is_some_and(|b| b % 2 == 0))
    } else {
        0
    }
}

#[derive(Default)]
struct Place {
    /// Next row of each partition.
    next: [usize; 3],
}

struct SimLog {
    kafka: SimKafka,
    topic: String,
    place: Mutex<Place>,
    /// Moves with what has been delivered.
    delivered: Signal<u64>,
}

impl SimLog {
    /// The next committed row of any partition; `None` when there is nothing to read now.
    fn take(&self) -> Option<LogRecord> {
        let state = self.kafka.cluster.state.lock().unwrap();
        let rows = state.topics.get(&self.topic)?;
        let mut place = self.place.lock().unwrap();
        let first = self.kafka.cluster.dice.below(3) as usize;
        for partition in (0..3).map(|n| (first + n) % 3) {
            let next = &mut place.next[partition];
            while let Some(row) = rows.get(*next) {
                let mine = partition_of(&self.topic, &row.key) == partition;
                if mine && matches!(row.fate, Fate::Open(_)) {
                    break;
                }
                *next += 1;
                if mine && row.fate == Fate::Committed {
                    let offset = Offset(i64::try_from(*next - 1).unwrap());
                    return Some(LogRecord { offset, key: row.key.clone(), value: row.value.clone() });
                }
            }
        }
        None
    }

    /// Whether everything before `end` has been delivered.
    fn is_at(&self, end: usize) -> bool {
        let state = self.kafka.cluster.state.lock().unwrap();
        let Some(rows) = state.topics.get(&self.topic) else { return true };
        let place = self.place.lock().unwrap();
        (0..3).all(|partition| {
            let rest = rows.iter().take(end).skip(place.next[partition]);
            !rest.into_iter().any(|row| partition_of(&self.topic, &row.key) == partition && row.fate != Fate::Aborted)
        })
    }
}

#[async_trait]
impl TopicLog for SimLog {
    async fn read_to_end(&self) -> Result<(), KafkaError> {
        self.kafka.link.pass().await.map_err(away)?;
        let end = self.kafka.cluster.state.lock().unwrap().topics.get(&self.topic).map_or(0, Vec::len);
        let changed = &self.kafka.cluster.changed;
        loop {
            let (delivered, changes) = (self.delivered.get(), changed.get());
            if self.is_at(end) {
                return Ok(());
            }
            let more = Box::pin(self.delivered.until(|n| *n != delivered));
            drop(futures_util::future::select(more, Box::pin(changed.until(|n| *n != changes))).await);
        }
    }
    async fn next(&self) -> Result<LogRecord, KafkaError> {
        let changed = &self.kafka.cluster.changed;
        loop {
            let changes = changed.get();
            self.kafka.link.reaches().await;
            if let Some(record) = self.take() {
                self.delivered.modify(|n| *n += 1);
                return Ok(record);
            }
            changed.until(|n| *n != changes).await;
            if self.kafka.cluster.dice.one_in(8) {
                tokio::time::sleep(self.kafka.cluster.dice.ms(0, 200)).await;
            }
        }
    }
}

#[async_trait]
impl Kafka for SimKafka {
    fn producer(&self, _: &ClientProperties) -> Result<Box<dyn Producer>, KafkaError> {
        Ok(Box::new(SimProducer { kafka: self.clone(), id: None, queued: Vec::new(), sent: 0 }))
    }
    fn transactional_producer(
        &self,
        id: &str,
        _: &ClientProperties,
    ) -> Result<Box<dyn TransactionalProducer>, KafkaError> {
        let id = Some((id.to_owned(), 0));
        Ok(Box::new(SimProducer { kafka: self.clone(), id, queued: Vec::new(), sent: 0 }))
    }
    fn consumer(&self, _: &str, _: &Subscription, of: &ClientProperties) -> Result<Box<dyn Consumer>, KafkaError> {
        let instance = of.get("group.instance.id").cloned().unwrap_or_default();
        Ok(Box::new(SimConsumer::join(&self.cluster.coordinator, instance, &self.link)))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.clone())
    }
    async fn log(&self, topic: &str) -> Result<Box<dyn TopicLog>, KafkaError> {
        self.link.pass().await.map_err(away)?;
        let (topic, place) = (topic.to_owned(), Mutex::default());
        Ok(Box::new(SimLog { kafka: self.clone(), topic, place, delivered: Signal::new(0) }))
    }
    async fn read(&self, _: &TopicPartition, _: Option<Offset>, _: Limits) -> Result<RecordPage, KafkaError> {
        Err(KafkaError::Config("pages of records are not played".to_owned()))
    }
    async fn cluster_id(&self) -> Result<String, KafkaError> {
        Ok("played".to_owned())
    }
}

#[async_trait]
impl Admin for SimKafka {
    async fn ensure_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        self.link.pass().await.map_err(away)?;
        self.cluster.state.lock().unwrap().topics.entry(topic.name.clone()).or_default();
        Ok(())
    }
    async fn end_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        Ok(of.iter().map(|at| (at.clone(), Offset(0))).collect())
    }
    async fn group_offsets(&self, _: &str) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        Ok(BTreeMap::new())
    }
    async fn alter_group_offsets(
        &self,
        _: &str,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        self.link.pass().await.map_err(away)?;
        Ok(self.cluster.state.lock().unwrap().topics.keys().map(|name| (name.clone(), 1)).collect())
    }
    async fn delete_group(&self, _: &str) -> Result<(), KafkaError> {
        Ok(())
    }
    async fn fence(&self, ids: &[String]) -> Result<(), KafkaError> {
        self.link.pass().await.map_err(away)?;
        for id in ids {
            self.cluster.state.lock().unwrap().fence(id);
        }
        self.link.pass().await.map_err(away)
    }
}
