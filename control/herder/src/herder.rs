//! State of the herder and what every part of the loop needs of it.
use crate::answer::{ConnectorKind, ConnectorOffsets, ConnectorStatus, HealthState, Put};
use crate::command::{Alter, Answer};
use crate::error::HerderError;
use crate::fresh::Fresh;
use crate::handle::{Leader, WorkerContext};
use crate::lanes::{Lanes, Progress};
use crate::mapping::Mapping;
use crate::planning::NoPlan;
use crate::ports::{Leases, Membership, TaskKind, TaskRunner, TaskSpec};
use crate::positions::Positions;
use crate::statuses::Statuses;
use crate::view::View;
use elasticflow_api::position::{TaskId, TaskIndex};
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::Properties;
use elasticflow_kafka::ports::{Kafka, KafkaError};
use elasticflow_plan::reconcile::{Actual, TaskName, WantedConnector};
use elasticflow_protocol::Loss;
use elasticflow_store::config::{ConfigRecord, ConfigState, ConfigTopic, Connector, WriteError, WriteToken};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// The one owner of everything that is known and wanted of connectors on this worker.
pub(crate) struct Herder {
    pub(crate) cx: Arc<WorkerContext>,
    pub(crate) kafka: Arc<dyn Kafka>,
    pub(crate) runner: Arc<dyn TaskRunner>,
    pub(crate) membership: Arc<dyn Membership>,
    /// What this worker relies on; as acted upon.
    pub(crate) leases: Arc<Leases>,
    /// Which of it is too fresh to be acted upon.
    pub(crate) fresh: Fresh,
    /// It may write the config topic.
    pub(crate) leading: bool,
    /// Who holds which slot, and which tasks are on their way.
    pub(crate) mapping: Mapping,
    /// Who leads, for callers.
    pub(crate) leader: watch::Sender<Leader>,
    /// Who waits for the end of the config topic.
    pub(crate) syncs: BTreeMap<WriteToken, Answer<()>>,
    pub(crate) view: Arc<View>,
    /// Log levels for every worker.
    pub(crate) levels: mpsc::Sender<(String, String)>,
    /// For hooks through which connectors ask for a new plan.
    pub(crate) commands: mpsc::WeakSender<crate::command::Command>,
    pub(crate) config_topic: ConfigTopic,
    /// The config topic as read so far.
    pub(crate) state: ConfigState,
    /// The config topic while it is read again from its start.
    pub(crate) staging: Option<ConfigState>,
    /// Offset of the last record in it, and in `state`.
    pub(crate) staged: i64,
    pub(crate) read_to: i64,
    pub(crate) wanted: BTreeMap<String, WantedConnector>,
    /// What each connector's tasks here were last told of the keys that change while they run.
    pub(crate) live: BTreeMap<String, Properties>,
    pub(crate) actual: Actual,
    /// Number of each task's instance.
    pub(crate) generations: BTreeMap<TaskName, u64>,
    pub(crate) generation_last: u64,
    pub(crate) statuses: Statuses,
    pub(crate) positions: Arc<Positions>,
    pub(crate) lanes: Lanes,
    pub(crate) writes: BTreeMap<WriteToken, (String, Then)>,
    pub(crate) token_last: u64,
    /// Connectors to look at before the loop waits again.
    pub(crate) dirty: BTreeSet<String>,
    /// Failed plans in a row, by connector.
    pub(crate) attempts: BTreeMap<String, u32>,
    /// Connectors whose former tasks Kafka did not let us fence; they wait for a person.
    pub(crate) fence_failed: BTreeSet<String>,
    pub(crate) jobs: JoinSet<Done>,
    /// Permits to ask connectors for their tasks.
    pub(crate) planners: Arc<Semaphore>,
    pub(crate) start: Start,
    pub(crate) ready: watch::Sender<bool>,
}

/// What has to be there before requests are served.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) config: bool,
    pub(crate) status: bool,
    pub(crate) offsets: bool,
    pub(crate) cluster: bool,
}

impl Start {
    pub(crate) fn complete(self) -> bool {
        self.config && self.status && self.offsets && self.cluster
    }
}

/// What follows a write.
pub(crate) enum Then {
    /// Answer with the connector.
    Put { created: bool, answer: Answer<Put> },
    /// Answer.
    Answer(Answer<()>),
    /// Answer with the status in which the parts to restart are restarting.
    Restart { status: Box<ConnectorStatus>, answer: Answer<ConnectorStatus> },
    /// Alter positions.
    Alter { alter: Alter, answer: Answer<String> },
    /// Answer with a text.
    Text { text: String, answer: Answer<String> },
    /// The fold has done everything; a failure is tried again.
    Tasks,
    /// The same for the end of a fencing round.
    Fencing,
    /// Tasks have got their slots; a failure is tried again.
    Places,
}

