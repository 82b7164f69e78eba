//! Producers, topic log, admin and factory of the fake.
use super::consumer::FakeConsumer;
use super::state::{Commits, FakeKafka, Status, Transaction};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

struct FakeProducer {
    kafka: FakeKafka,
    id: Option<String>,
    epoch: u64,
    open: Option<usize>,
    sent: u64,
}

impl FakeProducer {
    fn check(&self) -> Result<(), KafkaError> {
        let current = self.id.as_ref().map(|id| self.kafka.lock().epochs.get(id).copied());
        if current.flatten().is_some_and(|e| e != self.epoch) { Err(KafkaError::Fenced) } else { Ok(()) }
    }
}

fn owned(record: OutRecord<'_>) -> InRecord {
    InRecord {
        offset: Offset(0),
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(Bytes::copy_from_slice),
        value: record.value.map(Bytes::copy_from_slice),
        headers: record.headers.iter().cloned().collect(),
    }
}

#[async_trait]
impl Producer for FakeProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError> {
        self.check()?;
        let open = self.open;
        if self.id.is_some() && open.is_none() {
            return Err(KafkaError::Fatal("no transaction is open".to_owned()).into());
        }
        let most = self.kafka.lock().value_max;
        if record.topic == "out" && record.value.is_some_and(|v| most.is_some_and(|most| v.len() > most)) {
            return Err(KafkaError::Record("the record is too large".to_owned()).into());
        }
        self.kafka.change(|s| s.append(record.topic, record.partition, owned(record), open));
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
impl TransactionalProducer for FakeProducer {
    async fn init(&mut self) -> Result<(), KafkaError> {
        let id = self.id.clone().unwrap();
        self.epoch = self.kafka.change(|s| s.init(&id));
        Ok(())
    }
    fn begin(&mut self) -> Result<(), KafkaError> {
        let id = self.id.clone().unwrap();
        self.open = Some(self.kafka.change(|s| {
            let (partitions, offsets) = (BTreeSet::new(), Vec::new());
            s.transactions.push(Transaction { id, status: Status::Open, partitions, offsets });
            s.transactions.len() - 1
        }));
        Ok(())
    }
    async fn send_offsets(&mut self, offsets: &ConsumedOffsets, group: &GroupMetadata) -> Result<(), KafkaError> {
        self.check()?;
        let (name, member) = FakeConsumer::read_metadata(group);
        let tx = self.open.unwrap();
        self.kafka.change(|s| {
            if let Some(left) = s.stale.checked_sub(1) {
                s.stale = left;
                return Err(KafkaError::Abortable("the generation is over".to_owned()));
            }
            let member = s.groups.get(&name).and_then(|g| g.members.get(&member));
            if !member.is_some_and(|m| offsets.0.keys().all(|tp| m.owned.contains(tp))) {
                return Err(KafkaError::Abortable("the member has lost the partition".to_owned()));
            }
            s.transactions[tx].offsets.push((name, offsets.0.clone()));
            Ok(())
        })
    }
    async fn commit(&mut self) -> Result<(), CommitError> {
        if self.check().is_err() {
            return Err(CommitError::Fenced);
        }
        let tx = self.open.take().unwrap();
        self.kafka.change(|s| {
            let fault = if s.faults.is_empty() { None } else { Some(s.faults.remove(0)) };
            match fault {
                None => s.end(tx, Status::Committed),
                Some(Commits::ApplyAndLoseTheAnswer) => s.end(tx, Status::Committed),
                Some(Commits::Refuse) => s.end(tx, Status::Aborted),
                Some(Commits::LoseTheRequest) => {}
            }
            match fault {
                None => Ok(()),
                Some(Commits::Refuse) => Err(CommitError::NotCommitted(KafkaError::Abortable("refused".to_owned()))),
                Some(_) => Err(CommitError::Unknown("no answer".to_owned())),
            }
        })
    }
    async fn abort(&mut self) -> Result<(), KafkaError> {
        self.check()?;
        if let Some(tx) = self.open.take() {
            self.kafka.change(|s| s.end(tx, Status::Aborted));
        }
        Ok(())
    }
}

struct FakeLog {
    kafka: FakeKafka,
    topic: String,
    positions: parking_lot::Mutex<HashMap<usize, usize>>,
}

#[async_trait]
impl TopicLog for FakeLog {
    async fn read_to_end(&self) -> Result<(), KafkaError> {
        let ends: Vec<usize> = self.kafka.lock().topics.get(&self.topic).unwrap().iter().map(Vec::len).collect();
        self.kafka
            .wait(|s| {
                let logs = s.topics.get(&self.topic).unwrap();
                let positions = self.positions.lock();
                let at = |p: usize| positions.get(&p).copied().unwrap_or(0);
                // Reached: everything visible below the end was delivered and nothing below it is undecided.
                let reached = |p: usize| {
                    s.stable_end(&logs[p]) >= ends[p] && s.visible(&logs[p], at(p)).iter().all(|(n, _)| *n > ends[p])
                };
                (0..ends.len()).all(reached).then_some(Ok(()))
            })
            .await
    }
    async fn next(&self) -> Result<LogRecord, KafkaError> {
        let (partition, next, record) = self
            .kafka
            .wait(|s| {
                let logs = s.topics.get(&self.topic).unwrap();
                let positions = self.positions.lock();
                (0..logs.len()).find_map(|p| {
                    let from = positions.get(&p).copied().unwrap_or(0);
                    s.visible(&logs[p], from).into_iter().next().map(|(next, r)| (p, next, r))
                })
            })
            .await;
        self.positions.lock().insert(partition, next);
        // The position is part of what `read_to_end` looks at.
        self.kafka.change(|_| ());
        Ok(LogRecord { offset: record.offset, key: record.key.unwrap_or_default(), value: record.value })
    }
}

#[async_trait]
impl Admin for FakeKafka {
    async fn ensure_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        self.create(&topic.name, usize::try_from(topic.partitions).unwrap_or(1));
        Ok(())
    }
    async fn end_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let state = self.lock();
        Ok(of.iter().map(|tp| (tp.clone(), Offset(state.log(tp).len() as i64))).collect())
    }
    async fn begin_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let state = self.lock();
        let begin = |tp: &TopicPartition| Offset(state.begins.get(tp).copied().unwrap_or(0) as i64);
        Ok(of.iter().map(|tp| (tp.clone(), begin(tp))).collect())
    }
    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        Ok(self.lock().offsets.get(group).cloned().unwrap_or_default())
    }
    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), KafkaError> {
        self.change(|s| {
            let of = s.offsets.entry(group.to_owned()).or_default();
            for (tp, offset) in offsets {
                match offset {
                    Some(o) => of.insert(tp.clone(), *o),
                    None => of.remove(tp),
                };
            }
        });
        Ok(())
    }
    async fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        Ok(self.lock().topics.iter().map(|(t, logs)| (t.clone(), logs.len() as i32)).collect())
    }
    async fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        self.lock().offsets.remove(group);
        Ok(())
    }
    async fn fence(&self, transactional_ids: &[String]) -> Result<(), KafkaError> {
        transactional_ids.iter().for_each(|id| self.take_over(id));
        Ok(())
    }
}

