//! Dead letters of connectors: looking at them, putting them again after a mend, putting them aside.
//!
//! Nothing is kept here. A letter lies in the connector's dead letter topic, what became of it in the connector's replay
//! topic (`elasticflow_protocol`), and whether a replay has been consumed in the offsets of the sink's group. Asking twice
//! for the same replay writes once: who writes has fenced whoever wrote before and has read the replay topic to its end.
mod browse;
mod budget;
mod handle;
mod patch;
mod states;
mod view;
mod write;

use crate::error::HerderError;
use crate::handle::WorkerContext;
use elasticflow_config::Properties;
use elasticflow_kafka::ports::{Kafka, KafkaError};
use elasticflow_protocol::LetterState;
use serde::Serialize;
use serde_json::Value as Json;
use std::sync::Arc;

pub use budget::BudgetView;
pub use view::{Contents, LetterView};

/// Most letters of one answer.
pub const LETTERS_MAX: usize = 500;

/// Which letters are meant; everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Stage, as Connect names it.
    pub stage: Option<String>,
    /// Kind of fault.
    pub kind: Option<String>,
    /// Field or column.
    pub field: Option<String>,
    /// The destination's code.
    pub code: Option<String>,
    /// What became of it.
    pub state: Option<LetterState>,
    /// Failed at this time or later, milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
    /// Failed before this time.
    pub before_ms: Option<i64>,
}

/// A page that is asked for.
#[derive(Debug, Clone, Default)]
pub struct LetterQuery {
    /// Most letters; at most [`LETTERS_MAX`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Which letters.
    pub filter: LetterFilter,
    /// Whether keys, values and headers are told.
    pub contents: bool,
}

/// A page of letters.
#[derive(Debug, Clone, Serialize)]
pub struct LetterPage {
    /// The dead letter topic.
    pub topic: String,
    /// In the order of their offsets.
    pub errors: Vec<LetterView>,
    /// For the next page; none when there is nothing more.
    pub next: Option<String>,
}

/// Letters to put again or aside.
#[derive(Debug, Clone, Default)]
pub struct LetterRequest {
    /// By id; empty for all that the filter names.
    pub ids: Vec<String>,
    /// Used without ids.
    pub filter: LetterFilter,
    /// Where the request before ended, for a filter that names many.
    pub cursor: Option<String>,
    /// A JSON merge patch (RFC 7396) of the value.
    pub patch: Option<Json>,
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What was done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LetterOutcome {
    /// Ids that were put again or aside.
    pub done: Vec<String>,
    /// The others, with the reason.
    pub skipped: Vec<Skipped>,
    /// Nothing was written.
    pub dry_run: bool,
    /// For the rest of a filter that names more.
    pub next: Option<String>,
}

/// A letter that was left as it is.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// Which.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Whose letters are meant.
pub(crate) struct Addressee {
    pub(crate) name: String,
    /// References resolved.
    pub(crate) config: Properties,
    pub(crate) is_sink: bool,
}

impl Addressee {
    fn topic(&self) -> Result<&str, HerderError> {
        let topic = self.config.value("errors.deadletterqueue.topic.name").map(str::trim).filter(|t| !t.is_empty());
        topic.ok_or_else(|| {
            HerderError::BadRequest(format!(
                "connector {} keeps no dead letters: errors.deadletterqueue.topic.name is not set",
                self.name
            ))
        })
    }
}

/// Access to letters.
pub(crate) struct Letters {
    kafka: Arc<dyn Kafka>,
    cx: Arc<WorkerContext>,
    /// One request writes at a time.
    writing: tokio::sync::Mutex<()>,
}

impl Letters {
    pub(crate) fn new(kafka: Arc<dyn Kafka>, cx: Arc<WorkerContext>) -> Self {
        Self { kafka, cx, writing: tokio::sync::Mutex::new(()) }
    }

    /// The cluster in which they stand.
    pub(crate) fn kafka(&self) -> &Arc<dyn Kafka> {
        &self.kafka
    }

    pub(crate) fn group(&self) -> &str {
        &self.cx.options.group_id
    }
}

fn failed(doing: &str, error: &KafkaError) -> HerderError {
    HerderError::Failed(format!("Failed to {doing}: {error}"))
}
