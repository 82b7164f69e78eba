//! The work that is measured.
use crate::data::{self, SCHEMA};
use crate::meter;
use crate::outcome::Outcome;
use crate::{Bench, say};
use anyhow::{Result, bail};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Work that has not ended by then has failed.
pub(crate) const WORK_MAX: Duration = Duration::from_secs(400);
/// Nothing more has come for so long: the work has ended.
const QUIET: Duration = Duration::from_millis(1500);
/// How often the end of the topic is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Starts of an idle worker.
const STARTS: usize = 5;
/// How long a started worker idles before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Starts of a worker: time to REST, memory when idle.
pub(crate) async fn ready(bench: &Bench) -> Result<Outcome> {
    let (mut times, mut idle, mut peak) = (Vec::new(), 0.0, 0.0);
    for start in 0..STARTS {
        let began = Instant::now();
        let mut worker = Worker::spawn(options(bench, "ready")?)?;
        worker.await_ready().await?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        // The first start creates the internal topics; the others find them.
        if start > 0 {
            times.push(took);
        }
        tokio::time::sleep(if start + 1 == STARTS { IDLE } else { Duration::ZERO }).await;
        let reading = meter::read(worker.pid())?;
        (idle, peak) = (reading.rss_mib, reading.peak_mib);
        worker.stop().await?;
    }
    times.sort_by(f64::total_cmp);
    Ok(Outcome {
        scenario: "ready".to_owned(),
        ready_ms: times.get(times.len() / 2).copied(),
        idle_mib: Some(idle),
        peak_mib: peak,
        ..Outcome::default()
    })
}

/// The first read of the whole table, from POST to the last record.
pub(crate) async fn snapshot(bench: &Bench) -> Result<Outcome> {
    let run = format!("snapshot{}", stamp()?);
    let worker = Worker::start(options(bench, &run)?).await?;
    let before = meter::read(worker.pid())?;
    let began = Instant::now();
    worker.rest().create(&run, &source(bench, &run, "snap", "initial")).await?;
    let topic = format!("{run}.{SCHEMA}.snap");
    let seconds = await_records(bench, &topic, bench.rows, began).await?;
    let outcome = figures(&worker, "snapshot", bench.rows, seconds, before)?;
    worker.stop().await?;
    checked(bench, outcome, &topic).await
}

/// A backlog of transactions written while the connector is stopped, from resume to the last record. A transaction of more
/// rows than the reference table has holds all rows of the backlog.
pub(crate) async fn backlog(bench: &Bench, name: &str, rows: u64, per_transaction: u64) -> Result<Outcome> {
    let run = format!("{name}{}", stamp()?);
    bench.database.run(&[&format!("CREATE TABLE bench.{run} LIKE bench.snap")]).await?;
    let worker = Worker::start(options(bench, &run)?).await?;
    let rest = worker.rest();
    rest.create(&run, &source(bench, &run, &run, "no_data")).await?;
    rest.await_running(&run, WORK_MAX).await?;
    // One row proves that it streams, and leaves a position to go on from.
    let mut connection = bench.database.connect().await?;
    let topic = format!("{run}.{SCHEMA}.{run}");
    data::copy(&mut connection, &run, 1, 1).await?;
    await_records(bench, &topic, 1, Instant::now()).await?;
    rest.expect("PUT", &format!("/connectors/{run}/stop"), None).await?;
    await_stopped(&worker, &run).await?;
    say(&format!("{name}: writing {rows} rows in transactions of {per_transaction}"));
    mysql_async::prelude::Queryable::query_drop(&mut connection, format!("DELETE FROM bench.{run}")).await?;
    if per_transaction > bench.rows {
        data::copy_at_once(&mut connection, &run, rows, bench.rows).await?;
    } else {
        data::copy(&mut connection, &run, rows, per_transaction).await?;
    }
    connection.disconnect().await?;
    let before = meter::read(worker.pid())?;
    let base = end_of(bench, &topic).await?;
    let began = Instant::now();
    rest.expect("PUT", &format!("/connectors/{run}/resume"), None).await?;
    let seconds = await_records(bench, &topic, base + rows, began).await?;
    let outcome = figures(&worker, name, rows, seconds, before)?;
    worker.stop().await?;
    let outcome = checked(bench, outcome, &topic).await;
    bench.database.run(&[&format!("DROP TABLE bench.{run}")]).await?;
    outcome
}

pub(crate) fn stamp() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

