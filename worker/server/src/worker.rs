//! A worker put together: Kafka, runtime, herder, REST.
use crate::assigned::Assigned;
use crate::clock::SystemClock;
use crate::flow::RuntimeFlow;
use crate::hook::Webhook;
use crate::memory::Memory;
use crate::rates::Rates;
use crate::runner::RuntimeRunner;
use anyhow::{Context, Result};
use elasticflow_api::clock::Clock;
use elasticflow_api::registry::Registry;
use elasticflow_config::worker::WorkerConfig;
use elasticflow_config::{ConfigInfos, Properties};
use elasticflow_herder::flow::{FlowHandle, FlowPorts, FlowService};
use elasticflow_herder::membership::GroupMembership;
use elasticflow_herder::{HerderPorts, HerderService, TaskNews, WorkerContext};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::Kafka;
use elasticflow_rest::Loggers;
use elasticflow_runtime::{Runtime, RuntimeOptions};
use futures_util::future::Either;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod options;
mod serving;

use options::{client_properties, flow_topic, group_options, herder_options, runtime_options};
use serving::serve;

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
