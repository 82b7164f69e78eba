//! Administration.
use super::client::{Client, Complaints, blocking};
use super::errors;
use super::groups::Groups;
use super::rights;
use crate::native::{Code, CreateTopic, GroupChange, Handle, Partition, Partitions, Refusal};
use crate::ports::{Admin, KafkaError, TopicSpec, TransactionalProducer};
use async_trait::async_trait;
use elasticflow_api::position::{Offset, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Partitions whose offsets are asked for at once: librdkafka holds some twenty kilobytes of each until all are answered.
const LISTED_AT_ONCE: usize = 250;

/// Topics of the brokers themselves.
const BROKERS_OWN: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];
/// Most topics of one question.
const DESCRIBED_AT_ONCE: usize = 1_000;
/// Ids that are fenced at the same time; each takes a client of four threads for a moment.
const FENCED_AT_ONCE: usize = 8;
/// After how long something is looked for again, at most.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// After how long a new topic is looked for again at first: mostly it is there then.
const LOOK_SOON: Duration = Duration::from_millis(2);

/// Makes the producers that `fence` needs.
pub(crate) type MakeProducer = dyn Fn(&str) -> Result<Box<dyn TransactionalProducer>, KafkaError> + Send + Sync;

/// The shared admin client.
pub(crate) struct RdAdmin {
    client: Client,
    complaints: Arc<Complaints>,
    limit: Duration,
    groups: Groups,
    producer: Box<MakeProducer>,
}

impl RdAdmin {
    pub(crate) fn new(
        (client, complaints): (Client, Arc<Complaints>),
        limit: Duration,
        groups: Groups,
        producer: Box<MakeProducer>,
    ) -> Self {
        Self { client, complaints, limit, groups, producer }
    }

    /// Runs a call on a thread where it may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        doing: String,
        call: impl FnOnce(&Arc<Handle>, Duration) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let (handle, limit) = (Arc::clone(self.client.handle()), self.limit);
        let answer = blocking(move || call(&handle, limit)).await?;
        answer.map_err(|refusal| errors::plain(self.complaints.0.explain(&doing, &refusal)))
    }

    pub(crate) async fn cluster_id(&self) -> Result<String, KafkaError> {
        let ask =
            |handle: &Arc<Handle>, limit| handle.cluster_id(limit).ok_or_else(|| Refusal::of(Code::OperationTimedOut));
        self.ask("cannot learn the cluster's id".to_owned(), ask).await
    }

    async fn check_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        let name = topic.name.clone();
        let found = self
            .ask(format!("cannot read the configuration of topic `{name}`"), move |handle, limit| {
                handle.topic_configs(&name, limit)
            })
            .await;
        match found {
            Ok(found) => compare(topic, &found),
            Err(KafkaError::Config(why)) => {
                tracing::warn!(topic = topic.name, "the configuration of a topic is not checked: {why}");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Where each partition ends or begins.
    async fn edges(
        &self,
        doing: &'static str,
        of: &[TopicPartition],
        edge: i64,
    ) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let rows = self.listed(doing, of, edge, Handle::edges).await?;
        Ok(rows.into_iter().map(|row| (row.at, Offset(row.offset))).collect())
    }

    /// Asks for the offset of each partition at a moment, of so many at a time that little memory is held.
    async fn listed(
        &self,
        doing: &'static str,
        of: &[TopicPartition],
        moment: i64,
        ask: fn(&Arc<Handle>, &Partitions, Duration) -> Result<Vec<Partition>, Refusal>,
    ) -> Result<Vec<Partition>, KafkaError> {
        let mut all = Vec::with_capacity(of.len());
        for some in of.chunks(LISTED_AT_ONCE) {
            let list = Partitions::of(some.iter().map(|at| (at, moment)));
            let list = list.map_err(|refusal| errors::refused_plainly(doing, &refusal))?;
            all.extend(self.ask(doing.to_owned(), move |handle, limit| good(ask(handle, &list, limit)?)).await?);
        }
        Ok(all)
    }
}

