//! Kafka Connect is stopped and this product goes on where it stood, with the same group, topics and connectors; then the
//! way back.
use crate::kafka;
use anyhow::{Context, Result, ensure};
use elasticflow_integration_tests::connect::ConnectWorker;
use elasticflow_integration_tests::follow::cluster;
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::servers;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use elasticflow_kafka::ports::Kafka;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Lines, and rows, of each part of the story.
const LINES: usize = 500;
const ROWS: usize = 50;

/// What is written, through whichever workers.
struct Story {
    options: WorkerOptions,
    run: u64,
    source: PathBuf,
    sink: PathBuf,
    lines: usize,
    /// A database, if there is one and Connect has the plug-in.
    database: Option<Database>,
    rows: usize,
}

impl Story {
    async fn begin(dir: &Path, bootstrap: &str) -> Result<Self> {
        let run = run_number();
        let mut options = WorkerOptions::new(dir, bootstrap, &format!("takeover-{run}"))?;
        // So that Kafka Connect does not have to wait for the session of the last worker.
        options.properties.insert("worker.keep.place".to_owned(), "false".to_owned());
        let database = match Database::of("EF_MYSQL") {
            Ok(database) if servers::has("EF_CONNECT_PLUGINS") => Some(database),
            _ => {
                println!("skipped in part: without EF_MYSQL and EF_CONNECT_PLUGINS no change capture is taken over");
                None
            }
        };
        let (source, sink) = (dir.join("source.txt"), dir.join("sink.txt"));
        let mut story = Self { options, run, source, sink, lines: 0, database, rows: 0 };
        if let Some(database) = &story.database {
            let table = format!("CREATE TABLE {0}.t (id INT PRIMARY KEY) CHARACTER SET utf8mb4", story.schema());
            database.run(&[&format!("CREATE DATABASE {}", story.schema()), &table]).await?;
        }
        story.write_more().await?;
        Ok(story)
    }

    fn schema(&self) -> String {
        format!("takeover_{}", self.run)
    }

    fn topic(&self) -> String {
        format!("takeover-{}-lines", self.run)
    }

