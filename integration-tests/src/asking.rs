//! Requests to every worker of a group while something is disturbed: what they say of the tasks, whether they fail, and
//! whether what was acknowledged is there.
use crate::rest::Rest;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Pause between two rounds of requests.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Longest that what was acknowledged last takes to be shown everywhere.
const SHOWN_MAX: Duration = Duration::from_secs(30);
/// The connector whose configuration is changed: stopped, so that nothing else depends on it.
const CHANGED: &str = "changed";

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// Reads that were answered.
    pub reads: u64,
    /// Changes that were acknowledged.
    pub changes: u64,
    /// The read that took longest.
    pub slowest_read: Duration,
    /// The change that took longest.
    pub slowest_change: Duration,
    /// Answers that blame the worker, and requests without an answer.
    pub refused: Vec<String>,
    /// Tasks that were shown as FAILED, with their traces.
    pub failed: BTreeSet<String>,
    acknowledged: Option<u64>,
    pending: Option<u64>,
}

/// Asks until it is told to end.
pub struct Asking {
    heard: Arc<Mutex<Heard>>,
    workers: Vec<Rest>,
    asking: Vec<JoinHandle<()>>,
}

impl Asking {
    /// Asks these workers, which have to be there all the time.
    ///
    /// # Errors
    /// They refuse the connector whose configuration is to be changed.
    pub async fn begin(workers: Vec<Rest>) -> Result<Self> {
        let any = workers.first().context("nobody to ask")?;
        let create = json!({"name": CHANGED, "config": config(0), "initial_state": "STOPPED"});
        any.expect("POST", "/connectors", Some(&create)).await?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let mut asking: Vec<JoinHandle<()>> =
            workers.iter().map(|worker| tokio::spawn(read(worker.clone(), Arc::clone(&heard)))).collect();
        asking.push(tokio::spawn(change(workers.clone(), Arc::clone(&heard))));
        Ok(Self { heard, workers, asking })
    }

    /// Stops asking; every worker shows the change that was acknowledged last.
    ///
    /// # Errors
    /// One shows another.
    pub async fn end(self) -> Result<Heard> {
        for task in self.asking {
            task.abort();
            drop(task.await);
        }
        let heard = std::mem::take(&mut *lock(&self.heard));
        for worker in &self.workers {
            let began = Instant::now();
            loop {
                let shown = worker.expect("GET", &format!("/connectors/{CHANGED}/config"), None).await?;
                let shown = shown["random.seed"].as_str().and_then(|seed| seed.parse().ok());
                if heard.acknowledged.is_none() || shown == heard.acknowledged || shown == heard.pending {
                    break;
                }
                ensure!(
                    began.elapsed() < SHOWN_MAX,
                    "{:?} was acknowledged and {shown:?} is shown: a change is lost",
                    heard.acknowledged
                );
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
        Ok(heard)
    }
}

fn config(number: u64) -> Value {
    json!({
        "connector.class": "datagen", "tasks.max": "1", "kafka.topic": "never-written", "fields": "id:seq",
        "random.seed": number.to_string(), "iterations": "1",
    })
}

async fn read(worker: Rest, heard: Arc<Mutex<Heard>>) {
    loop {
        let began = Instant::now();
        let answer = worker.call("GET", "/connectors?expand=status", None).await;
        lock(&heard).on_read(began.elapsed(), answer);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// One change at a time, at one worker after the other, so that the last one that was acknowledged is the one to be seen.
async fn change(workers: Vec<Rest>, heard: Arc<Mutex<Heard>>) {
    let path = format!("/connectors/{CHANGED}/config");
    for (number, worker) in (1..).zip(workers.iter().cycle()) {
        lock(&heard).pending = Some(number);
        let began = Instant::now();
        let answer = worker.call("PUT", &path, Some(&config(number))).await;
        lock(&heard).on_change(number, began.elapsed(), answer);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

impl Heard {
    fn on_read(&mut self, took: Duration, answer: Result<(u16, Value)>) {
        let (status, body) = match answer {
            Ok((status, body)) if status < 500 => (status, body),
            Ok((status, body)) => return self.refused.push(format!("read: {status} after {took:?}: {body}")),
            Err(error) => return self.refused.push(format!("read: after {took:?}: {error:#}")),
        };
        self.reads += u64::from(status == 200);
        self.slowest_read = self.slowest_read.max(took);
        for (name, known) in body.as_object().into_iter().flatten() {
            for task in known["status"]["tasks"].as_array().into_iter().flatten() {
                if task["state"] == "FAILED" {
                    self.failed.insert(format!("{name}-{}: {}", task["id"], task["trace"]));
                }
            }
        }
    }

    fn on_change(&mut self, number: u64, took: Duration, answer: Result<(u16, Value)>) {
        match answer {
            Ok((200..=299, _)) => {
                self.changes += 1;
                self.slowest_change = self.slowest_change.max(took);
                (self.acknowledged, self.pending) = (Some(number), None);
            }
            Ok((status, body)) => self.refused.push(format!("change: {status} after {took:?}: {body}")),
            Err(error) => self.refused.push(format!("change: after {took:?}: {error:#}")),
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
