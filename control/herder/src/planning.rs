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
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Connectors that are asked at the same time, a thread each.
pub(crate) const PLANS_MAX: usize = 64;
/// After the time of an answer that never comes: for one that comes just in time.
const SLACK: Duration = Duration::from_millis(200);

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

    fn transient(message: &str) -> Self {
        Self { trace: trace(ErrorClass::Transient { retry_after: None }, message), transient: true }
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
///
/// A connector that blocks its thread must not hold one that others need, nor keep the process from ending: it gets a
/// thread of its own, which is left behind if it does not come back.
pub(crate) async fn plan(question: Question, threads: Arc<Semaphore>) -> Result<Vec<Properties>, NoPlan> {
    let limit = question.cx.options.connector_timeout;
    if question.cx.options.plans_inline {
        return tokio::time::timeout(limit, ask(question)).await.unwrap_or_else(|_| Err(late(limit)));
    }
    let Ok(permit) = threads.acquire_owned().await else { return Err(late(limit)) };
    let (answer, answered) = oneshot::channel();
    let runtime = Handle::current();
    let asking = move || {
        let outcome = runtime.block_on(async { tokio::time::timeout(limit, ask(question)).await });
        drop(answer.send(outcome.unwrap_or_else(|_| Err(late(limit)))));
    };
    let thread = std::thread::Builder::new().name("connector-plan".to_owned()).spawn(asking);
    let outcome = match thread {
        Ok(_) => tokio::time::timeout(limit + SLACK, answered).await,
        Err(error) => Ok(Ok(Err(NoPlan::transient(&format!("no thread to ask the connector on: {error}"))))),
    };
    drop(permit);
    match outcome {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(NoPlan::definite("The connector panicked while it was asked for its tasks")),
        Err(_) => Err(late(limit)),
    }
}

fn late(limit: Duration) -> NoPlan {
    let seconds = limit.as_secs_f32();
    NoPlan::transient(&format!("The connector did not answer within {seconds} s when it was asked for its tasks"))
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
