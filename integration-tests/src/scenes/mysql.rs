//! A MySQL table under load into Kafka. The load notes its own commits: it is the expected side.
use super::{Outcome, run_number};
use crate::chaos::{self, Kills, Toll};
use crate::follow::{Follower, cluster};
use crate::ledger::Line;
use crate::mysql::Database;
use crate::worker::{Worker, WorkerOptions};
use anyhow::{Context, Result, ensure};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::LogRecord;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Connections that change rows of their own at the same time.
const WRITERS: u64 = 3;
/// Pause between two transactions of a writer.
const PAUSE: Duration = Duration::from_millis(3);
/// Most statements of a transaction.
const STATEMENTS_MAX: u64 = 8;
/// Nothing more is expected after so long without a record.
const QUIET: Duration = Duration::from_secs(30);
/// The topic appears with the first row.
const FIRST_ROW_MAX: Duration = Duration::from_secs(60);

const CONNECTOR: &str = "ledger";

/// A table, its connector and the load on it.
pub struct Scene {
    worker: Worker,
    ground: Ground,
}

/// What stays while workers come and go.
struct Ground {
    database: Database,
    schema: String,
    follower: Follower,
    load: Load,
}

impl Scene {
    /// Creates the table, starts worker and connector, waits until the first row is in Kafka, and begins the load.
    ///
    /// # Errors
    /// A server is missing, or the connector does not run.
    pub async fn start(dir: &Path, bootstrap: &str) -> Result<Self> {
        let (database, run) = (Database::of("EF_MYSQL")?, run_number());
        let schema = format!("ledger_{run}");
        create(&database, &schema).await?;
        let worker = Worker::start(WorkerOptions::new(dir, bootstrap, &format!("ledger-{run}"))?).await?;
        worker.rest().create(CONNECTOR, &config(&database, &schema, run, bootstrap)).await?;
        let running = worker.rest().await_running(CONNECTOR, chaos::RUNNING_AGAIN_MAX).await;
        running.with_context(|| worker.log_tail())?;
        let follower = follow(&cluster(bootstrap)?, &format!("ledger{run}.{schema}.accounts")).await;
        let follower = follower.with_context(|| worker.log_tail())?;
        await_log(&worker, &database, &schema).await.with_context(|| worker.log_tail())?;
        let load = Load::start(&database, &schema).await?;
        Ok(Self { worker, ground: Ground { database, schema, follower, load } })
    }

    /// Kills the worker at random under load.
    ///
    /// # Errors
    /// The worker does not come back, or the topic cannot be read.
    pub async fn under_kills(self, kills: &Kills, each: impl FnMut(u32)) -> Result<Outcome> {
        let Self { worker, ground } = self;
        let (worker, toll) = kills.run(worker, CONNECTOR, each).await?;
        ground.finish(worker, toll).await
    }

    /// Ends the worker at every point once, under load.
    ///
    /// # Errors
    /// As for [`Scene::under_kills`]; a point that is not reached.
    pub async fn at_points(self, points: &[(&str, u32)]) -> Result<Outcome> {
        let Self { worker, ground } = self;
        let worker = chaos::kill_at_each(worker, CONNECTOR, points).await?;
        ground.finish(worker, Toll::default()).await
    }
}

impl Ground {
    /// Ends the load, compares, tidies up.
    async fn finish(self, worker: Worker, toll: Toll) -> Result<Outcome> {
        let Self { database, schema, follower, load } = self;
        let committed = load.stop().await?;
        {
            let mut ledger = follower.ledger();
            committed.into_iter().for_each(|line| ledger.expect(line));
        }
        let expected = follower.ledger().expected();
        follower.settle(expected, QUIET).await.with_context(|| worker.log_tail())?;
        let outcome = Outcome { report: follower.report(), toll };
        worker.stop().await?;
        database.run(&[&format!("DROP DATABASE {schema}")]).await?;
        Ok(outcome)
    }
}

async fn create(database: &Database, schema: &str) -> Result<()> {
    let table = format!(
        "CREATE TABLE {schema}.accounts (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, note VARCHAR(200) NOT NULL) \
         CHARACTER SET utf8mb4"
    );
    // The row that shows that the connector has come to the log; the ledger does not count it.
    let first = format!("INSERT INTO {schema}.accounts VALUES (0, 0, 'first')");
    database.run(&[&format!("CREATE DATABASE {schema}"), &table, &first]).await
}

fn config(database: &Database, schema: &str, run: u64, bootstrap: &str) -> Value {
    let Database { host, port, user, password } = database;
    json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.hostname": host, "database.port": port.to_string(),
        "database.user": user, "database.password": password,
        "database.server.id": (run % 1_000_000 + 2_000_000).to_string(),
        "topic.prefix": format!("ledger{run}"),
        "database.include.list": schema, "table.include.list": format!("{schema}.accounts"),
        "include.schema.changes": "false", "tombstones.on.delete": "true",
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
        "schema.history.internal.kafka.topic": format!("ledger{run}-history"),
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "3",
        "exactly.once.support": "required",
    })
}