    /// Connectors by name.
    fn connectors(&self) -> BTreeMap<&'static str, Value> {
        let mut connectors = BTreeMap::from([
            ("source", json!({"connector.class": "FileStreamSource", "file": self.source, "topic": self.topic()})),
            (
                "sink",
                json!({
                    "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
                    "file": self.sink, "topics": self.topic(),
                }),
            ),
        ]);
        if let Some(Database { host, port, user, password }) = &self.database {
            let config = json!({
                "connector.class": "io.debezium.connector.mysql.MySqlConnector",
                "database.hostname": host, "database.port": port.to_string(),
                "database.user": user, "database.password": password,
                "database.server.id": (self.run % 1_000_000 + 3_000_000).to_string(),
                "topic.prefix": self.schema(), "database.include.list": self.schema(),
                "include.schema.changes": "false", "snapshot.locking.mode": "none",
                "schema.history.internal.kafka.bootstrap.servers": self.options.bootstrap,
                "schema.history.internal.kafka.topic": format!("{}-history", self.schema()),
            });
            connectors.insert("capture", config);
        }
        connectors
    }

    /// A further part, whether anybody runs or not.
    async fn write_more(&mut self) -> Result<()> {
        let mut file = std::fs::File::options().create(true).append(true).open(&self.source)?;
        let text: String = (self.lines..self.lines + LINES).map(|number| format!("line {number}\n")).collect();
        file.write_all(text.as_bytes())?;
        self.lines += LINES;
        if let Some(database) = &self.database {
            let values: Vec<String> = (self.rows..self.rows + ROWS).map(|id| format!("({id})")).collect();
            database.run(&[&format!("INSERT INTO {}.t VALUES {}", self.schema(), values.join(","))]).await?;
            self.rows += ROWS;
        }
        Ok(())
    }

    /// Waits until everything that was written has come out, and compares it: each once, in order.
    async fn await_all(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let found = std::fs::read_to_string(&self.sink).unwrap_or_default().lines().count();
            let rows = if self.database.is_some() { self.captured().await.unwrap_or_default().len() } else { 0 };
            if found >= self.lines && rows >= self.rows {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "{found} of {} lines, {rows} of {} rows", self.lines, self.rows);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let expected: Vec<String> = (0..self.lines).map(|number| format!("line {number}")).collect();
        let text = std::fs::read_to_string(&self.sink)?;
        ensure!(text.lines().eq(expected.iter().map(String::as_str)), "lines of the sink: {}", summary(text.lines()));
        let topic = self.read(&self.topic()).await?;
        let lines: Vec<String> = topic.iter().map(|value| serde_json::from_slice(value)).collect::<Result<_, _>>()?;
        ensure!(lines == expected, "lines of the topic: {}", summary(lines.iter().map(String::as_str)));
        if self.database.is_some() {
            let ids: Vec<i64> = (0..i64::try_from(self.rows)?).collect();
            let captured = self.captured().await?;
            ensure!(captured == ids, "rows of the topic: {captured:?}");
        }
        Ok(())
    }

    /// Ids of the rows that were captured.
    async fn captured(&self) -> Result<Vec<i64>> {
        let records = self.read(&format!("{0}.{0}.t", self.schema())).await?;
        let id = |value: &Vec<u8>| {
            let envelope: Value = serde_json::from_slice(value)?;
            envelope["after"]["id"].as_i64().with_context(|| format!("no id in {envelope}"))
        };
        records.iter().map(id).collect()
    }

    /// Committed values of a topic of one partition.
    async fn read(&self, topic: &str) -> Result<Vec<Vec<u8>>> {
        let log = cluster(&self.options.bootstrap)?.log(topic).await?;
        let mut values = Vec::new();
        let end = log.read_to_end();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                reached = &mut end => { reached?; return Ok(values); }
                record = log.next() => values.extend(record?.value.map(|value| value.to_vec())),
            }
        }
    }

    async fn all_run(&self, rest: &Rest) -> Result<()> {
        for name in self.connectors().keys() {
            rest.await_running(name, PATIENCE).await?;
        }
        Ok(())
    }

    /// What was known of a connector before is what is known of it afterwards.
    async fn configs(&self, rest: &Rest) -> Result<BTreeMap<String, Value>> {
        let mut configs = BTreeMap::new();
        for name in self.connectors().keys() {
            let info = rest.expect("GET", &format!("/connectors/{name}"), None).await?;
            let mut config = info["config"].clone();
            // Kafka Connect shows it.
            drop(config.as_object_mut().and_then(|config| config.remove("database.password")));
            configs.insert((*name).to_owned(), config);
        }
        Ok(configs)
    }

    async fn end(self) -> Result<()> {
        match &self.database {
            Some(database) => database.run(&[&format!("DROP DATABASE {}", self.schema())]).await,
            None => Ok(()),
        }
    }
}

fn summary<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    lines.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).take(5).collect();
    format!("{} lines, {} different, repeated: {doubled:?}", lines.len(), counts.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_cluster_is_taken_over_and_given_back_without_a_record_lost_or_repeated() {
    let Some(bootstrap) = kafka() else { return };
    if !servers::has("EF_CONNECT_LIB") {
        println!("skipped: EF_CONNECT_LIB is not set; install Kafka Connect with `scripts/services install connect`");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut story = Story::begin(dir.path(), &bootstrap).await.unwrap();

    let connect = ConnectWorker::start(&story.options).await.unwrap();
    for (name, config) in story.connectors() {
        connect.rest().create(name, &config).await.unwrap();
    }
    story.await_all().await.with_context(|| connect.log_tail()).unwrap();
    let before = story.configs(&connect.rest()).await.unwrap();
    connect.stop().await.unwrap();
    story.write_more().await.unwrap();

    let worker = Worker::start(story.options.clone()).await.unwrap();
    story.all_run(&worker.rest()).await.with_context(|| worker.log_tail()).unwrap();
    assert_eq!(story.configs(&worker.rest()).await.unwrap(), before);
    story.await_all().await.with_context(|| worker.log_tail()).unwrap();
    story.write_more().await.unwrap();
    story.await_all().await.with_context(|| worker.log_tail()).unwrap();
    assert!(worker.stop().await.unwrap());
    story.write_more().await.unwrap();

    let connect = ConnectWorker::start(&story.options).await.unwrap();
    story.all_run(&connect.rest()).await.with_context(|| connect.log_tail()).unwrap();
    assert_eq!(story.configs(&connect.rest()).await.unwrap(), before);
    story.await_all().await.with_context(|| connect.log_tail()).unwrap();
    story.write_more().await.unwrap();
    story.await_all().await.with_context(|| connect.log_tail()).unwrap();
    connect.stop().await.unwrap();
    story.end().await.unwrap();
}
