//! Logs: one line an event on standard error, text or JSON; levels change while the process runs.
use elasticflow_rest::{Directive, Level, Loggers};
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

/// Environment variable with filter directives, such as `info,elasticflow_runtime=debug`.
const FILTER: &str = "ELASTICFLOW_LOG";
/// Environment variable that chooses `text` (default) or `json`.
const FORMAT: &str = "ELASTICFLOW_LOG_FORMAT";

/// Starts logging at a level, and gives the loggers that REST may change. A command that talks to a person passes `Warn`,
/// so that its own lines can be read.
pub(crate) fn start(level: Level) -> Loggers {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(level.filter()));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    // A second start happens in tests alone; the first one stays.
    let started = match std::env::var(FORMAT).as_deref() {
        Ok("json") => registry.with(lines.json()).try_init(),
        _ => registry.with(lines.with_ansi(false)).try_init(),
    };
    drop(started);
    let apply = move |directives: &[Directive]| {
        let changed = handle.reload(EnvFilter::new(text_of(directives)));
        if let Err(error) = changed {
            tracing::error!(%error, "the log levels cannot be changed");
        }
    };
    Loggers::new(level, Arc::new(apply))
}

fn text_of(directives: &[Directive]) -> String {
    let one = |d: &Directive| {
        let level = d.level.filter();
        if d.target.is_empty() { level.to_owned() } else { format!("{}={level}", d.target) }
    };
    directives.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_become_a_filter() {
        let all = Directive { target: String::new(), level: Level::Warn };
        let one = Directive { target: "elasticflow_runtime".to_owned(), level: Level::Trace };
        assert_eq!(text_of(&[all, one]), "warn,elasticflow_runtime=trace");
    }
}