/// Follows the table's topic as soon as it exists and holds the first row.
async fn follow(kafka: &Arc<RdKafka>, topic: &str) -> Result<Follower> {
    let began = Instant::now();
    loop {
        match Follower::start(kafka, topic, parse).await {
            Ok(follower) => return Ok(follower),
            Err(error) if began.elapsed() > FIRST_ROW_MAX => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Waits until the snapshot is over and the connector reads the log: a snapshot shows states and not every change, so that a
/// load during one cannot be compared line by line.
async fn await_log(worker: &Worker, database: &Database, schema: &str) -> Result<()> {
    let began = Instant::now();
    let change = format!("UPDATE {schema}.accounts SET version = version + 1 WHERE id = 0");
    loop {
        database.run(&[&change]).await?;
        let stored = worker.rest().expect("GET", &format!("/connectors/{CONNECTOR}/offsets"), None).await?;
        let offset = &stored["offsets"][0]["offset"];
        if offset.is_object() && offset.get("snapshot").is_none() {
            return Ok(());
        }
        ensure!(began.elapsed() < FIRST_ROW_MAX, "the snapshot does not end: {stored}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Number of a change: twice the version, and one more for the deletion of that version.
fn number(version: u64, is_deletion: bool) -> u64 {
    version * 2 + u64::from(is_deletion)
}

fn parse(record: &LogRecord) -> Result<Option<Line>> {
    // A tombstone follows its deletion and says nothing of its own.
    let Some(value) = record.value.as_deref() else { return Ok(None) };
    let envelope: Value = serde_json::from_slice(value).context("a change is not JSON")?;
    let is_deletion = envelope["op"] == "d";
    let row = if is_deletion { &envelope["before"] } else { &envelope["after"] };
    let id = row["id"].as_u64().context("a change has no id")?;
    let version = row["version"].as_u64().context("a change has no version")?;
    if id == 0 {
        return Ok(None);
    }
    let note = row["note"].as_str().unwrap_or_default();
    Ok(Some(Line::new(id.to_string(), number(version, is_deletion), note.as_bytes())))
}

/// Writers that run until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<Vec<Line>>>>,
}

impl Load {
    async fn start(database: &Database, schema: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let connection = database.connect().await?;
            let writer = Writer {
                table: format!("{schema}.accounts"),
                offset: writer,
                next: 1,
                rows: BTreeMap::new(),
                random: SmallRng::seed_from_u64(writer),
                committed: Vec::new(),
            };
            writers.push(tokio::spawn(writer.run(connection, Arc::clone(&stop))));
        }
        Ok(Self { stop, writers })
    }

    /// Every committed change, in order per row: a row belongs to one writer.
    async fn stop(self) -> Result<Vec<Line>> {
        self.stop.store(true, Ordering::Release);
        let mut all = Vec::new();
        for writer in self.writers {
            all.extend(writer.await??);
        }
        Ok(all)
    }
}

struct Writer {
    table: String,
    offset: u64,
    next: u64,
    /// Version of each live row.
    rows: BTreeMap<u64, u64>,
    random: SmallRng,
    committed: Vec<Line>,
}

impl Writer {
    async fn run(mut self, mut connection: Conn, stop: Arc<AtomicBool>) -> Result<Vec<Line>> {
        while !stop.load(Ordering::Acquire) {
            self.transaction(&mut connection).await?;
            tokio::time::sleep(PAUSE).await;
        }
        connection.disconnect().await?;
        Ok(self.committed)
    }

    async fn transaction(&mut self, connection: &mut Conn) -> Result<()> {
        let mut transaction = connection.start_transaction(TxOpts::default()).await?;
        let before = self.random.random_ratio(1, 20).then(|| self.rows.clone());
        let mut lines = Vec::new();
        for _ in 0..self.random.random_range(1..=STATEMENTS_MAX) {
            let (statement, line) = self.change();
            transaction.query_drop(statement).await?;
            lines.push(line);
        }
        if let Some(rows) = before {
            transaction.rollback().await?;
            // Versions go on: a change that was rolled back must not be taken for a later one.
            self.rows = rows;
            return Ok(());
        }
        transaction.commit().await?;
        self.committed.extend(lines);
        Ok(())
    }

    /// One statement and the line of its change. Versions are the writer's own count, so no two changes share one.
    fn change(&mut self) -> (String, Line) {
        let version = self.next;
        self.next += 1;
        let (table, note) = (self.table.clone(), format!("note {version} of writer {} äöü", self.offset));
        let known = self.some_row();
        match (self.random.random_range(0..10), known) {
            (0..5, Some((id, _))) => {
                self.rows.insert(id, version);
                let text = format!("UPDATE {table} SET version = {version}, note = '{note}' WHERE id = {id}");
                (text, Line::new(id.to_string(), number(version, false), note.as_bytes()))
            }
            (5, Some((id, old))) => {
                self.rows.remove(&id);
                let note = format!("note {old} of writer {} äöü", self.offset);
                let text = format!("DELETE FROM {table} WHERE id = {id}");
                (text, Line::new(id.to_string(), number(old, true), note.as_bytes()))
            }
            _ => {
                let id = version * WRITERS + self.offset + 1;
                self.rows.insert(id, version);
                let text = format!("INSERT INTO {table} VALUES ({id}, {version}, '{note}')");
                (text, Line::new(id.to_string(), number(version, false), note.as_bytes()))
            }
        }
    }

    fn some_row(&mut self) -> Option<(u64, u64)> {
        let last = *self.rows.last_key_value()?.0;
        let from = self.random.random_range(0..=last);
        self.rows.range(from..).next().map(|(id, version)| (*id, *version))
    }
}
