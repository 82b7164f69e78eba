//! A worker in this process: the real herder and endpoint on a Kafka in memory, with played tasks.
pub(crate) mod kafka;
pub(crate) mod plugins;
pub(crate) mod runner;

use crate::replay::{Ask, Reply, Target, Variables};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_config::Properties;
use elasticflow_config::worker::{ExactlyOnceSourceSupport, WorkerConfig};
use elasticflow_herder::flow::FlowHandle;
use elasticflow_herder::{
    ExactlyOnce, HerderHandle, HerderOptions, HerderPorts, HerderService, InternalTopic, TaskNews,
};
use elasticflow_rest::{Level, Loggers, Rest, RestOptions, Surface, router};
use http_body_util::BodyExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower::ServiceExt;

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// A running worker. Dropping it ends it.
pub(crate) struct World {
    router: Router,
    rest: Rest,
    pub(crate) variables: Variables,
    pub(crate) kafka: kafka::MemoryKafka,
    _folder: tempfile::TempDir,
    herder: HerderService,
}

impl Drop for World {
    fn drop(&mut self) {
        self.herder.stop();
    }
}

/// `tests/golden`.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl World {
    /// Starts a worker of a recorded kind.
    pub(crate) async fn start(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::with(worker_properties(kind, folder.path()), folder).await
    }

    /// Starts a worker with these properties.
    pub(crate) async fn with(properties: Properties, folder: tempfile::TempDir) -> Self {
        let config = WorkerConfig::read(&properties).unwrap();
        let group = config.settings.group_id.clone();
        let kafka = kafka::MemoryKafka::default();
        let (handle, herder) = start_herder(&config, &properties, &kafka);
        let surface = match config.settings.admin_listeners {
            None => Surface::All,
            Some(_) => Surface::WithoutAdmin,
        };
        let rest = Rest {
            flow: FlowHandle::off(handle.clone()),
            herder: handle,
            options: Arc::new(RestOptions::from_worker(&config.settings).unwrap()),
            loggers: Loggers::new(Level::Info, Arc::new(|_| ())),
            metrics: Arc::new(|| "# no metrics\n".to_owned()),
        };
        let run = format!("{:06x}", std::process::id() & 0xff_ffff);
        let variables =
            Variables { url: "http://127.0.0.1:8083".to_owned(), dir: folder.path().to_path_buf(), run, group };
        Self { router: router(rest.clone(), surface), rest, variables, kafka, _folder: folder, herder }
    }

    /// What the endpoint works with.
    pub(crate) fn rest(&self) -> Rest {
        self.rest.clone()
    }
}

fn worker_properties(kind: &str, folder: &Path) -> Properties {
    let text = std::fs::read_to_string(golden().join(format!("worker/{kind}.properties"))).unwrap();
    let properties = Properties::from_properties_text(&text).unwrap();
    if kind != "auth" {
        return properties;
    }
    let login = "KafkaConnect { org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required file=\"users.properties\"; };";
    std::fs::write(folder.join("login.conf"), login).unwrap();
    std::fs::write(folder.join("users.properties"), "u=p\n").unwrap();
    properties.with("java.security.auth.login.config", folder.join("login.conf").display().to_string())
}

fn start_herder(
    config: &WorkerConfig,
    properties: &Properties,
    kafka: &kafka::MemoryKafka,
) -> (HerderHandle, HerderService) {
    let settings = &config.settings;
    let topic =
        |name: &str| InternalTopic { name: name.to_owned(), partitions: 1, replication: None, configs: [].into() };
    let options = HerderOptions {
        group_id: settings.group_id.as_str().into(),
        worker_id: config.worker_id(),
        url: config.advertised_url(),
        connect_version: "4.3.0".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        config_topic: topic(&settings.config_topic),
        offset_topic: topic(&settings.offset_topic),
        status_topic: topic(&settings.status_topic),
        exactly_once: match settings.exactly_once {
            ExactlyOnceSourceSupport::Disabled => ExactlyOnce::Disabled,
            ExactlyOnceSourceSupport::Preparing => ExactlyOnce::Preparing,
            ExactlyOnceSourceSupport::Enabled => ExactlyOnce::Enabled,
        },
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
        redact_secrets: settings.redact_secrets,
        request_timeout: Duration::from_secs(10),
        connector_timeout: settings.validation_timeout.duration(),
        plans_inline: false,
        worker: properties.clone(),
    };
    let registry = Arc::new(plugins::registry());
    let news = TaskNews::default();
    let ports = HerderPorts {
        kafka: Arc::new(kafka.clone()),
        registry: Arc::clone(&registry),
        runner: runner::FileTasks::new(kafka.clone(), news.clone(), &settings.offset_topic, registry),
        news,
        membership: Arc::new(elasticflow_herder::ports::SingleWorker),
        references: Arc::new(config.resolver.clone()),
        clock: Arc::new(SystemClock(Instant::now())),
    };
    elasticflow_herder::start(options, ports)
}

#[async_trait::async_trait]
impl Target for World {
    async fn ask(&self, ask: &Ask) -> Reply {
        // One worker is leader and follower.
        let _ = &ask.via;
        let mut request =
            Request::builder().method(ask.method.as_str()).uri(&ask.path).header("Host", "127.0.0.1:8083");
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let body = ask.body.clone().map_or_else(Body::empty, Body::from);
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
        Reply { status: parts.status.as_u16(), headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
    }
}
