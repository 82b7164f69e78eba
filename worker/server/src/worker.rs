//! A worker put together: Kafka, runtime, herder, REST.
use crate::assigned::Assigned;
use crate::clock::SystemClock;
use crate::flow::RuntimeFlow;
use crate::hook::Webhook;
use crate::memory::Memory;
use crate::rates::Rates;
use crate::runner::{RuntimeRunner, reporter};
use anyhow::{Context, Result};
use elasticflow_api::clock::Clock;
use elasticflow_api::registry::Registry;
use elasticflow_config::worker::{ExactlyOnceSourceSupport, WorkerConfig};
use elasticflow_config::{ConfigInfos, Properties};
use elasticflow_herder::flow::{FlowHandle, FlowPorts, FlowService};
use elasticflow_herder::membership::{GroupMembership, GroupOptions};
use elasticflow_herder::{
    ExactlyOnce, HerderHandle, HerderOptions, HerderPorts, HerderService, InternalTopic, TaskNews, WorkerContext,
};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka};
use elasticflow_rest::{ConnectionLimits, Forwarder, Loggers, Rest, RestOptions, Surface, Tls};
use elasticflow_runtime::{RestartPolicy, Runtime, RuntimeOptions, SeededRandom, TaskLimits};
use futures_util::future::Either;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Version of Kafka Connect whose contract the REST endpoint keeps.
const CONNECT_VERSION: &str = "4.3.1";
/// Shown by `GET /` in place of Connect's commit.
const COMMIT: &str = "0000000000000000";
/// Suffix of the topic of claims and decisions of two-phase sinks, after `group.id`.
const DECISIONS: &str = "-decisions";
/// Suffix of the topic of limits in force.
const FLOW: &str = "-flow";
/// Cluster id of the embedded development broker.
const DEVELOPMENT_CLUSTER: &str = "devbroker";
/// Pause before the cluster's id is asked for again.
const CLUSTER_ID_AGAIN: Duration = Duration::from_millis(500);
/// How long Kafka clients may take to leave their groups at the end.
const CLIENTS_CLOSE_MAX: Duration = Duration::from_secs(3);

/// A worker that runs.
pub(crate) struct Worker {
    /// Where REST listens.
    pub(crate) address: SocketAddr,
    herder: Option<HerderService>,
    flow: Option<FlowService>,
    membership: Arc<GroupMembership>,
    runtime: Runtime,
    kafka: Arc<RdKafka>,
    stop: CancellationToken,
    /// Cancelled when this Kafka must not be used.
    refused: CancellationToken,
    tasks: TaskTracker,
}

/// What a worker is made of.
pub(crate) struct Parts {
    /// Its configuration.
    pub(crate) config: WorkerConfig,
    /// The same as posted, references unresolved.
    pub(crate) properties: Properties,
    /// Plug-ins.
    pub(crate) registry: Arc<Registry>,
    /// Log levels.
    pub(crate) loggers: Loggers,
}

/// Runs a worker until the process is asked to end; an error is why it cannot go on without a person.
pub(crate) async fn run(parts: Parts) -> Result<()> {
    let may_be_embedded = parts.config.settings.development_broker;
    let mut worker = start(parts).await?;
    if !may_be_embedded {
        worker.refuse_the_development_broker();
    }
    let outcome = worker.until_asked_or_broken().await;
    tracing::info!("draining: open transactions are finished");
    worker.stop().await;
    outcome
}

