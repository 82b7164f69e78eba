//! Errors as traces: what stands in a status.
use elasticflow_api::{ConnectorError, ErrorClass};
use std::error::Error;

/// Kafka Connect's exception class for an error that a connector or a reference raised.
fn exception(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Config => "org.apache.kafka.common.config.ConfigException",
        ErrorClass::Transient { .. } => "org.apache.kafka.connect.errors.RetriableException",
        ErrorClass::Record => "org.apache.kafka.connect.errors.DataException",
        ErrorClass::Definite | ErrorClass::Fenced | ErrorClass::Bug => {
            "org.apache.kafka.connect.errors.ConnectException"
        }
    }
}

/// `<class>: <message>`, then a line for each cause.
pub(crate) fn trace_of(error: &ConnectorError) -> String {
    let mut trace = trace(error.class, &error.to_string());
    let mut cause = error.source.as_ref().map(|s| s.as_ref() as &dyn Error);
    while let Some(error) = cause {
        trace.push_str(&format!("\nCaused by: {error}"));
        cause = error.source();
    }
    trace
}

/// `<class>: <message>` of an error without causes.
pub(crate) fn trace(class: ErrorClass, message: &str) -> String {
    format!("{}: {message}", exception(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_class_and_message_and_causes_follow() {
        let cause = std::io::Error::other("connection refused");
        let error = ConnectorError {
            class: ErrorClass::Transient { retry_after: None },
            code: "X-0001",
            message: "cannot reach the database".to_owned(),
            source: Some(Box::new(cause)),
        };
        let expected = "org.apache.kafka.connect.errors.RetriableException: X-0001: cannot reach the database\nCaused by: connection refused";
        assert_eq!(trace_of(&error), expected);
    }
}
