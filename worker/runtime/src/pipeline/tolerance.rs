//! `errors.tolerance`: whether a bad record stops the task.
use super::settings::{ErrorKeys, Tolerated};
use crate::error::{BadRecord, TaskError};
use crate::metrics::TaskMetrics;
use elasticflow_api::RecordError;
use elasticflow_api::clock::Clock;
use std::fmt::Write as _;
use std::sync::Arc;

/// A record that failed, without the record.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) error: RecordError,
    /// Class of the converter, transform or connector that refused it.
    pub(crate) class: &'static str,
}

/// Where a record was read, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: Option<i32>,
    pub(crate) offset: Option<i64>,
    pub(crate) timestamp_ms: Option<i64>,
}

/// The policy of one task.
#[derive(Clone)]
pub(crate) struct Tolerance {
    keys: Arc<ErrorKeys>,
    metrics: Arc<TaskMetrics>,
    clock: Arc<dyn Clock>,
}

impl Tolerance {
    pub(crate) fn new(keys: ErrorKeys, metrics: Arc<TaskMetrics>, clock: Arc<dyn Clock>) -> Self {
        Self { keys: Arc::new(keys), metrics, clock }
    }

    /// The keys it was made of.
    pub(crate) fn keys(&self) -> &ErrorKeys {
        &self.keys
    }

    /// Whether bad records are skipped at all.
    pub(crate) fn skips(&self) -> bool {
        self.keys.tolerance == Tolerated::All
    }

    /// Counts and logs a bad record. `Ok` gives the failure back: the record is skipped or becomes a dead letter.
    pub(crate) fn judge(&self, failed: Failed, place: Place<'_>) -> Result<Failed, TaskError> {
        self.metrics.record_errors.add(1);
        self.metrics.record_failures.add(1);
        self.metrics.last_error_ms.set(self.clock.wall_ms());
        if self.keys.log {
            self.metrics.errors_logged.add(1);
            tracing::error!(error = %failed.error, "{}", self.text(&failed, place));
        }
        match self.keys.tolerance {
            Tolerated::None => Err(TaskError::Tolerance(BadRecord {
                error: failed.error,
                topic: place.topic.to_owned(),
                at: place.partition.zip(place.offset),
            })),
            Tolerated::All => {
                self.metrics.skipped.add(1);
                Ok(failed)
            }
        }
    }

    /// Connect's line.
    fn text(&self, failed: &Failed, place: Place<'_>) -> String {
        let stage = failed.error.stage;
        let mut text = format!(
            "Error encountered in task {}. Executing stage '{stage}' with class '{}'",
            self.metrics.id, failed.class
        );
        if self.keys.log_details {
            let _ = write!(text, ", where consumed record is {{topic='{}'", place.topic);
            let numbers = [
                ("partition", place.partition.map(i64::from)),
                ("offset", place.offset),
                ("timestamp", place.timestamp_ms),
            ];
            for (name, number) in numbers {
                if let Some(n) = number {
                    let _ = write!(text, ", {name}={n}");
                }
            }
            text.push('}');
        }
        text.push('.');
        text
    }
}
