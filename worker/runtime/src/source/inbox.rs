//! A topic whose records tell a source task what to do.
//!
//! It is read from the worker's own cluster. The connector keeps the place in it with its position, so that what follows from
//! a record and the place after it become durable together.
use crate::error::{Doing, TaskError};
use crate::supervise::Supervision;
use elasticflow_api::position::TopicPartition;
use elasticflow_api::source::{Inbox, Instruction};
use elasticflow_kafka::ports::{KafkaError, TopicLog, TopicSpec};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Most records that are handed over at once.
const AT_ONCE: usize = 1000;

/// The reader of a task.
pub(super) struct OpenInbox {
    log: Box<dyn TopicLog>,
    next: i64,
    due: Duration,
}

impl OpenInbox {
    /// Makes the topic if it is not there, and finds the place to begin at.
    pub(super) async fn open(task: &Supervision, inbox: &Inbox) -> Result<Self, TaskError> {
        let kafka = &task.services.options.kafka;
        let spec = TopicSpec { name: inbox.topic.clone(), partitions: 1, replication: None, configs: BTreeMap::new() };
        kafka.admin().ensure_topic(&spec).await.doing("creating the topic of signals")?;
        let only = TopicPartition { topic: Arc::from(inbox.topic.as_str()), partition: 0 };
        let ends = kafka.admin().end_offsets(std::slice::from_ref(&only)).await;
        let end = ends.doing("reading the end of the topic of signals")?.get(&only).map_or(0, |end| end.0);
        let next = inbox.next.unwrap_or(end);
        if next > end {
            tracing::warn!(task = %task.spec.id, topic = inbox.topic, "the topic of signals was made anew: what stands in it already is not followed");
        }
        let log = kafka.log(&inbox.topic).await.doing("reading the topic of signals")?;
        Ok(Self { log, next: next.min(end), due: Duration::ZERO })
    }

    /// The place after what was handed over.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// What has come, if it is time to look.
    pub(super) fn look(&mut self, now: Duration) -> Result<Vec<Instruction>, TaskError> {
        let mut found = Vec::new();
        if now < self.due {
            return Ok(found);
        }
        self.due = now + LOOK_EVERY;
        while found.len() < AT_ONCE {
            let record = match self.log.next().now_or_never() {
                None | Some(Err(KafkaError::Retriable(_))) => break,
                Some(record) => record.doing("reading the topic of signals")?,
            };
            if record.offset.0 >= self.next {
                self.next = record.offset.0 + 1;
                found.push(Instruction { key: record.key, value: record.value });
            }
        }
        Ok(found)
    }
}
