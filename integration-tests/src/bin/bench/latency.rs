//! How long a row takes from its commit in MySQL to a read_committed reader.
use crate::data::SCHEMA;
use crate::outcome::Outcome;
use crate::scenarios::{WORK_MAX, await_records, figures, options, source, stamp};
use crate::{Bench, meter, say};
use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::worker::Worker;
use elasticflow_kafka::ports::TopicLog;
use mysql_async::prelude::Queryable;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Rows a second.
const RATE: u64 = 1000;
/// Connections that write: one alone is held up by each commit of the server.
const WRITERS: u64 = 4;
/// Rows at the beginning that do not count.
const WARM_UP: u64 = 5 * RATE;
/// Rows whose delay counts, at the least.
const LEAST: u64 = 10 * RATE;
/// A row that takes longer has waited for something.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest waits are told, so many of them.
const PAUSES_TOLD: usize = 8;
/// What has not arrived so long after the last commit is lost.
const LATE: Duration = Duration::from_secs(20);

/// When each row was committed, or seen, by its key.
type Times = HashMap<u64, Instant>;

/// Single-row transactions at a steady rate, far below what the path can do.
pub(crate) async fn latency(bench: &Bench) -> Result<Outcome> {
    let rows = (bench.rows / 30).max(WARM_UP + LEAST).min(bench.rows.saturating_sub(1));
    let run = format!("latency{}", stamp()?);
    bench.database.run(&[&format!("CREATE TABLE {SCHEMA}.{run} LIKE {SCHEMA}.snap")]).await?;
    let mut options = options(bench, &run)?;
    // Commits that take long say where the time went.
    options.env.insert("ELASTICFLOW_LOG".to_owned(), "info,elasticflow_kafka=debug".to_owned());
    let worker = Worker::start(options).await?;
    worker.rest().create(&run, &source(bench, &run, &run, "no_data")).await?;
    worker.rest().await_running(&run, WORK_MAX).await?;
    // The last row of the reference table comes first, and proves that it streams.
    let topic = format!("{run}.{SCHEMA}.{run}");
    let first = format!("INSERT INTO {SCHEMA}.{run} SELECT * FROM {SCHEMA}.snap WHERE id = {}", bench.rows);
    bench.database.run(&[&first]).await?;
    await_records(bench, &topic, 1, Instant::now()).await?;
    let log = bench.kafka.log(&topic).await?;
    let (before, began) = (meter::read(worker.pid())?, Instant::now());
    say(&format!("latency: {rows} rows at {RATE} a second"));
    let (committed, seen) = tokio::join!(write(bench, &run, rows), read(log.as_ref(), rows));
    let (committed, seen) = (committed?, seen?);
    let mut outcome = figures(&worker, "latency", rows, began.elapsed().as_secs_f64(), before)?;
    worker.stop().await?;
    bench.database.run(&[&format!("DROP TABLE {SCHEMA}.{run}")]).await?;
    outcome.doubled = seen.doubled;
    pauses(&committed, &seen.at);
    fill(&mut outcome, &committed, &seen.at);
    Ok(outcome)
}

/// Says when the path stood still: rows whose delay is far above the ordinary one, joined where they follow each other.
fn pauses(committed: &Times, seen: &Times) {
    let Some(first) = committed.values().min().copied() else { return };
    let mut late: Vec<(Duration, Duration)> = committed
        .iter()
        .filter(|(id, _)| **id > WARM_UP)
        .filter_map(|(id, at)| Some((at.duration_since(first), seen.get(id)?.saturating_duration_since(*at))))
        .filter(|(_, delay)| *delay > PAUSE)
        .collect();
    late.sort_unstable();
    let mut found: Vec<(Duration, Duration, usize)> = Vec::new();
    for (at, delay) in late {
        match found.last_mut() {
            Some((began, longest, rows)) if at < *began + *longest + PAUSE => {
                (*longest, *rows) = (delay.max(*longest), *rows + 1);
            }
            _ => found.push((at, delay, 1)),
        }
    }
    found.sort_unstable_by_key(|(_, longest, _)| std::cmp::Reverse(*longest));
    for (at, longest, rows) in found.iter().take(PAUSES_TOLD) {
        let (at, longest) = (at.as_secs_f64(), longest.as_millis());
        say(&format!("latency: {rows} rows waited up to {longest} ms from second {at:.1} on"));
    }
}

fn fill(outcome: &mut Outcome, committed: &Times, seen: &Times) {
    outcome.lost = committed.keys().filter(|id| !seen.contains_key(id)).count() as u64;
    let mut delays: Vec<Duration> = committed
        .iter()
        .filter(|(id, _)| **id > WARM_UP)
        .filter_map(|(id, at)| Some(seen.get(id)?.saturating_duration_since(*at)))
        .collect();
    delays.sort_unstable();
    let at = |percent: usize| delays.get((delays.len() * percent / 100).min(delays.len().saturating_sub(1)));
    let at = |percent| at(percent).map(|delay| delay.as_secs_f64() * 1000.0);
    (outcome.p50_ms, outcome.p90_ms, outcome.p99_ms) = (at(50), at(90), at(99));
}

/// Inserts rows `1..=rows`, each at its time; the moment each commit was answered.
async fn write(bench: &Bench, table: &str, rows: u64) -> Result<Times> {
    let (began, mut writers) = (Instant::now(), JoinSet::new());
    for writer in 1..=WRITERS {
        writers.spawn(write_share(bench.database.clone(), table.to_owned(), (writer, rows), began));
    }
    let mut all = Times::new();
    while let Some(share) = writers.join_next().await {
        all.extend(share.context("a writer panicked")??);
    }
    Ok(all)
}

async fn write_share(database: Database, table: String, (first, rows): (u64, u64), began: Instant) -> Result<Times> {
    let mut connection = database.connect().await?;
    let statement =
        connection.prep(format!("INSERT INTO {SCHEMA}.{table} SELECT * FROM {SCHEMA}.snap WHERE id = ?")).await?;
    let mut times = Times::new();
    for id in (first..=rows).step_by(usize::try_from(WRITERS)?) {
        let due = began + Duration::from_micros(id * 1_000_000 / RATE);
        tokio::time::sleep_until(due.into()).await;
        connection.exec_drop(&statement, (id,)).await?;
        times.insert(id, Instant::now());
    }
    connection.disconnect().await?;
    Ok(times)
}

struct Seen {
    at: Times,
    doubled: u64,
}

/// Reads until every row has been seen, or nothing comes any more.
async fn read(log: &dyn TopicLog, rows: u64) -> Result<Seen> {
    let mut seen = Seen { at: Times::new(), doubled: 0 };
    let whole = usize::try_from(rows)?;
    while seen.at.len() < whole {
        let Ok(record) = tokio::time::timeout(LATE, log.next()).await else { break };
        let record = record?;
        let now = Instant::now();
        let key: serde_json::Value = serde_json::from_slice(&record.key)?;
        let Some(id) = key["id"].as_u64() else { bail!("a record without a key") };
        if id <= rows && seen.at.insert(id, now).is_some() {
            seen.doubled += 1;
        }
    }
    Ok(seen)
}
