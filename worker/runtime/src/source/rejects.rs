//! Bad records of a source task: judged, and written as dead letters in the transaction of their positions.
use crate::dead_letters::{DeadLetters, Letter, LetterPlace};
use crate::error::TaskError;
use crate::pipeline::{Failed, Place, Retry, Tolerance, parsed};
use crate::share::part_of_task;
use crate::supervise::Supervision;
use bytes::{Bytes, BytesMut};
use elasticflow_api::convert::Converter;
use elasticflow_api::data::{Datum, Headers, Record, Value};
use elasticflow_api::position::SourcePosition;
use elasticflow_api::registry::{Plugin, PluginKind};
use elasticflow_api::source::Rejected;
use elasticflow_api::written::WrittenRecord;
use elasticflow_config::Properties;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes keys and values of records that the connector's own converters cannot write.
const PLAIN_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";

/// The error policy of one task.
pub(super) struct Rejects {
    task: Arc<Supervision>,
    tolerance: Tolerance,
    topic: Option<DeadLetters>,
    plain: Option<Arc<dyn Converter>>,
    class: &'static str,
    /// Bad records without a position so far.
    unnamed: AtomicU64,
}

/// What is known of a bad record.
pub(super) struct Bad {
    topic: Arc<str>,
    key: Option<Bytes>,
    value: Option<Bytes>,
    timestamp_ms: Option<i64>,
    position: Option<SourcePosition>,
}

impl Bad {
    /// Nothing but where it would have gone.
    pub(super) fn of(topic: Arc<str>, timestamp_ms: Option<i64>) -> Self {
        Self { topic, key: None, value: None, timestamp_ms, position: None }
    }
}

impl Rejects {
    /// With the connector's keys; `class` is its name in logs and headers.
    pub(super) async fn new(task: &Arc<Supervision>, class: &'static str) -> Result<Self, TaskError> {
        let options = &task.services.options;
        let keys = parsed(&task.spec.properties)?;
        let topic = DeadLetters::new(task).await?;
        let entry = options.registry.find(PluginKind::Converter, PLAIN_CONVERTER).filter(|_| topic.is_some());
        let plain = match entry.map(|e| &e.plugin) {
            Some(Plugin::Converter(make)) => Some(make(&Properties::from_iter([("schemas.enable", "false")]), false)?),
            _ => None,
        };
        let tolerance = Tolerance::new(keys, Arc::clone(&task.metrics), Arc::clone(&options.clock));
        Ok(Self { task: Arc::clone(task), tolerance, topic, plain, class, unnamed: AtomicU64::new(0) })
    }

    /// Whether bad records are written: only then is it worth while to keep one.
    pub(super) fn writes(&self) -> bool {
        self.topic.is_some()
    }

    /// Retries of one operation.
    pub(super) fn retry(&self) -> Retry {
        Retry::new(self.tolerance.keys(), &self.task.services.options.clock, &self.task.metrics)
    }

    /// Whether bad records are skipped, and only so many.
    pub(super) fn has_budget(&self) -> bool {
        self.tolerance.skips() && self.task.budget.is_set()
    }

    /// Whether the error budget lets a record be skipped. A record whose position is not known has a claim of its own each
    /// time that it is met.
    pub(super) async fn allowed(&self, bad: &Bad) -> Result<bool, TaskError> {
        if !self.has_budget() {
            return Ok(true);
        }
        let place = match &bad.position {
            Some(at) => json!(["source", &*at.partition, &*at.offset]),
            None => {
                let n = self.unnamed.fetch_add(1, Ordering::Relaxed);
                let began = self.task.services.options.clock.wall_ms();
                json!(["source", self.task.spec.id.task.0, self.task.spec.generation, began, n])
            }
        };
        let part = part_of_task(self.task.spec.id.task.0);
        let budget = &self.task.budget;
        let may = budget.claim(place).await? && budget.share.allows_in_transit(&part);
        if !may {
            budget.share.write_bad().await?;
        }
        Ok(may)
    }

    /// Asks the tolerance; a tolerated record becomes a letter if there is a topic for it.
    pub(super) fn judge(&self, failed: Failed, bad: Bad) -> Result<Option<(&DeadLetters, Letter)>, TaskError> {
        let place = Place { topic: &bad.topic, timestamp_ms: bad.timestamp_ms, ..Place::default() };
        let failed = self.tolerance.judge(failed, place)?;
        let place = LetterPlace { topic: bad.topic, at: None, source: bad.position };
        let (key, value, timestamp_ms) = (bad.key, bad.value, bad.timestamp_ms);
        let letter = Letter { key, value, headers: Vec::new(), timestamp_ms, place, failed, replay: None };
        Ok(self.topic.as_ref().map(|topic| (topic, letter)))
    }

    /// What the source could not read.
    pub(super) fn unread(&self, rejected: Rejected) -> (Failed, Bad) {
        let Rejected { topic, value, timestamp_ms, error, position, .. } = rejected;
        (Failed { error, class: self.class }, Bad { topic, key: None, value, timestamp_ms, position })
    }

    /// A record that a transform, a converter or Kafka refused, in plain JSON.
    pub(super) fn unwritten(&self, record: &Record, position: Option<&SourcePosition>) -> Bad {
        Bad {
            topic: Arc::clone(&record.topic),
            key: self.bytes(&record.topic, &record.key),
            value: self.bytes(&record.topic, &record.value),
            timestamp_ms: record.timestamp_ms,
            position: position.cloned(),
        }
    }

    /// A written record that Kafka refused: what is kept of it is its payload, which is plain JSON.
    pub(super) fn unsent(&self, record: &WrittenRecord<'_>) -> Bad {
        let kept = |bytes: Option<&[u8]>| bytes.filter(|_| self.writes()).map(Bytes::copy_from_slice);
        let topic = Arc::clone(&record.target.topic);
        Bad { key: kept(record.key), value: kept(record.value), ..Bad::of(topic, None) }
    }

    fn bytes(&self, topic: &str, datum: &Datum) -> Option<Bytes> {
        let plain = self.plain.as_ref().filter(|_| !matches!(datum.value, Value::Null))?;
        let mut out = BytesMut::new();
        let written = plain.encode(topic, datum, &mut Headers::new(), &mut out);
        written.is_ok_and(|is_value| is_value).then(|| out.freeze())
    }
}
