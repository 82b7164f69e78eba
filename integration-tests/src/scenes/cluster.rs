//! Several workers of one group, generators on them, and a ledger for each generator.
use super::run_number;
use crate::follow::{Follower, cluster, create_topic};
use crate::ledger::{Ledger, Line, Report};
use crate::rest::Rest;
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, bail, ensure};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::LogRecord;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 2;
/// Nothing more is expected after so long without a record.
const QUIET: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time that a group without any disturbance has to run everything.
pub const CALM_MAX: Duration = Duration::from_secs(30);
/// Where the undisturbed generator writes.
const CALM: &str = "calm";

/// A group of workers.
pub struct Group {
    kafka: Arc<RdKafka>,
    dir: PathBuf,
    bootstrap: String,
    run: u64,
    records: u64,
    rate: u64,
    properties: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    /// The workers that run.
    pub workers: Vec<Worker>,
    random: SmallRng,
    followers: BTreeMap<String, Follower>,
}

impl Group {
    /// A group without workers; generators of it write so many records each, so many a second.
    ///
    /// # Errors
    /// The address is not one.
    pub fn new(dir: &Path, bootstrap: &str, (records, rate): (u64, u64), seed: u64) -> Result<Self> {
        Ok(Self {
            kafka: cluster(bootstrap)?,
            dir: dir.to_path_buf(),
            bootstrap: bootstrap.to_owned(),
            run: run_number(),
            records,
            rate,
            properties: BTreeMap::new(),
            env: BTreeMap::new(),
            workers: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
            followers: BTreeMap::new(),
        })
    }

