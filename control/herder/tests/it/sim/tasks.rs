//! Tasks that are played: they take a while to start and to stop, and it is watched that no two run at once.
use super::network::{Dice, Life, Link};
use super::trace::trace;
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use elasticflow_config::Properties;
use elasticflow_herder::TaskNews;
use elasticflow_herder::ports::{TaskChange, TaskEvent, TaskRunner, TaskSpec};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Longest that tasks have to stop.
pub(super) const GRACEFUL: Duration = Duration::from_secs(3);
/// A worker that goes on after it was frozen has this long to see what it has missed.
const AWAKE: Duration = Duration::from_millis(200);

struct Instance {
    task: String,
    worker: String,
    link: Arc<Link>,
    generation: u64,
    /// It was told to stop, so that another one may run.
    told: bool,
}

/// Instances of all workers.
#[derive(Clone, Default)]
pub(super) struct Instances(Arc<Mutex<Vec<Instance>>>);

impl Instances {
    /// Two instances of a task that run, neither of which was told to stop.
    pub(super) fn doubled(&self) -> Option<String> {
        let all = self.0.lock().unwrap();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        all.iter().filter(|instance| !instance.told && instance.link.has_run_for(AWAKE)).find_map(|instance| {
            let other = seen.insert(&instance.task, &instance.worker)?;
            Some(format!("{} runs on {other} and on {}", instance.task, instance.worker))
        })
    }

    /// Where each task runs.
    pub(super) fn running(&self) -> Vec<(String, String)> {
        let all = self.0.lock().unwrap();
        let up = all.iter().filter(|instance| !instance.told && instance.link.life() == Life::Runs);
        up.map(|instance| (instance.task.clone(), instance.worker.clone())).collect()
    }

    /// What a process had is gone with it.
    pub(super) fn crashed(&self, link: &Arc<Link>) {
        self.0.lock().unwrap().retain(|instance| !Arc::ptr_eq(&instance.link, link));
    }
}

/// The tasks of one worker.
pub(super) struct SimRunner {
    pub(super) worker: String,
    pub(super) link: Arc<Link>,
    pub(super) dice: Dice,
    pub(super) instances: Instances,
    pub(super) news: TaskNews,
    /// When each task has said its last word.
    pub(super) said: Mutex<BTreeMap<String, Instant>>,
}

impl SimRunner {
    fn generation(&self, task: &TaskId) -> u64 {
        let (name, all) = (task.to_string(), self.instances.0.lock().unwrap());
        let mine = all.iter().find(|instance| instance.task == name && Arc::ptr_eq(&instance.link, &self.link));
        mine.map_or(0, |instance| instance.generation)
    }

    fn says(&self, task: &TaskId, generation: u64, change: TaskChange) {
        let (link, news, wait) = (Arc::clone(&self.link), self.news.clone(), self.dice.ms(0, 300));
        let task = task.clone();
        let at = {
            // A task says one thing after the other.
            let mut said = self.said.lock().unwrap();
            let last = said.get(&task.to_string()).map_or_else(Instant::now, |last| *last + Duration::from_millis(1));
            let at = last.max(Instant::now() + wait);
            said.insert(task.to_string(), at);
            at
        };
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            link.runs().await;
            news.push(TaskEvent { task, generation, change });
        });
    }
}

#[async_trait]
impl TaskRunner for SimRunner {
    fn start(&self, spec: TaskSpec) {
        trace(|| format!("  {} starts {}", self.worker, spec.id));
        let (task, worker, link) = (spec.id.to_string(), self.worker.clone(), Arc::clone(&self.link));
        self.instances.0.lock().unwrap().push(Instance {
            task,
            worker,
            link,
            generation: spec.generation,
            told: false,
        });
        let change = if spec.paused { TaskChange::Paused } else { TaskChange::Running };
        self.says(&spec.id, spec.generation, change);
    }

    async fn stop(&self, task: &TaskId) {
        let name = task.to_string();
        let mine = |instance: &Instance| instance.task == name && Arc::ptr_eq(&instance.link, &self.link);
        trace(|| format!("  {} stops {name}", self.worker));
        self.instances.0.lock().unwrap().iter_mut().filter(|i| mine(i)).for_each(|instance| instance.told = true);
        let wait = if self.dice.one_in(12) { GRACEFUL } else { self.dice.ms(0, 600) };
        tokio::time::sleep(wait).await;
        self.link.runs().await;
        self.instances.0.lock().unwrap().retain(|instance| !mine(instance));
        trace(|| format!("  {} has stopped {name}", self.worker));
    }

    fn pause(&self, task: &TaskId) {
        self.says(task, self.generation(task), TaskChange::Paused);
    }

    fn resume(&self, task: &TaskId) {
        self.says(task, self.generation(task), TaskChange::Running);
    }

    fn adjust(&self, _: &TaskId, _: &Properties) {}
}
