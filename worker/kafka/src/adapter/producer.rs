//! Producers.
use super::client::{Alive, Client, blocking};
use super::delivery::Deliveries;
use super::errors::{self, Class};
use super::settings::{BATCH_RECORDS, Settings};
use crate::native::{Code, EventKind, Handle, Kind, Outgoing, Refusal, Topic};
use crate::ports::{KafkaError, OutRecord, Producer, SendError, Sequence};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Topics that are kept open by one producer; more than a task writes to.
const TOPICS_MAX: usize = 4096;

/// Without a report for so long, nothing full is on its way.
const PAUSE: Duration = Duration::from_millis(10);
/// How long what lingers is pushed.
const PUSH: Duration = Duration::from_millis(2);

/// A plain producer; the transactional one is built on it.
pub(crate) struct RdProducer {
    /// Before the client: topics are given back first.
    topics: Topics,
    client: Client,
    deliveries: Arc<Deliveries>,
    sent: u64,
    records_max: u64,
    bytes_max: u64,
    batch_bytes: u64,
}

impl RdProducer {
    pub(crate) fn start(settings: &Settings, transactional: bool, alive: &Arc<Alive>) -> Result<Self, KafkaError> {
        let handle = settings.start(Kind::Producer, EventKind::PRODUCER)?;
        let queue = handle.main_queue().ok_or_else(|| KafkaError::Fatal("a Kafka client has no queue".to_owned()))?;
        let deliveries = Arc::new(Deliveries::new(transactional));
        Ok(Self {
            topics: Topics::default(),
            client: Client::run(queue, Arc::clone(&deliveries) as _, alive)?,
            deliveries,
            sent: 0,
            records_max: settings.queue_records,
            bytes_max: settings.queue_bytes,
            batch_bytes: settings.batch_bytes,
        })
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        self.client.handle()
    }

    pub(crate) fn deliveries(&self) -> &Arc<Deliveries> {
        &self.deliveries
    }

