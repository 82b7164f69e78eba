//! Producers.
use super::client::{Alive, Client, blocking};
use super::delivery::Deliveries;
use super::errors::{self, Class};
use super::settings::Settings;
use crate::native::{Code, EventKind, Handle, Kind, Outgoing, Refusal, Topic};
use crate::ports::{KafkaError, OutRecord, Producer, SendError, Sequence};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Topics that are kept open by one producer; more than a task writes to.
const TOPICS_MAX: usize = 4096;

/// A plain producer; the transactional one is built on it.
pub(crate) struct RdProducer {
    /// Before the client: topics are given back first.
    topics: HashMap<Box<str>, Topic>,
    client: Client,
    deliveries: Arc<Deliveries>,
    sent: u64,
    records_max: u64,
    bytes_max: u64,
}

impl RdProducer {
    pub(crate) fn start(settings: &Settings, transactional: bool, alive: &Arc<Alive>) -> Result<Self, KafkaError> {
        let handle = settings.start(Kind::Producer, EventKind::PRODUCER)?;
        let queue = handle.main_queue().ok_or_else(|| KafkaError::Fatal("a Kafka client has no queue".to_owned()))?;
        let deliveries = Arc::new(Deliveries::new(transactional));
        Ok(Self {
            topics: HashMap::new(),
            client: Client::run(queue, Arc::clone(&deliveries) as _, alive)?,
            deliveries,
            sent: 0,
            records_max: settings.queue_records,
            bytes_max: settings.queue_bytes,
        })
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        self.client.handle()
    }

    pub(crate) fn deliveries(&self) -> &Arc<Deliveries> {
        &self.deliveries
    }

    fn open_topic(&mut self, topic: &str) -> Result<(), KafkaError> {
        if self.topics.len() >= TOPICS_MAX {
            self.topics.clear();
        }
        let opened = Topic::open(self.client.handle(), topic)
            .map_err(|refusal| errors::refused(&format!("cannot write to topic `{topic}`"), &refusal))?;
        self.topics.insert(topic.into(), opened);
        Ok(())
    }

    /// Queues a record; `refused` judges what librdkafka says instead.
    pub(crate) fn queue(
        &mut self,
        record: OutRecord<'_>,
        refused: impl FnOnce(&Handle, &Refusal) -> KafkaError,
    ) -> Result<Sequence, SendError> {
        if !self.topics.contains_key(record.topic) {
            self.open_topic(record.topic)?;
        }
        let Some(topic) = self.topics.get(record.topic) else { return Err(SendError::Full) };
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

    pub(crate) async fn wait_for_room(&self) -> Result<(), KafkaError> {
        let (records_max, bytes_max) = (self.records_max / 2, self.bytes_max / 2);
        self.deliveries.until(|records, bytes| records <= records_max && bytes <= bytes_max).await
    }

    pub(crate) fn lowest(&self) -> Result<Sequence, KafkaError> {
        match self.deliveries.failure() {
            Some(failure) => Err(failure),
            None => Ok(Sequence(self.deliveries.lowest())),
        }
    }

    /// Waits until nothing is open, without the patience of `linger.ms`.
    pub(crate) async fn settle(&self) -> Result<(), KafkaError> {
        if self.deliveries.open().0 == 0 {
            return self.deliveries.until(|_, _| true).await;
        }
        // Flushing is a mode of the client while the call lasts; the flag ends it when the wait ends or is dropped.
        let hurry = Arc::new(AtomicBool::new(true));
        let _end = EndOnDrop(Arc::clone(&hurry));
        let handle = Arc::clone(self.handle());
        tokio::task::spawn_blocking(move || {
            while hurry.load(Ordering::Acquire) && handle.flush(Duration::from_millis(100)).is_err() {}
        });
        self.deliveries.until(|records, _| records == 0).await
    }
}

struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
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
