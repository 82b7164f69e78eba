//! Numbered records from Kafka into a sink, while the worker is ended at the steps of the sink loop.
//!
//! The destination is read as its users read it: files by name, rows of a table without a key, documents. So a record that
//! came twice is seen twice.
mod difference;
mod load;
mod steps;
mod target;

pub use difference::Difference;
pub use target::Target;
pub(super) use target::walk;

use super::run_number;
use super::visitor::Visitor;
use crate::chaos::{self, Kills};
use crate::follow::{cluster, create_topic};
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, bail, ensure};
use difference::compare;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::Kafka;
use load::{Load, PARTITIONS};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything is visible by then after the last record was sent.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// Nothing is left in doubt by then.
const DOUBT_MAX: Duration = Duration::from_secs(30);
/// A member of the sink's group that is dead is gone after so long. The test servers allow so little.
pub const SESSION: Duration = Duration::from_secs(2);
const CONNECTOR: &str = "numbered";

/// A worker with a sink, and a load that goes on until it is told to stop.
pub struct Scene {
    worker: Worker,
    kafka: Arc<RdKafka>,
    target: Target,
    topic: String,
    load: Load,
}

impl Scene {
    /// Starts a worker in `dir` with a sink into the target, and the load.
    ///
    /// # Errors
    /// The worker does not start, or refuses the sink.
    pub async fn start(dir: &Path, bootstrap: &str, target: Target) -> Result<Self> {
        let (kafka, run) = (cluster(bootstrap)?, run_number());
        let topic = format!("numbered-{run}");
        create_topic(&kafka, &topic, i32::try_from(PARTITIONS)?).await?;
        target.prepare().await?;
        let mut options = WorkerOptions::new(dir, bootstrap, &format!("sinks-{run}"))?;
        for (key, time) in [("session.timeout.ms", SESSION), ("heartbeat.interval.ms", SESSION / 3)] {
            options.properties.insert(format!("consumer.{key}"), time.as_millis().to_string());
        }
        let worker = Worker::start(options).await?;
        worker.rest().create(CONNECTOR, &target.config(&topic)).await?;
        worker.rest().await_running(CONNECTOR, chaos::RUNNING_AGAIN_MAX).await?;
        let load = Load::start(&kafka, &topic)?;
        Ok(Self { worker, kafka, target, topic, load })
    }

    /// Ends the worker at every point once.
    ///
    /// # Errors
    /// A point is not reached, or the worker does not come back.
    async fn at_points(mut self, points: &[(&str, u32)]) -> Result<Self> {
        self.worker = chaos::kill_at_each(self.worker, CONNECTOR, points).await?;
        Ok(self)
    }

    /// Ends the worker at every step of the target's protocol once, each time at another hit.
    ///
    /// # Errors
    /// As for [`Self::at_points`].
    pub async fn at_every_step(self, round: u32) -> Result<Self> {
        let points = steps::at_round(&self.target, round);
        self.at_points(&points).await
    }

    /// Ends the worker where partitions are asked back and given back, while another member of its group takes some and gives
    /// them back, over and over.
    ///
    /// # Errors
    /// As for [`Self::at_points`]; the other member is never given one.
    pub async fn at_revocations(self) -> Result<Self> {
        let visitor = Visitor::start(&self.kafka, CONNECTOR, &self.topic);
        let scene = self.at_points(&steps::REVOKED).await;
        let held = visitor.stop().await.context("the visitor failed")?;
        let scene = scene.with_context(|| format!("the visitor was given partitions {held} times"))?;
        ensure!(held > 0, "the visitor was never given a partition");
        Ok(scene)
    }

    /// Ends the worker at random moments.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn under_kills(mut self, kills: &Kills) -> Result<Self> {
        self.worker = kills.run(self.worker, CONNECTOR, |_| {}).await?.0;
        Ok(self)
    }

    /// Freezes the worker, lets another one of its group take over, and lets the frozen one go on beside it for a while.
    ///
    /// # Errors
    /// The other one does not start.
    pub async fn with_a_zombie(mut self, dir: &Path, frozen: Duration, beside: Duration) -> Result<Self> {
        self.worker.freeze()?;
        tokio::time::sleep(frozen).await;
        let mut options = WorkerOptions { dir: dir.to_path_buf(), ..self.worker.options.clone() };
        options.port = crate::worker::free_port()?;
        let successor = Worker::start(options).await?;
        successor.rest().await_running(CONNECTOR, chaos::RUNNING_AGAIN_MAX).await?;
        self.worker.thaw()?;
        tokio::time::sleep(beside).await;
        let zombie = std::mem::replace(&mut self.worker, successor);
        drop(zombie.kill()?);
        Ok(self)
    }

    /// Stops the load, waits until everything is visible, and compares.
    ///
    /// # Errors
    /// The destination cannot be read.
    pub async fn finish(self) -> Result<Difference> {
        let sent = self.load.stop().await?;
        let expected: u64 = sent.good.iter().sum();
        let began = Instant::now();
        while (self.target.rows(&self.topic).await?.len() as u64) < expected && began.elapsed() < SETTLE_MAX {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let began = Instant::now();
        while !self.target.left_over()?.is_empty() && began.elapsed() < DOUBT_MAX {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut difference = compare(&sent, &self.target.rows(&self.topic).await?, self.target.has_order());
        difference.left_over = self.target.left_over()?;
        difference.bad = (sent.bad, dead_letters(&self.kafka, &format!("{}-dead", self.topic)).await?);
        if !difference.is_clean() {
            bail!("{difference:?}\n{}", self.worker.log_tail());
        }
        Ok(difference)
    }
}

async fn dead_letters(kafka: &RdKafka, topic: &str) -> Result<u64> {
    let at = elasticflow_api::position::TopicPartition { topic: topic.into(), partition: 0 };
    let ends = kafka.admin().end_offsets(std::slice::from_ref(&at)).await?;
    // Control records count too; the check is that none is missing.
    Ok(ends.get(&at).map_or(0, |end| u64::try_from(end.0).unwrap_or(0)))
}
