//! Sending records: those that come as values, and those that their source has written itself. What is set for each record,
//! and what follows from its being sent, is the same for both.
use super::cycle::Cycle;
use super::rejects::{Bad, Rejects};
use super::transaction::Refused;
use crate::error::TaskError;
use crate::event::Happening;
use crate::pipeline::{Failed, Stopped};
use elasticflow_api::RecordError;
use elasticflow_api::data::{Headers, Record};
use elasticflow_api::error::Stage;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::written::WrittenRecord;
use elasticflow_config::flow::ReasonCode;
use std::sync::Arc;

impl Cycle {
    /// Transforms, encodes and sends a record.
    pub(super) async fn send_one(
        &mut self,
        record: Record,
        position: Option<&SourcePosition>,
    ) -> Result<(), TaskError> {
        let mut record = record;
        if !self.transforms.is_empty() {
            let bad = self.rejects.writes().then(|| record.clone());
            let (topic, timestamp_ms) = (Arc::clone(&record.topic), record.timestamp_ms);
            record = match self.transforms.apply(record, None) {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                Err(failed) => {
                    let known = bad.map(|bad| self.rejects.unwritten(&bad, position));
                    return self.skip(failed, known.unwrap_or_else(|| Bad::of(topic, timestamp_ms))).await;
                }
            };
        }
        self.mark(&record.topic);
        loop {
            match self.encoder.encode(&mut record) {
                Ok(()) => break,
                Err(Stopped::Failed(failed)) => {
                    return self.skip(failed, self.rejects.unwritten(&record, position)).await;
                }
                Err(Stopped::Need { is_key, need }) => {
                    let retry = self.rejects.retry();
                    self.encoder.converters().resolve(&record.topic, is_key, &need, retry).await?;
                }
            }
        }
        if self.topics.is_new(&record.topic) {
            self.first_seen(&record.topic).await?;
        }
        self.begin_in(&record.topic).await?;
        let (sent, bytes) = (self.transaction.send(self.encoder.out(&record)).await, self.encoder.size());
        self.sent(sent, (&record.topic, bytes), |rejects| rejects.unwritten(&record, position)).await
    }

    /// Sends a written record; `headers` are those of all written records of its batch.
    pub(super) async fn send_written(
        &mut self,
        record: &WrittenRecord<'_>,
        headers: &Headers,
    ) -> Result<(), TaskError> {
        let topic = &record.target.topic;
        if self.topics.is_new(topic) {
            self.first_seen(topic).await?;
        }
        self.mark(topic);
        self.begin_in(topic).await?;
        let out = match self.encoder.out_written(record, headers) {
            Ok(out) => out,
            Err(failed) => return self.skip(failed, self.rejects.unsent(record)).await,
        };
        let bytes = out.key.map_or(0, <[u8]>::len) + out.value.map_or(0, <[u8]>::len);
        let sent = self.transaction.send(out).await;
        self.sent(sent, (topic, bytes), |rejects| rejects.unsent(record)).await
    }

    /// Gives the next record the header of its batch, if it belongs to one.
    fn mark(&mut self, topic: &Arc<str>) {
        if let Some(marks) = &mut self.marks {
            let (name, value) = marks.header(topic);
            self.encoder.mark(name, value);
        }
    }

    /// Tells a topic that a batch begins, before the first record of it.
    async fn begin_in(&mut self, topic: &Arc<str>) -> Result<(), TaskError> {
        match self.marks.as_mut().filter(|marks| marks.is_to_begin(topic)) {
            Some(marks) => marks.begin_in(topic, &mut self.transaction).await,
            None => Ok(()),
        }
    }

    /// Counts a record that was sent; one that Kafka does not take goes to the error policy.
    async fn sent(
        &mut self,
        sent: Result<(), Refused>,
        (topic, bytes): (&Arc<str>, usize),
        bad: impl FnOnce(&Rejects) -> Bad,
    ) -> Result<(), TaskError> {
        match sent {
            Ok(()) => {
                self.open.records += 1;
                self.open.bytes += bytes;
                match self.task.limit.cap() {
                    Some(cap) => self.fits(topic, bytes as u64, cap),
                    None => Ok(()),
                }
            }
            Err(Refused::Task(error)) => Err(error),
            Err(Refused::Record(reason)) => {
                let bad = bad(&self.rejects);
                self.not_taken(&reason, bad).await
            }
        }
    }

    /// A transaction that is larger than the cap of a topic can never wait for room: it is aborted, and the task ends.
    fn fits(&mut self, topic: &Arc<str>, bytes: u64, cap: u64) -> Result<(), TaskError> {
        let sum = match self.of_topics.get_mut(topic) {
            Some(sum) => sum,
            None => self.of_topics.entry(Arc::clone(topic)).or_default(),
        };
        *sum += bytes;
        if *sum <= cap || !self.transaction.can_abort() {
            return Ok(());
        }
        let reason = ReasonCode::CapTooSmall;
        Err(TaskError::Definite(format!(
            "{} {}: one transaction has more than {sum} bytes for topic {topic}, which may hold {cap} unconsumed bytes (flow.cap.bytes); nothing of it was written. Raise flow.cap.bytes above the size of the transaction",
            reason.number(),
            reason.code(),
        )))
    }

    async fn first_seen(&mut self, topic: &Arc<str>) -> Result<(), TaskError> {
        if self.transaction.can_abort() && self.transaction.holds_offsets(topic) {
            return Err(TaskError::Config(
                "Source tasks may not produce to their own offsets topics when exactly-once support is enabled"
                    .to_owned(),
            ));
        }
        self.topics.first_seen(topic).await?;
        self.task.happened(Happening::Topic(Arc::clone(topic)));
        Ok(())
    }

    /// A record that Kafka will not take is bad like any other; its position moves all the same.
    async fn not_taken(&mut self, reason: &str, bad: Bad) -> Result<(), TaskError> {
        let reason = format!("Kafka does not take the record: {reason}");
        let error = RecordError { stage: Stage::KafkaProduce, reason, source: None };
        self.skip(Failed { error, class: "org.apache.kafka.clients.producer.KafkaProducer" }, bad).await
    }
}