/// Starts a worker; REST listens when this returns, while the internal topics may still be read.
pub(crate) async fn start(parts: Parts) -> Result<Worker> {
    let Parts { config, properties, registry, loggers } = parts;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let kafka = RdKafka::new(&client_properties(&config))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let news = TaskNews::default();
    let assigned = Arc::new(Assigned::default());
    let options = runtime_options(&config, &kafka, &registry, &clock, &news);
    let runtime = Runtime::new(RuntimeOptions { assignment: Arc::clone(&assigned) as _, ..options });
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let kafka_port = || Arc::clone(&kafka) as Arc<dyn Kafka>;
    let membership = Arc::new(GroupMembership::join(kafka_port(), Arc::clone(&clock), group_options(&config)));
    let ports = HerderPorts {
        kafka: kafka_port(),
        registry,
        runner: Arc::new(RuntimeRunner {
            runtime: runtime.clone(),
            news: news.clone(),
            grants: config.settings.flow_enable,
            flow_defaults: config.flow_defaults.clone(),
        }),
        news,
        membership: Arc::clone(&membership) as _,
        references: Arc::new(config.resolver.clone()),
        clock: Arc::clone(&clock),
    };
    let rates = Rates::new(&runtime, &clock);
    let (sampling, stopped) = (rates.clone(), stop.clone());
    tasks.spawn(async move { stopped.run_until_cancelled(sampling.run()).await });
    let (handle, herder) = elasticflow_herder::start(herder_options(&config, &properties), ports);
    assigned.ask(&handle);
    let flow_ports = FlowPorts {
        kafka: kafka_port(),
        tasks: Arc::new(RuntimeFlow::new(runtime.clone(), Arc::clone(&clock), Memory::new(config.settings.memory))),
        membership: Arc::clone(&membership) as _,
        clock,
        topic: flow_topic(&config),
        hook: Webhook::of(&config)?,
    };
    let (known, flow) = match config.settings.flow_enable {
        true => {
            let (known, flow) = elasticflow_herder::flow::start(handle.clone(), flow_ports);
            (known, Some(flow))
        }
        false => (FlowHandle::off(handle.clone()), None),
    };
    let (counters, limits) = (runtime.clone(), known.clone());
    let metrics = move || {
        let mut text = String::new();
        counters.render_prometheus(&mut text);
        rates.render(&mut text);
        limits.render_prometheus(&mut text);
        text
    };
    let address = serve(&config, (handle, known), Arc::new(metrics), loggers, (&stop, &tasks)).await?;
    tracing::info!(%address, worker = config.worker_id(), group = config.settings.group_id, "REST listens");
    let refused = CancellationToken::new();
    Ok(Worker { address, herder: Some(herder), flow, membership, runtime, kafka, stop, refused, tasks })
}

impl Worker {
    /// Looks in the background which cluster this is: the embedded broker has one copy of everything and may be gone at
    /// the next power cut, so a worker outside `dev` and `demo` ends on it.
    fn refuse_the_development_broker(&self) {
        let (kafka, refused) = (Arc::clone(&self.kafka), self.refused.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let known = stop.run_until_cancelled(async {
                loop {
                    match kafka.cluster_id().await {
                        Ok(id) => return id,
                        Err(_) => tokio::time::sleep(CLUSTER_ID_AGAIN).await,
                    }
                }
            });
            if known.await.as_deref() == Some(DEVELOPMENT_CLUSTER) {
                refused.cancel();
            }
        });
    }

    async fn until_asked_or_broken(&mut self) -> Result<()> {
        let Some(herder) = &mut self.herder else { return Ok(()) };
        let refused = self.refused.clone();
        let broken = {
            let asked = std::pin::pin!(async {
                match refused.run_until_cancelled(ended()).await {
                    Some(asked) => asked,
                    None => Err(anyhow::anyhow!(
                        "bootstrap.servers is the embedded development broker, which is no place for data that matters; \
                         name a real Kafka, use `elasticflow dev`, or set development.broker.allow=true for a test"
                    )),
                }
            });
            let broken = std::pin::pin!(herder.ended());
            match futures_util::future::select(asked, broken).await {
                Either::Left((asked, _)) => return asked,
                Either::Right((broken, _)) => broken,
            }
        };
        // It has ended: nothing is left to wait for.
        self.herder = None;
        broken.map_err(|reason| anyhow::anyhow!(reason))
    }

    /// Finishes or aborts what the tasks have open, then ends everything.
    pub(crate) async fn stop(mut self) {
        if let Some(herder) = &mut self.herder {
            herder.stop();
            // An error of its own was told when it arose.
            drop(herder.ended().await);
        }
        self.runtime.shut_down().await;
        if let Some(flow) = self.flow.take() {
            flow.stop().await;
        }
        self.membership.stop();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        drop(self.runtime);
        if !self.kafka.close(CLIENTS_CLOSE_MAX).await {
            tracing::warn!("some Kafka clients did not end in time; their group members expire by themselves");
        }
    }
}