/// What an existing topic must have.
fn compare(topic: &TopicSpec, found: &BTreeMap<String, String>) -> Result<(), KafkaError> {
    for (key, wanted) in &topic.configs {
        let Some(actual) = found.get(key) else { continue };
        if actual == wanted {
            continue;
        }
        if key == "cleanup.policy" {
            return Err(KafkaError::Config(format!(
                "topic `{name}` must have cleanup.policy={wanted} but has {actual}, which would lose or pile up what is \
                 stored in it; use another topic, or run `kafka-configs --alter --entity-type topics --entity-name {name} \
                 --add-config cleanup.policy={wanted}`",
                name = topic.name
            )));
        }
        tracing::warn!(topic = topic.name, "topic has {key}={actual} where {wanted} is expected");
    }
    Ok(())
}

/// Creates the topic with as many replicas as there are brokers, if fewer than asked for.
fn create(handle: &Arc<Handle>, topic: &TopicSpec, limit: Duration) -> Result<(), Refusal> {
    let request = |replication| CreateTopic {
        name: &topic.name,
        partitions: topic.partitions,
        replication,
        configs: &topic.configs,
    };
    let wanted = topic.replication.map_or(-1, i32::from);
    let created = match handle.create_topic(&request(wanted), limit) {
        Err(refusal) if refusal.code == Code::InvalidReplicationFactor && wanted > 1 => {
            let brokers = i32::try_from(handle.metadata(None, limit)?.brokers).unwrap_or(i32::MAX);
            if brokers >= wanted || brokers < 1 {
                return Err(refusal);
            }
            tracing::warn!(
                topic = topic.name,
                "topic is created with replication factor {brokers} instead of {wanted}: the cluster has no more brokers"
            );
            handle.create_topic(&request(brokers), limit)
        }
        created => created,
    };
    match created {
        Err(refusal) if refusal.code == Code::TopicAlreadyExists => Ok(()),
        created => created,
    }?;
    wait_until_led(handle, &topic.name, limit)
}

/// Brokers answer a creation before they show the topic, and show it before every leader serves it.
fn wait_until_led(handle: &Arc<Handle>, topic: &str, limit: Duration) -> Result<(), Refusal> {
    let (deadline, mut pause) = (Instant::now() + limit, LOOK_SOON);
    while !is_led(handle, topic, limit)? {
        if Instant::now() >= deadline {
            return Err(Refusal::of(Code::OperationTimedOut));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_AGAIN);
    }
    Ok(())
}

