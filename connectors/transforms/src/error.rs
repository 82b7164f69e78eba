//! What can be wrong: with a record, or with a configuration.
use elasticflow_api::error::{Source, Stage};
use elasticflow_api::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_config::{Properties, Settings, parse};

/// A record that a transform refuses. `reason` names fields and types, never contents.
pub(crate) fn data(reason: impl Into<String>) -> RecordError {
    RecordError { stage: Stage::Transformation, reason: reason.into(), source: None }
}

/// A configuration that a transform refuses, in Connect's words.
pub(crate) fn config(message: impl Into<String>) -> ConnectorError {
    config_because(message, None)
}

/// As [`config`], with a cause.
pub(crate) fn config_because(message: impl Into<String>, source: Option<Source>) -> ConnectorError {
    ConnectorError { class: ErrorClass::Config, code: "TRANSFORM-0001", message: message.into(), source }
}

/// Typed settings.
pub(crate) fn parsed<S: Settings>(properties: &Properties) -> Result<S> {
    parse(properties).map_err(|report| config(report.to_string()))
}
