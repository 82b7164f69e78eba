//! Workers, topics and tables of a measurement.
use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::follow::cluster;
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use elasticflow_kafka::RdKafka;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is waited for comes by then.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Workers of a group of its own.
pub(crate) struct Ground {
    pub(crate) run: u64,
    pub(crate) kafka: Arc<RdKafka>,
    pub(crate) database: Database,
    pub(crate) workers: Vec<Worker>,
    dir: PathBuf,
    bootstrap: String,
}

impl Ground {
    /// Nobody runs yet. There is a database named after the run.
    pub(crate) async fn new() -> Result<Self> {
        let (run, bootstrap, database) = (run_number(), setting("EF_KAFKA")?, Database::of("EF_MYSQL")?);
        let dir = std::env::temp_dir().join(format!("flow-acceptance-{run}"));
        database.run(&[&format!("CREATE DATABASE flow_{run}")]).await?;
        Ok(Self { run, kafka: cluster(&bootstrap)?, database, workers: Vec::new(), dir, bootstrap })
    }

    /// Starts another worker.
    pub(crate) async fn join(&mut self, properties: &[(&str, &str)]) -> Result<()> {
        let dir = self.dir.join(format!("w{}-{}", self.workers.len(), run_number()));
        let mut options = WorkerOptions::new(&dir, &self.bootstrap, &format!("flow-acceptance-{}", run_number()))?;
        if let Some(first) = self.workers.first() {
            options.group.clone_from(&first.options.group);
        }
        options.properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.workers.push(Worker::start(options).await?);
        Ok(())
    }

    /// Any worker's endpoint.
    pub(crate) fn rest(&self) -> Result<Rest> {
        Ok(self.workers.first().context("no worker runs")?.rest())
    }

    /// What flow control says of a connector.
    pub(crate) async fn flow(&self, name: &str) -> Result<Value> {
        let (_, answer) = self.rest()?.call("GET", &format!("/flow/v1/connectors/{name}"), None).await?;
        Ok(answer)
    }

    /// Creates a connector, or changes it.
    pub(crate) async fn put(&self, name: &str, config: &Value) -> Result<()> {
        self.rest()?.expect("PUT", &format!("/connectors/{name}/config"), Some(config)).await.map(drop)
    }

    /// One row of figures.
    pub(crate) async fn row(&self, query: &str) -> Result<Vec<f64>> {
        let mut connection = self.database.connect().await?;
        connection.query_drop("SET time_zone = '+00:00'").await?;
        let row: Option<mysql_async::Row> = connection.query_first(query).await.with_context(|| query.to_owned())?;
        connection.disconnect().await?;
        let row = row.context("no row")?;
        (0..row.len()).map(|at| row.get::<Option<f64>, _>(at).flatten().context("a column without a number")).collect()
    }

    /// Every first column, as a number.
    pub(crate) async fn column(&self, query: &str) -> Result<Vec<f64>> {
        let mut connection = self.database.connect().await?;
        connection.query_drop("SET time_zone = '+00:00'").await?;
        let rows = connection.query(query).await.with_context(|| query.to_owned())?;
        connection.disconnect().await?;
        Ok(rows)
    }

    /// Ends the workers and drops what the run has left.
    pub(crate) async fn end(self) -> Result<()> {
        for worker in self.workers {
            worker.stop().await?;
        }
        self.database.run(&[&format!("DROP DATABASE flow_{}", self.run)]).await?;
        std::fs::remove_dir_all(&self.dir).context("the folder of the workers is left")
    }
}

/// Looks until something is there; how long that took.
pub(crate) async fn found<F: AsyncFnMut() -> Result<bool>>(what: &str, mut look: F) -> Result<Duration> {
    let began = Instant::now();
    while !look().await? {
        if began.elapsed() > PATIENCE {
            bail!("{what}: not within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(began.elapsed())
}