/// Returns when SIGTERM or SIGINT arrives.
pub(crate) async fn ended() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    std::future::poll_fn(|cx| {
        let is_due = term.poll_recv(cx).is_ready() || interrupt.poll_recv(cx).is_ready();
        if is_due { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    Ok(())
}

/// The worker's client properties, sections under their prefixes, as the adapter takes them.
fn client_properties(config: &WorkerConfig) -> ClientProperties {
    let mut all = config.client.clone();
    all.insert("bootstrap.servers".to_owned(), config.settings.bootstrap_servers.join(","));
    for (prefix, section) in
        [("producer.", &config.producer), ("consumer.", &config.consumer), ("admin.", &config.admin)]
    {
        all.extend(section.iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
    }
    all
}

fn runtime_options(
    config: &WorkerConfig,
    kafka: &Arc<RdKafka>,
    registry: &Arc<Registry>,
    clock: &Arc<dyn Clock>,
    news: &TaskNews,
) -> RuntimeOptions {
    let settings = &config.settings;
    RuntimeOptions {
        group: Arc::from(settings.group_id.as_str()),
        kafka: Arc::clone(kafka) as Arc<dyn Kafka>,
        registry: Arc::clone(registry),
        clock: Arc::clone(clock),
        random: Arc::new(SeededRandom::new(u64::from(std::process::id()) ^ clock.wall_ms().unsigned_abs())),
        assignment: Arc::new(Assigned::default()),
        events: reporter(news),
        worker: task_defaults(config),
        offsets_topic: settings.offset_topic.clone(),
        decisions_topic: format!("{}{DECISIONS}", settings.group_id),
        decisions_replication: replication(settings.config_replication),
        exactly_once_sources: settings.exactly_once == ExactlyOnceSourceSupport::Enabled,
        topic_creation: settings.topic_creation,
        offset_flush_interval: settings.offset_flush_interval.duration(),
        graceful_timeout: settings.graceful_timeout.duration(),
        limits: TaskLimits::default(),
        restart: RestartPolicy::default(),
    }
}

/// Worker keys that tasks fall back to: converters, and consumer settings that the runtime would choose otherwise.
fn task_defaults(config: &WorkerConfig) -> Properties {
    let mut keys = config.converters.clone();
    keys.0.extend(config.consumer.iter().map(|(key, value)| (format!("consumer.{key}"), value.clone())));
    keys.0.extend(config.flow_defaults.0.clone());
    keys
}

fn herder_options(config: &WorkerConfig, properties: &Properties) -> HerderOptions {
    let settings = &config.settings;
    let topic = |name: &str, partitions: i32, factor: i16, kind: &'static str| InternalTopic {
        name: name.to_owned(),
        partitions,
        replication: replication(factor),
        configs: config.topic_settings.get(kind).cloned().unwrap_or_default(),
    };
    HerderOptions {
        group_id: Arc::from(settings.group_id.as_str()),
        worker_id: config.worker_id(),
        url: config.advertised_url(),
        connect_version: CONNECT_VERSION.to_owned(),
        commit: COMMIT.to_owned(),
        config_topic: topic(&settings.config_topic, 1, settings.config_replication, "config"),
        offset_topic: topic(&settings.offset_topic, settings.offset_partitions, settings.offset_replication, "offset"),
        status_topic: topic(&settings.status_topic, settings.status_partitions, settings.status_replication, "status"),
        exactly_once: match settings.exactly_once {
            ExactlyOnceSourceSupport::Disabled => ExactlyOnce::Disabled,
            ExactlyOnceSourceSupport::Preparing => ExactlyOnce::Preparing,
            ExactlyOnceSourceSupport::Enabled => ExactlyOnce::Enabled,
        },
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
        redact_secrets: settings.redact_secrets,
        request_timeout: settings.request_timeout.duration(),
        connector_timeout: settings.validation_timeout.duration(),
        plans_inline: false,
        worker: properties.clone(),
    }
}

/// Suffixes of the topics that workers share work through, after `group.id`.
const SLOTS: &str = "-slots";
const LEADER: &str = "-leader";

/// The topic of limits in force.
fn flow_topic(config: &WorkerConfig) -> InternalTopic {
    let settings = &config.settings;
    InternalTopic {
        name: settings.flow_topic.clone().unwrap_or_else(|| format!("{}{FLOW}", settings.group_id)),
        partitions: 1,
        replication: replication(settings.config_replication),
        configs: Default::default(),
    }
}

fn group_options(config: &WorkerConfig) -> GroupOptions {
    let settings = &config.settings;
    let topic = |suffix: &str, partitions| InternalTopic {
        name: format!("{}{suffix}", settings.group_id),
        partitions,
        replication: replication(settings.config_replication),
        configs: Default::default(),
    };
    GroupOptions {
        group: settings.group_id.clone(),
        slots_topic: topic(SLOTS, settings.worker_slots),
        leader_topic: topic(LEADER, 1),
        instance: settings.keep_place.then(|| instance_of(&config.worker_id())),
        session: settings.session_timeout.duration(),
        heartbeat: settings.heartbeat_interval.duration(),
        rebalance: settings.rebalance_timeout.duration(),
        graceful: settings.graceful_timeout.duration(),
    }
}

/// Kafka takes letters, digits, dots, underscores and dashes in the name of a static member.
fn instance_of(worker_id: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    worker_id.chars().map(legal).take(INSTANCE_MAX).collect()
}

/// Longest name of a static member.
const INSTANCE_MAX: usize = 249;

/// -1 leaves it to the broker.
fn replication(factor: i16) -> Option<i16> {
    (factor > 0).then_some(factor)
}

/// Binds every listener and serves on it; the address of the first.
async fn serve(
    config: &WorkerConfig,
    (herder, flow): (HerderHandle, FlowHandle),
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    loggers: Loggers,
    (stop, tasks): (&CancellationToken, &TaskTracker),
) -> Result<SocketAddr> {
    let mut options = RestOptions::from_worker(&config.settings)?;
    let is_https = config.listeners.iter().any(|listener| listener.scheme() == "https");
    if is_https {
        options.forwarder = Forwarder::over_tls(&config.rest_tls).map_err(anyhow::Error::msg)?;
    }
    let options = Arc::new(options);
    let tls = if is_https { Some(Tls::from_keys(&config.rest_tls).map_err(anyhow::Error::msg)?) } else { None };
    let rest = Rest { herder, flow, options: Arc::clone(&options), loggers, metrics };
    let (following, stopped) = (rest.loggers.clone().follow(rest.herder.clone()), stop.clone());
    tasks.spawn(async move { stopped.run_until_cancelled(following).await });
    let limits = ConnectionLimits::from_worker(&config.settings);
    let mut first = None;
    for (listener, surface) in surfaces(config)? {
        let tls = tls.clone().filter(|_| listener.scheme() == "https");
        let authenticated = options.guard.is_closed() || tls.as_ref().is_some_and(Tls::requires_certificates);
        let socket = elasticflow_rest::bind(&listener, authenticated, config.settings.rest_insecure).await?;
        first = first.or(Some(socket.local_addr()?));
        let router = elasticflow_rest::router(rest.clone(), surface);
        let stopped = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            elasticflow_rest::serve((socket, tls), router, limits, stopped).await;
        });
    }
    first.context("listeners names no address; give one such as http://127.0.0.1:8083")
}

