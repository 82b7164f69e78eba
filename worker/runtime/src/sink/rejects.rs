//! Bad records of a sink task: judged, and kept until they are written with or before their offsets.
use crate::dead_letters::{DeadLetters, Letter, LetterPlace};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::pipeline::{Failed, Place, Tolerance};
use crate::supervise::Supervision;
use elasticflow_api::clock::Boxed;
use elasticflow_api::context::Errant;
use elasticflow_api::data::Origin;
use elasticflow_api::error::Stage;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_api::sink::SinkRecord;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use elasticflow_kafka::ports::Producer;
use elasticflow_protocol::ReplayEntry;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where bad records of a task go; the sink and the intake share it.
pub(super) struct Rejects {
    tolerance: Tolerance,
    letters: Mutex<Vec<Letter>>,
    /// Ids of letters that were put again in vain.
    superseded: Mutex<Vec<Arc<str>>>,
    topic: Option<DeadLetters>,
    /// For sinks without a Kafka transaction of their own.
    producer: tokio::sync::Mutex<Option<Box<dyn Producer>>>,
    /// The tolerance has said no.
    refused: AtomicBool,
    task: Arc<Supervision>,
    /// Skipped by the sink, and not claimed yet where there is an error budget.
    unclaimed: Mutex<Vec<(TopicPartition, Offset)>>,
    /// The record above the budget has been met again.
    is_stop_met: AtomicBool,
    class: &'static str,
}

/// How much waits at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    letters: usize,
    unclaimed: usize,
}

impl Rejects {
    pub(super) fn new(
        task: &Arc<Supervision>,
        tolerance: Tolerance,
        topic: Option<DeadLetters>,
        class: &'static str,
    ) -> Self {
        Self {
            tolerance,
            letters: Mutex::default(),
            superseded: Mutex::default(),
            topic,
            producer: tokio::sync::Mutex::new(None),
            refused: AtomicBool::new(false),
            task: Arc::clone(task),
            unclaimed: Mutex::default(),
            is_stop_met: AtomicBool::new(false),
            class,
        }
    }

    /// The dead letter topic, if there is one.
    pub(super) fn topic(&self) -> Option<&DeadLetters> {
        self.topic.as_ref()
    }

    /// Gives it a producer: from now on [`Rejects::write`] writes.
    pub(super) async fn writes_with(&self, producer: Box<dyn Producer>) {
        *self.producer.lock().await = Some(producer);
    }

    /// Whether a record was not tolerated: then an error of class `Record` is the end and not a reason to search.
    pub(super) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Whether bad records are skipped, and only so many.
    pub(super) fn has_budget(&self) -> bool {
        self.tolerance.skips() && self.task.budget.is_set()
    }

    /// Notes whether the record above the budget has been met.
    pub(super) fn met_stop(&self, met: bool) {
        self.is_stop_met.fetch_or(met, Ordering::AcqRel);
    }

    /// Whether everything before the record above the budget has been read: then the task ends.
    pub(super) fn is_stop_met(&self) -> bool {
        self.is_stop_met.load(Ordering::Acquire)
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting { letters: self.letters.lock().len(), unclaimed: self.unclaimed.lock().len() }
    }

    /// Forgets what has come since, for a call that is made again.
    pub(super) fn forget_after(&self, then: Waiting) {
        self.letters.lock().truncate(then.letters);
        self.unclaimed.lock().truncate(then.unclaimed);
    }

    /// Claims what the sink has skipped by itself.
    pub(super) async fn claim(&self) -> Result<(), TaskError> {
        let unclaimed = std::mem::take(&mut *self.unclaimed.lock());
        for (at, offset) in unclaimed {
            self.task.budget.claim_consumed(&at, offset).await?;
        }
        self.task.budget.share.write_bad().await
    }

    /// A record that could not be decoded or transformed.
    pub(super) async fn unread(&self, origin: &Origin, failed: Failed) -> Result<(), TaskError> {
        if self.has_budget() {
            self.task.budget.claim_consumed(&origin.at, origin.offset).await?;
        }
        self.take(origin, failed)
    }

    /// Writes what waits outside a transaction and waits until it is acknowledged.
    pub(super) async fn write(&self) -> Result<(), TaskError> {
        self.claim().await?;
        let mut producer = self.producer.lock().await;
        let (Some(topic), Some(producer)) = (&self.topic, producer.as_mut()) else { return Ok(()) };
        let letters = self.drain();
        let superseded = std::mem::take(&mut *self.superseded.lock());
        if letters.is_empty() && superseded.is_empty() {
            return Ok(());
        }
        topic.send(&letters, producer.as_mut()).await?;
        for letter in superseded {
            topic.tell(&letter, &ReplayEntry::Superseded, producer.as_mut()).await?;
        }
        producer.drain().await.doing("writing dead letters")?;
        for Letter { place: LetterPlace { topic, at, .. }, .. } in letters.iter().filter(|l| l.replay.is_none()) {
            let (partition, offset) = at.unwrap_or_default();
            self.task.budget.note_letter(topic, partition, offset);
        }
        failpoint!("sink.dead_letter.after");
        Ok(())
    }

    /// The whole batch was refused and this record of it is why.
    pub(super) async fn isolated(&self, origin: &Origin, error: &ConnectorError) -> Result<(), TaskError> {
        let error = RecordError { stage: Stage::TaskPut, reason: error.to_string(), source: None };
        self.unread(origin, Failed { error, class: self.class }).await
    }

    /// Asks the tolerance; a tolerated record becomes a letter.
    fn take(&self, origin: &Origin, failed: Failed) -> Result<(), TaskError> {
        let (at, Offset(offset)) = origin.place();
        let partition = at.partition;
        let place = Place {
            topic: &at.topic,
            partition: Some(partition),
            offset: Some(offset),
            timestamp_ms: origin.timestamp_ms,
        };
        let failed =
            self.tolerance.judge(failed, place).inspect_err(|_| self.refused.store(true, Ordering::Release))?;
        let is_written = origin.replay.is_none() && self.task.budget.has_letter(&at.topic, partition, offset);
        if self.topic.is_some() && !is_written {
            let topic = Arc::clone(&at.topic);
            self.letters.lock().push(Letter {
                key: origin.key.clone(),
                value: origin.value.clone(),
                headers: origin.headers.to_vec(),
                timestamp_ms: origin.timestamp_ms,
                place: LetterPlace { topic, at: Some((partition, offset)), source: None },
                failed,
                replay: origin.replay.as_ref().map(|replay| Arc::clone(&replay.letter)),
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
        if self.has_budget() {
            self.unclaimed.lock().push((record.origin.at.clone(), record.origin.offset));
        }
        self.take(&record.origin, Failed { error, class: self.class }).map_err(|e| ConnectorError {
            class: ErrorClass::Record,
            code: "RUNTIME-0001",
            message: e.to_string(),
            source: Some(match e {
                TaskError::Tolerance(bad) => Box::new(bad),
                other => Box::new(other),
            }),
        })
    }

    fn superseded(&self, record: &SinkRecord) {
        if let Some(replay) = &record.origin.replay {
            self.superseded.lock().push(Arc::clone(&replay.letter));
        }
    }

    fn settle(&self) -> Boxed<'_, elasticflow_api::Result<()>> {
        Box::pin(async {
            self.write().await.map_err(|e| ConnectorError {
                class: e.class(),
                code: "RUNTIME-0002",
                message: e.to_string(),
                source: Some(Box::new(e)),
            })
        })
    }
}
