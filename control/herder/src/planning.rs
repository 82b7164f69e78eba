//! Asking a connector for its tasks: off the loop, on a thread that it may block, within a time.
use crate::admission::resolve;
use crate::failure::{trace, trace_of};
use crate::handle::WorkerContext;
use crate::options::ExactlyOnce;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry};
use elasticflow_api::{ConnectorError, ErrorClass};
use elasticflow_config::Properties;
use elasticflow_plan::tasks;
use std::sync::Arc;

/// What a connector is asked with.
pub(crate) struct Question {
    /// Name.
    pub(crate) name: String,
    /// Configuration as stored.
    pub(crate) config: Arc<Properties>,
    /// The worker.
    pub(crate) cx: Arc<WorkerContext>,
    /// Asks for a new plan later.
    pub(crate) replan: Arc<dyn Fn() + Send + Sync>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoPlan {
    /// For the status.
    pub(crate) trace: String,
    /// The same question may be answered later.
    pub(crate) transient: bool,
}

impl NoPlan {
    fn config(message: &str) -> Self {
        Self { trace: trace(ErrorClass::Config, message), transient: false }
    }

    fn definite(message: &str) -> Self {
        Self { trace: trace(ErrorClass::Definite, message), transient: false }
    }
}

impl From<ConnectorError> for NoPlan {
    fn from(error: ConnectorError) -> Self {
        Self { trace: trace_of(&error), transient: matches!(error.class, ErrorClass::Transient { .. }) }
    }
}

/// Task configurations as they are to be stored.
pub(crate) async fn plan(question: Question) -> Result<Vec<Properties>, NoPlan> {
    let limit = question.cx.options.connector_timeout;
    let runtime = tokio::runtime::Handle::current();
    // A connector that blocks its thread must not hold one that other tasks need.
    let planned = tokio::task::spawn_blocking(move || runtime.block_on(ask(question)));
    match tokio::time::timeout(limit, planned).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(NoPlan::definite("The connector panicked while it was asked for its tasks")),
        Err(_) => {
            let text =
                format!("The connector did not answer within {} s when it was asked for its tasks", limit.as_secs());
            Err(NoPlan { trace: trace(ErrorClass::Transient { retry_after: None }, &text), transient: true })
        }
    }
}

async fn ask(question: Question) -> Result<Vec<Properties>, NoPlan> {
    let Question { name, config, cx, replan } = question;
    let class = config.value("connector.class").unwrap_or("");
    let entry = cx.registry.connector(class.trim()).ok_or_else(|| {
        NoPlan::config(&format!("Failed to find any class that implements Connector and which name matches {class}"))
    })?;
    let resolved = resolve(&config, &cx).await.map_err(|why| NoPlan::config(&why))?;
    check_exactly_once(entry, &resolved, cx.options.exactly_once)?;
    let tasks_max = match resolved.value("tasks.max").map(|text| text.trim().parse::<usize>()) {
        None => 1,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => return Err(NoPlan::config("tasks.max must be a whole number of at least 1")),
    };
    let context = ConnectorContext { clock: Arc::clone(&cx.clock), replan };
    let planned = match &entry.plugin {
        Plugin::Source(source) => source.plan(&resolved, tasks_max, &context).await?,
        Plugin::Sink(sink) => sink.plan(&resolved, tasks_max)?,
        _ => return Err(NoPlan::config(&format!("{class} is not a connector"))),
    };
    let enforced = !resolved.value("tasks.max.enforce").is_some_and(|text| text.trim().eq_ignore_ascii_case("false"));
    tasks::check_count(&name, planned.len(), tasks_max, enforced).map_err(|why| NoPlan::definite(&why))?;
    let task_class = tasks::task_class(entry.class);
    let own = planned.into_iter().map(|task| Properties(task.0));
    Ok(own.map(|own| tasks::stored_config(&config, &resolved, &own, &task_class)).collect())
}

/// A connector that must be exactly once does not run where it cannot be; validation says so first, but not for
/// configurations that were stored by others.
fn check_exactly_once(entry: &PluginEntry, resolved: &Properties, worker: ExactlyOnce) -> Result<(), NoPlan> {
    let Plugin::Source(source) = &entry.plugin else { return Ok(()) };
    let required =
        resolved.value("exactly.once.support").is_some_and(|text| text.trim().eq_ignore_ascii_case("required"));
    if !required {
        return Ok(());
    }
    if worker != ExactlyOnce::Enabled {
        return Err(NoPlan::config("This worker does not have exactly-once source support enabled."));
    }
    if source.guarantee(resolved) != Some(Guarantee::ExactlyOnce) {
        let text = "The connector does not support exactly-once semantics with the provided configuration.";
        return Err(NoPlan::config(text));
    }
    Ok(())
}
