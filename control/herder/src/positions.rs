//! Committed positions of connectors: reading and altering them, off the loop.
//!
//! Altering follows one order: every task id that the log has ever shown is fenced, so that a task that does not know
//! of its end cannot write older positions over the newer ones; then the positions are written in one transaction.
use crate::admission::resolve;
use crate::answer::{ConnectorOffsets, OffsetChange, OffsetEntry};
use crate::command::Alter;
use crate::error::HerderError;
use crate::handle::WorkerContext;
use crate::sink_offsets::{self, Alteration};
use elasticflow_api::position::{TaskId, TaskIndex, TopicPartition};
use elasticflow_api::registry::{DynSinkConnector, Plugin};
use elasticflow_config::Properties;
use elasticflow_kafka::ports::{Kafka, KafkaError};
use elasticflow_protocol::{Gone, Loss, replay_topic};
use elasticflow_store::offsets::{OffsetRow, OffsetsTopic, StoredPosition, canonical, encode_key, write_offsets};
use parking_lot::Mutex;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long members of tasks that have failed may take to leave their consumer group.
const LEAVING_MAX: Duration = Duration::from_secs(20);
const LEAVING_LOOK: Duration = Duration::from_millis(300);

/// Access to positions.
pub(crate) struct Positions {
    kafka: Arc<dyn Kafka>,
    cx: Arc<WorkerContext>,
    /// Offsets topics that were asked for: the worker's, and those of connectors that have their own.
    topics: Mutex<BTreeMap<String, Arc<OffsetsTopic>>>,
}

/// A connector whose positions are asked for or altered.
#[derive(Clone)]
pub(crate) struct Subject {
    /// Name.
    pub(crate) name: String,
    /// Configuration as stored.
    pub(crate) config: Arc<Properties>,
    /// Most tasks that it ever had.
    pub(crate) most_tasks: u32,
}

/// Whose positions are meant.
enum Side<'a> {
    Source,
    Sink(&'a Arc<dyn DynSinkConnector>),
}

impl Positions {
    pub(crate) fn new(kafka: Arc<dyn Kafka>, cx: Arc<WorkerContext>) -> Self {
        Self { kafka, cx, topics: Mutex::default() }
    }

    /// Committed positions.
    pub(crate) async fn read(&self, subject: &Subject) -> Result<ConnectorOffsets, HerderError> {
        let resolved = self.resolved(subject).await?;
        if let Side::Sink(_) = self.side(subject)? {
            let group = group(&subject.name, &resolved);
            let offsets = self.kafka.admin().group_offsets(&group).await.map_err(|e| failed("read", &e))?;
            let entries = offsets.iter().map(|(at, offset)| sink_offsets::entry(at, *offset));
            return Ok(ConnectorOffsets { offsets: entries.collect() });
        }
        let stored = self.stored(&subject.name, &resolved).await?;
        let entry = |position: StoredPosition| {
            let offset = position.offset.map_err(|problem| {
                HerderError::Failed(format!("{problem}: alter or reset the offsets of the stopped connector"))
            })?;
            Ok(OffsetEntry { partition: position.partition, offset })
        };
        Ok(ConnectorOffsets { offsets: stored.into_iter().map(entry).collect::<Result<_, HerderError>>()? })
    }

    /// Alters positions, or forgets all of them; answers Connect's message.
    pub(crate) async fn alter(&self, subject: &Subject, alter: &Alter) -> Result<String, HerderError> {
        let changes = alter.changes.as_deref();
        let resolved = self.resolved(subject).await?;
        match self.side(subject)? {
            Side::Source => self.alter_source(subject, &resolved, changes).await?,
            Side::Sink(sink) => self.alter_sink(subject, &resolved, (sink, alter)).await?,
        }
        let done = if changes.is_some() { "altered" } else { "reset" };
        Ok(format!("The offsets for this connector have been {done} successfully"))
    }

