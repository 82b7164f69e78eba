//! What proofs and measurements of limits share: counting what can be read of a topic, the death of the leader.
use crate::follow;
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, ensure};
use elasticflow_kafka::RdKafka;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Another worker leads by then.
const LEADS_MAX: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Counts what can be read of a topic.
pub struct Counter {
    count: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    reading: JoinHandle<()>,
}

impl Counter {
    /// Begins with the first record.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub async fn of(kafka: &Arc<RdKafka>, topic: &str) -> Result<Self> {
        let (log, count, bytes) =
            (follow::open(kafka, topic).await?, Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counts, weighs) = (Arc::clone(&count), Arc::clone(&bytes));
        let reading = tokio::spawn(async move {
            while let Ok(record) = log.next().await {
                counts.fetch_add(1, Ordering::Relaxed);
                let weight = record.key.len() + record.value.map_or(0, |value| value.len());
                weighs.fetch_add(weight as u64, Ordering::Relaxed);
            }
        });
        Ok(Self { count, bytes, reading })
    }

    /// Records.
    ///
    /// # Panics
    /// The topic cannot be read any more.
    pub fn now(&self) -> u64 {
        assert!(!self.reading.is_finished(), "the topic cannot be read");
        self.count.load(Ordering::Relaxed)
    }

    /// Bytes of their keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// When a worker took the lead of flow control last, as its log says; logs begin with the time.
fn led_since(worker: &Worker) -> Option<String> {
    let log = std::fs::read_to_string(worker.options.dir.join("worker.log")).unwrap_or_default();
    let mut lines = log.lines().filter(|line| line.contains("this worker leads flow control"));
    lines.next_back().and_then(|line| line.split_whitespace().next()).map(str::to_owned)
}

/// Kills the worker that leads flow control with -9, and waits until another one has taken over: what it was started with,
/// and how long that took.
///
/// # Errors
/// Nobody leads, before or after.
pub async fn kill_leader(workers: &mut Vec<Worker>) -> Result<(WorkerOptions, Duration)> {
    let latest = |workers: &[Worker]| workers.iter().filter_map(led_since).max();
    let before = latest(workers).context("no worker leads flow control")?;
    let leader = workers.iter().position(|worker| led_since(worker).as_ref() == Some(&before));
    let killed = workers.swap_remove(leader.context("found a moment ago")?).kill()?;
    let began = Instant::now();
    while latest(workers).is_none_or(|now| now <= before) {
        ensure!(began.elapsed() < LEADS_MAX, "nobody leads flow control after {} s", LEADS_MAX.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok((killed, began.elapsed()))
}
