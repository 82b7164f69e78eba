//! Records that could not be processed: written before or with the position that passes them.
//!
//! Connect's format: the original bytes, timestamp and headers, then headers that name place, stage and error. Sources
//! write the same headers; the place is the topic meant and, as JSON, the source's own position.
use crate::error::{CONNECT_EXCEPTION, DATA_EXCEPTION, Doing, TaskError};
use crate::pipeline::{Failed, parsed};
use crate::supervise::Supervision;
use bytes::Bytes;
use elasticflow_api::error::Stage;
use elasticflow_api::position::{SourcePosition, TaskId};
use elasticflow_config::settings;
use elasticflow_kafka::ports::{KafkaError, OutRecord, Producer, SendError, TopicSpec};
use elasticflow_protocol::{ReplayEntry, replay_topic};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Header of a dead letter whose value Kafka would not take.
const VALUE_LEFT_OUT: &str = "__flow.errors.value.omitted";

settings! {
    /// Where dead letters go.
    struct LetterKeys {
        /// Topic for records that could not be processed; empty is none.
        "errors.deadletterqueue.topic.name" => topic: Option<String> {},
        /// Replication factor of that topic when it is created.
        "errors.deadletterqueue.topic.replication.factor" => replication: i16 { default: "3" },
        /// Whether dead letters carry headers that say what went wrong.
        "errors.deadletterqueue.context.headers.enable" => context: bool { default: "false" },
    }
}

/// A record with what went wrong.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Arc<str>, Option<Bytes>)>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) place: LetterPlace,
    pub(crate) failed: Failed,
    /// Id of the dead letter that this is once more.
    pub(crate) replay: Option<Arc<str>>,
}

/// Where it was read, or would have been written.
#[derive(Debug)]
pub(crate) struct LetterPlace {
    pub(crate) topic: Arc<str>,
    /// Partition and offset of a sink's record.
    pub(crate) at: Option<(i32, i64)>,
    /// Position of a source after its record.
    pub(crate) source: Option<SourcePosition>,
}

/// The dead letter topic of a task.
pub(crate) struct DeadLetters {
    topic: String,
    context: bool,
    task: Arc<Supervision>,
}

impl DeadLetters {
    /// Creates the topic if it is missing: one partition, and as many replicas as the cluster can hold.
    pub(crate) async fn new(task: &Arc<Supervision>) -> Result<Option<Self>, TaskError> {
        let keys: LetterKeys = parsed(&task.spec.properties)?;
        let Some(topic) = keys.topic.filter(|t| !t.is_empty()) else { return Ok(None) };
        let admin = task.services.options.kafka.admin();
        if admin.partitions_of(&topic).await.doing("looking the dead letter topic up")?.is_none() {
            let spec =
                |replication| TopicSpec { name: topic.clone(), partitions: 1, replication, configs: BTreeMap::new() };
            let wanted = keys.replication;
            let created = admin.ensure_topic(&spec(Some(wanted).filter(|r| *r > 0))).await;
            if let Err(error @ KafkaError::Config(_)) = &created {
                tracing::warn!(topic, wanted, %error, "the dead letter topic gets the broker's replication factor");
                admin.ensure_topic(&spec(None)).await.doing("creating the dead letter topic")?;
            } else {
                created.doing("creating the dead letter topic")?;
            }
        }
        Ok(Some(Self { topic, context: keys.context, task: Arc::clone(task) }))
    }

    /// Queues letters; the caller waits for their acknowledgement or commits them.
    pub(crate) async fn send(&self, letters: &[Letter], producer: &mut dyn Producer) -> Result<(), TaskError> {
        for letter in letters {
            let mut headers = self.headers(letter);
            match self.send_one(letter, letter.value.as_deref(), &headers, producer).await {
                // What is too large for its topic is too large for this one: the headers still say where it is.
                Err(KafkaError::Record(_)) if letter.value.is_some() => {
                    headers.push((VALUE_LEFT_OUT.into(), Some(Bytes::from_static(b"true"))));
                    self.send_one(letter, None, &headers, producer).await
                }
                sent => sent,
            }
            .map_err(|source| {
                self.task.metrics.dead_letter_failures.add(1);
                TaskError::Kafka { doing: "writing a dead letter", source }
            })?;
            self.task.metrics.dead_letters.add(1);
            if let Some(replay) = &letter.replay {
                self.tell(replay, &ReplayEntry::FailedAgain, producer).await?;
            }
        }
        Ok(())
    }

