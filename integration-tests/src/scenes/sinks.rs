//! Numbered records from Kafka into a sink, while the worker is ended at the steps of the sink loop.
//!
//! The destination is read as its users read it: files by name, rows of a table without a key, documents. So a record that
//! came twice is seen twice.
use super::run_number;
use super::visitor::Visitor;
use crate::chaos::{self, Kills};
use crate::follow::{cluster, create_topic};
use crate::search::Search;
use crate::tables::Tables;
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, bail, ensure};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord, SendError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const PARTITIONS: usize = 3;
/// One record in so many is no JSON and becomes a dead letter.
const BAD_EVERY: u64 = 101;
/// Everything is visible by then after the last record was sent.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// Nothing is left in doubt by then.
const DOUBT_MAX: Duration = Duration::from_secs(30);
const CONNECTOR: &str = "numbered";
/// The table of every database.
const TABLE: &str = "CREATE TABLE numbered (p INTEGER, n INTEGER, total INTEGER)";

/// Where the records go.
#[derive(Clone)]
pub enum Target {
    /// A directory of the file sink.
    Files(PathBuf),
    /// A database file.
    Sqlite(PathBuf),
    /// A server; the index has the topic's name.
    Elasticsearch(Search),
    /// A schema of MySQL or PostgreSQL.
    Sql(Tables),
    /// A schema of MySQL that is written in XA transactions.
    Branches(Tables),
}

/// A worker with a sink, and a load that goes on until it is told to stop.
pub struct Scene {
    worker: Worker,
    kafka: Arc<RdKafka>,
    target: Target,
    topic: String,
    load: Load,
}

/// How the destination differs from what was sent.
#[derive(Debug, Default)]
pub struct Difference {
    /// Records that were sent and are good.
    pub sent: u64,
    /// Sent and not there.
    pub missing: Vec<(usize, u64)>,
    /// There more than once.
    pub doubled: Vec<(usize, u64)>,
    /// There after a later one of its partition, where the destination has an order.
    pub late: Vec<(usize, u64)>,
    /// What the sink has staged and neither shown nor removed.
    pub left_over: Vec<String>,
    /// Bad records, and dead letters of them.
    pub bad: (u64, u64),
}

impl Difference {
    /// Nothing is wrong. Dead letters may repeat, but none is missing.
    pub fn is_clean(&self) -> bool {
        let same = self.missing.is_empty() && self.doubled.is_empty() && self.late.is_empty();
        same && self.left_over.is_empty() && self.bad.1 >= self.bad.0 && self.sent > 0
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<Result<Sent>>,
}

#[derive(Debug, Default)]
struct Sent {
    good: [u64; PARTITIONS],
    bad: u64,
}

impl Scene {
    /// Starts a worker in `dir` with a sink into the target, and the load.
    ///
    /// # Errors
    /// The worker does not start, or refuses the sink.
    pub async fn start(dir: &Path, bootstrap: &str, target: Target) -> Result<Self> {
        // A real cluster allows no session below 6 s; the development broker does.
        Self::start_with(dir, bootstrap, target, Duration::from_secs(6)).await
    }

    /// The same; a member of the sink's group that is dead is gone after so long.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_with(dir: &Path, bootstrap: &str, target: Target, session: Duration) -> Result<Self> {
        let (kafka, run) = (cluster(bootstrap)?, run_number());
        let topic = format!("numbered-{run}");
        create_topic(&kafka, &topic, i32::try_from(PARTITIONS)?).await?;
        prepare(&target).await?;
        let mut options = WorkerOptions::new(dir, bootstrap, &format!("sinks-{run}"))?;
        for (key, time) in [("session.timeout.ms", session), ("heartbeat.interval.ms", session / 3)] {
            options.properties.insert(format!("consumer.{key}"), time.as_millis().to_string());
        }
        let worker = Worker::start(options).await?;
        worker.rest().create(CONNECTOR, &config(&target, &topic)).await?;
        worker.rest().await_running(CONNECTOR, chaos::RUNNING_AGAIN_MAX).await?;
        let load = Load::start(&kafka, &topic)?;
        Ok(Self { worker, kafka, target, topic, load })
    }

    /// Ends the worker at every point once.
    ///
    /// # Errors
    /// A point is not reached, or the worker does not come back.
    pub async fn at_points(mut self, points: &[(&str, u32)]) -> Result<Self> {
        for (point, hit) in points {
            self.worker = chaos::kill_at(self.worker, CONNECTOR, point, *hit).await?;
        }
        Ok(self)
    }

