//! A task runner that runs nothing and reports what it is told to.
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use elasticflow_config::Properties;
use elasticflow_herder::TaskNews;
use elasticflow_herder::ports::{TaskChange, TaskEvent, TaskRunner, TaskSpec};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Start(String),
    Stop(String),
    Pause(String),
    Resume(String),
    /// With the rate of records.
    Adjust(String, String),
}

#[derive(Default)]
struct Inner {
    running: BTreeMap<String, TaskSpec>,
    calls: Vec<Call>,
    hold_stops: bool,
    /// What runs on all workers together, if somebody watches that: task and worker.
    everywhere: Option<(Everywhere, String)>,
}

/// Instances of every worker by task; two of one task are noted as well.
#[derive(Clone, Default)]
pub(crate) struct Everywhere(pub(crate) Arc<Mutex<Instances>>);

#[derive(Default)]
pub(crate) struct Instances {
    pub(crate) by_task: BTreeMap<String, String>,
    pub(crate) doubled: Vec<String>,
}

impl Everywhere {
    fn started(&self, task: &str, worker: &str) {
        let mut all = self.0.lock().unwrap();
        if let Some(other) = all.by_task.insert(task.to_owned(), worker.to_owned()) {
            all.doubled.push(format!("{task} runs on {other} and on {worker}"));
        }
    }

    fn ended(&self, task: &str, worker: &str) {
        let mut all = self.0.lock().unwrap();
        if all.by_task.get(task).is_some_and(|known| known == worker) {
            all.by_task.remove(task);
        }
    }

    /// The process is gone, and everything in it.
    pub(crate) fn crashed(&self, worker: &str) {
        self.0.lock().unwrap().by_task.retain(|_, known| known != worker);
    }
}

/// Tasks that run as soon as they are started.
#[derive(Clone, Default)]
pub(crate) struct Runner {
    inner: Arc<Mutex<Inner>>,
    released: Arc<Notify>,
    pub(crate) news: TaskNews,
}

impl Runner {
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.inner.lock().unwrap().calls.clone()
    }

    pub(crate) fn forget_calls(&self) {
        self.inner.lock().unwrap().calls.clear();
    }

    /// Names of the tasks that run.
    pub(crate) fn running(&self) -> Vec<String> {
        self.inner.lock().unwrap().running.keys().cloned().collect()
    }

    pub(crate) fn spec(&self, task: &str) -> TaskSpec {
        self.inner.lock().unwrap().running.get(task).cloned().unwrap()
    }

    /// Lets a task report something.
    pub(crate) fn report(&self, task: &str, change: TaskChange) {
        let spec = self.spec(task);
        self.news.push(TaskEvent { task: spec.id, generation: spec.generation, change });
    }

    /// Stops take until they are released.
    pub(crate) fn hold_stops(&self) {
        self.inner.lock().unwrap().hold_stops = true;
    }

    pub(crate) fn release_stops(&self) {
        self.inner.lock().unwrap().hold_stops = false;
        self.released.notify_waiters();
    }

    /// Has what runs here noted together with what runs on other workers.
    pub(crate) fn watched(&self, by: &Everywhere, worker: &str) {
        self.inner.lock().unwrap().everywhere = Some((by.clone(), worker.to_owned()));
    }

    /// The process is gone: what still happens here is nobody's business.
    pub(crate) fn unwatched(&self) {
        self.inner.lock().unwrap().everywhere = None;
    }

    fn watcher(&self) -> Option<(Everywhere, String)> {
        self.inner.lock().unwrap().everywhere.clone()
    }

    fn call(&self, call: Call) {
        self.inner.lock().unwrap().calls.push(call);
    }
}

#[async_trait]
impl TaskRunner for Runner {
    fn start(&self, spec: TaskSpec) {
        self.call(Call::Start(spec.id.to_string()));
        if let Some((everywhere, worker)) = self.watcher() {
            everywhere.started(&spec.id.to_string(), &worker);
        }
        let change = if spec.paused { TaskChange::Paused } else { TaskChange::Running };
        let event = TaskEvent { task: spec.id.clone(), generation: spec.generation, change };
        let older = self.inner.lock().unwrap().running.insert(spec.id.to_string(), spec);
        assert!(older.is_none(), "one instance of a task at a time");
        self.news.push(event);
    }

    async fn stop(&self, task: &TaskId) {
        self.call(Call::Stop(task.to_string()));
        loop {
            let released = self.released.notified();
            if !self.inner.lock().unwrap().hold_stops {
                break;
            }
            released.await;
        }
        self.inner.lock().unwrap().running.remove(&task.to_string());
        if let Some((everywhere, worker)) = self.watcher() {
            everywhere.ended(&task.to_string(), &worker);
        }
    }

    fn pause(&self, task: &TaskId) {
        self.call(Call::Pause(task.to_string()));
        self.report(&task.to_string(), TaskChange::Paused);
    }

    fn resume(&self, task: &TaskId) {
        self.call(Call::Resume(task.to_string()));
        self.report(&task.to_string(), TaskChange::Running);
    }

    fn adjust(&self, task: &TaskId, properties: &Properties) {
        let rate = properties.value("flow.rate.records").unwrap_or("none");
        self.call(Call::Adjust(task.to_string(), rate.to_owned()));
    }
}
