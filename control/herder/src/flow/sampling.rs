//! One look at the brokers: progress of groups first, ends of topics after it.
use super::picture::Picture;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_kafka::ports::Admin;
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Groups that are asked at the same time.
const AT_ONCE: usize = 16;

/// What the brokers said. What they did not say is not there.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// When ends were read, by the leader's monotonic clock.
    pub(crate) at: Duration,
    /// Committed offsets of each group that answered.
    pub(crate) progress: BTreeMap<String, BTreeMap<TopicPartition, i64>>,
    /// High watermarks by topic, of all partitions; absent when the broker did not answer.
    pub(crate) ends: BTreeMap<String, BTreeMap<TopicPartition, i64>>,
}

/// Partitions of topics, learnt once in a while.
#[derive(Default)]
pub(crate) struct Partitions {
    counts: BTreeMap<String, i32>,
    asked: Option<Duration>,
}

/// How long numbers of partitions are good.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// How soon it is asked again for a topic of which there is none.
const AGAIN: Duration = Duration::from_secs(3);

impl Partitions {
    async fn of(&mut self, topics: &BTreeSet<&String>, admin: &dyn Admin, now: Duration) -> Vec<TopicPartition> {
        let age = self.asked.map(|at| now.saturating_sub(at));
        let unknown = topics.iter().any(|t| !self.counts.contains_key(*t));
        if age.is_none_or(|age| age > GOOD_FOR || (unknown && age > AGAIN)) {
            self.asked = Some(now);
            let names: Vec<String> = topics.iter().map(|topic| (*topic).clone()).collect();
            match admin.partitions(&names).await {
                Ok(counts) => self.counts = counts,
                Err(error) => tracing::debug!(%error, "topics could not be described for flow control"),
            }
        }
        let all = |topic: &&String| {
            let count = self.counts.get(*topic).copied().unwrap_or(0);
            let topic: Arc<str> = topic.as_str().into();
            (0..count).map(move |partition| TopicPartition { topic: Arc::clone(&topic), partition }).collect::<Vec<_>>()
        };
        topics.iter().flat_map(all).collect()
    }
}

/// Reads progress of the groups, then ends of every topic that sources feed.
pub(crate) async fn look(
    picture: &Picture,
    partitions: &mut Partitions,
    admin: &dyn Admin,
    now: impl Fn() -> Duration,
) -> Look {
    let topics: BTreeSet<&String> = picture.sources.values().flat_map(|source| &source.topics).collect();
    let all = partitions.of(&topics, admin, now()).await;
    let ask = |group: String| async move {
        let answer = admin.group_offsets(&group).await;
        (group, answer)
    };
    let asked: Vec<_> = picture.groups.keys().cloned().map(ask).collect();
    let mut answers = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut progress = BTreeMap::new();
    while let Some((group, answer)) = answers.next().await {
        match answer {
            Ok(offsets) => drop(progress.insert(group, plain(offsets))),
            Err(error) => tracing::debug!(group, %error, "the progress of a consumer group is not known"),
        }
    }
    drop(answers);
    let mut ends: BTreeMap<String, BTreeMap<TopicPartition, i64>> = BTreeMap::new();
    match admin.end_offsets(&all).await {
        Ok(found) => {
            for (at, end) in plain(found) {
                ends.entry(at.topic.to_string()).or_default().insert(at, end);
            }
        }
        Err(error) => tracing::debug!(%error, "the ends of topics are not known"),
    }
    Look { at: now(), progress, ends }
}

fn plain(offsets: BTreeMap<TopicPartition, Offset>) -> BTreeMap<TopicPartition, i64> {
    offsets.into_iter().map(|(at, offset)| (at, offset.0)).collect()
}
