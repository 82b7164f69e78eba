//! A worker: a herder over a broker.
use crate::runner::Runner;
use crate::stubs::registry;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_config::Properties;
use elasticflow_devkafka::{Broker, Config};
use elasticflow_herder::answer::{InitialState, RunState};
use elasticflow_herder::ports::{References, SingleWorker};
use elasticflow_herder::{ExactlyOnce, HerderHandle, HerderOptions, HerderPorts, HerderService, InternalTopic, start};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, LogRecord, TopicLog};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const PATIENCE: Duration = Duration::from_secs(20);

/// The system's time.
pub(crate) struct Time(pub(crate) Instant);

impl Clock for Time {
    fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// `${test:key}` is `value of key`; `${test:gone}` cannot be resolved.
struct TestReferences;

impl References for TestReferences {
    fn resolve(&self, properties: &Properties) -> Result<Properties, String> {
        let resolve = |(key, value): (&String, &String)| match value.strip_prefix("${test:") {
            Some("gone}") => Err(format!("{key}: nothing is stored under gone")),
            Some(name) => Ok((key.clone(), format!("value of {}", name.trim_end_matches('}')))),
            None => Ok((key.clone(), value.clone())),
        };
        properties.0.iter().map(resolve).collect::<Result<Vec<_>, _>>().map(Properties::from_iter)
    }
}

pub(crate) struct Worker {
    pub(crate) handle: HerderHandle,
    pub(crate) service: HerderService,
    pub(crate) runner: Runner,
    pub(crate) kafka: Arc<dyn Kafka>,
}

pub(crate) async fn broker() -> Broker {
    Broker::start(Config::default()).await.unwrap()
}

pub(crate) fn options() -> HerderOptions {
    let topic = |name: &str, partitions| InternalTopic {
        name: name.to_owned(),
        partitions,
        replication: Some(1),
        configs: BTreeMap::new(),
    };
    HerderOptions {
        group_id: "workers".into(),
        worker_id: "127.0.0.1:8083".to_owned(),
        url: "http://127.0.0.1:8083".to_owned(),
        connect_version: "4.3.0".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        config_topic: topic("configs", 1),
        offset_topic: topic("offsets", 5),
        status_topic: topic("statuses", 2),
        exactly_once: ExactlyOnce::Enabled,
        topic_tracking: true,
        topic_tracking_reset: true,
        redact_secrets: true,
        request_timeout: Duration::from_secs(30),
        connector_timeout: Duration::from_millis(800),
        plans_inline: false,
        worker: Properties::default(),
    }
}

pub(crate) fn kafka(bootstrap: &str) -> Arc<dyn Kafka> {
    RdKafka::new(&ClientProperties::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())])).unwrap()
}

/// A worker that has begun to start.
pub(crate) fn worker_with(bootstrap: &str, options: HerderOptions) -> Worker {
    let (kafka, runner) = (kafka(bootstrap), Runner::default());
    let ports = HerderPorts {
        kafka: Arc::clone(&kafka),
        registry: Arc::new(registry()),
        runner: Arc::new(runner.clone()),
        news: runner.news.clone(),
        membership: Arc::new(SingleWorker),
        references: Arc::new(TestReferences),
        clock: Arc::new(Time(Instant::now())),
    };
    let (handle, service) = start(options, ports);
    Worker { handle, service, runner, kafka }
}

pub(crate) fn worker(broker: &Broker) -> Worker {
    worker_with(&broker.bootstrap(), options())
}

/// A configuration of the stub source.
pub(crate) fn source(pairs: &[(&str, &str)]) -> Properties {
    let base = Properties::default().with("connector.class", "test.StubSourceConnector").with("tasks.max", "4");
    pairs.iter().fold(base, |config, (key, value)| config.with(key, *value))
}

pub(crate) fn sink(pairs: &[(&str, &str)]) -> Properties {
    let base = Properties::default().with("connector.class", "test.StubSinkConnector").with("topics", "t");
    pairs.iter().fold(base, |config, (key, value)| config.with(key, *value))
}

/// Polls until the condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Worker {
    pub(crate) async fn create(&self, name: &str, config: Properties) {
        let made = self.handle.create(name, config, InitialState::Running).await;
        made.unwrap_or_else(|error| panic!("{error}: {:?}", self.handle.health()));
    }

    /// States of connector and tasks; `None` while there is no status.
    pub(crate) async fn states(&self, name: &str) -> Option<(RunState, Vec<RunState>)> {
        let status = self.handle.status(name).await.ok()?;
        Some((status.connector.state, status.tasks.iter().map(|t| t.part.state).collect()))
    }

    pub(crate) async fn until_states(&self, name: &str, connector: RunState, tasks: &[RunState]) {
        let wanted = Some((connector, tasks.to_vec()));
        let what = format!("{name} is {wanted:?}");
        until(&what, || async { self.states(name).await == wanted }).await;
    }

    pub(crate) async fn until_running(&self, name: &str, tasks: usize) {
        self.until_states(name, RunState::Running, &vec![RunState::Running; tasks]).await;
    }

    pub(crate) async fn trace(&self, name: &str) -> String {
        self.handle.status(name).await.unwrap().connector.trace.unwrap_or_default()
    }

    /// Ends the worker as SIGTERM does.
    pub(crate) async fn stop(mut self) {
        self.service.stop();
        self.service.ended().await.unwrap();
    }

    /// Rows of a topic from its start, as text.
    pub(crate) async fn rows(&self, topic: &str) -> Vec<(String, Option<String>)> {
        rows(&self.kafka, topic).await
    }
}

/// Rows of a topic from its start, as text.
pub(crate) async fn rows(kafka: &Arc<dyn Kafka>, topic: &str) -> Vec<(String, Option<String>)> {
    let log: Box<dyn TopicLog> = kafka.log(topic).await.unwrap();
    let mut rows = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let take = |r: LogRecord| rows.push((text(&r.key), r.value.as_deref().map(text)));
    elasticflow_store::follow::read_to_end(log.as_ref(), take).await.unwrap();
    rows
}
