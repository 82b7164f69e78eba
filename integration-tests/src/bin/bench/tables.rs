//! Memory with many tables: a row of each is read, then changed.
use crate::meter;
use crate::outcome::Outcome;
use crate::scenarios::{LOOK_EVERY, WORK_MAX, figures, options, source, stamp};
use crate::{Bench, say};
use anyhow::{Result, bail};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_integration_tests::worker::Worker;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::time::Instant;

/// Tables of the database, and topics.
const TABLES: u64 = 2_000;
/// Columns beside the key.
const COLUMNS: u64 = 20;

/// The first read of the tables and one change of each, from POST to the last record.
pub(crate) async fn tables(bench: &Bench) -> Result<Outcome> {
    let run = format!("tables{}", stamp()?);
    say(&format!("tables: creating {TABLES} tables"));
    create(bench, &run).await?;
    let outcome = measured(bench, &run).await;
    bench.database.run(&[&format!("DROP DATABASE {run}")]).await?;
    outcome
}

async fn measured(bench: &Bench, run: &str) -> Result<Outcome> {
    let worker = Worker::start(options(bench, run)?).await?;
    let before = meter::read(worker.pid())?;
    let began = Instant::now();
    let mut config = source(bench, run, "snap", "initial");
    config["table.include.list"] = format!("{run}\\..*").into();
    worker.rest().create(run, &config).await?;
    // In each topic a record and the marker of its transaction.
    await_ends(bench, run, 2).await?;
    say(&format!("tables: read after {:.1} s; changing a row of each", began.elapsed().as_secs_f64()));
    let mut connection = bench.database.connect().await?;
    for table in 0..TABLES {
        connection.query_drop(format!("UPDATE {run}.t{table} SET column_3 = 'changed'")).await?;
    }
    connection.disconnect().await?;
    let ends = await_ends(bench, run, 4).await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut outcome = figures(&worker, "tables", 2 * TABLES, seconds, before)?;
    worker.stop().await?;
    outcome.doubled = ends.iter().filter(|end| **end > 4).count() as u64;
    Ok(outcome)
}

async fn create(bench: &Bench, run: &str) -> Result<()> {
    let columns: Vec<String> = (0..COLUMNS).map(|c| format!("column_{c} VARCHAR(40) DEFAULT 'value {c}'")).collect();
    let mut connection = bench.database.connect().await?;
    connection.query_drop(format!("CREATE DATABASE {run}")).await?;
    for table in 0..TABLES {
        let columns = columns.join(",");
        connection.query_drop(format!("CREATE TABLE {run}.t{table} (id INT PRIMARY KEY, {columns})")).await?;
        connection.query_drop(format!("INSERT INTO {run}.t{table} (id) VALUES (1)")).await?;
    }
    connection.disconnect().await?;
    Ok(())
}

/// Waits until every topic ends there or behind; the ends.
async fn await_ends(bench: &Bench, run: &str, wanted: i64) -> Result<Vec<i64>> {
    let topics: Vec<TopicPartition> = (0..TABLES)
        .map(|table| TopicPartition { topic: Arc::from(format!("{run}.{run}.t{table}")), partition: 0 })
        .collect();
    let began = Instant::now();
    loop {
        let exist = bench.kafka.admin().topics().await?;
        let there = topics.iter().filter(|tp| exist.contains_key(&*tp.topic)).count();
        // A topic without a leader yet is looked at again.
        if there == topics.len()
            && let Ok(ends) = bench.kafka.admin().end_offsets(&topics).await
        {
            let ends: Vec<i64> = ends.values().map(|Offset(end)| *end).collect();
            if ends.len() == topics.len() && ends.iter().all(|end| *end >= wanted) {
                return Ok(ends);
            }
        }
        if began.elapsed() > WORK_MAX {
            bail!("{there} of {} topics are there after {} s", topics.len(), WORK_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
