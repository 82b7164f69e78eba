//! A broker and a worker of a test's own.
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Longest wait for a condition that takes a moment.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Everything that a test needs; ended when it is dropped.
pub(crate) struct Ground {
    pub(crate) worker: Worker,
    pub(crate) broker: Broker,
    pub(crate) dir: tempfile::TempDir,
}

impl Ground {
    /// A broker in memory and a worker that is ready.
    pub(crate) async fn new(group: &str) -> Self {
        Self::with(group, &[]).await
    }

    /// The same with further properties of the worker.
    pub(crate) async fn with(group: &str, properties: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(0).await;
        let mut options = WorkerOptions::new(dir.path(), &broker.bootstrap(), group).unwrap();
        options.properties.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let worker = Worker::start(options).await.unwrap();
        Self { worker, broker, dir }
    }
}

/// A broker in memory on a port of 127.0.0.1.
pub(crate) async fn broker(port: u16) -> Broker {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Broker::start(Config { listen, ..Config::default() }).await.unwrap()
}

/// Looks until something is there.
pub(crate) async fn until<T, F: AsyncFnMut() -> Option<T>>(what: &str, mut look: F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < SOON, "{what}: not within {} s", SOON.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The trace of a failed part, once there is one.
pub(crate) async fn failure(worker: &Worker, name: &str) -> String {
    until(&format!("{name} fails"), async || {
        let (_, status) = worker.rest().call("GET", &format!("/connectors/{name}/status"), None).await.unwrap();
        let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
        let parts = std::iter::once(status["connector"].clone()).chain(tasks);
        let failed: Vec<Value> = parts.filter(|p| p["state"] == "FAILED").collect();
        failed.first().map(|p| p["trace"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// Errors of a validation, as `key: text`.
pub(crate) fn errors_of(answer: &Value) -> Vec<String> {
    let configs = answer["configs"].as_array().cloned().unwrap_or_default();
    let mut errors = Vec::new();
    for config in configs {
        for error in config["value"]["errors"].as_array().into_iter().flatten() {
            errors.push(format!("{}: {}", config["value"]["name"].as_str().unwrap(), error.as_str().unwrap()));
        }
    }
    errors
}
