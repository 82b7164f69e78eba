//! Generated records into Kafka. The generator draws the same records from the same seed, so an undisturbed run is the
//! expected side.
use super::{Outcome, run_number};
use crate::chaos::{self, Kills, Toll};
use crate::follow::{Follower, cluster, create_topic};
use crate::ledger::{Ledger, Line};
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, ensure};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::LogRecord;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Partitions of the topics: keys of one partition are in one order.
const PARTITIONS: i32 = 3;
/// Nothing more is expected after so long without a record.
const QUIET: Duration = Duration::from_secs(20);

/// A worker with a generator whose records are known beforehand.
pub struct Scene {
    kafka: Arc<RdKafka>,
    worker: Worker,
    run: u64,
    records: u64,
    rate: u64,
}

const DISTURBED: &str = "disturbed";

impl Scene {
    /// Starts a worker in `dir`, and lets the generator run undisturbed once.
    ///
    /// # Errors
    /// The worker does not start or the generator does not run.
    pub async fn start(dir: &Path, bootstrap: &str, records: u64, rate: u64) -> Result<(Self, Ledger)> {
        let (kafka, run) = (cluster(bootstrap)?, run_number());
        let worker = Worker::start(WorkerOptions::new(dir, bootstrap, &format!("ledger-{run}"))?).await?;
        let scene = Self { kafka, worker, run, records, rate };
        let follower = scene.generate("undisturbed", -1).await?;
        follower.settle(records, QUIET).await?;
        ensure!(
            follower.ledger().observed() == records,
            "the undisturbed generator wrote {} of {records} records:\n{}",
            follower.ledger().observed(),
            scene.worker.log_tail()
        );
        let mut ledger = Ledger::default();
        ledger.expect_all_of(follower.stop().await);
        Ok((scene, ledger))
    }

    fn topic(&self, name: &str) -> String {
        format!("ledger-{}-{name}", self.run)
    }

    /// Posts a generator and follows its topic.
    async fn generate(&self, name: &str, rate: i64) -> Result<Follower> {
        let topic = self.topic(name);
        create_topic(&self.kafka, &topic, PARTITIONS).await?;
        let follower = Follower::start(&self.kafka, &topic, parse).await?;
        self.worker.rest().create(name, &self.config(&topic, rate)).await?;
        self.worker.rest().await_running(name, chaos::RUNNING_AGAIN_MAX).await?;
        Ok(follower)
    }

    fn config(&self, topic: &str, rate: i64) -> Value {
        json!({
            "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic,
            "fields": "id:seq, account:int(1,50), note:text(3,12), amount:decimal(2,1,999)",
            "schema.keyfield": "account", "random.seed": "42", "clock": "logical",
            "iterations": self.records.to_string(), "max.interval": "0", "flow.rate.records": rate.to_string(),
            "batch.records": "100", "exactly.once.support": "required",
            "transaction.boundary": "poll",
        })
    }

    /// Runs the generator again under random kills.
    ///
    /// # Errors
    /// The worker does not come back, or the topic cannot be read.
    pub async fn under_kills(self, expected: Ledger, kills: &Kills, each: impl FnMut(u32)) -> Result<Outcome> {
        let follower = self.generate(DISTURBED, i64::try_from(self.rate)?).await?;
        let (worker, toll) = kills.run(self.worker, DISTURBED, each).await?;
        finish(follower, expected, &worker, toll).await
    }

    /// Runs the generator again and ends the worker at every point once.
    ///
    /// # Errors
    /// As for [`Scene::under_kills`]; a point that is not reached.
    pub async fn at_points(self, expected: Ledger, points: &[(&str, u32)]) -> Result<Outcome> {
        let follower = self.generate(DISTURBED, i64::try_from(self.rate)?).await?;
        let worker = chaos::kill_at_each(self.worker, DISTURBED, points).await?;
        finish(follower, expected, &worker, Toll::default()).await
    }
}

async fn finish(follower: Follower, expected: Ledger, worker: &Worker, toll: Toll) -> Result<Outcome> {
    follower.settle(expected.expected(), QUIET).await.with_context(|| worker.log_tail())?;
    let mut ledger = expected;
    ledger.observe_all_of(follower.stop().await);
    Ok(Outcome { report: ledger.compare(), toll })
}

fn parse(record: &LogRecord) -> Result<Option<Line>> {
    let value = record.value.as_deref().unwrap_or_default();
    let fields: Value = serde_json::from_slice(value).context("a generated record is not JSON")?;
    let number = fields["id"].as_u64().context("a generated record has no id")?;
    Ok(Some(Line::new(String::from_utf8_lossy(&record.key), number, value)))
}
