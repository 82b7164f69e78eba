//! The workers, their connectors, and every answer counted.
use anyhow::{Context, Result, bail, ensure};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const WORKERS: usize = 3;
/// Clients that create at the same time.
const CLIENTS: usize = 8;
/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Clock ticks a second of `/proc/<pid>/stat` on Linux.
const TICKS: f64 = 100.0;

/// Three workers of one group.
pub(crate) struct Fleet {
    workers: Vec<Worker>,
    topic: String,
    conflicts: Arc<AtomicUsize>,
}

/// How long creations took.
pub(crate) struct Posts {
    pub(crate) each: Vec<Duration>,
    pub(crate) took: Duration,
}

impl Fleet {
    pub(crate) async fn start(dir: &Path, bootstrap: &str) -> Result<Self> {
        let group = format!("crowd-{}", run_number());
        let topic = format!("{group}-records");
        create_topic(&*cluster(bootstrap)?, &topic, 1).await?;
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let mut options = WorkerOptions::new(&dir.join(format!("w{number}")), bootstrap, &group)?;
            // As a worker of Connect's defaults; with exactly-once sources each task has a producer of its own.
            options.properties.insert("exactly.once.source.support".to_owned(), "disabled".to_owned());
            workers.push(Worker::start(options).await?);
        }
        Ok(Self { workers, topic, conflicts: Arc::default() })
    }

    /// A client of any worker.
    pub(crate) fn client(&self, number: usize) -> Client {
        let rest = self.workers[number % self.workers.len()].rest();
        Client { rest, conflicts: Arc::clone(&self.conflicts) }
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        (0..self.workers.len()).map(|number| self.client(number)).collect()
    }

    pub(crate) fn conflicts(&self) -> usize {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// A generator of a record a second.
    pub(crate) fn config(&self) -> Value {
        json!({
            "connector.class": "datagen", "tasks.max": "1", "kafka.topic": self.topic, "fields": "id:seq",
            "iterations": "-1", "flow.rate.records": "1",
        })
    }

    /// Creates connectors by number, several at a time.
    pub(crate) async fn create(&self, numbers: Range<usize>) -> Result<Posts> {
        let (next, last, began) = (Arc::new(AtomicUsize::new(numbers.start)), numbers.end, Instant::now());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (next, clients, config) = (Arc::clone(&next), self.clients(), self.config());
                tokio::spawn(async move {
                    let mut each = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= last {
                            return anyhow::Ok(each);
                        }
                        let began = Instant::now();
                        clients[number % clients.len()].create(&name(number), &config).await?;
                        each.push(began.elapsed());
                    }
                })
            })
            .collect();
        let mut each = Vec::new();
        for client in clients {
            each.extend(client.await??);
        }
        Ok(Posts { each, took: began.elapsed() })
    }

    /// Waits until every worker says that every task runs, on workers that are there.
    pub(crate) async fn await_running(&self, count: usize) -> Result<Duration> {
        let began = Instant::now();
        let alive: Vec<String> = self.workers.iter().map(|w| format!("127.0.0.1:{}", w.options.port)).collect();
        for client in self.clients() {
            loop {
                let all = client.ask("GET", "/connectors?expand=status", None).await?;
                let runs = |task: &Value| {
                    let there = task["worker_id"].as_str().is_some_and(|id| alive.iter().any(|known| known == id));
                    task["state"] == "RUNNING" && there
                };
                let tasks = all.as_object().into_iter().flatten().map(|(_, one)| &one["status"]["tasks"][0]);
                let running = tasks.filter(|task| runs(task)).count();
                if running == count {
                    break;
                }
                ensure!(began.elapsed() < PATIENCE, "{running} of {count} tasks run after {PATIENCE:?}");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(began.elapsed())
    }

    /// Ends each worker and starts it again; how long each took until everything ran.
    pub(crate) async fn roll(&mut self, count: usize) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        for _ in 0..self.workers.len() {
            let (worker, began) = (self.workers.remove(0), Instant::now());
            let options = worker.options.clone();
            ensure!(worker.stop().await?, "a worker did not end cleanly");
            self.workers.push(Worker::start(options).await?);
            self.await_running(count).await?;
            took.push(began.elapsed());
        }
        Ok(took)
    }

    /// Kills a worker; how long it took until everything ran on the others.
    pub(crate) async fn lose_one(&mut self, count: usize) -> Result<Duration> {
        let began = Instant::now();
        self.workers.remove(0).kill()?;
        self.await_running(count).await?;
        Ok(began.elapsed())
    }

    /// User and system time of all workers.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        self.workers.iter().map(|worker| cpu_s(worker.pid())).sum()
    }

    /// Resident memory of each worker.
    pub(crate) fn memory_mib(&self) -> Result<Vec<f64>> {
        self.workers.iter().map(|worker| memory_mib(worker.pid())).collect()
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("c{number:05}")
}

/// A client that counts refusals because of the group.
#[derive(Clone)]
pub(crate) struct Client {
    rest: Rest,
    conflicts: Arc<AtomicUsize>,
}

impl Client {
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        loop {
            match self.rest.call(method, path, body).await? {
                (200..=299, answer) => return Ok(answer),
                (409, _) => drop(self.conflicts.fetch_add(1, Ordering::Relaxed)),
                (status, answer) => bail!("{method} {path} answered {status}: {answer}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The state of a connector's one task; `None` while there is no status of it.
    pub(crate) async fn state(&self, name: &str) -> Result<Option<String>> {
        let path = format!("/connectors/{name}/status");
        match self.rest.call("GET", &path, None).await? {
            (200, status) => Ok(status["tasks"][0]["state"].as_str().map(str::to_owned)),
            (404, _) => Ok(None),
            (code, answer) => bail!("GET {path} answered {code}: {answer}"),
        }
    }

    pub(crate) async fn create(&self, name: &str, config: &Value) -> Result<()> {
        let body = json!({"name": name, "config": config});
        self.ask("POST", "/connectors", Some(&body)).await.map(drop)
    }
}

fn cpu_s(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).context("/proc/<pid>/stat is short");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

fn memory_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).context("/proc/<pid>/status has no VmRSS")
}
