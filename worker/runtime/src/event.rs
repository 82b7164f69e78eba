//! What the runtime reports.
use elasticflow_api::position::TaskId;
use std::sync::Arc;

/// Something happened to a task.
#[derive(Debug, Clone)]
pub struct TaskEvent {
    /// Which task.
    pub id: TaskId,
    /// Generation it was started with.
    pub generation: u64,
    /// What happened.
    pub what: Happening,
}

/// Kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The state changed.
    State(TaskState),
    /// The task used a topic for the first time since it was started.
    Topic(Arc<str>),
    /// What the task does and how far it is, in plain words.
    Doing(String),
    /// A bounded source has delivered everything it will ever have, and all of it is committed. The task stays RUNNING.
    EndOfData,
}

/// State of a task, as shown by REST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Started, takes part.
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
    /// Started, does not read.
    Paused,
    /// Paused by itself: it goes on once its connector is resumed.
    Held {
        /// Why, in Connect's trace form.
        trace: String,
    },
    /// Waits for its next attempt after a transient failure.
    Restarting {
        /// Connect's trace form: class and message, then frames and causes.
        trace: String,
    },
    /// Ended by an error; stays so until it is started again.
    Failed {
        /// As above.
        trace: String,
    },
    /// Ended by `stop_task`.
    Stopped,
    /// Ended in silence: another owner has taken over. No status may be written for it.
    Fenced,
}