/// Which listener serves what: `admin.listeners` takes `/admin` elsewhere, empty it takes it away.
fn surfaces(config: &WorkerConfig) -> Result<Vec<(elasticflow_config::worker::Listener, Surface)>> {
    let own = if config.settings.admin_listeners.is_some() { Surface::WithoutAdmin } else { Surface::All };
    let mut all: Vec<_> = config.listeners.iter().map(|listener| (listener.clone(), own)).collect();
    for url in config.settings.admin_listeners.iter().flatten() {
        all.push((elasticflow_config::worker::Listener::read(url)?, Surface::AdminOnly));
    }
    Ok(all)
}

/// Checks a connector's configuration as a worker with default settings does, without Kafka.
pub(crate) async fn validate(
    (connector, nulls): (&Properties, &BTreeSet<String>),
    registry: Arc<Registry>,
) -> Result<ConfigInfos> {
    let worker: Properties = [
        ("bootstrap.servers", "127.0.0.1:9092"),
        ("group.id", "validate"),
        ("config.storage.topic", "configs"),
        ("offset.storage.topic", "offsets"),
        ("status.storage.topic", "status"),
        ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("exactly.once.source.support", "enabled"),
    ]
    .into_iter()
    .collect();
    let config = WorkerConfig::read(&worker).map_err(|report| anyhow::anyhow!("{report}"))?;
    let context = WorkerContext {
        options: herder_options(&config, &worker),
        registry,
        references: Arc::new(config.resolver.clone()),
        clock: Arc::new(SystemClock::new()),
    };
    Ok(elasticflow_herder::validation::validate(connector, nulls, &context).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_config::flow::settings_of;

    #[test]
    fn tasks_have_the_workers_defaults_of_flow_control() {
        let worker = Properties::from_iter([
            ("bootstrap.servers", "127.0.0.1:9092"),
            ("group.id", "g"),
            ("config.storage.topic", "configs"),
            ("offset.storage.topic", "offsets"),
            ("status.storage.topic", "status"),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("flow.default.rate.records", "5"),
        ]);
        let config = WorkerConfig::read(&worker).unwrap();
        let settings = settings_of(&Properties::default(), &task_defaults(&config));
        assert_eq!(settings.value("flow.rate.records"), Some("5"));
    }
}
