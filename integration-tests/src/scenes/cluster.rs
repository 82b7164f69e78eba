//! Several workers of one group, generators on them, and a ledger for each generator.
use super::run_number;
use crate::follow::{Follower, cluster, create_topic};
use crate::ledger::{Ledger, Line, Report};
use crate::meter::Meter;
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
const QUIET: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time that a group without any disturbance has to run everything.
pub const CALM_MAX: Duration = Duration::from_secs(60);
/// Records that show that a generator goes on, beyond those that were on their way.
const PROGRESS: u64 = 100;
/// The sink that reads what all generators write.
const SINK: &str = "collected";
/// Pause between two readings of all files.
const COLLECTED_EVERY: Duration = Duration::from_secs(1);
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
    /// Where a sink shows the records of all generators.
    collected: Option<PathBuf>,
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
            collected: None,
        })
    }

    /// `group.id`, also the prefix of the internal topics.
    pub fn id(&self) -> String {
        format!("cluster-{}", self.run)
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
        let mut options = WorkerOptions::new(&dir, bootstrap, &self.id())?;
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
        format!("{}-{name}", self.id())
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
        let (began, names) = (Instant::now(), self.names());
        let alive: BTreeSet<String> = self.workers.iter().map(|w| format!("127.0.0.1:{}", w.options.port)).collect();
        loop {
            let rest = self.any();
            let (mut places, mut running, mut last) = (BTreeMap::new(), 0, Value::Null);
            for name in &names {
                last = rest.call("GET", &format!("/connectors/{name}/status"), None).await?.1;
                let tasks = last["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
                let holder = |task: &Value| Some(task["worker_id"].as_str()?.to_owned());
                let runs =
                    |task: &&Value| task["state"] == "RUNNING" && holder(task).is_some_and(|w| alive.contains(&w));
                if !tasks.is_empty() && tasks.iter().all(|task| runs(&task)) {
                    running += 1;
                }
                for task in tasks.iter().filter(runs) {
                    places.insert(format!("{name}-{}", task["id"]), holder(task).unwrap_or_default());
                }
            }
            if running == names.len() {
                return Ok((began.elapsed(), places));
            }
            if began.elapsed() > within {
                bail!(
                    "{running} of {} connectors run after {within:?}; the last status is {last}\n{}",
                    names.len(),
                    self.logs()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Connectors that have to run.
    fn names(&self) -> Vec<String> {
        self.followers.keys().cloned().chain(self.collected.is_some().then(|| SINK.to_owned())).collect()
    }

    /// Waits until every generator has written more than it has by now, or everything.
    ///
    /// # Errors
    /// One has not in time.
    pub async fn await_progress(&self, within: Duration) -> Result<()> {
        let began = Instant::now();
        let count = |follower: &Follower| follower.ledger().observed();
        let before: Vec<u64> = self.followers.values().map(count).collect();
        loop {
            let more = |(follower, before): (&Follower, &u64)| {
                let now = count(follower);
                now > *before + PROGRESS.min(self.records.saturating_sub(*before + 1)) || now >= self.records
            };
            if self.followers.values().zip(&before).all(more) {
                return Ok(());
            }
            if began.elapsed() > within {
                let now: Vec<u64> = self.followers.values().map(count).collect();
                bail!("records of each generator are {now:?} after {within:?}, and were {before:?}\n{}", self.logs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Runs a sink of two tasks that shows every generator's records in files.
    ///
    /// # Errors
    /// It is refused.
    pub async fn collect(&mut self) -> Result<()> {
        let path = self.dir.join("collected");
        std::fs::create_dir_all(&path)?;
        let topics: Vec<String> = self.followers.keys().map(|name| self.topic(name)).collect();
        let config = json!({
            "connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "2", "topics": topics.join(","),
            "output.path": path, "format": "json", "commit.interval.ms": "300", "flush.size": "5000",
            "consumer.override.auto.offset.reset": "earliest",
        });
        self.collected = Some(path);
        self.any().create(SINK, &config).await.map(drop)
    }

    /// Waits until the sink shows as many records as every generator writes, and compares.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn collected(&self, expected: &Expected) -> Result<BTreeMap<String, Report>> {
        let path = self.collected.as_ref().context("no sink runs")?;
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let mut reports = BTreeMap::new();
            for name in self.followers.keys() {
                let mut ledger = expected.0.clone().bare();
                for line in lines_of(&path.join("topics").join(self.topic(name)))? {
                    ledger.observe(line);
                }
                reports.insert(format!("{name} in the sink"), ledger.compare());
            }
            let observed = reports.values().map(|report| report.observed).sum();
            if observed > last {
                (last, since) = (observed, Instant::now());
            }
            if reports.values().all(|report| report.observed >= report.expected) || since.elapsed() > QUIET {
                return Ok(reports);
            }
            tokio::time::sleep(COLLECTED_EVERY).await;
        }
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        self.workers.iter().map(|worker| format!("--- {}\n{}\n", worker.options.port, worker.log_tail())).collect()
    }

    /// Counts the records of all generators, second by second.
    pub fn meter(&self) -> Meter {
        let counters: Vec<_> = self.followers.values().map(Follower::counter).collect();
        Meter::begin(move || counters.iter().map(|count| count()).sum())
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

/// Lines of the files of one topic. Names carry the first offset, padded: their order is the order of the records.
fn lines_of(directory: &Path) -> Result<Vec<Line>> {
    let mut files = Vec::new();
    super::sinks::walk(directory, &mut |file| files.push(file.to_path_buf()))?;
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        for text in std::fs::read_to_string(&file)?.lines() {
            let fields: Value = serde_json::from_str(text).with_context(|| format!("half a record in {file:?}"))?;
            let number = fields["id"].as_u64().context("a record without an id")?;
            lines.push(Line::new(fields["account"].to_string(), number, b""));
        }
    }
    Ok(lines)
}

fn parse(record: &LogRecord) -> Result<Option<Line>> {
    let value = record.value.as_deref().unwrap_or_default();
    let fields: Value = serde_json::from_slice(value).context("a generated record is not JSON")?;
    let number = fields["id"].as_u64().context("a generated record has no id")?;
    Ok(Some(Line::new(String::from_utf8_lossy(&record.key), number, value)))
}
