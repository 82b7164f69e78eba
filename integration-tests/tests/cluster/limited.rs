//! What scenes of limits share: three workers, what flow control says, the death of its leader.
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::cluster::Group;
use elasticflow_integration_tests::worker::Worker;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::Kafka;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A machine that does other things too gets this long for each step.
pub(crate) const SOON: Duration = Duration::from_secs(90);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Three workers of a group.
pub(crate) async fn three(mut group: Group) -> Group {
    for _ in 0..3 {
        group.join().await.unwrap();
    }
    group
}

/// A group without workers yet.
pub(crate) fn none(dir: &Path, address: &str, seed: u64) -> Group {
    Group::new(dir, address, (1, 1), seed).unwrap()
}

/// Counts what can be read of a topic.
pub(crate) struct Counter {
    count: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    reading: JoinHandle<()>,
}

impl Counter {
    pub(crate) async fn of(kafka: &Arc<RdKafka>, topic: &str) -> Self {
        let (log, count, bytes) =
            (kafka.log(topic).await.unwrap(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counts, weighs) = (Arc::clone(&count), Arc::clone(&bytes));
        let reading = tokio::spawn(async move {
            while let Ok(record) = log.next().await {
                counts.fetch_add(1, Ordering::Relaxed);
                let weight = record.key.len() + record.value.map_or(0, |value| value.len());
                weighs.fetch_add(weight as u64, Ordering::Relaxed);
            }
        });
        Self { count, bytes, reading }
    }

    /// Bytes of keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> u64 {
        assert!(!self.reading.is_finished(), "the topic cannot be read");
        self.count.load(Ordering::Relaxed)
    }
}

/// Looks until something is there.
pub(crate) async fn found<T, F: AsyncFnMut() -> Option<T>>(what: &str, mut look: F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            println!("{what} after {:.1} s", began.elapsed().as_secs_f64());
            return found;
        }
        assert!(began.elapsed() < SOON, "{what}: not within {} s", SOON.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until what flow control says of a connector satisfies a condition.
pub(crate) async fn until(
    rest: &mut impl FnMut() -> Rest,
    name: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let began = Instant::now();
    let mut last = Value::Null;
    while began.elapsed() < SOON {
        if let Ok((200, answer)) = rest().call("GET", &format!("/flow/v1/connectors/{name}"), None).await {
            if holds(&answer) {
                println!("{name}: {what} after {:.1} s", began.elapsed().as_secs_f64());
                return answer;
            }
            last = answer;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("{name}: not {what} within {} s: {last:#}", SOON.as_secs());
}

pub(crate) fn state(answer: &Value) -> &str {
    answer["flow"]["state"].as_str().unwrap_or_default()
}

/// Whether one of the reasons has a code.
pub(crate) fn because(answer: &Value, code: &str) -> bool {
    answer["flow"]["reasons"].as_array().is_some_and(|reasons| reasons.iter().any(|reason| reason["code"] == code))
}

pub(crate) fn rate(answer: &Value) -> f64 {
    answer["measured"]["records_per_second"].as_f64().unwrap_or(0.0)
}

/// When a worker took the lead of flow control last, as its log says; logs begin with the time.
fn led_since(worker: &Worker) -> Option<String> {
    let log = std::fs::read_to_string(worker.options.dir.join("worker.log")).unwrap_or_default();
    let mut lines = log.lines().filter(|line| line.contains("this worker leads flow control"));
    lines.next_back().and_then(|line| line.split_whitespace().next()).map(str::to_owned)
}

/// Kills the worker that leads flow control, and waits until another one has taken over.
pub(crate) async fn kill_leader(group: &mut Group) {
    let latest = |workers: &[Worker]| workers.iter().filter_map(led_since).max();
    let before = latest(&group.workers).expect("a worker leads flow control");
    let leader = group.workers.iter().position(|worker| led_since(worker).as_ref() == Some(&before));
    group.workers.swap_remove(leader.expect("found a moment ago")).kill().unwrap();
    let began = Instant::now();
    while latest(&group.workers).is_none_or(|now| now <= before) {
        assert!(began.elapsed() < SOON, "nobody leads");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    println!("another worker leads after {:.1} s", began.elapsed().as_secs_f64());
}

/// States and traces of the tasks of a connector.
pub(crate) async fn tasks(rest: &Rest, name: &str) -> Vec<(String, String)> {
    let (_, status) = rest.call("GET", &format!("/connectors/{name}/status"), None).await.unwrap_or((0, Value::Null));
    let text = |task: &Value, field: &str| task[field].as_str().unwrap_or_default().to_owned();
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|task| (text(task, "state"), text(task, "trace"))).collect()
}
