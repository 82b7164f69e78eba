//! One function per resource and method.
mod connectors;
mod flow;
mod internal;
pub(crate) mod letters;
mod lifecycle;
mod logging;
mod offsets;
mod plugins;
mod pools;
mod worker;
mod workers;

pub(crate) use connectors::stored_at;

use crate::access::Grant;
use crate::answer::Answer;
use crate::problem::Problem;
use crate::resource::Resource;
use crate::serve::Rest;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use elasticflow_herder::answer::ConnectorStatus;
use std::sync::Arc;

/// A request whose path is known already.
pub(crate) struct Call {
    /// HEAD counts as GET.
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Who calls.
    pub(crate) caller: Arc<Grant>,
    /// Whether it came over TLS.
    pub(crate) is_https: bool,
}

impl Call {
    /// Values of a query parameter, in order.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// Whether a query parameter is `true`, in any case.
    fn is_true(&self, name: &str) -> bool {
        self.all(name).next().is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn is(&self, method: &Method) -> bool {
        self.method == *method
    }
}

/// Carries out a request.
pub(crate) async fn handle(rest: &Rest, resource: Resource, call: Call) -> Result<Answer, Problem> {
    if resource.is_internal(call.method.as_str()) {
        return internal::refuse(rest, &call);
    }
    match resource {
        Resource::Root => worker::root(rest).await,
        Resource::Health => Ok(worker::health(rest)),
        Resource::Metrics => worker::metrics(rest).await,
        Resource::Connectors if call.is(&Method::POST) => connectors::create(rest, &call).await,
        Resource::Connectors => connectors::list(rest, &call).await,
        Resource::Connector(name) if call.is(&Method::DELETE) => connectors::delete(rest, &name).await,
        Resource::Connector(name) => Ok(Answer::ok(&rest.herder.info(&name).await?)),
        Resource::Config(name) if call.is(&Method::PUT) => connectors::put(rest, &name, &call).await,
        Resource::Config(name) if call.is(&Method::PATCH) => connectors::patch(rest, &name, &call).await,
        Resource::Config(name) => Ok(Answer::ok(&rest.herder.info(&name).await?.config)),
        Resource::Status(name) => Ok(Answer::ok(&shown(rest, rest.herder.status(&name).await?))),
        Resource::Tasks(name) | Resource::Fence(name) => Ok(Answer::ok(&rest.herder.tasks(&name).await?)),
        Resource::TaskStatus(name, task) => lifecycle::task_status(rest, &name, task).await,
        Resource::Restart(name) => lifecycle::restart(rest, &name, &call).await,
        Resource::TaskRestart(name, task) => lifecycle::restart_task(rest, &name, task).await,
        Resource::Pause(name) => lifecycle::accepted(rest.herder.pause(&name).await),
        Resource::Resume(name) => lifecycle::accepted(rest.herder.resume(&name).await),
        Resource::Stop(name) => lifecycle::stop(rest, &name).await,
        Resource::Topics(name) => lifecycle::topics(rest, &name).await,
        Resource::TopicsReset(name) => lifecycle::accepted(rest.herder.reset_topics(&name).await),
        Resource::Offsets(name) => offsets::handle(rest, &name, &call).await,
        Resource::AcceptLoss(name) => offsets::loss(rest, &name, &call).await,
        Resource::Signals(name) => lifecycle::signal(rest, &name, &call).await,
        Resource::Batches => worker::batches(rest, None, &call).await,
        Resource::BatchAbort(id) => worker::abort_batch(rest, &id, &call).await,
        Resource::Batch(id) => worker::batches(rest, Some(&id), &call).await,
        Resource::Errors(name) => letters::list(rest, &name, &call).await,
        Resource::Error(name, id) => letters::one(rest, &name, &id, &call).await,
        Resource::ErrorsReplay(name) => letters::replay(rest, &name, &call).await,
        Resource::ErrorsDiscard(name) => letters::discard(rest, &name, &call).await,
        Resource::ErrorsBudget(name) => Ok(Answer::ok(&rest.herder.error_budget(&name).await?)),
        Resource::ErrorsBudgetReset(name) => Ok(Answer::ok(&rest.herder.reset_error_budget(&name).await?)),
        Resource::Plugins => Ok(plugins::list(rest, &call)),
        Resource::PluginConfig(plugin) => plugins::config(rest, &plugin),
        Resource::PluginValidate(plugin) => plugins::validate(rest, &plugin, &call).await,
        Resource::Workers => Ok(workers::list(rest)),
        Resource::Worker(id) => workers::one(rest, &id),
        Resource::Drain(id) => workers::drain(rest, &id, true).await,
        Resource::Undrain(id) => workers::drain(rest, &id, false).await,
        Resource::Pools => pools::list(rest, &call).await,
        Resource::Pool(name) => pools::handle(rest, &name, &call).await,
        Resource::Loggers => Ok(Answer::ok(&rest.loggers.all())),
        Resource::Logger(name) if call.is(&Method::PUT) => logging::set(rest, &name, &call).await,
        Resource::Logger(name) => logging::one(rest, &name),
        Resource::FlowConnector(name) => flow::connector(rest, &name).await,
        Resource::FlowBreaker(name) if call.is(&Method::POST) => flow::overrule(rest, &name, &call).await,
        Resource::FlowBreaker(name) => Ok(Answer::ok(&rest.flow.breaker(&name).await?)),
        Resource::FlowAlerts => flow::alerts(rest, &call).await,
        Resource::FlowAlertAck(alert) => flow::acknowledge(rest, &alert, &call),
        Resource::FlowHooks => Ok(Answer::ok(&rest.flow.hooks().await?)),
        Resource::FlowHookTest(hook) => Ok(Answer::ok(&rest.flow.test_hook(&hook).await?)),
        Resource::FlowThrottle => flow::throttle(rest, &call).await,
        Resource::FlowLag => flow::lag(rest, &call).await,
    }
}

/// Without what Kafka Connect does not say, if the answers are to be its own.
fn shown(rest: &Rest, mut status: ConnectorStatus) -> ConnectorStatus {
    if !rest.options.extensions {
        status.tasks.iter_mut().for_each(|task| task.part.activity = None);
    }
    status
}
