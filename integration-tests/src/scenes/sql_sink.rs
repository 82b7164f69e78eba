//! Generated records through Kafka into tables, while the worker is killed. One table takes every record without a key, so
//! that a doubled record is a doubled row; another takes the last record of every account.
use super::run_number;
use crate::chaos::{self, Kills};
use crate::follow::{cluster, create_topic};
use crate::tables::{System, Tables};
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Partitions of the topic.
const PARTITIONS: i32 = 4;
/// Nothing more is expected after so long without a further row.
const QUIET: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const APPEND: &str = "append";
const UPSERT: &str = "upsert";

/// What the tables hold at the end.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Found {
    /// Rows of the table that takes everything.
    pub rows: i64,
    /// Different records among them.
    pub records: i64,
    /// Accounts that were seen.
    pub accounts: i64,
    /// Rows of the table of last records.
    pub upserted: i64,
    /// Those that hold the last record of their account.
    pub last: i64,
}

impl Found {
    /// Every record once, and the last one of every account.
    pub fn is_exact(&self, records: i64) -> bool {
        self.rows == records && self.records == records && self.accounts == self.upserted && self.upserted == self.last
    }
}

/// A worker with a generator and two sinks.
pub struct Scene {
    worker: Worker,
    tables: Tables,
    records: i64,
}

impl Scene {
    /// Starts all of it.
    ///
    /// # Errors
    /// A server is missing, or a connector does not run.
    pub async fn start(dir: &Path, bootstrap: &str, system: System, records: u32, rate: u32) -> Result<Self> {
        let run = run_number();
        let topic = format!("sqlsink-{run}");
        let kafka = cluster(bootstrap)?;
        create_topic(&kafka, &topic, PARTITIONS).await?;
        let tables = Tables::create(system, &format!("sqlsink_{run}")).await?;
        let worker = Worker::start(WorkerOptions::new(dir, bootstrap, &topic)?).await?;
        let rest = worker.rest();
        rest.create("source", &source(&topic, records, rate)).await?;
        rest.create(APPEND, &sink(&tables, &topic, APPEND, &[("insert.mode", "insert"), ("pk.mode", "none")])).await?;
        let upsert = [("insert.mode", "upsert"), ("pk.mode", "record_value"), ("pk.fields", "account")];
        rest.create(UPSERT, &sink(&tables, &topic, UPSERT, &upsert)).await?;
        for name in [APPEND, UPSERT] {
            let running = rest.await_running(name, chaos::RUNNING_AGAIN_MAX).await;
            running.with_context(|| worker.log_tail())?;
        }
        Ok(Self { worker, tables, records: i64::from(records) })
    }

    /// Kills the worker at random.
    ///
    /// # Errors
    /// The worker does not come back, or the tables cannot be read.
    pub async fn under_kills(mut self, kills: &Kills) -> Result<Found> {
        let (worker, _) = kills.run(self.worker, APPEND, |_| {}).await?;
        self.worker = worker;
        self.finish().await
    }

    async fn finish(self) -> Result<Found> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            // PostgreSQL creates tables in the transaction of the first rows: until it commits there is nothing to look at.
            let found = look(&self.tables).await.unwrap_or_default();
            let progress = found.rows + found.last;
            if found.is_exact(self.records) || since.elapsed() > QUIET {
                break;
            }
            if progress != last {
                (last, since) = (progress, Instant::now());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let Self { worker, tables, .. } = self;
        ensure!(worker.stop().await?, "the worker does not end well");
        // What came too often would stand there by now: the worker has written everything and is gone.
        let found = look(&tables).await?;
        tables.drop_all().await?;
        Ok(found)
    }
}

async fn look(tables: &Tables) -> Result<Found> {
    let all = format!("SELECT COUNT(*), COUNT(DISTINCT id), COUNT(DISTINCT account) FROM {APPEND}_rows");
    let last = format!(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN u.id = a.last_id THEN 1 ELSE 0 END), 0) FROM {UPSERT}_rows u \
             JOIN (SELECT account, MAX(id) AS last_id FROM {APPEND}_rows GROUP BY account) a ON a.account = u.account"
    );
    let all = tables.numbers(&all).await?.unwrap_or_default();
    let last = tables.numbers(&last).await?.unwrap_or_default();
    let at = |of: &[i64], n: usize| of.get(n).copied().unwrap_or(0);
    Ok(Found {
        rows: at(&all, 0),
        records: at(&all, 1),
        accounts: at(&all, 2),
        upserted: at(&last, 0),
        last: at(&last, 1),
    })
}

fn with_schemas(mut config: Value) -> Value {
    for side in ["key", "value"] {
        config[format!("{side}.converter")] = "org.apache.kafka.connect.json.JsonConverter".into();
        config[format!("{side}.converter.schemas.enable")] = "true".into();
    }
    config
}

fn source(topic: &str, records: u32, rate: u32) -> Value {
    with_schemas(json!({
        "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic,
        "fields": "id:seq, account:int(1,50), note:text(3,12), amount:decimal(2,1,999)",
        "schema.keyfield": "account", "random.seed": "42", "clock": "logical",
        "iterations": records.to_string(), "max.interval": "0", "flow.rate.records": rate.to_string(),
        "batch.records": "100", "exactly.once.support": "required", "transaction.boundary": "poll",
    }))
}

fn sink(tables: &Tables, topic: &str, name: &str, more: &[(&str, &str)]) -> Value {
    let (user, password) = tables.account();
    let mut config = with_schemas(json!({
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "tasks.max": "2", "topics": topic,
        "connection.url": tables.url(), "connection.user": user, "connection.password": password,
        "auto.create": "true", "table.name.format": format!("{name}_rows"), "batch.max.records": "300",
        "consumer.override.auto.offset.reset": "earliest",
    }));
    for (key, value) in more {
        config[*key] = (*value).into();
    }
    config
}