    async fn alter_source(
        &self,
        subject: &Subject,
        resolved: &Properties,
        changes: Option<&[OffsetChange]>,
    ) -> Result<(), HerderError> {
        if let Some(changes) = changes {
            self.check_source(subject, resolved, changes)?;
        }
        let id = |task| format!("{}-{}-{task}", self.cx.options.group_id, subject.name);
        // Task 0's id is fenced by the transaction that writes.
        let others: Vec<String> = (1..subject.most_tasks).map(id).collect();
        if !others.is_empty() {
            self.kafka.admin().fence(&others).await.map_err(|e| failed("fence former tasks before altering", &e))?;
        }
        let mut topics = self.topics_of(resolved);
        if changes.is_none_or(|c| c.iter().any(|c| c.offset.is_none())) {
            // A forgotten position must not shine through from below: the worker's topic comes first.
            topics.reverse();
        }
        for topic in topics {
            let stored = topic.positions(&subject.name).await.map_err(|e| failed("read", &e))?;
            let rows = rows(&subject.name, &stored, changes);
            if !rows.is_empty() {
                let written = write_offsets(self.kafka.as_ref(), &id(0), topic.name(), &rows).await;
                written.map_err(|e| failed("write", &e))?;
            }
        }
        // The answer is current when it is given: everything written stands before this end.
        self.stored(&subject.name, resolved).await.map(drop)
    }

    fn check_source(
        &self,
        subject: &Subject,
        resolved: &Properties,
        changes: &[OffsetChange],
    ) -> Result<(), HerderError> {
        let class = subject.config.value("connector.class").unwrap_or("").trim();
        let Some(Plugin::Source(source)) = self.cx.registry.connector(class).map(|e| &e.plugin) else { return Ok(()) };
        for change in changes {
            let checked = source.check_offset(resolved, change.partition.as_ref(), change.offset.as_ref());
            checked.map_err(|error| HerderError::Failed(error.message))?;
        }
        Ok(())
    }

    async fn alter_sink(
        &self,
        subject: &Subject,
        resolved: &Properties,
        (sink, alter): (&Arc<dyn DynSinkConnector>, &Alter),
    ) -> Result<(), HerderError> {
        let group = group(&subject.name, resolved);
        let admin = self.kafka.admin();
        let (verb, alteration, stored) = match alter.changes.as_deref() {
            Some(changes) => {
                let alteration = sink_offsets::parse(changes)?;
                ("alter", alteration.clone(), alteration)
            }
            None => {
                let known = admin.group_offsets(&group).await.map_err(|e| failed("read", &e))?;
                // What was put again by hand is not put again with everything else: it is old by now.
                let replays = replay_topic(&self.cx.options.group_id, &subject.name);
                let own = known.into_keys().filter(|at| *at.topic != *replays);
                let of_group: Alteration = own.map(|at| (at, None)).collect();
                // The group may have lost offsets that the destination still holds: those count, so they go, too.
                let topics = admin.topics().await.map_err(|e| failed("list topics", &e))?;
                let mut all = of_group.clone();
                all.extend(sink_offsets::consumed(resolved, &topics).into_iter().map(|at| (at, None)));
                ("reset", of_group, all)
            }
        };
        let id = TaskId {
            group: Arc::clone(&self.cx.options.group_id),
            connector: subject.name.as_str().into(),
            task: TaskIndex(0),
        };
        // The destination's rows decide; the group is repaired from them when a task starts.
        let destination =
            tokio::time::timeout(self.cx.options.connector_timeout, sink.alter_offsets(resolved, &id, &stored));
        match destination.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(HerderError::Failed(error.message)),
            Err(_) => return Err(HerderError::Timeout("the connector did not alter its offsets in time".to_owned())),
        }
        if alteration.is_empty() {
            return Ok(());
        }
        let patience = if alter.after_loss { LEAVING_MAX } else { Duration::ZERO };
        self.move_group(&group, &alteration, patience).await.map_err(|error| match error {
            KafkaError::Config(_) => HerderError::Failed(zombies(verb, &subject.name)),
            other => HerderError::Failed(format!(
                "Failed to {verb} consumer group offsets for connector {}: {other}",
                subject.name
            )),
        })
    }

    /// Moves a group; one that still has members is asked again for a while.
    async fn move_group(&self, group: &str, to: &Alteration, patience: Duration) -> Result<(), KafkaError> {
        let clock = &self.cx.clock;
        let until = clock.monotonic() + patience;
        loop {
            match self.kafka.admin().alter_group_offsets(group, to).await {
                Err(KafkaError::Config(_)) if clock.monotonic() < until => clock.sleep(LEAVING_LOOK).await,
                moved => return moved,
            }
        }
    }

    /// Records that were deleted before a sink had read them: by the offsets of its group.
    pub(crate) async fn loss(&self, subject: &Subject) -> Result<Loss, HerderError> {
        let resolved = self.resolved(subject).await?;
        if let Side::Source = self.side(subject)? {
            let text =
                format!("connector {} is a source: only a sink can find records gone from its topics", subject.name);
            return Err(HerderError::BadRequest(text));
        }
        let admin = self.kafka.admin();
        let topics = admin.topics().await.map_err(|e| failed("list topics for", &e))?;
        let replays = replay_topic(&self.cx.options.group_id, &subject.name);
        let mut read = sink_offsets::consumed(&resolved, &topics);
        let partitions = 0..topics.get(&replays).copied().unwrap_or(0);
        read.extend(partitions.map(|partition| TopicPartition { topic: replays.as_str().into(), partition }));
        let group = group(&subject.name, &resolved);
        let mut known = admin.group_offsets(&group).await.map_err(|e| failed("read", &e))?;
        known.retain(|at, _| read.contains(at));
        let at: Vec<_> = known.keys().cloned().collect();
        let ends = admin.end_offsets(&at).await.map_err(|e| failed("read the end", &e))?;
        let begins = admin.begin_offsets(&at).await.map_err(|e| failed("read the first", &e))?;
        Ok(Loss::of(known.iter().filter_map(|(at, expected)| {
            Gone::of(&at.topic, at.partition, expected.0, (begins.get(at)?.0, ends.get(at)?.0))
        })))
    }

    async fn stored(&self, name: &str, resolved: &Properties) -> Result<Vec<StoredPosition>, HerderError> {
        let mut merged: BTreeMap<String, StoredPosition> = BTreeMap::new();
        // A connector's own topic comes last and is laid over the worker's.
        for topic in self.topics_of(resolved).into_iter().rev() {
            for position in topic.positions(name).await.map_err(|e| failed("read", &e))? {
                merged.insert(canonical(&position.partition), position);
            }
        }
        Ok(merged.into_values().collect())
    }

    /// The connector's own topic, if it has one, then the worker's.
    fn topics_of(&self, resolved: &Properties) -> Vec<Arc<OffsetsTopic>> {
        let worker = self.cx.options.offset_topic.name.as_str();
        let own = resolved.value("offsets.storage.topic").map(str::trim).filter(|own| *own != worker);
        let mut known = self.topics.lock();
        let mut open = |name: &str| {
            let topic = known.entry(name.to_owned());
            Arc::clone(topic.or_insert_with(|| Arc::new(OffsetsTopic::new(Arc::clone(&self.kafka), name))))
        };
        own.into_iter().chain([worker]).map(&mut open).collect()
    }

    async fn resolved(&self, subject: &Subject) -> Result<Properties, HerderError> {
        resolve(&subject.config, &self.cx).await.map_err(HerderError::BadRequest)
    }

    fn side(&self, subject: &Subject) -> Result<Side<'_>, HerderError> {
        let class = subject.config.value("connector.class").unwrap_or("").trim();
        match self.cx.registry.connector(class).map(|e| &e.plugin) {
            Some(Plugin::Source(_)) => Ok(Side::Source),
            Some(Plugin::Sink(sink)) => Ok(Side::Sink(sink)),
            _ => Err(HerderError::Failed(format!(
                "The offsets of connector {} cannot be told because its class {class} is not among the plug-ins of this worker",
                subject.name
            ))),
        }
    }
}

