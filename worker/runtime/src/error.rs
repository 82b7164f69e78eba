//! Errors of tasks and of the handle.
use elasticflow_api::position::TaskId;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use elasticflow_kafka::ports::{CommitError, KafkaError};
use std::fmt::Write as _;

/// Why a call of [`crate::Runtime`] was refused.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A task of that name runs: stop it first.
    #[error("task {0} runs already")]
    AlreadyRunning(TaskId),
    /// No task of that name was started.
    #[error("task {0} was not started here")]
    UnknownTask(TaskId),
    /// A value that was to change while the task runs cannot be read.
    #[error("task {0} keeps what it has: {1}")]
    Unreadable(TaskId, String),
    /// The runtime is shutting down.
    #[error("the worker is shutting down")]
    ShuttingDown,
}

/// A bad record that nobody tolerates, and where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", self.place())]
pub struct BadRecord {
    /// Why it is bad.
    #[source]
    pub error: RecordError,
    /// The topic; empty where it is not known.
    pub topic: String,
    /// Partition and offset of a record that was read from Kafka.
    pub at: Option<(i32, i64)>,
}

impl BadRecord {
    fn place(&self) -> String {
        match (self.topic.as_str(), self.at) {
            ("", _) => String::new(),
            (topic, None) => format!(" (a record for {topic})"),
            (topic, Some((partition, offset))) => format!(" (the record of {topic}-{partition} at offset {offset})"),
        }
    }
}

/// Why a task instance ended.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The connector said so.
    #[error("{0}")]
    Connector(#[from] ConnectorError),
    /// A record is bad and `errors.tolerance` does not allow it.
    #[error("Tolerance exceeded in error handler")]
    Tolerance(#[source] BadRecord),
    /// Kafka said so.
    #[error("{doing} failed")]
    Kafka {
        /// What was attempted.
        doing: &'static str,
        /// Kafka's answer.
        #[source]
        source: KafkaError,
    },
    /// A transaction did not end as it should.
    #[error("committing a transaction failed")]
    Commit(#[source] CommitError),
    /// A call took longer than it may.
    #[error("{doing} took longer than {limit_ms} ms")]
    TooLong {
        /// Which call.
        doing: &'static str,
        /// Its limit.
        limit_ms: u128,
    },
    /// The user must change the configuration.
    #[error("{0}")]
    Config(String),
    /// Stored state cannot be used; the text says what to do.
    #[error("{0}")]
    Definite(String),
    /// More records are bad than the error budget allows.
    #[error("{0}")]
    OverBudget(String),
    /// Not the owner any more.
    #[error("another owner has taken over")]
    Fenced,
    /// Partitions were lost while records of theirs were on their way; they are read again.
    #[error("partitions were lost to another member of the group")]
    Lost,
    /// The task panicked.
    #[error("the task panicked: {0}")]
    Panic(String),
    /// An invariant of the runtime or of the connector's contract is broken.
    #[error("{0}")]
    Bug(String),
}

impl TaskError {
    /// What the supervisor does about it. Exhaustive on purpose.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connector(e) => e.class,
            Self::Tolerance(_) => ErrorClass::Record,
            Self::Kafka { source, .. } => kafka_class(source),
            Self::Commit(CommitError::Fenced) | Self::Fenced => ErrorClass::Fenced,
            Self::Commit(CommitError::NotCommitted(_) | CommitError::Unknown(_))
            | Self::TooLong { .. }
            | Self::Lost => ErrorClass::Transient { retry_after: None },
            Self::Config(_) => ErrorClass::Config,
            Self::Definite(_) | Self::OverBudget(_) => ErrorClass::Definite,
            Self::Panic(_) | Self::Bug(_) => ErrorClass::Bug,
        }
    }

    /// The error in the form of Connect's `trace`: first line, a frame, causes.
    pub fn trace(&self, task: &TaskId) -> String {
        let mut out = format!("{}: {self}\n\tat elasticflow.task({task})", self.java_class());
        let mut cause = match self {
            // Its own words are the first line.
            Self::Connector(error) => std::error::Error::source(error),
            _ => std::error::Error::source(self),
        };
        while let Some(e) = cause {
            let bad = e.downcast_ref::<BadRecord>();
            let name = if bad.is_some() { DATA_EXCEPTION } else { CONNECT_EXCEPTION };
            let _ = write!(out, "\nCaused by: {name}: {e}");
            // What is wrong with a record is told with its place.
            cause = match bad {
                Some(bad) => std::error::Error::source(&bad.error),
                None => e.source(),
            };
        }
        out
    }

    fn java_class(&self) -> &'static str {
        match self.class() {
            ErrorClass::Config => CONFIG_EXCEPTION,
            ErrorClass::Transient { .. } => RETRIABLE_EXCEPTION,
            ErrorClass::Record | ErrorClass::Definite | ErrorClass::Fenced | ErrorClass::Bug => CONNECT_EXCEPTION,
        }
    }
}

pub(crate) const CONNECT_EXCEPTION: &str = "org.apache.kafka.connect.errors.ConnectException";
pub(crate) const DATA_EXCEPTION: &str = "org.apache.kafka.connect.errors.DataException";
pub(crate) const RETRIABLE_EXCEPTION: &str = "org.apache.kafka.connect.errors.RetriableException";
pub(crate) const CONFIG_EXCEPTION: &str = "org.apache.kafka.common.config.ConfigException";

fn kafka_class(error: &KafkaError) -> ErrorClass {
    match error {
        KafkaError::Retriable(_) | KafkaError::Abortable(_) | KafkaError::Fatal(_) => {
            ErrorClass::Transient { retry_after: None }
        }
        KafkaError::Fenced => ErrorClass::Fenced,
        KafkaError::Record(_) => ErrorClass::Record,
        KafkaError::Config(_) => ErrorClass::Config,
    }
}

/// Says what was attempted when Kafka refused.
pub(crate) trait Doing<T> {
    /// Names the call.
    fn doing(self, what: &'static str) -> Result<T, TaskError>;
}

impl<T> Doing<T> for Result<T, KafkaError> {
    fn doing(self, what: &'static str) -> Result<T, TaskError> {
        self.map_err(|source| TaskError::Kafka { doing: what, source })
    }
}
