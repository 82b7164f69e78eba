//! Dead letters that are put again: they come from a topic of the connector's own, in their first shape.
//!
//! The topic is there once somebody has asked for a replay; a connector without dead letters has none. What the sink
//! consumes are positions of this topic, so a replay is as exactly-once as everything else.
use crate::error::{Doing, TaskError};
use crate::supervise::Supervision;
use elasticflow_api::data::{Origin, Replay};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_kafka::ports::{Consumer, InRecord, Subscription};
use elasticflow_protocol::{ReplayEntry, replay_topic};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The replay topic of a task's connector.
pub(super) fn topic_of(task: &Supervision) -> Arc<str> {
    replay_topic(&task.spec.id.group, &task.spec.id.connector).into()
}

/// What is subscribed to: the replay topic too, where it is there.
pub(super) async fn subscription(task: &Supervision, own: &Subscription) -> Result<Subscription, TaskError> {
    let topic = topic_of(task);
    let admin = task.services.options.kafka.admin();
    if admin.partitions_of(&topic).await.doing("looking the replay topic up")?.is_none() {
        return Ok(own.clone());
    }
    Ok(match own {
        Subscription::Topics(topics) => {
            Subscription::Topics(topics.iter().cloned().chain([topic.to_string()]).collect())
        }
        Subscription::Pattern(pattern) => Subscription::Pattern(format!("{pattern}|{}", regex::escape(&topic))),
    })
}

/// Where the replay topic begins that the group has not read yet: at its start, whatever `auto.offset.reset` says, since
/// everything in it was asked for.
pub(super) async fn start(
    at: &TopicPartition,
    known: Option<Offset>,
    consumer: &mut dyn Consumer,
) -> Result<Option<Offset>, TaskError> {
    if known.is_some() {
        return Ok(known);
    }
    let committed = consumer.stable_offsets(std::slice::from_ref(at), super::two_phase::STABLE_MAX).await;
    let committed: BTreeMap<_, _> = committed.doing("reading the group's offset in the replay topic")?;
    Ok(committed.get(at).copied().flatten().or(Some(Offset(0))))
}

/// The record that is put again; `None` for what only tells how a replay ended.
pub(super) fn origin(at: &TopicPartition, record: InRecord) -> Result<Option<Origin>, TaskError> {
    let not_understood = || {
        TaskError::Definite(format!(
            "offset {} of the replay topic {} cannot be read; it may be written by a later version, which must run this connector",
            record.offset.0, at.topic
        ))
    };
    let Some(value) = &record.value else { return Ok(None) };
    let entry = ReplayEntry::decode(value).ok_or_else(not_understood)?;
    let ReplayEntry::Put(first) = entry else { return Ok(None) };
    let letter = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).ok_or_else(not_understood)?;
    let replay = Replay {
        letter: letter.into(),
        at: TopicPartition { topic: first.topic.into(), partition: first.partition },
        offset: Offset(first.offset),
    };
    Ok(Some(Origin {
        at: at.clone(),
        offset: record.offset,
        key: first.key,
        value: first.value,
        headers: first.headers.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        timestamp_ms: first.timestamp_ms,
        replay: Some(Arc::new(replay)),
    }))
}
