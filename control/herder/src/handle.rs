//! The herder as its clients see it.
use crate::answer::{
    ConfigPatch, ConnectorInfo, ConnectorStatus, Health, HealthState, InitialState, Put, ServerInfo, TaskInfo, TaskRef,
    TaskStatus,
};
use crate::command::{Answer, Command, PutKind, Restart, patched};
use crate::error::HerderError;
use crate::figures::Figures;
use crate::letters::Letters;
use crate::options::HerderOptions;
use crate::ports::{Membership, References};
use crate::queue::PoolInfo;
use crate::view::{ConnectorView, View};
use crate::workers::WorkerInfo;
use elasticflow_api::clock::Clock;
use elasticflow_api::position::TaskId;
use elasticflow_api::registry::Registry;
use elasticflow_config::Properties;
use elasticflow_plan::pools::Pool;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

mod offsets;

/// The loop has ended with a request in its hands.
pub const ENDED: &str =
    "the worker has ended before it could answer; what was asked for may have been done: look before asking again";

/// What validation needs to know of the worker.
pub struct WorkerContext {
    /// Settings.
    pub options: HerderOptions,
    /// Plug-ins.
    pub registry: Arc<Registry>,
    /// `${provider:...}`.
    pub references: Arc<dyn References>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Who leads the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    /// Nobody, or nobody knows yet.
    Unknown,
    /// This worker.
    Here,
    /// The worker whose REST endpoint has this URL.
    At(String),
}

/// A cheap clone through which a worker is asked and told; every operation of the REST endpoint is one method.
///
/// Reads are answered from memory, never behind a slow operation. What changes state goes to the loop over a bounded
/// channel and is answered once it is in the config topic. Every method waits at most `request_timeout`.
#[derive(Clone)]
pub struct HerderHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) view: Arc<View>,
    pub(crate) context: Arc<WorkerContext>,
    pub(crate) letters: Arc<Letters>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) leader: watch::Receiver<Leader>,
    pub(crate) membership: Arc<dyn Membership>,
}

impl HerderHandle {
    /// Settings, plug-ins and references of this worker.
    pub fn context(&self) -> &Arc<WorkerContext> {
        &self.context
    }

    /// How the worker is; never waits.
    pub fn health(&self) -> Health {
        self.view.health.read().clone()
    }

    /// `GET /`.
    pub fn server_info(&self) -> ServerInfo {
        ServerInfo {
            version: self.context.options.connect_version.clone(),
            commit: self.context.options.commit.clone(),
            kafka_cluster_id: self.view.cluster_id.read().clone(),
        }
    }

    /// Counts for metrics; never waits.
    pub fn figures(&self) -> Figures {
        let leader = match &*self.leader.borrow() {
            Leader::Unknown => None,
            Leader::Here => Some(self.context.options.url.clone()),
            Leader::At(url) => Some(url.clone()),
        };
        let figures = self.view.tally.figures(self.context.clock.monotonic());
        Figures { leader, group: self.membership.figures(), ..figures }
    }

    /// Sets the level of a logger on every worker of the group.
    ///
    /// # Errors
    /// As for every change.
    pub async fn set_level(&self, logger: &str, level: &str) -> Result<(), HerderError> {
        self.lead().await?;
        let (logger, level) = (logger.to_owned(), level.to_owned());
        self.ask(|answer| Command::SetLevel { logger, level, answer }).await
    }

    /// Loggers and levels that are set on every worker, as they are asked for; for the first who asks.
    pub fn levels(&self) -> Option<mpsc::Receiver<(String, String)>> {
        self.view.levels.lock().take()
    }