    /// Sets a property of the workers that are started from here on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.properties.insert(key.to_owned(), value.to_owned());
    }

    /// Arms failpoints of the workers that are started from here on.
    pub fn arm(&mut self, points: &str) {
        self.env.insert("ELASTICFLOW_FAILPOINTS".to_owned(), points.to_owned());
    }

    /// Starts another worker and waits for its endpoint.
    ///
    /// # Errors
    /// It does not start.
    pub async fn join(&mut self) -> Result<()> {
        self.join_through(&self.bootstrap.clone()).await
    }

    /// Starts another worker that reaches Kafka at an address of its own.
    ///
    /// # Errors
    /// It does not start.
    pub async fn join_through(&mut self, bootstrap: &str) -> Result<()> {
        let dir = self.dir.join(format!("w{}", self.random.random::<u32>()));
        let mut options = WorkerOptions::new(&dir, bootstrap, &format!("cluster-{}", self.run))?;
        (options.properties, options.env) = (self.properties.clone(), self.env.clone());
        self.start(options).await
    }

    /// Ends every worker and starts it again, one after the other, as an upgrade does.
    ///
    /// # Errors
    /// One does not end with exit code 0, or does not start.
    pub async fn roll(&mut self, within: Duration) -> Result<()> {
        for _ in 0..self.workers.len() {
            let worker = self.workers.remove(0);
            let options = worker.options.clone();
            ensure!(worker.stop().await?, "the worker at port {} did not end cleanly", options.port);
            self.start(options).await?;
            self.await_all_running(within).await?;
        }
        Ok(())
    }

    /// Starts a worker that was killed again.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(&mut self, options: WorkerOptions) -> Result<()> {
        self.workers.push(Worker::start(options).await?);
        Ok(())
    }

    /// Kills one of the workers with -9; what it was started with.
    ///
    /// # Errors
    /// There is none.
    pub fn kill_one(&mut self) -> Result<WorkerOptions> {
        ensure!(!self.workers.is_empty(), "no worker runs");
        let victim = self.random.random_range(0..self.workers.len());
        self.workers.swap_remove(victim).kill()
    }

    /// The endpoint of any worker.
    ///
    /// # Panics
    /// No worker runs.
    pub fn any(&mut self) -> Rest {
        let any = self.random.random_range(0..self.workers.len());
        self.workers[any].rest()
    }

    fn topic(&self, name: &str) -> String {
        format!("cluster-{}-{name}", self.run)
    }

    /// Creates a generator through any worker and follows its topic.
    ///
    /// # Errors
    /// It is refused.
    pub async fn generate(&mut self, name: &str) -> Result<()> {
        let (topic, rate) = (self.topic(name), if name == CALM { -1 } else { i64::try_from(self.rate)? });
        create_topic(&self.kafka, &topic, PARTITIONS).await?;
        self.followers.insert(name.to_owned(), Follower::start(&self.kafka, &topic, parse).await?);
        let config = json!({
            "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic,
            "fields": "id:seq, account:int(1,50), note:text(3,12)", "schema.keyfield": "account",
            "random.seed": "42", "clock": "logical", "iterations": self.records.to_string(), "max.interval": "0",
            "flow.rate.records": rate.to_string(), "batch.records": "50", "exactly.once.support": "required",
            "transaction.boundary": "poll",
        });
        self.any().create(name, &config).await.map(drop)
    }

    /// Lets a generator run undisturbed: what every other one has to write.
    ///
    /// # Errors
    /// It does not run.
    pub async fn expected(&mut self) -> Result<Expected> {
        self.generate(CALM).await?;
        let follower = self.followers.remove(CALM).context("the calm generator is not followed")?;
        follower.settle(self.records, QUIET).await?;
        ensure!(follower.ledger().observed() == self.records, "the undisturbed generator did not end");
        self.any().expect("DELETE", &format!("/connectors/{CALM}"), None).await?;
        // Kept, not read again: the generator's clock is logical, and a broker deletes what looks old.
        let mut ledger = Ledger::default();
        ledger.expect_all_of(follower.stop().await);
        Ok(Expected(ledger))
    }

    /// Where each task runs, once all of them do; as any worker tells it.
    ///
    /// # Errors
    /// They do not within the time.
    pub async fn await_all_running(&mut self, within: Duration) -> Result<(Duration, BTreeMap<String, String>)> {
        let (began, names) = (Instant::now(), self.followers.keys().cloned().collect::<Vec<_>>());
        let alive: BTreeSet<String> = self.workers.iter().map(|w| format!("127.0.0.1:{}", w.options.port)).collect();
        loop {
            let rest = self.any();
            let mut places = BTreeMap::new();
            let mut last = Value::Null;
            for name in &names {
                last = rest.call("GET", &format!("/connectors/{name}/status"), None).await?.1;
                let worker = last["tasks"][0]["worker_id"].as_str().unwrap_or_default();
                if last["tasks"][0]["state"] == "RUNNING" && alive.contains(worker) {
                    places.insert(name.clone(), worker.to_owned());
                }
            }
            if places.len() == names.len() {
                return Ok((began.elapsed(), places));
            }
            if began.elapsed() > within {
                bail!(
                    "{} of {} tasks run after {within:?}; the last status is {last}\n{}",
                    places.len(),
                    names.len(),
                    self.logs()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        self.workers.iter().map(|worker| format!("--- {}\n{}\n", worker.options.port, worker.log_tail())).collect()
    }

    /// Records that have been read of all generators.
    pub fn observed(&self) -> u64 {
        self.followers.values().map(|follower| follower.ledger().observed()).sum()
    }

    /// Waits until every generator has written everything and compares each with what was expected.
    ///
    /// # Errors
    /// A topic cannot be read.
    pub async fn reports(mut self, expected: &Expected) -> Result<BTreeMap<String, Report>> {
        let mut reports = BTreeMap::new();
        for (name, follower) in std::mem::take(&mut self.followers) {
            follower.settle(self.records, QUIET).await.with_context(|| self.logs())?;
            let mut ledger = expected.0.clone();
            ledger.observe_all_of(follower.stop().await);
            reports.insert(name, ledger.compare());
        }
        Ok(reports)
    }
}

/// What an undisturbed generator has written.
pub struct Expected(Ledger);

fn parse(record: &LogRecord) -> Result<Option<Line>> {
    let value = record.value.as_deref().unwrap_or_default();
    let fields: Value = serde_json::from_slice(value).context("a generated record is not JSON")?;
    let number = fields["id"].as_u64().context("a generated record has no id")?;
    Ok(Some(Line::new(String::from_utf8_lossy(&record.key), number, value)))
}