/// Rows that make the change; without changes, rows that forget everything.
fn rows(connector: &str, stored: &[StoredPosition], changes: Option<&[OffsetChange]>) -> Vec<OffsetRow> {
    let Some(changes) = changes else {
        return stored.iter().map(|p| OffsetRow { key: p.key.clone(), value: None }).collect();
    };
    let row = |change: &OffsetChange| {
        let partition = change.partition.clone().map_or(Json::Null, Json::Object);
        let known = stored.iter().find(|p| canonical(&p.partition) == canonical(&partition));
        let key = known.map_or_else(|| encode_key(connector, &partition).into(), |p| p.key.clone());
        OffsetRow { key, value: change.offset.clone().map(|o| Json::Object(o).to_string()) }
    };
    changes.iter().map(row).collect()
}

/// Group that a sink consumes with.
pub(crate) fn group(name: &str, resolved: &Properties) -> String {
    resolved.value("consumer.override.group.id").map_or_else(|| format!("connect-{name}"), |g| g.trim().to_owned())
}

fn failed(verb: &str, error: &KafkaError) -> HerderError {
    HerderError::Failed(format!("Failed to {verb} offsets: {error}"))
}

fn zombies(verb: &str, name: &str) -> String {
    format!(
        "Failed to {verb} consumer group offsets for connector {name} either because its tasks haven't stopped completely yet or the connector was resumed before the request to {verb} its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks."
    )
}
