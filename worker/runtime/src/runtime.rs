//! The handle: which tasks exist, how they are started, stopped and looked at.
use crate::breaker::TaskBreaker;
use crate::error::RuntimeError;
use crate::event::TaskState;
use crate::limit::TaskLimit;
use crate::metrics::{TaskMetrics, render};
use crate::options::RuntimeOptions;
use crate::services::Services;
use crate::spec::TaskSpec;
use crate::supervise::{self, Supervised};
use elasticflow_api::position::TaskId;
use elasticflow_config::flow::settings_of;
use elasticflow_config::{Properties, parse};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs tasks. Cheap to clone; every clone is the same runtime.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    services: Arc<Services>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    by_id: BTreeMap<TaskId, Supervised>,
    closed: bool,
}

/// How a stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// The task finished or aborted its open transaction and released its connector.
    Soft,
    /// It did not within `task.shutdown.graceful.timeout.ms` and was abandoned; a successor recovers.
    Hard,
    /// It did not run.
    NotRunning,
}

impl Runtime {
    /// A runtime without tasks. Must be called within a tokio runtime.
    pub fn new(options: RuntimeOptions) -> Self {
        Self { inner: Arc::new(Inner { services: Arc::new(Services::new(options)), tasks: Mutex::default() }) }
    }

    /// Starts a task under a supervisor of its own and returns at once; what becomes of it is told in events.
    ///
    /// # Errors
    /// A task of that name runs, or the runtime shuts down.
    pub fn start_task(&self, spec: TaskSpec) -> Result<(), RuntimeError> {
        let mut tasks = self.inner.tasks.lock();
        if tasks.closed {
            return Err(RuntimeError::ShuttingDown);
        }
        if tasks.by_id.get(&spec.id).is_some_and(Supervised::runs) {
            return Err(RuntimeError::AlreadyRunning(spec.id));
        }
        let id = spec.id.clone();
        tasks.by_id.insert(id, supervise::start(spec, Arc::clone(&self.inner.services)));
        Ok(())
    }

    /// Stops a task: softly first, which finishes or aborts its open transaction; hard after
    /// `task.shutdown.graceful.timeout.ms`. Reports `Stopped` unless the task had ended before. Forgets the task.
    pub async fn stop_task(&self, id: &TaskId) -> StopOutcome {
        let found = self.inner.tasks.lock().by_id.remove(id);
        match found {
            Some(task) => task.stop(self.inner.services.options.graceful_timeout).await,
            None => StopOutcome::NotRunning,
        }
    }

    /// Stops every task, all at the same time, and refuses new ones.
    pub async fn shut_down(&self) {
        let all = {
            let mut tasks = self.inner.tasks.lock();
            tasks.closed = true;
            std::mem::take(&mut tasks.by_id)
        };
        let graceful = self.inner.services.options.graceful_timeout;
        futures_util::future::join_all(all.into_values().map(|task| task.stop(graceful))).await;
    }

    /// Pauses a task: its open transaction is committed, nothing is read until [`Runtime::resume`]. A failed task stays so.
    ///
    /// # Errors
    /// The task was not started here.
    pub fn pause(&self, id: &TaskId) -> Result<(), RuntimeError> {
        self.set_paused(id, true)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// The task was not started here.
    pub fn resume(&self, id: &TaskId) -> Result<(), RuntimeError> {
        self.set_paused(id, false)
    }

    fn set_paused(&self, id: &TaskId, paused: bool) -> Result<(), RuntimeError> {
        let tasks = self.inner.tasks.lock();
        let task = tasks.by_id.get(id).ok_or_else(|| RuntimeError::UnknownTask(id.clone()))?;
        task.set_paused(paused);
        Ok(())
    }

    /// Gives a task the keys of a configuration that take effect while it runs; the others are left alone.
    ///
    /// # Errors
    /// The task was not started here, or a value cannot be read: then everything stays as it was.
    pub fn adjust(&self, id: &TaskId, properties: &Properties) -> Result<(), RuntimeError> {
        let settings = settings_of(properties, &self.inner.services.options.worker);
        let rates = parse(&settings).map_err(|report| RuntimeError::Unreadable(id.clone(), report.to_string()))?;
        let limit = self.limit(id).ok_or_else(|| RuntimeError::UnknownTask(id.clone()))?;
        limit.set_rates(&rates);
        limit.set_cap(supervise::cap(&settings));
        Ok(())
    }

    /// The limits of a task: may be read and changed while it runs.
    pub fn limit(&self, id: &TaskId) -> Option<Arc<TaskLimit>> {
        self.inner.tasks.lock().by_id.get(id).map(Supervised::limit)
    }

    /// The circuit breaker of a task: may be looked at and overruled while it runs.
    pub fn breaker(&self, id: &TaskId) -> Option<Arc<TaskBreaker>> {
        self.inner.tasks.lock().by_id.get(id).map(Supervised::breaker)
    }

    /// The limits of every task that was started and not stopped.
    pub fn limits(&self) -> Vec<(TaskId, Arc<TaskLimit>)> {
        self.inner.tasks.lock().by_id.iter().map(|(id, task)| (id.clone(), task.limit())).collect()
    }

    /// Every task that was started and not stopped, with its state.
    pub fn tasks(&self) -> Vec<(TaskId, TaskState)> {
        self.inner.tasks.lock().by_id.iter().map(|(id, task)| (id.clone(), task.state())).collect()
    }

    /// The counters of every such task, live.
    pub fn metrics(&self) -> Vec<(Arc<TaskMetrics>, TaskState)> {
        self.inner.tasks.lock().by_id.values().map(|task| (task.metrics(), task.state())).collect()
    }

    /// Appends the counters in Prometheus' text format.
    pub fn render_prometheus(&self, out: &mut String) {
        render(&self.metrics(), out);
    }
}
