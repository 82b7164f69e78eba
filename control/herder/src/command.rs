//! Requests to the loop, each with the way back.
use crate::answer::{ConfigPatch, ConnectorOffsets, ConnectorStatus, InitialState, OffsetChange, Put};
use crate::error::HerderError;
use crate::pools::PoolInfo;
use elasticflow_api::position::TaskId;
use elasticflow_config::Properties;
use elasticflow_plan::pools::Pool;
use elasticflow_protocol::Loss;
use tokio::sync::oneshot;

/// Way back to the caller.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, HerderError>>;

/// How a configuration comes in.
#[derive(Debug)]
pub(crate) enum PutKind {
    /// POST: refused when the connector exists.
    Create(InitialState),
    /// PUT: creates or replaces.
    Put,
    /// PATCH on a configuration that was read at this revision; refused when another one is stored by then.
    Patched {
        /// Configuration that the patch was laid over.
        base: Properties,
    },
}

/// Parts of a connector to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restart {
    /// Tasks too.
    pub(crate) include_tasks: bool,
    /// Only what has failed.
    pub(crate) only_failed: bool,
}

/// How positions are altered.
#[derive(Debug, Clone)]
pub(crate) struct Alter {
    /// `None` forgets all of them.
    pub(crate) changes: Option<Vec<OffsetChange>>,
    /// The records behind the positions are gone: it is enough that every task has failed, and its member of the consumer
    /// group is waited for.
    pub(crate) after_loss: bool,
}

/// What the loop is asked to do; everything that only reads is answered from the view instead.
pub(crate) enum Command {
    /// Stores a validated configuration.
    Put { name: String, config: Properties, kind: PutKind, answer: Answer<Put> },
    /// Deletes a connector.
    Delete { name: String, answer: Answer<()> },
    /// Sets the target state.
    Target { name: String, state: InitialState, answer: Answer<()> },
    /// Restarts a connector, with or without tasks; the status is that of the plan.
    Restart { name: String, restart: Restart, answer: Answer<ConnectorStatus> },
    /// Restarts one task.
    RestartTask { name: String, task: u32, answer: Answer<()> },
    /// Forgets the topics in use.
    ResetTopics { name: String, answer: Answer<()> },
    /// Reads committed positions.
    Offsets { name: String, answer: Answer<ConnectorOffsets> },
    /// Alters positions, or forgets all of them.
    AlterOffsets { name: String, alter: Alter, answer: Answer<String> },
    /// Looks for records that were deleted before they were read.
    Loss { name: String, answer: Answer<Loss> },
    /// Sets the level of a logger on every worker.
    SetLevel { logger: String, level: String, answer: Answer<()> },
    /// Lets a worker have no tasks, or some again.
    Drain { worker: String, drained: bool, answer: Answer<()> },
    /// Stores the rules of a pool, or forgets them.
    SetPool { name: String, rules: Option<Pool>, answer: Answer<()> },
    /// Tells of every pool.
    Pools { answer: Answer<Vec<PoolInfo>> },
    /// The stored configuration with secrets, for the patch that is laid over it.
    StoredConfig { name: String, answer: Answer<Option<Properties>> },
    /// Whether an instance is still the one that is to run.
    Current { task: TaskId, generation: u64, answer: Answer<bool> },
    /// Answers once everything that is in the config topic has been taken in.
    Sync { answer: Answer<()> },
    /// Asks for a new plan of a connector's tasks.
    Replan { name: String },
}

impl Command {
    /// Whether whoever asked is still there to hear the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        match self {
            Self::Put { answer, .. } => !answer.is_closed(),
            Self::Delete { answer, .. }
            | Self::Target { answer, .. }
            | Self::RestartTask { answer, .. }
            | Self::ResetTopics { answer, .. }
            | Self::SetLevel { answer, .. }
            | Self::Drain { answer, .. }
            | Self::SetPool { answer, .. }
            | Self::Sync { answer } => !answer.is_closed(),
            Self::Pools { answer } => !answer.is_closed(),
            Self::Restart { answer, .. } => !answer.is_closed(),
            Self::AlterOffsets { answer, .. } => !answer.is_closed(),
            Self::Offsets { answer, .. } => !answer.is_closed(),
            Self::Loss { answer, .. } => !answer.is_closed(),
            Self::StoredConfig { answer, .. } => !answer.is_closed(),
            Self::Current { answer, .. } => !answer.is_closed(),
            Self::Replan { .. } => true,
        }
    }
}

/// A patch laid over a configuration.
pub(crate) fn patched(base: &Properties, patch: &ConfigPatch) -> Properties {
    let mut merged = base.clone();
    for (key, value) in patch {
        match value {
            Some(value) => merged.0.insert(key.clone(), value.clone()),
            None => merged.0.remove(key),
        };
    }
    merged
}
