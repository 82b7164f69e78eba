//! What the herder needs from its surroundings beside Kafka. The server adapts the runtime to [`TaskRunner`].
use crate::figures::GroupFigures;
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use elasticflow_api::registry::TaskConfig;
use elasticflow_config::Properties;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Which loop runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Source loop.
    Source,
    /// Sink loop.
    Sink,
}

/// Everything that is needed to run one task.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// Name.
    pub id: TaskId,
    /// Kind.
    pub kind: TaskKind,
    /// The connector's properties, references resolved. Never logged.
    pub properties: Properties,
    /// The task's own configuration, references resolved. Never logged.
    pub task: TaskConfig,
    /// Number of tasks of the connector.
    pub tasks: u32,
    /// Start in the paused state.
    pub paused: bool,
    /// Number of this instance; grows with every start, so that events of an abandoned one can be told apart.
    pub generation: u64,
    /// Epoch of external versions of idempotent sinks.
    pub version_epoch: u16,
}

/// Properties stay out of debug output: they hold resolved secrets.
impl std::fmt::Debug for TaskSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskSpec")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("paused", &self.paused)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Runs tasks on this worker. What becomes of a task comes back as [`TaskEvent`]s.
#[async_trait]
pub trait TaskRunner: Send + Sync {
    /// Starts a task; called when no instance of it runs here. Returns at once: success and failure are events.
    fn start(&self, spec: TaskSpec);
    /// Stops a task, softly, then hard after `task.shutdown.graceful.timeout.ms`. Returns when it has ended or was
    /// abandoned; afterwards no event of it is sent. A task that does not run is fine. Not dropped before it returns.
    async fn stop(&self, task: &TaskId);
    /// Pauses a running task; the event `Paused` follows. A task that does not run is fine.
    fn pause(&self, task: &TaskId);
    /// Lets a paused task go on; the event `Running` follows.
    fn resume(&self, task: &TaskId);
    /// Gives a running task the keys of its connector's configuration that take effect without a restart; the others in it
    /// are left alone. A task that does not run is fine.
    fn adjust(&self, task: &TaskId, properties: &Properties);
}

/// News of a task, runtime to herder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEvent {
    /// Which task.
    pub task: TaskId,
    /// Which instance, from [`TaskSpec::generation`].
    pub generation: u64,
    /// What happened.
    pub change: TaskChange,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// Started, or resumed.
    Running,
    /// Its start waits for the system at the other end.
    Starting {
        /// For what.
        trace: String,
    },
    /// Started, and something that was read waits for the destination.
    Pending {
        /// What waits, and for what.
        trace: String,
    },
    /// Paused.
    Paused,
    /// Paused by itself, until the connector is paused and resumed.
    Held {
        /// `<class>: <message>` and further lines.
        trace: String,
    },
    /// Starts again by itself after a transient error; the trace says which.
    Restarting {
        /// `<class>: <message>` and further lines.
        trace: String,
    },
    /// Failed for good: it stays so until a person restarts it.
    Failed {
        /// `<class>: <message>` and further lines.
        trace: String,
    },
    /// Another owner has taken over; it has ended in silence.
    Fenced,
    /// Topics that it wrote to or read from for the first time.
    TopicsUsed(Vec<String>),
    /// What it does and how far it is, in plain words.
    Doing(String),
}

/// What this worker may rely on at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leases {
    /// Grows with every change.
    pub version: u64,
    /// Slots whose tasks are this worker's.
    pub slots: BTreeSet<i32>,
    /// Version with which each slot was gained: a slot that was lost in between is another lease.
    pub gained: BTreeMap<i32, u64>,
    /// Whether it leads its group.
    pub leads: bool,
}

/// Leadership and leases, as far as the herder must know.
#[async_trait]
pub trait Membership: Send + Sync {
    /// What may be relied on now; judged by this worker's own clock.
    fn leases(&self) -> Arc<Leases>;
    /// Returns when the leases are not those of a version any more; cancel-safe.
    async fn changed(&self, since: u64);
    /// The herder has acted on a version of the leases; instances of its tasks remain on these slots.
    fn settled(&self, version: u64, busy: BTreeSet<i32>);
    /// How it goes, for metrics.
    fn figures(&self) -> GroupFigures {
        GroupFigures::default()
    }
    /// Longest that the former worker of a task that moves is waited for.
    fn handover(&self) -> Duration;
    /// Returns when this worker can never be a member without a change by a person, with the reason; cancel-safe.
    async fn refused(&self) -> String;
}

/// A worker that is alone in its group: it leads and holds the one slot there is.
#[derive(Debug, Default, Clone, Copy)]
pub struct SingleWorker;

#[async_trait]
impl Membership for SingleWorker {
    fn leases(&self) -> Arc<Leases> {
        Arc::new(Leases { version: 1, slots: BTreeSet::from([0]), gained: BTreeMap::new(), leads: true })
    }
    async fn changed(&self, since: u64) {
        if since >= 1 {
            std::future::pending().await
        }
    }
    fn settled(&self, _: u64, _: BTreeSet<i32>) {}
    fn handover(&self) -> Duration {
        Duration::ZERO
    }
    async fn refused(&self) -> String {
        std::future::pending().await
    }
}

/// Resolves `${provider:path:key}` on this worker, right before a configuration is validated, planned or started.
pub trait References: Send + Sync {
    /// May block: files are read. The error is for people and names the reference, never a value.
    ///
    /// # Errors
    /// The reason, when a reference cannot be resolved.
    fn resolve(&self, properties: &Properties) -> Result<Properties, String>;
}

/// Takes every text as it stands.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoReferences;

impl References for NoReferences {
    fn resolve(&self, properties: &Properties) -> Result<Properties, String> {
        Ok(properties.clone())
    }
}

impl References for elasticflow_config::Resolver {
    fn resolve(&self, properties: &Properties) -> Result<Properties, String> {
        elasticflow_config::Resolver::resolve(self, properties).map(|r| r.properties).map_err(|e| e.to_string())
    }
}
