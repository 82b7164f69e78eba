//! Joins the herder and the runtime, which do not know each other.
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use elasticflow_config::flow::{LagSettings, QuotaSettings, settings_of};
use elasticflow_config::{Properties, parse};
use elasticflow_herder::TaskNews;
use elasticflow_herder::ports::{TaskChange, TaskEvent, TaskKind, TaskRunner, TaskSpec};
use elasticflow_runtime::{Allowance, Control, Happening, Runtime, RuntimeError, TaskState};
use std::sync::Arc;

/// The callback through which the runtime leaves its news for the herder.
pub(crate) fn reporter(news: &TaskNews) -> Arc<dyn Fn(elasticflow_runtime::TaskEvent) + Send + Sync> {
    let news = news.clone();
    Arc::new(move |event| {
        if let Some(change) = change_of(event.what) {
            news.push(TaskEvent { task: event.id, generation: event.generation, change });
        }
    })
}

/// What the herder must know of an event; stops that it asked for itself are left out.
fn change_of(what: Happening) -> Option<TaskChange> {
    match what {
        Happening::State(TaskState::Running) => Some(TaskChange::Running),
        Happening::State(TaskState::Starting { trace }) => Some(TaskChange::Starting { trace }),
        Happening::State(TaskState::Pending { trace }) => Some(TaskChange::Pending { trace }),
        Happening::State(TaskState::Paused) => Some(TaskChange::Paused),
        Happening::State(TaskState::Held { trace }) => Some(TaskChange::Held { trace }),
        Happening::State(TaskState::Restarting { trace }) => Some(TaskChange::Restarting { trace }),
        Happening::State(TaskState::Failed { trace }) => Some(TaskChange::Failed { trace }),
        Happening::State(TaskState::Fenced) => Some(TaskChange::Fenced),
        Happening::Topic(topic) => Some(TaskChange::TopicsUsed(vec![topic.to_string()])),
        Happening::Doing(words) => Some(TaskChange::Doing(words)),
        Happening::State(TaskState::Stopped) | Happening::EndOfData => None,
    }
}

/// Whether a source has a cap that holds it, of its own or by the worker's defaults.
fn is_capped(properties: &Properties, defaults: &Properties) -> bool {
    parse::<LagSettings>(&settings_of(properties, defaults)).is_ok_and(|lag| lag.holding_cap().is_some())
}

/// Whether the tasks of a connector wait for what a quota lets them have.
fn waits_for_quota(properties: &Properties, defaults: &Properties) -> bool {
    parse::<QuotaSettings>(&settings_of(properties, defaults)).is_ok_and(|quota| quota.holds())
}

/// The runtime as the herder sees it.
pub(crate) struct RuntimeRunner {
    pub(crate) runtime: Runtime,
    pub(crate) news: TaskNews,
    /// Whether there is flow control: a source with a cap then waits for its first grant.
    pub(crate) grants: bool,
    /// The worker's defaults of flow control.
    pub(crate) flow_defaults: Properties,
}

#[async_trait]
impl TaskRunner for RuntimeRunner {
    fn start(&self, spec: TaskSpec) {
        let (task, generation) = (spec.id.clone(), spec.generation);
        let is_source = matches!(spec.kind, TaskKind::Source);
        let spec = elasticflow_runtime::TaskSpec {
            id: spec.id,
            kind: match spec.kind {
                TaskKind::Source => elasticflow_runtime::TaskKind::Source,
                TaskKind::Sink => elasticflow_runtime::TaskKind::Sink,
            },
            properties: spec.properties,
            task: spec.task,
            tasks: spec.tasks,
            paused: spec.paused,
            generation: spec.generation,
            version_epoch: spec.version_epoch,
        };
        let is_capped = self.grants && is_source && is_capped(&spec.properties, &self.flow_defaults);
        let has_quota = self.grants && waits_for_quota(&spec.properties, &self.flow_defaults);
        if let Err(error) = self.runtime.start_task(spec) {
            let change = TaskChange::Failed { trace: error.to_string() };
            self.news.push(TaskEvent { task, generation, change });
        } else if (is_capped || has_quota)
            && let Some(limit) = self.runtime.limit(&task)
        {
            // Before its first poll, which comes after a round trip to Kafka at the earliest.
            let quota = Allowance { records: has_quota.then_some(0), bytes: None };
            limit.set_control(Control { granted_bytes: is_capped.then_some(0), quota, ..Control::default() });
        }
    }

    async fn stop(&self, task: &TaskId) {
        self.runtime.stop_task(task).await;
    }

    fn pause(&self, task: &TaskId) {
        if let Err(error) = self.runtime.pause(task) {
            tracing::debug!(%task, %error, "nothing to pause");
        }
    }

    fn resume(&self, task: &TaskId) {
        if let Err(error) = self.runtime.resume(task) {
            tracing::debug!(%task, %error, "nothing to resume");
        }
    }

    fn adjust(&self, task: &TaskId, properties: &Properties) {
        match self.runtime.adjust(task, properties) {
            Ok(()) => tracing::info!(%task, "limits were changed while the task runs"),
            Err(error @ RuntimeError::Unreadable(..)) => tracing::warn!(%task, %error, "limits were not changed"),
            Err(error) => tracing::debug!(%task, %error, "nothing to adjust"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_the_connectors_own_or_the_workers_default() {
        let (none, own) = (Properties::default(), |cap| Properties::from_iter([("flow.cap.bytes", cap)]));
        let default = Properties::from_iter([("flow.default.cap.bytes", "16777216")]);
        assert!(!is_capped(&none, &none));
        assert!(is_capped(&own("16777216"), &none));
        assert!(is_capped(&none, &default));
        assert!(!is_capped(&own("-1"), &default), "its own word counts");
        assert!(!is_capped(&own("16777216").with("flow.cap.action", "alarm"), &none), "an alarm holds nobody");
    }
}
