//! Records that could not be processed: kept until they are written, written before their offsets move.
//!
//! Connect's format: the original bytes, timestamp and headers, then headers that name place, stage and error.
use super::settings::SinkSettings;
use crate::error::{CONNECT_EXCEPTION, DATA_EXCEPTION, Doing, TaskError};
use crate::failpoint::failpoint;
use crate::pipeline::{Failed, Place, Tolerance};
use crate::supervise::Supervision;
use bytes::Bytes;
use elasticflow_api::context::Errant;
use elasticflow_api::data::Origin;
use elasticflow_api::error::Stage;
use elasticflow_api::position::TaskId;
use elasticflow_api::sink::SinkRecord;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use elasticflow_kafka::ports::{KafkaError, OutRecord, Producer, SendError, TopicSpec};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record with what went wrong.
pub(super) struct Letter {
    origin: Origin,
    failed: Failed,
}

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
        let place = Place {
            topic: &origin.at.topic,
            partition: Some(origin.at.partition),
            offset: Some(origin.offset.0),
            timestamp_ms: origin.timestamp_ms,
        };
        let failed = self.tolerance.judge(failed, place)?;
        if self.kept {
            self.letters.lock().push(Letter { origin: origin.clone(), failed });
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

/// The dead letter topic of a task.
pub(super) struct DeadLetters {
    topic: String,
    context: bool,
    task: Arc<Supervision>,
}

impl DeadLetters {
    /// Creates the topic if it is missing: one partition, and as many replicas as the cluster can hold.
    pub(super) async fn new(task: &Arc<Supervision>, settings: &SinkSettings) -> Result<Option<Self>, TaskError> {
        let Some(topic) = settings.dead_letters.clone() else { return Ok(None) };
        let admin = task.services.options.kafka.admin();
        if !admin.topics().await.doing("listing topics")?.contains_key(&topic) {
            let spec =
                |replication| TopicSpec { name: topic.clone(), partitions: 1, replication, configs: BTreeMap::new() };
            let wanted = settings.dead_letters_replication;
            let created = admin.ensure_topic(&spec(Some(wanted).filter(|r| *r > 0))).await;
            if let Err(error @ KafkaError::Config(_)) = &created {
                tracing::warn!(topic, wanted, %error, "the dead letter topic gets the broker's replication factor");
                admin.ensure_topic(&spec(None)).await.doing("creating the dead letter topic")?;
            } else {
                created.doing("creating the dead letter topic")?;
            }
        }
        Ok(Some(Self { topic, context: settings.dead_letters_context, task: Arc::clone(task) }))
    }

    /// Queues letters; the caller waits for their acknowledgement or commits them.
    pub(super) async fn send(&self, letters: &[Letter], producer: &mut dyn Producer) -> Result<(), TaskError> {
        for letter in letters {
            let headers = self.headers(letter);
            let record = OutRecord {
                topic: &self.topic,
                partition: None,
                key: letter.origin.key.as_deref(),
                value: letter.origin.value.as_deref(),
                headers: &headers,
                timestamp_ms: letter.origin.timestamp_ms,
            };
            loop {
                match producer.send(record) {
                    Ok(_) => break,
                    Err(SendError::Full) => producer.room().await.doing("writing dead letters")?,
                    Err(SendError::Kafka(source)) => {
                        self.task.metrics.dead_letter_failures.add(1);
                        return Err(TaskError::Kafka { doing: "writing a dead letter", source });
                    }
                }
            }
            self.task.metrics.dead_letters.add(1);
        }
        Ok(())
    }

    /// Writes letters outside a transaction and waits until they are acknowledged.
    pub(super) async fn write(&self, letters: &[Letter], producer: &mut dyn Producer) -> Result<(), TaskError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.send(letters, producer).await?;
        producer.drain().await.doing("writing dead letters")?;
        failpoint!("sink.dead_letter.after");
        Ok(())
    }

    fn headers(&self, letter: &Letter) -> Vec<(Arc<str>, Option<Bytes>)> {
        let mut headers = letter.origin.headers.clone();
        if self.context {
            headers.extend(context(letter, &self.task.spec.id));
        }
        headers
    }
}