pub(crate) fn options(bench: &Bench, run: &str) -> Result<WorkerOptions> {
    let dir = Path::new("bench-results").join("work").join(run);
    WorkerOptions::new(&dir, &bench.bootstrap, &format!("bench-{run}"))
}

pub(crate) fn source(bench: &Bench, run: &str, table: &str, mode: &str) -> Value {
    let Database { host, port, user, password } = &bench.database;
    let mut source = json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1",
        "database.hostname": host, "database.port": port.to_string(), "database.user": user, "database.password": password,
        "database.server.id": "54321", "topic.prefix": run, "table.include.list": format!("{SCHEMA}.{table}"),
        "snapshot.mode": mode, "schema.history.internal.kafka.bootstrap.servers": bench.bootstrap,
        "schema.history.internal.kafka.topic": format!("{run}-history"), "include.schema.changes": "false",
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1",
        "tombstones.on.delete": "false",
        "exactly.once.support": "required",
    });
    for (key, value) in &bench.settings {
        source[key] = Value::from(value.as_str());
    }
    source
}

pub(crate) fn figures(
    worker: &Worker,
    name: &str,
    records: u64,
    seconds: f64,
    before: meter::Reading,
) -> Result<Outcome> {
    Ok(Outcome::of(name, records, seconds, (before, meter::read(worker.pid())?)))
}

/// Waits until a topic holds so many records and nothing more comes; seconds to the last one.
pub(crate) async fn await_records(bench: &Bench, topic: &str, records: u64, began: Instant) -> Result<f64> {
    // Asked for the end of a topic that is not there, the client looks for it for a minute.
    while !bench.kafka.admin().topics().await?.contains_key(topic) {
        if began.elapsed() > WORK_MAX {
            bail!("{topic} does not appear");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (mut end, mut moved) = (0, Instant::now());
    loop {
        let now = end_of(bench, topic).await?;
        if now > end {
            (end, moved) = (now, Instant::now());
        }
        if end >= records && moved.elapsed() > QUIET {
            say(&format!("{topic}: {} transactions", end - records));
            return Ok(moved.duration_since(began).as_secs_f64());
        }
        if began.elapsed() > WORK_MAX {
            bail!("{topic}: {end} of {records} records after {} s", WORK_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The end of a topic's one partition, transaction markers included; 0 while there is no topic.
async fn end_of(bench: &Bench, topic: &str) -> Result<u64> {
    let tp = TopicPartition { topic: Arc::from(topic), partition: 0 };
    match bench.kafka.admin().end_offsets(std::slice::from_ref(&tp)).await {
        Ok(ends) => Ok(ends.get(&tp).map_or(0, |Offset(end)| u64::try_from(*end).unwrap_or(0))),
        Err(_) => Ok(0),
    }
}

async fn await_stopped(worker: &Worker, name: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let (_, status) = worker.rest().call("GET", &format!("/connectors/{name}/status"), None).await?;
        let has_no_tasks = status["tasks"].as_array().is_none_or(Vec::is_empty);
        if status["connector"]["state"] == "STOPPED" && has_no_tasks {
            return Ok(());
        }
        if began.elapsed() > WORK_MAX {
            bail!("{name} does not stop: {status}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Counts what a read_committed reader sees. The scenarios write each key once (the first row of a backlog twice and its
/// deletion besides).
async fn checked(bench: &Bench, mut outcome: Outcome, topic: &str) -> Result<Outcome> {
    let log = bench.kafka.log(topic).await?;
    let (mut inserts, mut ids) = (0_u64, HashSet::new());
    let end = log.read_to_end();
    tokio::pin!(end);
    let mut is_read = false;
    loop {
        tokio::select! {
            biased;
            record = log.next() => {
                let record = record?;
                let Some(value) = &record.value else { continue };
                let value: Value = serde_json::from_slice(value)?;
                if value["op"] != "d" {
                    inserts += 1;
                    ids.insert(value["after"]["id"].as_u64().unwrap_or_default());
                }
            }
            done = &mut end, if !is_read => {
                done?;
                is_read = true;
            }
            () = tokio::time::sleep(QUIET), if is_read => break,
        }
    }
    let once_more = u64::from(outcome.scenario != "snapshot");
    outcome.lost = outcome.records - (ids.len() as u64).min(outcome.records);
    outcome.doubled = inserts.saturating_sub(once_more).saturating_sub(ids.len() as u64);
    Ok(outcome)
}