    /// Ends the worker at every point once, while another member of its group takes partitions and gives them back.
    ///
    /// # Errors
    /// As for [`Self::at_points`]; the other member is never given one.
    pub async fn at_points_with_a_visitor(self, points: &[(&str, u32)]) -> Result<Self> {
        let visitor = Visitor::start(&self.kafka, CONNECTOR, &self.topic);
        let scene = self.at_points(points).await;
        let held = visitor.stop().await?;
        ensure!(scene.is_err() || held > 0, "the visitor was never given a partition");
        scene
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

fn config(target: &Target, topic: &str) -> Value {
    let mut config = json!({
        "tasks.max": "1", "topics": topic, "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
        "consumer.override.auto.offset.reset": "earliest",
    });
    let own = match target {
        Target::Files(path) => json!({
            "connector.class": "elasticflow.connectors.FileSinkConnector", "output.path": path, "format": "json",
            "commit.interval.ms": "300", "flush.size": "1000",
        }),
        Target::Sqlite(path) => json!({
            "connector.class": "elasticflow.connectors.SqliteSinkConnector", "connection.url": path,
            "table.name.format": "numbered", "insert.mode": "insert", "pk.mode": "none", "batch.max.records": "50",
        }),
        Target::Elasticsearch(search) => json!({
            "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
            "connection.url": search.url(), "key.ignore": "true", "schema.ignore": "true",
        }),
        Target::Sql(tables) => json!({
            "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection.url": tables.url(),
            "connection.user": tables.account().0, "connection.password": tables.account().1,
            "table.name.format": "numbered", "insert.mode": "insert", "pk.mode": "none", "batch.max.records": "50",
        }),
        Target::Branches(tables) => json!({
            "connector.class": "elasticflow.connectors.MysqlSinkConnector", "connection.url": tables.url(),
            "connection.user": tables.account().0, "connection.password": tables.account().1,
            "table.name.format": "numbered", "insert.mode": "insert", "pk.mode": "none",
            "delivery.technique": "xa", "commit.interval.ms": "300",
        }),
    };
    if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
        config.extend(own);
    }
    config
}

/// What the destination needs beforehand.
async fn prepare(target: &Target) -> Result<()> {
    match target {
        Target::Files(path) => Ok(std::fs::create_dir_all(path)?),
        Target::Sqlite(path) => {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            let database = rusqlite::Connection::open(path)?;
            database.pragma_update(None, "journal_mode", "wal")?;
            Ok(database.execute_batch(TABLE)?)
        }
        Target::Elasticsearch(_) => Ok(()),
        Target::Sql(tables) | Target::Branches(tables) => tables.run(TABLE).await,
    }
}

impl Target {
    /// Whether what is read has the order in which it was written.
    fn has_order(&self) -> bool {
        !matches!(self, Self::Elasticsearch(_) | Self::Sql(_) | Self::Branches(_))
    }

    /// Partition and number of every record that a reader sees.
    async fn rows(&self, topic: &str) -> Result<Vec<(usize, u64)>> {
        match self {
            Self::Files(path) => rows_of_files(&path.join("topics").join(topic)),
            Self::Sqlite(path) => {
                let database = rusqlite::Connection::open(path)?;
                database.busy_timeout(Duration::from_secs(10))?;
                let mut query = database.prepare("SELECT p, n FROM numbered ORDER BY rowid")?;
                let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
                rows.map(|row| row.map_err(anyhow::Error::from)).map(|row| numbers(row?)).collect()
            }
            Self::Elasticsearch(search) => {
                search.refresh(topic).await?;
                if search.count(topic).await? == 0 {
                    return Ok(Vec::new());
                }
                let all = search.all(topic, "total").await?;
                all.iter().map(|(_, document)| row_of(document)).collect()
            }
            Self::Sql(tables) | Self::Branches(tables) => {
                let rows = tables.all_numbers("SELECT p, n FROM numbered").await?;
                let pair = |row: Vec<i64>| row.first().copied().zip(row.get(1).copied()).context("two columns");
                rows.into_iter().map(|row| numbers(pair(row)?)).collect()
            }
        }
    }

