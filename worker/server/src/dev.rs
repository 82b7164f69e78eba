//! The embedded development broker and a worker in one process: `dev`, `broker`, and the ground of `demo`.
use crate::cli::{BrokerArgs, DevArgs};
use crate::worker::{self, Parts, Worker};
use anyhow::{Context, Result};
use elasticflow_api::registry::Registry;
use elasticflow_config::Properties;
use elasticflow_config::worker::WorkerConfig;
use elasticflow_devkafka::{Broker, Config};
use elasticflow_rest::Loggers;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// How a development worker is started.
pub(crate) struct Options {
    /// Port of REST; 0 takes a free one.
    pub(crate) port: u16,
    /// Port of the broker; 0 takes a free one.
    pub(crate) broker_port: u16,
    /// Folder of the broker's data; in memory without it.
    pub(crate) data: Option<PathBuf>,
}

/// A broker and a worker that run.
pub(crate) struct Dev {
    pub(crate) broker_address: SocketAddr,
    pub(crate) rest_url: String,
    worker: Worker,
    broker: Broker,
}

/// Starts both.
pub(crate) async fn start(options: &Options, registry: Arc<Registry>, loggers: Loggers) -> Result<Dev> {
    let broker = start_broker(options.broker_port, options.data.clone()).await?;
    let broker_address = broker.addr();
    let properties = properties(broker_address, options.port);
    let config = WorkerConfig::read(&properties).map_err(|report| anyhow::anyhow!("{report}"))?;
    let worker = worker::start(Parts { config, properties, registry, loggers }).await?;
    let rest_url = format!("http://{}", worker.address);
    Ok(Dev { broker_address, rest_url, worker, broker })
}

impl Dev {
    /// Ends the worker, then the broker.
    pub(crate) async fn stop(self) {
        self.worker.stop().await;
        self.broker.shutdown().await;
    }
}

/// `elasticflow dev`.
pub(crate) async fn run(args: &DevArgs, registry: Arc<Registry>, loggers: Loggers) -> Result<()> {
    let options = Options { port: args.port, broker_port: args.broker_port, data: args.data.clone() };
    let dev = start(&options, registry, loggers).await?;
    tracing::info!(broker = %dev.broker_address, rest = dev.rest_url, "development broker and worker run; never use them for production");
    worker::ended().await?;
    dev.stop().await;
    Ok(())
}

/// `elasticflow broker`.
pub(crate) async fn run_broker(args: &BrokerArgs) -> Result<()> {
    let broker = start_broker(args.port, args.data.clone()).await?;
    tracing::info!(address = %broker.addr(), "development broker runs; never use it for production");
    worker::ended().await
}

async fn start_broker(port: u16, dir: Option<PathBuf>) -> Result<Broker> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = Config { listen, dir, ..Config::default() };
    Broker::start(config).await.with_context(|| format!("cannot start the development broker on port {port}"))
}

/// A worker's properties for one process: exactly-once sources, short intervals, one copy of everything.
fn properties(broker: SocketAddr, port: u16) -> Properties {
    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
    let pairs = [
        ("bootstrap.servers", broker.to_string()),
        ("group.id", "elasticflow-dev".to_owned()),
        ("config.storage.topic", "elasticflow-dev-configs".to_owned()),
        ("offset.storage.topic", "elasticflow-dev-offsets".to_owned()),
        ("status.storage.topic", "elasticflow-dev-status".to_owned()),
        ("config.storage.replication.factor", "1".to_owned()),
        ("offset.storage.replication.factor", "1".to_owned()),
        ("offset.storage.partitions", "5".to_owned()),
        ("status.storage.replication.factor", "1".to_owned()),
        ("status.storage.partitions", "1".to_owned()),
        ("key.converter", JSON.to_owned()),
        ("value.converter", JSON.to_owned()),
        ("exactly.once.source.support", "enabled".to_owned()),
        ("offset.flush.interval.ms", "1000".to_owned()),
        // A first look is short: flow control looks more often.
        ("flow.sample.interval.ms", "200".to_owned()),
        ("listeners", format!("http://127.0.0.1:{port}")),
    ];
    pairs.into_iter().collect()
}