    /// Queues a record; `refused` judges what librdkafka says instead.
    pub(crate) fn queue(
        &mut self,
        record: OutRecord<'_>,
        refused: impl FnOnce(&Handle, &Refusal) -> KafkaError,
    ) -> Result<Sequence, SendError> {
        let topic = self.topics.of(self.client.handle(), record.topic)?;
        let bytes = (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
        let number = self.sent + 1;
        let outgoing = Outgoing {
            partition: record.partition,
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms,
            number,
        };
        self.deliveries.enter(bytes);
        let Err(refusal) = self.client.handle().produce(topic, outgoing) else {
            self.sent = number;
            return Ok(Sequence(number));
        };
        self.deliveries.leave(bytes);
        Err(match refusal.code {
            Code::QueueFull if bytes > self.bytes_max / 2 => SendError::Kafka(KafkaError::Record(format!(
                "a record of {bytes} bytes for topic `{}` does not fit into half of producer.buffer.memory; raise it",
                record.topic
            ))),
            Code::QueueFull => SendError::Full,
            _ => SendError::Kafka(refused(self.client.handle(), &refusal)),
        })
    }

    /// Whether so many records and bytes leave in one batch a partition. Nothing of them is sent before the end, and then
    /// no batch waits behind another: flushing costs nothing and can last as long as it takes.
    pub(crate) fn is_one_batch(&self, (records, bytes): (u64, u64)) -> bool {
        records < BATCH_RECORDS && bytes < self.batch_bytes
    }

    pub(crate) async fn wait_for_room(&self) -> Result<(), KafkaError> {
        let (records_max, bytes_max) = (self.records_max / 2, self.bytes_max / 2);
        self.wait_for(|records, bytes| records <= records_max && bytes <= bytes_max).await
    }

    /// Waits until `enough` says so. Full batches leave by themselves; when no report comes for a while, what waits for
    /// its batch to fill is sent.
    async fn wait_for(&self, enough: impl Fn(u64, u64) -> bool) -> Result<(), KafkaError> {
        while !self.reports_for(PAUSE, &enough).await? {
            self.push().await?;
        }
        Ok(())
    }

    /// Waits until `enough` says so, or no report has come for `pause`: then false.
    async fn reports_for(&self, pause: Duration, enough: impl Fn(u64, u64) -> bool) -> Result<bool, KafkaError> {
        loop {
            let before = self.deliveries.open();
            let moved = |records, bytes| enough(records, bytes) || (records, bytes) != before;
            let Ok(done) = tokio::time::timeout(pause, self.deliveries.until(moved)).await else { return Ok(false) };
            done?;
            let (records, bytes) = self.deliveries.open();
            if enough(records, bytes) {
                return Ok(true);
            }
        }
    }

    /// Sends what waits for its batch to fill. The client flushes while the call lasts, and while it flushes it spins for
    /// every partition with a batch on the wire and another behind it: so it is short.
    async fn push(&self) -> Result<(), KafkaError> {
        call(self.handle(), |handle| drop(handle.flush(PUSH))).await
    }

    pub(crate) fn lowest(&self) -> Result<Sequence, KafkaError> {
        match self.deliveries.failure() {
            Some(failure) => Err(failure),
            None => Ok(Sequence(self.deliveries.lowest())),
        }
    }

    /// Waits until nothing is open, without the patience of `linger.ms`.
    pub(crate) async fn settle(&self) -> Result<(), KafkaError> {
        self.wait_for(|_, bytes| bytes < self.batch_bytes).await?;
        loop {
            let before = self.deliveries.open();
            if before.0 == 0 {
                return self.deliveries.until(|_, _| true).await;
            }
            self.push().await?;
            let moved = self.deliveries.until(|records, bytes| (records, bytes) != before);
            if let Ok(done) = tokio::time::timeout(PAUSE, moved).await {
                done?;
            }
        }
    }
}

/// Topics that were written to; a record mostly goes where the one before it went.
#[derive(Default)]
struct Topics {
    open: Vec<(Box<str>, Topic)>,
    places: HashMap<Box<str>, usize>,
    last: usize,
}

impl Topics {
    fn of(&mut self, client: &Handle, name: &str) -> Result<&Topic, KafkaError> {
        if self.open.get(self.last).is_none_or(|(last, _)| **last != *name) {
            self.last = match self.places.get(name) {
                Some(place) => *place,
                None => self.add(client, name)?,
            };
        }
        let found = self.open.get(self.last).map(|(_, topic)| topic);
        found.ok_or_else(|| KafkaError::Fatal(format!("topic `{name}` is not open")))
    }

    fn add(&mut self, client: &Handle, name: &str) -> Result<usize, KafkaError> {
        let opened = Topic::open(client, name)
            .map_err(|refusal| errors::refused(&format!("cannot write to topic `{name}`"), &refusal))?;
        if self.open.len() >= TOPICS_MAX {
            self.open.clear();
            self.places.clear();
        }
        self.places.insert(name.into(), self.open.len());
        self.open.push((name.into(), opened));
        Ok(self.open.len() - 1)
    }
}

/// What a refused record of a plain producer means.
fn judge(topic: &str, handle: &Handle, refusal: &Refusal) -> KafkaError {
    let doing = format!("cannot write to topic `{topic}`");
    match (refusal.code, handle.fatal()) {
        (Code::Fatal, Some(fatal)) => errors::refused(&doing, &fatal),
        _ => match errors::class(refusal) {
            Class::Abortable => errors::error(Class::Fatal, errors::sentence(&doing, refusal)),
            _ => errors::refused(&doing, refusal),
        },
    }
}

#[async_trait]
impl Producer for RdProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError> {
        self.queue(record, |handle, refusal| judge(record.topic, handle, refusal))
    }

    async fn room(&mut self) -> Result<(), KafkaError> {
        self.wait_for_room().await
    }

    fn acknowledged(&self) -> Result<Sequence, KafkaError> {
        self.lowest()
    }

    async fn drain(&mut self) -> Result<(), KafkaError> {
        self.settle().await
    }
}

/// Runs a call on the client, on a thread where it may block.
pub(crate) async fn call<T: Send + 'static>(
    handle: &Arc<Handle>,
    call: impl FnOnce(&Arc<Handle>) -> T + Send + 'static,
) -> Result<T, KafkaError> {
    let handle = Arc::clone(handle);
    blocking(move || call(&handle)).await
}
