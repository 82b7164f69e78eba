//! Sinks: change events of the reference table, which a snapshot has written to a topic before, into a destination.
mod files;
mod index;
mod sql;

pub(crate) use files::lines;
pub(crate) use index::index;
pub(crate) use sql::upsert;

use crate::data::SCHEMA;
use crate::scenarios::{await_records, source};
use crate::{Bench, say};
use anyhow::Result;
use elasticflow_integration_tests::worker::Worker;
use serde_json::Value;
use std::time::Instant;

/// The name of a topic with a change event for each row, JSON with schemas or without.
async fn filled(bench: &Bench, worker: &Worker, run: &str, schemas: bool) -> Result<String> {
    let (topic, filling) = (format!("{run}.{SCHEMA}.snap"), format!("{run}-fill"));
    let rest = worker.rest();
    rest.create(&filling, &with_json(source(bench, run, "snap", "initial_only"), schemas)).await?;
    say(&format!("{run}: filling the topic with {} records", bench.rows));
    await_records(bench, &topic, bench.rows, Instant::now()).await?;
    rest.expect("DELETE", &format!("/connectors/{filling}"), None).await?;
    Ok(topic)
}

fn with_json(mut config: Value, schemas: bool) -> Value {
    for side in ["key", "value"] {
        config[format!("{side}.converter")] = "org.apache.kafka.connect.json.JsonConverter".into();
        config[format!("{side}.converter.schemas.enable")] = schemas.to_string().into();
    }
    config
}