    /// The workers of the group; never waits.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.view.workers.read().clone()
    }

    /// Lets a worker have no tasks, or some again: those that it has leave it a few at a time.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn drain(&self, worker: &str, drained: bool) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::Drain { worker: worker.to_owned(), drained, answer }).await
    }

    /// Every pool of workers.
    ///
    /// # Errors
    /// `Timeout` while the worker is starting.
    pub async fn pools(&self) -> Result<Vec<PoolInfo>, HerderError> {
        self.ask(|answer| Command::Pools { answer }).await
    }

    /// Sets the rules of a pool, or forgets them.
    ///
    /// # Errors
    /// `NotFound` for a pool without rules and workers that is to be forgotten.
    pub async fn set_pool(&self, name: &str, rules: Option<Pool>) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::SetPool { name: name.to_owned(), rules, answer }).await
    }

    /// Names of all connectors.
    ///
    /// # Errors
    /// `Timeout` while the worker is starting; likewise below.
    pub async fn connectors(&self) -> Result<Vec<String>, HerderError> {
        self.readable().await?;
        Ok(self.view.connectors.read().keys().cloned().collect())
    }

    /// A connector.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn info(&self, name: &str) -> Result<ConnectorInfo, HerderError> {
        self.read(name, |c| info_of(name, c)).await?.ok_or_else(|| HerderError::no_connector(name))
    }

    /// A connector's status.
    ///
    /// # Errors
    /// `NotFound` when there is no connector or nothing is known of it yet.
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus, HerderError> {
        let found = self.read(name, |c| status_of(name, c)).await?.flatten();
        found.ok_or_else(|| HerderError::NotFound(format!("No status found for connector {name}")))
    }

    /// Info and status of every connector, for `expand`; a status that is not known is `None`.
    ///
    /// # Errors
    /// As for [`Self::connectors`].
    pub async fn all(&self) -> Result<Vec<(ConnectorInfo, Option<ConnectorStatus>)>, HerderError> {
        self.readable().await?;
        Ok(self.view.all().iter().map(|(n, c)| (info_of(n, c), status_of(n, c))).collect())
    }

    /// Task configurations.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError> {
        let tasks = self.read(name, |c| {
            let refs = refs_of(name, c).into_iter();
            refs.zip(&c.tasks).map(|(id, config)| TaskInfo { id, config: config.clone() }).collect()
        });
        tasks.await?.ok_or_else(|| HerderError::no_connector(name))
    }

    /// A task's status.
    ///
    /// # Errors
    /// `NotFound` also for a connector that is not there. The index is any integer, as in a path.
    pub async fn task_status(&self, name: &str, task: i64) -> Result<TaskStatus, HerderError> {
        let part =
            self.read(name, |c| u32::try_from(task).ok().and_then(|id| Some((id, c.task_statuses.get(&id)?.clone()))));
        let found = part.await?.flatten();
        found
            .map(|(id, part)| TaskStatus { id, part })
            .ok_or_else(|| HerderError::NotFound(format!("No status found for task {name}-{task}")))
    }

    /// Creates a connector. The configuration is as posted, its `name` included; it is validated here.
    ///
    /// # Errors
    /// `BadRequest` and `Invalid` from validation, then `Conflict`.
    pub async fn create(&self, name: &str, config: Properties, state: InitialState) -> Result<Put, HerderError> {
        self.lead().await?;
        self.validated(name, config, PutKind::Create(state)).await
    }

    /// Creates a connector or replaces its configuration.
    ///
    /// # Errors
    /// `BadRequest` and `Invalid` from validation.
    pub async fn put_config(&self, name: &str, config: Properties) -> Result<Put, HerderError> {
        self.lead().await?;
        let stored = self.stored_config(name).await?;
        let config = crate::secrets::keep_hidden(config, stored.as_ref())?;
        self.validated(name, config, PutKind::Put).await
    }

    /// Lays a patch over a configuration; never creates.
    ///
    /// # Errors
    /// `NotFound` before anything else, then as for [`Self::put_config`].
    pub async fn patch_config(&self, name: &str, patch: &ConfigPatch) -> Result<ConnectorInfo, HerderError> {
        self.lead().await?;
        let stored = self.stored_config(name).await?.ok_or_else(|| HerderError::no_connector(name))?;
        let config = crate::secrets::keep_hidden(patched(&stored, patch), Some(&stored))?;
        self.validated(name, config, PutKind::Patched { base: stored }).await.map(|put| put.info)
    }

    /// Deletes a connector; positions and the consumer group stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete(&self, name: &str) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::Delete { name: name.to_owned(), answer }).await
    }

    /// Pauses: tasks stay allocated and do nothing.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pause(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, InitialState::Paused).await
    }

    /// Resumes from paused or stopped.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resume(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, InitialState::Running).await
    }

    /// Stops: tasks and their configurations go, positions stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn stop(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, InitialState::Stopped).await
    }

    /// Restarts a connector and, as asked, its tasks. The status shows what is going to be restarted as RESTARTING; with
    /// both flags false only the connector is restarted and the status is of no interest (204).
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorStatus, HerderError> {
        self.lead().await?;
        let restart = Restart { include_tasks, only_failed };
        self.ask(|answer| Command::Restart { name: name.to_owned(), restart, answer }).await
    }

    /// Restarts a task. The index is any integer, as in a path.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn restart_task(&self, name: &str, task: i64) -> Result<(), HerderError> {
        let Ok(index) = u32::try_from(task) else {
            self.readable().await?;
            let known = self.view.connectors.read().contains_key(name);
            let what =
                if known { format!("Unknown task: {name}-{task}") } else { format!("Unknown connector: {name}") };
            return Err(HerderError::NotFound(what));
        };
        self.ask(|answer| Command::RestartTask { name: name.to_owned(), task: index, answer }).await
    }

    /// Topics in use since creation or reset; an unknown connector has none.
    ///
    /// # Errors
    /// `Forbidden` when tracking is off.
    pub async fn topics(&self, name: &str) -> Result<BTreeSet<String>, HerderError> {
        self.tracking()?;
        Ok(self.read(name, |c| c.topics.clone()).await?.unwrap_or_default())
    }

    /// Forgets the topics in use; fine for an unknown connector.
    ///
    /// # Errors
    /// `Forbidden` when tracking or its reset is off.
    pub async fn reset_topics(&self, name: &str) -> Result<(), HerderError> {
        self.tracking()?;
        if !self.context.options.topic_tracking_reset {
            return Err(HerderError::Forbidden("Topic tracking reset is disabled.".to_owned()));
        }
        self.ask(|answer| Command::ResetTopics { name: name.to_owned(), answer }).await
    }

    /// Whether exactly this configuration is stored for a connector; of use to whoever has lost the answer to a request.
    pub async fn stores(&self, name: &str, config: &Properties) -> bool {
        let stored = self.stored_config(name).await.ok().flatten();
        stored.is_some_and(|stored| stored == config.clone().with("name", name))
    }

    fn tracking(&self) -> Result<(), HerderError> {
        if self.context.options.topic_tracking {
            return Ok(());
        }
        Err(HerderError::Forbidden("Topic tracking is disabled.".to_owned()))
    }

    async fn target(&self, name: &str, state: InitialState) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::Target { name: name.to_owned(), state, answer }).await
    }

    pub(crate) async fn stored_config(&self, name: &str) -> Result<Option<Properties>, HerderError> {
        self.ask(|answer| Command::StoredConfig { name: name.to_owned(), answer }).await
    }

    async fn validated(&self, name: &str, config: Properties, kind: PutKind) -> Result<Put, HerderError> {
        let config = crate::admission::admit(name, config, &self.context).await?;
        self.ask(|answer| Command::Put { name: name.to_owned(), config, kind, answer }).await
    }

    async fn read<T>(&self, name: &str, get: impl FnOnce(&ConnectorView) -> T) -> Result<Option<T>, HerderError> {
        self.readable().await?;
        let found = self.view.connectors.read().get(name).cloned();
        Ok(found.as_deref().map(get))
    }

    /// Returns once everything that is in the config topic now is shown here too.
    ///
    /// # Errors
    /// `Timeout` while Kafka is away.
    pub async fn sync(&self) -> Result<(), HerderError> {
        self.ask(|answer| Command::Sync { answer }).await
    }

    /// Offset of the last record of the config topic that is shown here; never waits.
    pub fn read_to(&self) -> i64 {
        *self.view.read_to.borrow()
    }

    /// Returns once the config topic is shown here up to an offset: sooner than [`Self::sync`], which asks for the end.
    ///
    /// # Errors
    /// `Timeout` while Kafka is away.
    pub async fn await_read(&self, offset: i64) -> Result<(), HerderError> {
        let mut read_to = self.view.read_to.subscribe();
        let reached = read_to.wait_for(|at| *at >= offset);
        match tokio::time::timeout(self.context.options.request_timeout, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.too_slow()),
        }
    }

    /// Whether an instance of a task is still the one that is to run: the lease holds by this worker's clock, and neither
    /// the set of tasks nor the mapping in the config topic says otherwise.
    pub async fn is_current(&self, task: &TaskId, generation: u64) -> bool {
        let read = self.sync().await;
        let task = task.clone();
        read.is_ok() && self.ask(|answer| Command::Current { task, generation, answer }).await.unwrap_or(false)
    }

    /// Waits until it is known who leads; an error unless it is this worker.
    pub(crate) async fn lead(&self) -> Result<(), HerderError> {
        self.readable().await?;
        let mut leader = self.leader.clone();
        let known = leader.wait_for(|leader| *leader != Leader::Unknown);
        match tokio::time::timeout(self.context.options.request_timeout, known).await {
            Ok(Ok(leader)) => match &*leader {
                Leader::At(url) => Err(HerderError::Elsewhere(url.clone())),
                Leader::Here | Leader::Unknown => Ok(()),
            },
            Ok(Err(_)) => Err(HerderError::Closing),
            Err(_) => Err(HerderError::Timeout(
                "Request timed out. The worker is currently ensuring membership in the cluster".to_owned(),
            )),
        }
    }

    async fn readable(&self) -> Result<(), HerderError> {
        let mut ready = self.ready.clone();
        let waited = tokio::time::timeout(self.context.options.request_timeout, ready.wait_for(|r| *r)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(HerderError::Closing),
            Err(_) => Err(self.too_slow()),
        }
    }

    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, HerderError> {
        self.readable().await?;
        let (answer, answered) = oneshot::channel();
        let command = command(answer);
        let asked = async {
            self.commands.send(command).await.map_err(|_| HerderError::Closing)?;
            answered.await.unwrap_or_else(|_| Err(HerderError::Unavailable(ENDED.to_owned())))
        };
        match tokio::time::timeout(self.context.options.request_timeout, asked).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.too_slow()),
        }
    }

    fn too_slow(&self) -> HerderError {
        let health = self.health();
        if health.state == HealthState::Ready {
            return HerderError::Timeout("Request timed out".to_owned());
        }
        let since = crate::instant::iso_utc(health.since_ms);
        let stage = health.reason;
        HerderError::Timeout(format!("Request timed out. The worker is currently {stage}, which began at {since}"))
    }
}

fn refs_of(name: &str, connector: &ConnectorView) -> Vec<TaskRef> {
    let task = |i| TaskRef { connector: name.to_owned(), task: i };
    (0u32..).zip(&connector.tasks).map(|(i, _)| task(i)).collect()
}

pub(crate) fn info_of(name: &str, connector: &ConnectorView) -> ConnectorInfo {
    ConnectorInfo {
        name: name.to_owned(),
        config: connector.config.clone(),
        tasks: refs_of(name, connector),
        kind: connector.kind,
    }
}

pub(crate) fn status_of(name: &str, connector: &ConnectorView) -> Option<ConnectorStatus> {
    let tasks: BTreeMap<u32, _> = connector.task_statuses.clone();
    Some(ConnectorStatus {
        name: name.to_owned(),
        connector: connector.status.clone()?,
        tasks: tasks.into_iter().map(|(id, part)| TaskStatus { id, part }).collect(),
        kind: connector.kind,
    })
}