/// Whether the leader of each partition answers. Another refusal than that it does not lead yet is an answer: what the
/// topic is used for may be permitted where the question is not.
fn is_led(handle: &Arc<Handle>, topic: &str, limit: Duration) -> Result<bool, Refusal> {
    let described = handle.describe_topics(&[topic.to_owned()], limit)?;
    let partitions = match described.get(topic) {
        Some(Ok(partitions @ 1..)) => partitions,
        Some(Err(code @ Code::TopicAuthorizationFailed)) => {
            return Err(Refusal { text: rights::NOT_SHOWN.to_owned(), ..Refusal::of(*code) });
        }
        _ => return Ok(false),
    };
    let name = Arc::<str>::from(topic);
    let at: Vec<_> = (0..*partitions).map(|partition| TopicPartition { topic: Arc::clone(&name), partition }).collect();
    let list = Partitions::of(at.iter().map(|at| (at, Partitions::END)))?;
    let waits =
        |code| matches!(code, Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::UnknownTopicOrPartition);
    match handle.edges(&list, limit) {
        Ok(rows) => Ok(!rows.iter().any(|row| waits(row.code))),
        Err(refusal) if waits(refusal.code) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// The first row that failed, or the rows.
fn good(rows: Vec<Partition>) -> Result<Vec<Partition>, Refusal> {
    match rows.iter().find(|row| row.code != Code::NoError) {
        Some(row) => Err(Refusal::of(row.code)),
        None => Ok(rows),
    }
}

#[async_trait]
impl Admin for RdAdmin {
    fn complaint(&self) -> Option<String> {
        self.complaints.0.text()
    }

    async fn ensure_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        if self.partitions(std::slice::from_ref(&topic.name)).await?.contains_key(&topic.name) {
            return self.check_topic(topic).await;
        }
        self.create_topic(topic).await?;
        self.check_topic(topic).await
    }

    async fn create_topic(&self, topic: &TopicSpec) -> Result<(), KafkaError> {
        let spec = topic.clone();
        let doing = format!("cannot create topic `{}`", topic.name);
        self.ask(doing, move |handle, limit| create(handle, &spec, limit)).await
    }

    async fn end_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        self.edges("cannot read end offsets", of, Partitions::END).await
    }
    async fn begin_offsets(&self, of: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        self.edges("cannot read the first offsets", of, Partitions::BEGINNING).await
    }
    async fn offsets_since(
        &self,
        of: &[TopicPartition],
        since_ms: i64,
    ) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let doing = "cannot look for offsets by time";
        let rows = self.listed(doing, of, since_ms.max(0), Handle::list_offsets).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.at.clone(), Offset(row.position()?)))).collect())
    }

    async fn topic_config(&self, topic: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        let name = topic.to_owned();
        let doing = format!("cannot read the configuration of topic `{topic}`");
        self.ask(doing, move |handle, limit| handle.topic_configs(&name, limit)).await
    }

    async fn set_topic_config(&self, topic: &str, key: &str, value: &str) -> Result<(), KafkaError> {
        let (name, set) = (topic.to_owned(), (key.to_owned(), value.to_owned()));
        let doing = format!("cannot set {key}={value} of topic `{topic}`");
        self.ask(doing, move |handle, limit| handle.set_topic_config(&name, (&set.0, &set.1), limit)).await
    }

    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let name = group.to_owned();
        let doing = format!("cannot read the offsets of consumer group `{group}`");
        let ask = move |handle: &Arc<Handle>, limit| settled_offsets(handle, &name, limit);
        let rows = self.groups.ask(group, &doing, ask).await.map_err(errors::plain)?;
        Ok(rows.into_iter().filter_map(|row| Some((row.at.clone(), Offset(row.position()?)))).collect())
    }

    async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), KafkaError> {
        let set: Vec<_> = offsets.iter().filter_map(|(at, offset)| Some((at.clone(), offset.as_ref()?.0))).collect();
        let delete: Vec<_> =
            offsets.iter().filter(|(_, offset)| offset.is_none()).map(|(at, _)| (at.clone(), 0)).collect();
        for (change, rows) in [(GroupChange::Set, set), (GroupChange::Delete, delete)] {
            if rows.is_empty() {
                continue;
            }
            let doing = format!("cannot change the offsets of consumer group `{group}`");
            let name = group.to_owned();
            let ask = move |handle: &Arc<Handle>, limit| {
                let list = Partitions::of(rows.iter().map(|(at, offset)| (at, *offset)))?;
                change_offsets(handle, &name, change, &list, limit)
            };
            self.groups.ask(group, &doing, ask).await.map_err(errors::plain)?;
        }
        Ok(())
    }

    async fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        let known = self.ask("cannot list topics".to_owned(), |handle, limit| handle.metadata(None, limit)).await?;
        let own = |name: &String| BROKERS_OWN.contains(&name.as_str());
        Ok(known
            .topics
            .into_iter()
            .filter(|(name, _)| !own(name))
            .filter_map(|(name, n)| Some((name, n.ok()?)))
            .collect())
    }

    async fn partitions(&self, topics: &[String]) -> Result<BTreeMap<String, i32>, KafkaError> {
        let mut found = BTreeMap::new();
        for some in topics.chunks(DESCRIBED_AT_ONCE) {
            let some = some.to_vec();
            let ask = move |handle: &Arc<Handle>, limit| handle.describe_topics(&some, limit);
            let described = self.ask("cannot describe topics".to_owned(), ask).await?;
            found.extend(described.into_iter().filter_map(|(name, n)| Some((name, n.ok()?))));
        }
        Ok(found)
    }

    async fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        let (name, doing) = (group.to_owned(), format!("cannot delete consumer group `{group}`"));
        let ask = move |handle: &Arc<Handle>, limit| match handle.delete_group(&name, limit) {
            Err(refusal) if refusal.code == Code::GroupIdNotFound => Ok(()),
            Err(refusal) if refusal.code == Code::NonEmptyGroup => Err(Refusal { text: MEMBERS.to_owned(), ..refusal }),
            done => done,
        };
        self.groups.ask(group, &doing, ask).await.map_err(errors::plain)
    }

    async fn fence(&self, transactional_ids: &[String]) -> Result<(), KafkaError> {
        for ids in transactional_ids.chunks(FENCED_AT_ONCE) {
            let fencing: Vec<_> = ids.iter().map(|id| init((self.producer)(id))).collect();
            futures_util::future::try_join_all(fencing).await?;
        }
        Ok(())
    }
}