/// Connect's headers, in its order.
fn context(letter: &Letter, task: &TaskId) -> Vec<(Arc<str>, Option<Bytes>)> {
    let Letter { origin, failed } = letter;
    let reason = &failed.error.reason;
    let class = exception_class(failed.error.stage);
    let message = Some(reason.clone()).filter(|r| !r.is_empty());
    let trace = format!("{class}: {reason}\n\tat elasticflow.{}({task})", failed.error.stage);
    let texts = [
        ("topic", Some(origin.at.topic.to_string())),
        ("partition", Some(origin.at.partition.to_string())),
        ("offset", Some(origin.offset.0.to_string())),
        ("connector.name", Some(task.connector.to_string())),
        ("task.id", Some(task.task.0.to_string())),
        ("stage", Some(failed.error.stage.to_string())),
        ("class.name", Some(failed.class.to_owned())),
        ("exception.class.name", Some(class.to_owned())),
        ("exception.message", message),
        ("exception.stacktrace", Some(trace)),
    ];
    texts.into_iter().map(|(name, text)| (format!("__connect.errors.{name}").into(), text.map(Bytes::from))).collect()
}

fn exception_class(stage: Stage) -> &'static str {
    match stage {
        Stage::Transformation | Stage::KeyConverter | Stage::ValueConverter | Stage::HeaderConverter => DATA_EXCEPTION,
        Stage::TaskPut => CONNECT_EXCEPTION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::position::{Offset, TaskIndex, TopicPartition};
    use serde_json::Value as Json;

    /// The recorded dead letters of Kafka Connect 4.3.
    const GOLDEN: &str = include_str!("../../tests/golden/dlq.jsonl");

    fn letter(input: &Json, expected: &Json) -> Letter {
        let bytes = |v: &Json| v.as_str().map(|s| Bytes::from(s.to_owned()));
        let headers = input["headers"].as_array().unwrap().iter();
        let at = |name: &str| {
            let found =
                expected["headers"].as_array().unwrap().iter().rfind(|h| h[0] == format!("__connect.errors.{name}"));
            found.map(|h| h[1].as_str().unwrap().to_owned())
        };
        let reason = at("exception.message").unwrap_or_default();
        Letter {
            origin: Origin {
                at: TopicPartition { topic: "${TOPIC}".into(), partition: input["partition"].as_i64().unwrap() as i32 },
                offset: Offset(input["offset"].as_i64().unwrap()),
                key: bytes(&input["key"]),
                value: bytes(&input["value"]),
                headers: headers.map(|h| (h[0].as_str().unwrap().into(), bytes(&h[1]))).collect(),
                timestamp_ms: input["timestamp"].as_i64(),
            },
            failed: Failed {
                error: RecordError { stage: Stage::ValueConverter, reason, source: None },
                class: "org.apache.kafka.connect.json.JsonConverter",
            },
        }
    }

    #[test]
    fn headers_are_those_of_the_recorded_dead_letters() {
        let task = TaskId { group: "g".into(), connector: "${CONNECTOR}".into(), task: TaskIndex(0) };
        for line in GOLDEN.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let letter = letter(&case["input"], &case["output"]);
            let mut headers = letter.origin.headers.clone();
            if case["config"]["errors.deadletterqueue.context.headers.enable"] == "true" {
                headers.extend(context(&letter, &task));
            }
            let expected = case["output"]["headers"].as_array().unwrap();
            assert_eq!(headers.len(), expected.len(), "{}", case["id"]);
            for ((name, value), expected) in headers.iter().zip(expected) {
                let value = value.as_ref().map(|v| std::str::from_utf8(v).unwrap()).unwrap();
                assert_eq!(&**name, expected[0].as_str().unwrap(), "{}", case["id"]);
                let expected = expected[1].as_str().unwrap();
                match expected.strip_prefix("${prefix:").and_then(|e| e.strip_suffix('}')) {
                    Some(prefix) => assert!(value.starts_with(prefix), "{value}"),
                    None => assert_eq!(value, expected, "{name}"),
                }
            }
        }
    }
}
