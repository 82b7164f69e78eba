//! A compacted topic as a table.
use super::batch::own;
use super::client::{Alive, Client, Complaints};
use super::errors;
use super::groupless::Groupless;
use super::producer::call;
use super::settings::Settings;
use crate::native::{Code, EventKind, Handle, Partitions, Queue, Refusal, Topic};
use crate::ports::{KafkaError, LogRecord, TopicLog};
use async_trait::async_trait;
use elasticflow_api::position::{Offset, TopicPartition};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Reads every partition without a group, so that no group is left behind and none has to be permitted.
pub(crate) struct RdTopicLog {
    /// Both before the client: given back first.
    _topic: Topic,
    records: Queue,
    client: Client,
    complaints: Arc<Complaints>,
    name: Arc<str>,
    limit: Duration,
    /// Told when the library has something.
    ready: Arc<Notify>,
    positions: Mutex<Positions>,
    /// Told when a position has moved.
    moved: Notify,
}

#[derive(Default)]
struct Positions {
    /// Next offset of each partition, records that were handed out included.
    at: BTreeMap<i32, i64>,
    /// Of the record that was handed out last: it counts once its reader comes back.
    handed_out: Option<(i32, i64)>,
}

impl Positions {
    fn reach(&mut self, partition: i32, next: i64) {
        let at = self.at.entry(partition).or_default();
        *at = (*at).max(next);
    }

    fn have_reached(&self, ends: &BTreeMap<i32, i64>) -> bool {
        ends.iter().all(|(partition, end)| self.at.get(partition).copied().unwrap_or(0) >= *end)
    }
}

impl RdTopicLog {
    pub(crate) async fn open(topic: &str, settings: &Settings, alive: &Arc<Alive>) -> Result<Self, KafkaError> {
        let doing = format!("cannot read topic `{topic}`");
        let Groupless { handle, complaints, client, records, ready } = Groupless::start(settings, alive)?;
        let (name, limit) = (Arc::<str>::from(topic), settings.call_limit);
        let asked = Arc::clone(&name);
        let partitions = call(&handle, move |handle| partitions_of(handle, &asked, limit)).await?;
        let partitions =
            partitions.map_err(|refusal| may_come(refusal.code, complaints.0.explain(&doing, &refusal)))?;
        let refused = |refusal: Refusal| errors::refused_plainly(&doing, &refusal);
        let topic = Topic::open(&handle, topic).map_err(refused)?;
        for partition in 0..partitions {
            handle.read_from(&topic, partition, Partitions::BEGINNING, &records).map_err(refused)?;
        }
        let positions = Positions { at: (0..partitions).map(|partition| (partition, 0)).collect(), handed_out: None };
        Ok(Self {
            _topic: topic,
            records,
            client,
            complaints,
            name,
            limit,
            ready,
            positions: Mutex::new(positions),
            moved: Notify::new(),
        })
    }

    /// What was handed out before has been dealt with.
    fn settle(&self) {
        let mut positions = self.positions.lock();
        if let Some((partition, next)) = positions.handed_out.take() {
            positions.reach(partition, next);
            drop(positions);
            self.moved.notify_waiters();
        }
    }

    /// Takes what the library has until there is a record.
    fn take(&self) -> Result<Option<LogRecord>, KafkaError> {
        while let Some(mut event) = self.records.poll(Duration::ZERO) {
            if event.kind() == EventKind::Error {
                if event.code() == Code::PartitionEOF {
                    if let Some(row) = event.partition() {
                        self.positions.lock().reach(row.at.partition, row.offset);
                        self.moved.notify_waiters();
                    }
                    continue;
                }
                self.on_error(&event.refusal())?;
                continue;
            }
            let Some(message) = event.next_message() else { continue };
            if message.code() != Code::NoError {
                self.on_error(&Refusal::of(message.code()))?;
                continue;
            }
            let (partition, offset) = (message.partition(), message.offset());
            let record = LogRecord {
                offset: Offset(offset),
                key: message.key().map(own).unwrap_or_default(),
                value: message.value().map(own),
            };
            self.positions.lock().handed_out = Some((partition, offset + 1));
            return Ok(Some(record));
        }
        Ok(None)
    }

    /// The library goes on by itself after what may pass.
    fn on_error(&self, refusal: &Refusal) -> Result<(), KafkaError> {
        let error = errors::refused_plainly(&format!("cannot read topic `{}`", self.name), refusal);
        if is_unknown(refusal.code) {
            return Err(may_come(refusal.code, error));
        }
        match error {
            KafkaError::Retriable(why) => {
                tracing::debug!(topic = &*self.name, "{why}");
                Ok(())
            }
            error => Err(error),
        }
    }

    async fn ends(&self) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let partitions: Vec<_> = self
            .positions
            .lock()
            .at
            .keys()
            .map(|partition| TopicPartition { topic: Arc::clone(&self.name), partition: *partition })
            .collect();
        let doing = format!("cannot read the end of topic `{}`", self.name);
        let list = Partitions::of(partitions.iter().map(|at| (at, Partitions::END)))
            .map_err(|refusal| errors::refused_plainly(&doing, &refusal))?;
        let limit = self.limit;
        let rows = call(self.client.handle(), move |handle| handle.edges(&list, limit))
            .await?
            .map_err(|refusal| self.complaints.0.explain(&doing, &refusal))?;
        match rows.iter().find(|row| row.code != Code::NoError) {
            Some(row) => Err(errors::refused_plainly(&doing, &Refusal::of(row.code))),
            None => Ok(rows.into_iter().map(|row| (row.at.partition, row.offset)).collect()),
        }
    }
}

fn partitions_of(handle: &Arc<Handle>, topic: &str, limit: Duration) -> Result<i32, Refusal> {
    match handle.metadata(Some(topic), limit)?.topics.get(topic) {
        Some(Ok(partitions)) if *partitions > 0 => Ok(*partitions),
        Some(Err(code)) => Err(Refusal::of(*code)),
        _ => Err(Refusal::of(Code::UnknownTopicOrPartition)),
    }
}

#[async_trait]
impl TopicLog for RdTopicLog {
    async fn read_to_end(&self) -> Result<(), KafkaError> {
        let ends = self.ends().await?;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From here on a move is not missed.
            moved.as_mut().enable();
            if self.positions.lock().have_reached(&ends) {
                return Ok(());
            }
            moved.await;
        }
    }

    async fn next(&self) -> Result<LogRecord, KafkaError> {
        self.settle();
        loop {
            if let Some(record) = self.take()? {
                return Ok(record);
            }
            self.ready.notified().await;
        }
    }
}

/// Whether a broker does not know the topic.
fn is_unknown(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic)
}

/// A topic that is not known may be soon: brokers learn of a new one by and by, and one that comes back knows what it knew.
fn may_come(code: Code, error: KafkaError) -> KafkaError {
    match error {
        KafkaError::Config(why) if is_unknown(code) => KafkaError::Retriable(why),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_reached_when_every_partition_has_reached_it() {
        let mut positions = Positions::default();
        let ends = BTreeMap::from([(0, 5), (1, 0), (2, 2)]);
        assert!(!positions.have_reached(&ends));
        positions.reach(0, 5);
        positions.reach(2, 1);
        assert!(!positions.have_reached(&ends));
        positions.reach(2, 7);
        positions.reach(2, 3);
        assert!(positions.have_reached(&ends), "positions never go back");
    }
}