    /// What is staged.
    fn left_over(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        if let Self::Files(path) = self {
            walk(&path.join(".elasticflow"), &mut |file| {
                let name = file.to_string_lossy().into_owned();
                // What was shown is remembered for a while, so that a second commit of it is recognised.
                if name.contains("/done/") {
                    return;
                }
                if name.ends_with(".part") || name.ends_with("manifest.json") {
                    found.push(name);
                }
            })?;
        }
        Ok(found)
    }
}

fn numbers((p, n): (i64, i64)) -> Result<(usize, u64)> {
    Ok((usize::try_from(p)?, u64::try_from(n)?))
}

fn row_of(value: &Value) -> Result<(usize, u64)> {
    let number = |key: &str| value[key].as_i64().with_context(|| format!("a record without {key}: {value}"));
    numbers((number("p")?, number("n")?))
}

fn rows_of_files(directory: &Path) -> Result<Vec<(usize, u64)>> {
    let mut files = Vec::new();
    walk(directory, &mut |file| files.push(file.to_path_buf()))?;
    // Names carry the first offset, padded: their order is the order of the records.
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        for line in text.lines() {
            let value = serde_json::from_str(line).with_context(|| format!("half a record in {}", file.display()))?;
            rows.push(row_of(&value)?);
        }
    }
    Ok(rows)
}

/// Files below a directory; what vanishes meanwhile was never there.
pub(super) fn walk(directory: &Path, each: &mut dyn FnMut(&Path)) -> Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { walk(&path, each)? } else { each(&path) }
    }
    Ok(())
}

fn compare(sent: &Sent, rows: &[(usize, u64)], has_order: bool) -> Difference {
    let mut difference = Difference { sent: sent.good.iter().sum(), ..Difference::default() };
    for (partition, count) in sent.good.iter().enumerate() {
        let mut seen = vec![0u32; usize::try_from(*count).unwrap_or(0)];
        let mut last = None;
        for (_, number) in rows.iter().filter(|(p, _)| *p == partition) {
            if let Some(times) = usize::try_from(*number).ok().and_then(|n| seen.get_mut(n)) {
                *times += 1;
            }
            if has_order && last.is_some_and(|last| *number < last) {
                difference.late.push((partition, *number));
            }
            last = Some(*number);
        }
        for (number, times) in seen.iter().enumerate() {
            match times {
                0 => difference.missing.push((partition, number as u64)),
                1 => {}
                _ => difference.doubled.push((partition, number as u64)),
            }
        }
    }
    difference
}

async fn dead_letters(kafka: &RdKafka, topic: &str) -> Result<u64> {
    let at = elasticflow_api::position::TopicPartition { topic: topic.into(), partition: 0 };
    let ends = kafka.admin().end_offsets(std::slice::from_ref(&at)).await?;
    // Control records count too; the check is that none is missing.
    Ok(ends.get(&at).map_or(0, |end| u64::try_from(end.0).unwrap_or(0)))
}

impl Load {
    fn start(kafka: &RdKafka, topic: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut producer = kafka.producer(&ClientProperties::new())?;
        let (ended, topic) = (Arc::clone(&stop), topic.to_owned());
        let sending = tokio::spawn(async move {
            let mut sent = Sent::default();
            let mut total = 0u64;
            while !ended.load(Ordering::Acquire) {
                for partition in 0..PARTITIONS {
                    total += 1;
                    let number = sent.good.get_mut(partition).context("a partition")?;
                    let is_bad = total.is_multiple_of(BAD_EVERY);
                    let value = if is_bad {
                        "{".to_owned()
                    } else {
                        json!({"p": partition, "n": *number, "total": total}).to_string()
                    };
                    let record = OutRecord {
                        topic: &topic,
                        partition: Some(i32::try_from(partition)?),
                        key: None,
                        value: Some(value.as_bytes()),
                        headers: &[],
                        timestamp_ms: None,
                    };
                    while let Err(refused) = producer.send(record) {
                        match refused {
                            SendError::Full => producer.room().await?,
                            SendError::Kafka(error) => return Err(error.into()),
                        }
                    }
                    if is_bad { sent.bad += 1 } else { *number += 1 }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            producer.drain().await?;
            Ok(sent)
        });
        Ok(Self { stop, sending })
    }

    async fn stop(self) -> Result<Sent> {
        self.stop.store(true, Ordering::Release);
        self.sending.await?
    }
}
