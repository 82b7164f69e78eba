//! Logs: one line an event on standard error, text or JSON.
use tracing_subscriber::EnvFilter;

/// Environment variable with filter directives, such as `info,elasticflow_runtime=debug`.
const FILTER: &str = "ELASTICFLOW_LOG";
/// Environment variable that chooses `text` (default) or `json`.
const FORMAT: &str = "ELASTICFLOW_LOG_FORMAT";

/// Starts logging; a command that talks to a person passes `warn` so that its own lines can be read.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start happens in tests alone; the first one stays.
    let outcome = match std::env::var(FORMAT).as_deref() {
        Ok("json") => builder.json().try_init(),
        _ => builder.with_ansi(false).try_init(),
    };
    drop(outcome);
}
