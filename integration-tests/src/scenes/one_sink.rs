//! A worker with one sink, and records that are sent by hand.
use super::run_number;
use crate::follow::{cluster, create_topic};
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Result, ensure};
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Everything that is expected has happened by then.
pub const SETTLE_MAX: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A worker with one sink, which reads one topic of one partition and writes dead letters to `<topic>-dead`.
pub struct Scene {
    /// The worker.
    pub worker: Worker,
    /// The topic; also the worker's group.
    pub topic: String,
    /// The connector.
    pub name: &'static str,
    bootstrap: String,
}

impl Scene {
    /// Starts it; `own` are the keys of the sink beside those of the framework.
    ///
    /// # Errors
    /// Kafka is missing, or the sink does not run.
    pub async fn start(dir: &Path, bootstrap: &str, name: &'static str, own: Value) -> Result<Self> {
        Self::start_wide((dir, bootstrap), name, 1, own).await
    }

    /// The same with a topic of several partitions.
    ///
    /// # Errors
    /// Kafka is missing, or the sink does not run.
    pub async fn start_wide(
        (dir, bootstrap): (&Path, &str),
        name: &'static str,
        partitions: i32,
        own: Value,
    ) -> Result<Self> {
        let topic = format!("{name}-{}", run_number());
        create_topic(cluster(bootstrap)?.as_ref(), &topic, partitions).await?;
        let worker = Worker::start(WorkerOptions::new(dir, bootstrap, &topic)?).await?;
        let mut config = json!({
            "tasks.max": "1", "topics": topic, "errors.tolerance": "all",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
            "consumer.override.auto.offset.reset": "earliest",
        });
        if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
            config.extend(own);
        }
        let scene = Self { worker, topic, name, bootstrap: bootstrap.to_owned() };
        scene.worker.rest().create(name, &config).await?;
        scene.worker.rest().await_running(name, SETTLE_MAX).await?;
        Ok(scene)
    }

    /// Sends records, keys and values.
    ///
    /// # Errors
    /// Kafka does not take them.
    pub async fn send(&self, records: &[(&str, &str)]) -> Result<()> {
        self.send_to(0, records).await
    }

    /// Sends records to a partition.
    ///
    /// # Errors
    /// Kafka does not take them.
    pub async fn send_to(&self, partition: i32, records: &[(&str, &str)]) -> Result<()> {
        self.send_into(&self.topic, partition, records).await
    }

    /// Sends records to a partition of another topic.
    ///
    /// # Errors
    /// Kafka does not take them.
    pub async fn send_into(&self, topic: &str, partition: i32, records: &[(&str, &str)]) -> Result<()> {
        let kafka = cluster(&self.bootstrap)?;
        let mut producer = kafka.producer(&ClientProperties::new())?;
        for (key, value) in records {
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            // The producer's own time: by an older one the broker's retention would remove them at once.
            let partition = Some(partition);
            producer.send(OutRecord { topic, partition, key, value, headers: &[], timestamp_ms: None })?;
        }
        producer.drain().await?;
        Ok(())
    }

    /// Stops the sink, forgets every offset of it, and lets it go on.
    ///
    /// # Errors
    /// The worker refuses for too long.
    pub async fn reset(&self) -> Result<()> {
        let rest = self.worker.rest();
        let path = |verb: &str| format!("/connectors/{}/{verb}", self.name);
        rest.expect("PUT", &path("stop"), None).await?;
        let began = Instant::now();
        // Refused while a member of the group is on its way out.
        while rest.call("DELETE", &path("offsets"), None).await?.0 != 200 {
            ensure!(began.elapsed() < SETTLE_MAX, "{}", self.worker.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        rest.expect("PUT", &path("resume"), None).await?;
        Ok(())
    }

    /// State and trace of the task.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn task(&self) -> Result<(String, String)> {
        let status = self.worker.rest().expect("GET", &format!("/connectors/{}/status", self.name), None).await?;
        let text = |field: &str| status["tasks"][0][field].as_str().unwrap_or_default().to_owned();
        Ok((text("state"), text("trace")))
    }

    /// Waits until state and trace of the task are as wanted.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn await_task(&self, wanted: impl Fn(&str, &str) -> bool) -> Result<String> {
        let began = Instant::now();
        loop {
            let (state, trace) = self.task().await?;
            if wanted(&state, &trace) {
                return Ok(trace);
            }
            ensure!(began.elapsed() < SETTLE_MAX, "{state} {trace}\n{}", self.worker.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The group's offset in the topic, as `GET /connectors/{name}/offsets` tells it.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn offset(&self) -> Result<Option<i64>> {
        let path = format!("/connectors/{}/offsets", self.name);
        let answer = self.worker.rest().expect("GET", &path, None).await?;
        let all = answer["offsets"].as_array().cloned().unwrap_or_default();
        let own = all.iter().find(|entry| entry["partition"]["kafka_topic"] == self.topic.as_str());
        Ok(own.and_then(|entry| entry["offset"]["kafka_offset"].as_i64()))
    }

    /// Waits until the offset is as wanted.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn await_offset(&self, wanted: i64) -> Result<()> {
        let began = Instant::now();
        while self.offset().await? != Some(wanted) {
            ensure!(began.elapsed() < SETTLE_MAX, "{:?}\n{}", self.offset().await?, self.worker.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
