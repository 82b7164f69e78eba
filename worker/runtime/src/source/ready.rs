//! Sending the records that a source has written itself.
use super::cycle::Cycle;
use super::rejects::Bad;
use super::transaction::Refused;
use crate::error::TaskError;
use crate::pipeline::Failed;
use elasticflow_api::RecordError;
use elasticflow_api::data::Headers;
use elasticflow_api::error::Stage;
use elasticflow_api::written::WrittenRecord;

impl Cycle {
    /// Sends one; `headers` are those of all written records of its batch.
    pub(super) async fn send_written(
        &mut self,
        record: &WrittenRecord<'_>,
        headers: &Headers,
    ) -> Result<(), TaskError> {
        let topic = &record.target.topic;
        if self.topics.is_new(topic) {
            self.first_seen(topic).await?;
        }
        if let Some(marks) = &mut self.marks {
            let (name, value) = marks.header(topic);
            self.encoder.mark(name, value);
        }
        let out = match self.encoder.out_written(record, headers) {
            Ok(out) => out,
            Err(failed) => return self.skip(failed, self.rejects.unsent(record)).await,
        };
        let bytes = out.key.map_or(0, <[u8]>::len) + out.value.map_or(0, <[u8]>::len);
        match self.transaction.send(out).await {
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
                let bad = self.rejects.unsent(record);
                self.not_taken(&reason, bad).await
            }
        }
    }

    /// A record that Kafka will not take is bad like any other; its position moves all the same.
    pub(super) async fn not_taken(&mut self, reason: &str, bad: Bad) -> Result<(), TaskError> {
        let reason = format!("Kafka does not take the record: {reason}");
        let error = RecordError { stage: Stage::KafkaProduce, reason, source: None };
        self.skip(Failed { error, class: "org.apache.kafka.clients.producer.KafkaProducer" }, bad).await
    }
}
