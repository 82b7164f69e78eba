//! Upserts from a topic into MySQL.
use super::{filled, with_json};
use crate::data::SCHEMA;
use crate::outcome::Outcome;
use crate::scenarios::{LOOK_EVERY, WORK_MAX, figures, options, stamp};
use crate::{Bench, meter};
use anyhow::{Result, bail};
use elasticflow_integration_tests::worker::Worker;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use std::time::Instant;

/// Change events of the reference table, JSON with schemas, from POST of the sink to the last row.
pub(crate) async fn upsert(bench: &Bench) -> Result<Outcome> {
    let run = format!("sink{}", stamp()?);
    let worker = Worker::start(options(bench, &run)?).await?;
    let topic = filled(bench, &worker, &run, true).await?;
    let before = meter::read(worker.pid())?;
    let began = Instant::now();
    worker.rest().create(&run, &with_json(sink(bench, &run, &topic), true)).await?;
    let seconds = await_rows(bench, &run, began).await?;
    let outcome = figures(&worker, "sink-sql", bench.rows, seconds, before)?;
    worker.stop().await?;
    let outcome = checked(bench, outcome, &run).await?;
    bench.database.run(&[&format!("DROP TABLE {SCHEMA}.{run}")]).await?;
    Ok(outcome)
}

fn sink(bench: &Bench, run: &str, topic: &str) -> Value {
    let database = &bench.database;
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "tasks.max": "1", "topics": topic,
        "connection.url": format!("jdbc:mysql://{}:{}/{SCHEMA}", database.host, database.port),
        "connection.username": database.user, "connection.password": database.password,
        "insert.mode": "upsert", "primary.key.mode": "record_key", "delete.enabled": "true", "schema.evolution": "basic",
        "collection.name.format": run, "consumer.override.auto.offset.reset": "earliest",
    })
}

/// Waits for the last row; rows are written in the order of their ids.
async fn await_rows(bench: &Bench, table: &str, began: Instant) -> Result<f64> {
    let mut connection = bench.database.connect().await?;
    loop {
        let newest: Option<Option<u64>> =
            connection.query_first(format!("SELECT MAX(id) FROM {SCHEMA}.{table}")).await.unwrap_or_default();
        if newest.flatten().unwrap_or(0) >= bench.rows {
            return Ok(began.elapsed().as_secs_f64());
        }
        if began.elapsed() > WORK_MAX {
            bail!("{table}: not all rows after {} s", WORK_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Rows that differ from the reference table count as lost.
async fn checked(bench: &Bench, mut outcome: Outcome, table: &str) -> Result<Outcome> {
    let mut connection = bench.database.connect().await?;
    let same = format!(
        "SELECT COUNT(*) FROM {SCHEMA}.snap s JOIN {SCHEMA}.{table} t ON t.id = s.id AND t.customer_id = s.customer_id \
         AND t.status = s.status AND t.amount = s.amount AND t.quantity = s.quantity AND t.score <=> s.score \
         AND t.email = s.email AND t.note <=> s.note AND t.created_at = s.created_at"
    );
    let same: u64 = connection.query_first(same).await?.unwrap_or(0);
    let rows: u64 = connection.query_first(format!("SELECT COUNT(*) FROM {SCHEMA}.{table}")).await?.unwrap_or(0);
    outcome.lost = outcome.records.saturating_sub(same);
    outcome.doubled = rows.saturating_sub(outcome.records);
    Ok(outcome)
}
