//! What the herder needs from its surroundings beside Kafka. The server adapts the runtime to [`TaskRunner`].
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use elasticflow_api::registry::TaskConfig;
use elasticflow_config::Properties;

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
    /// Paused.
    Paused,
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
}

/// Leadership and assignment, as far as the herder must know.
#[async_trait]
pub trait Membership: Send + Sync {
    /// Whether this worker may write the config topic.
    fn is_leader(&self) -> bool;
    /// Grows with each assignment.
    fn generation(&self) -> u64;
    /// Whether this worker is to run a task.
    fn owns(&self, task: &TaskId) -> bool;
    /// Returns when one of the answers above has changed; cancel-safe.
    async fn changed(&self);
}

/// A worker that is alone in its group: it leads and runs everything.
#[derive(Debug, Default, Clone, Copy)]
pub struct SingleWorker;

#[async_trait]
impl Membership for SingleWorker {
    fn is_leader(&self) -> bool {
        true
    }
    fn generation(&self) -> u64 {
        1
    }
    fn owns(&self, _: &TaskId) -> bool {
        true
    }
    async fn changed(&self) {
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
