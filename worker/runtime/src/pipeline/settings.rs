//! Connect's `errors.*` keys that sources and sinks share.
use crate::error::TaskError;
use elasticflow_config::{Millis, Properties, Settings, choice, parse, settings};

choice! {
    /// What a bad record does.
    pub(crate) enum Tolerated {
        /// It fails the task.
        None = "none",
        /// It is skipped.
        All = "all",
    }
}

settings! {
    /// Error handling of a task.
    pub(crate) struct ErrorKeys {
        /// What a bad record does: none fails the task, all skips the record.
        "errors.tolerance" => tolerance: Tolerated { default: "none" },
        /// How long a failed operation is retried, in ms; 0 is never, -1 for ever.
        "errors.retry.timeout" => retry_timeout: i64 { default: "0" },
        /// Longest wait between two retries.
        "errors.retry.delay.max.ms" => retry_delay_max: Millis { default: "60000" },
        /// Whether bad records are written to the log.
        "errors.log.enable" => log: bool { default: "false" },
        /// Whether topic, partition, offset and timestamp of bad records are in that log; contents never are.
        "errors.log.include.messages" => log_details: bool { default: "false" },
    }
}

/// Typed settings of a task.
pub(crate) fn parsed<S: Settings>(properties: &Properties) -> Result<S, TaskError> {
    parse(properties).map_err(|report| TaskError::Config(format!("configuration is not valid: {report}")))
}