/// The fence of one id; its producer lives for this call alone.
async fn init(producer: Result<Box<dyn TransactionalProducer>, KafkaError>) -> Result<(), KafkaError> {
    producer?.init().await
}

/// Offsets of a transaction that is about to end are told once it has ended.
fn settled_offsets(handle: &Arc<Handle>, group: &str, limit: Duration) -> Result<Vec<Partition>, Refusal> {
    let began = Instant::now();
    loop {
        match handle.group_offsets(group, limit).and_then(good) {
            Err(refusal) if refusal.code == Code::GroupIdNotFound => return Ok(Vec::new()),
            Err(refusal) if refusal.code == Code::UnstableOffsetCommit && began.elapsed() < limit => {
                std::thread::sleep(LOOK_AGAIN);
            }
            rows => return rows,
        }
    }
}

const MEMBERS: &str = "the group has members; stop the connector, or whoever else consumes with this group, first";

fn change_offsets(
    handle: &Arc<Handle>,
    group: &str,
    change: GroupChange,
    list: &Partitions,
    limit: Duration,
) -> Result<(), Refusal> {
    match handle.change_group_offsets(group, change, list, limit).and_then(good) {
        Ok(_) => Ok(()),
        // Nothing to delete.
        Err(refusal) if change == GroupChange::Delete && refusal.code == Code::GroupIdNotFound => Ok(()),
        // A group with members refuses a commit that names none of them.
        Err(refusal)
            if matches!(
                refusal.code,
                Code::UnknownMemberId | Code::NonEmptyGroup | Code::GroupSubscribedToTopic | Code::RebalanceInProgress
            ) =>
        {
            Err(Refusal { text: MEMBERS.to_owned(), ..Refusal::of(Code::NonEmptyGroup) })
        }
        Err(refusal) => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(configs: &[(&str, &str)]) -> TopicSpec {
        TopicSpec { name: "t".to_owned(), partitions: 1, replication: None, configs: map(configs) }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_another_cleanup_policy_of_an_existing_topic_is_an_error() {
        let wanted = spec(&[("cleanup.policy", "compact"), ("segment.ms", "1")]);
        assert!(compare(&wanted, &map(&[("cleanup.policy", "compact"), ("segment.ms", "2")])).is_ok());
        let error = compare(&wanted, &map(&[("cleanup.policy", "delete")])).unwrap_err();
        assert!(matches!(&error, KafkaError::Config(text) if text.contains("kafka-configs")), "{error}");
        assert!(compare(&wanted, &map(&[("cleanup.policy", "compact,delete")])).is_err());
    }

    #[test]
    fn a_question_has_nothing_to_abort() {
        assert!(matches!(
            errors::plain(errors::error(errors::Class::Abortable, String::new())),
            KafkaError::Retriable(_)
        ));
    }
}