    /// Queues what became of a dead letter that was put again.
    pub(crate) async fn tell(
        &self,
        letter: &str,
        entry: &ReplayEntry,
        producer: &mut dyn Producer,
    ) -> Result<(), TaskError> {
        let (topic, value) = (replay_topic(&self.task.spec.id.group, &self.task.spec.id.connector), entry.encode());
        let (key, value) = (Some(letter.as_bytes()), Some(value.as_slice()));
        let record = OutRecord { topic: &topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
        let sent = queue(record, producer).await;
        sent.doing("writing what became of a dead letter")
    }

    async fn send_one(
        &self,
        letter: &Letter,
        value: Option<&[u8]>,
        headers: &[(Arc<str>, Option<Bytes>)],
        producer: &mut dyn Producer,
    ) -> Result<(), KafkaError> {
        let (key, timestamp_ms) = (letter.key.as_deref(), letter.timestamp_ms);
        let record = OutRecord { topic: &self.topic, partition: None, key, value, headers, timestamp_ms };
        queue(record, producer).await
    }

    fn headers(&self, letter: &Letter) -> Vec<(Arc<str>, Option<Bytes>)> {
        let mut headers = letter.headers.clone();
        if self.context {
            headers.extend(context(letter, &self.task.spec.id));
            headers.extend(fault(letter, self.task.services.options.clock.wall_ms()));
        }
        headers
    }
}

/// Queues a record as soon as there is room.
async fn queue(record: OutRecord<'_>, producer: &mut dyn Producer) -> Result<(), KafkaError> {
    loop {
        match producer.send(record) {
            Ok(_) => return Ok(()),
            Err(SendError::Full) => producer.room().await?,
            Err(SendError::Kafka(source)) => return Err(source),
        }
    }
}

/// What Connect's headers have no word for.
fn fault(letter: &Letter, now_ms: i64) -> Vec<(Arc<str>, Option<Bytes>)> {
    let error = &letter.failed.error;
    let blame = error.blame();
    let texts = [
        ("kind", Some(error.kind().name().to_owned())),
        ("field", blame.and_then(|b| b.field.clone())),
        ("code", blame.and_then(|b| b.code.clone())),
        ("time", Some(now_ms.to_string())),
        ("replay.of", letter.replay.as_ref().map(ToString::to_string)),
    ];
    let header =
        |(name, text): (&str, Option<String>)| Some((format!("__flow.errors.{name}").into(), Some(text?.into())));
    texts.into_iter().filter_map(header).collect()
}

/// Connect's headers, in its order; those that do not apply are left out.
fn context(letter: &Letter, task: &TaskId) -> Vec<(Arc<str>, Option<Bytes>)> {
    let Letter { place, failed, .. } = letter;
    let reason = &failed.error.reason;
    let class = exception_class(failed.error.stage);
    let message = Some(reason.clone()).filter(|r| !r.is_empty());
    let trace = format!("{class}: {reason}\n\tat elasticflow.{}({task})", failed.error.stage);
    let json = |text: Result<String, serde_json::Error>| text.ok();
    let source = place.source.as_ref();
    let texts = [
        ("topic", Some(Some(place.topic.to_string()))),
        ("partition", place.at.map(|(partition, _)| Some(partition.to_string()))),
        ("offset", place.at.map(|(_, offset)| Some(offset.to_string()))),
        ("source.partition", source.map(|s| json(serde_json::to_string(&*s.partition)))),
        ("source.offset", source.map(|s| json(serde_json::to_string(&*s.offset)))),
        ("connector.name", Some(Some(task.connector.to_string()))),
        ("task.id", Some(Some(task.task.0.to_string()))),
        ("stage", Some(Some(failed.error.stage.to_string()))),
        ("class.name", Some(Some(failed.class.to_owned()))),
        ("exception.class.name", Some(Some(class.to_owned()))),
        ("exception.message", Some(message)),
        ("exception.stacktrace", Some(Some(trace))),
    ];
    let header = |(name, text): (&str, Option<Option<String>>)| {
        Some((format!("__connect.errors.{name}").into(), text?.map(Bytes::from)))
    };
    texts.into_iter().filter_map(header).collect()
}

fn exception_class(stage: Stage) -> &'static str {
    match stage {
        Stage::Transformation | Stage::KeyConverter | Stage::ValueConverter | Stage::HeaderConverter => DATA_EXCEPTION,
        Stage::TaskPut | Stage::TaskPoll | Stage::KafkaProduce => CONNECT_EXCEPTION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::RecordError;
    use elasticflow_api::position::TaskIndex;
    use serde_json::Value as Json;

    /// The recorded dead letters of Kafka Connect 4.3.
    const GOLDEN: &str = include_str!("../tests/golden/dlq.jsonl");

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
            place: LetterPlace {
                topic: "${TOPIC}".into(),
                at: Some((input["partition"].as_i64().unwrap() as i32, input["offset"].as_i64().unwrap())),
                source: None,
            },
            key: bytes(&input["key"]),
            value: bytes(&input["value"]),
            headers: headers.map(|h| (h[0].as_str().unwrap().into(), bytes(&h[1]))).collect(),
            timestamp_ms: input["timestamp"].as_i64(),
            failed: Failed {
                error: RecordError { stage: Stage::ValueConverter, reason, source: None },
                class: "org.apache.kafka.connect.json.JsonConverter",
            },
            replay: None,
        }
    }

    #[test]
    fn headers_are_those_of_the_recorded_dead_letters() {
        let task = TaskId { group: "g".into(), connector: "${CONNECTOR}".into(), task: TaskIndex(0) };
        for line in GOLDEN.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let letter = letter(&case["input"], &case["output"]);
            let mut headers = letter.headers.clone();
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
