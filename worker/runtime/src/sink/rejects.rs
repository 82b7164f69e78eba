//! Bad records of a sink task: judged, and kept until they are written with or before their offsets.
use crate::dead_letters::{DeadLetters, Letter, LetterPlace};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::pipeline::{Failed, Place, Tolerance};
use elasticflow_api::context::Errant;
use elasticflow_api::data::Origin;
use elasticflow_api::error::Stage;
use elasticflow_api::sink::SinkRecord;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use elasticflow_kafka::ports::Producer;
use parking_lot::Mutex;

/// Where bad records of a task go; the sink and the intake share it.
pub(super) struct Rejects {
    tolerance: Tolerance,
    letters: Mutex<Vec<Letter>>,
    /// Whether they are written anywhere.
    kept: bool,
    class: &'static str,
}

impl Rejects {
    pub(super) fn new(tolerance: Tolerance, kept: bool, class: &'static str) -> Self {
        Self { tolerance, letters: Mutex::default(), kept, class }
    }

    /// Asks the tolerance; a tolerated record becomes a letter.
    pub(super) fn take(&self, origin: &Origin, failed: Failed) -> Result<(), TaskError> {
        let (partition, offset) = (origin.at.partition, origin.offset.0);
        let place = Place {
            topic: &origin.at.topic,
            partition: Some(partition),
            offset: Some(offset),
            timestamp_ms: origin.timestamp_ms,
        };
        let failed = self.tolerance.judge(failed, place)?;
        if self.kept {
            let topic = std::sync::Arc::clone(&origin.at.topic);
            self.letters.lock().push(Letter {
                key: origin.key.clone(),
                value: origin.value.clone(),
                headers: origin.headers.clone(),
                timestamp_ms: origin.timestamp_ms,
                place: LetterPlace { topic, at: Some((partition, offset)), source: None },
                failed,
            });
        }
        Ok(())
    }

    pub(super) fn drain(&self) -> Vec<Letter> {
        std::mem::take(&mut self.letters.lock())
    }
}

impl Errant for Rejects {
    fn reject(&self, record: &SinkRecord, mut error: RecordError) -> elasticflow_api::Result<()> {
        error.stage = Stage::TaskPut;
        self.take(&record.origin, Failed { error, class: self.class }).map_err(|e| ConnectorError {
            class: ErrorClass::Record,
            code: "RUNTIME-0001",
            message: e.to_string(),
            source: Some(Box::new(e)),
        })
    }
}

/// Writes letters outside a transaction and waits until they are acknowledged.
pub(super) async fn write(
    topic: &DeadLetters,
    letters: &[Letter],
    producer: &mut dyn Producer,
) -> Result<(), TaskError> {
    if letters.is_empty() {
        return Ok(());
    }
    topic.send(letters, producer).await?;
    producer.drain().await.doing("writing dead letters")?;
    failpoint!("sink.dead_letter.after");
    Ok(())
}