#[async_trait]
impl Kafka for FakeKafka {
    fn producer(&self, _: &ClientProperties) -> Result<Box<dyn Producer>, KafkaError> {
        Ok(Box::new(FakeProducer { kafka: self.clone(), id: None, epoch: 0, open: None, sent: 0 }))
    }
    fn transactional_producer(
        &self,
        transactional_id: &str,
        _: &ClientProperties,
    ) -> Result<Box<dyn TransactionalProducer>, KafkaError> {
        let id = Some(transactional_id.to_owned());
        Ok(Box::new(FakeProducer { kafka: self.clone(), id, epoch: 0, open: None, sent: 0 }))
    }
    fn consumer(
        &self,
        group: &str,
        subscription: &Subscription,
        _: &ClientProperties,
    ) -> Result<Box<dyn Consumer>, KafkaError> {
        Ok(Box::new(FakeConsumer::join(self, group, subscription)))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.clone())
    }
    async fn log(&self, topic: &str) -> Result<Box<dyn TopicLog>, KafkaError> {
        if !self.lock().topics.contains_key(topic) {
            return Err(KafkaError::Retriable(format!("topic {topic} does not exist")));
        }
        Ok(Box::new(FakeLog { kafka: self.clone(), topic: topic.to_owned(), positions: parking_lot::Mutex::default() }))
    }
    async fn read(&self, at: &TopicPartition, from: Option<Offset>, max: Limits) -> Result<RecordPage, KafkaError> {
        let s = self.lock();
        let first = from.map_or(0, |o| usize::try_from(o.0).unwrap_or(0));
        let all = s.visible(s.log(at), first);
        let taken: Vec<_> = all.iter().take(max.records).cloned().collect();
        let next = taken.last().map_or(first, |(next, _)| *next);
        let is_end = taken.len() == all.len();
        // Behind the last record stand the ends of transactions, which a reader passes.
        let next = if is_end { next.max(s.stable_end(s.log(at))) } else { next };
        let next = Offset(i64::try_from(next).unwrap_or(0));
        Ok(RecordPage { records: taken.into_iter().map(|(_, record)| record).collect(), next, is_end })
    }
    async fn cluster_id(&self) -> Result<String, KafkaError> {
        Ok("fake".to_owned())
    }
}

/// Time that stable offsets may take to become stable in the fake.
pub(super) async fn within<T>(max: Duration, what: impl Future<Output = T>) -> Result<T, KafkaError> {
    tokio::time::timeout(max, what).await.map_err(|_| KafkaError::Retriable("offsets stayed unstable".to_owned()))
}