/// How a job off the loop ended.
pub(crate) enum Done {
    /// The offsets topic is there, or Kafka will not have it.
    OffsetsTopic(Result<(), String>),
    /// The cluster's id.
    ClusterId(String),
    /// A connector has answered.
    Planned { name: String, revision: i64, outcome: Result<Vec<Properties>, NoPlan> },
    /// A plan is due again.
    PlanAgain { name: String, revision: i64 },
    /// References of a task are resolved.
    Ready { task: TaskName, outcome: Result<Box<TaskSpec>, String>, generation: u64 },
    /// An instance has ended.
    Stopped { task: TaskName, generation: u64 },
    /// Older tasks are fenced.
    OlderFenced { name: String, revision: i64, outcome: Result<(), KafkaError> },
    /// The former worker of a task has been waited for.
    WaitOver { name: String },
    /// The mapping of tasks to slots is looked at again.
    MapAgain,
    /// Workers that are gone for long are forgotten.
    Sweep,
    /// This worker says again what it holds.
    ClaimAgain,
    /// The end of the config topic is asked for again, for slots that were gained.
    CatchUpAgain,
    /// A fencing round is due again.
    FenceAgain { name: String },
    /// Positions are altered.
    Altered { name: String, outcome: Result<String, HerderError>, answer: Answer<String> },
    /// It is known what a connector has lost.
    Lost { outcome: Result<Loss, HerderError>, answer: Answer<Loss> },
    /// Positions are read and answered.
    Read { outcome: Result<ConnectorOffsets, HerderError>, answer: Answer<ConnectorOffsets> },
}

/// Answers a caller, who may have gone.
pub(crate) fn reply<T>(answer: Answer<T>, outcome: Result<T, HerderError>) {
    drop(answer.send(outcome));
}

impl Herder {
    /// The plug-in of a connector.
    pub(crate) fn entry(&self, connector: &Connector) -> Option<&PluginEntry> {
        self.cx.registry.connector(connector.config.value("connector.class")?.trim())
    }

    /// Kind and version of a connector, for answers.
    pub(crate) fn kind_and_version(&self, connector: &Connector) -> (ConnectorKind, String) {
        let Some(entry) = self.entry(connector) else { return (ConnectorKind::Unknown, String::new()) };
        let kind = match entry.plugin {
            Plugin::Source(_) => ConnectorKind::Source,
            Plugin::Sink(_) => ConnectorKind::Sink,
            _ => ConnectorKind::Unknown,
        };
        (kind, entry.version.to_owned())
    }

    pub(crate) fn version_of(&self, name: &str) -> String {
        self.state.connector(name).map(|c| self.kind_and_version(c).1).unwrap_or_default()
    }

    pub(crate) fn task_kind(&self, connector: &Connector) -> Option<TaskKind> {
        match self.entry(connector)?.plugin {
            Plugin::Source(_) => Some(TaskKind::Source),
            Plugin::Sink(_) => Some(TaskKind::Sink),
            _ => None,
        }
    }

    pub(crate) fn task_id(&self, task: &TaskName) -> TaskId {
        TaskId {
            group: Arc::clone(&self.cx.options.group_id),
            connector: task.0.as_str().into(),
            task: TaskIndex(task.1),
        }
    }

    /// Whether this worker runs a task; connectors themselves run on the leader.
    pub(crate) fn owns(&self, name: &str, task: Option<u32>) -> bool {
        match task {
            Some(index) => self.holds(&(name.to_owned(), index)),
            None => self.is_leader(),
        }
    }

    /// Whether this worker may write the config topic.
    pub(crate) fn is_leader(&self) -> bool {
        self.leading && self.leases.leads
    }

    /// Instances of a connector that have not ended.
    pub(crate) fn has_instances(&self, name: &str) -> bool {
        self.actual.tasks.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX)).next().is_some()
    }

    /// Has rows written in one transaction; the connector's lane is busy until the answer.
    pub(crate) fn write(&mut self, name: &str, rows: Vec<ConfigRecord>, then: Then) -> Progress {
        self.token_last += 1;
        let token = WriteToken(self.token_last);
        if let Err(busy) = self.config_topic.write(token, rows) {
            return self.finish(name, then, Err(busy));
        }
        self.writes.insert(token, (name.to_owned(), then));
        Progress::Busy
    }

    /// Runs something off the loop after a while.
    pub(crate) fn later(&mut self, wait: std::time::Duration, done: Done) {
        let slept = self.cx.clock.sleep(wait);
        self.jobs.spawn(async move {
            slept.await;
            done
        });
    }

    /// Notes how the worker is; a change is logged once.
    pub(crate) fn set_health(&self, state: HealthState, reason: &str) {
        let mut health = self.view.health.write();
        if health.state == state && health.reason == reason {
            return;
        }
        if health.state != state {
            health.since_ms = self.cx.clock.wall_ms();
        }
        match state {
            HealthState::Ready => tracing::info!("the worker is ready to serve requests"),
            HealthState::Starting | HealthState::Unhealthy => tracing::warn!(reason, "waiting for Kafka"),
        }
        health.state = state;
        reason.clone_into(&mut health.reason);
    }
}

/// What a caller is told of a failed write.
pub(crate) fn write_failed(error: &WriteError) -> HerderError {
    match error {
        WriteError::Busy => HerderError::Unavailable(error.to_string()),
        WriteError::Refused(_) => HerderError::Failed(error.to_string()),
        // Whoever leads by then carries it out.
        WriteError::Fenced | WriteError::Late(_) => HerderError::Moving,
    }
}
