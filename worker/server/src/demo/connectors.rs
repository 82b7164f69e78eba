//! The four connectors of the demo, as a user would POST them.
use super::Folders;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A connector's name and configuration.
pub(crate) struct Connector {
    pub(crate) name: &'static str,
    pub(crate) config: Map<String, Value>,
}

impl Connector {
    pub(super) fn new(name: &'static str, config: Value) -> Self {
        let config = match config {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Self { name, config }
    }

    /// Body of `POST /connectors`.
    pub(crate) fn body(&self) -> Value {
        json!({"name": self.name, "config": self.config})
    }

    /// The command that a user would type.
    pub(crate) fn curl(&self, url: &str) -> String {
        let body = serde_json::to_string_pretty(&self.body()).unwrap_or_default();
        format!("curl -X POST -H 'Content-Type: application/json' {url}/connectors -d '{body}'")
    }
}

/// All four, sources first.
pub(crate) fn all(folders: &Folders, numbers: u64) -> Result<Vec<Connector>> {
    Ok(vec![csv(&folders.input)?, generator(numbers), table(&folders.table)?, lines(&folders.output)?])
}

fn csv(input: &Path) -> Result<Connector> {
    Ok(Connector::new(
        "orders-csv",
        json!({
            "connector.class": "elasticflow.connectors.FileSourceConnector",
            "input.path": text(input)?,
            "input.file.pattern": "orders-[0-9]+\\.csv",
            "format": "csv",
            "csv.first.row.as.header": "true",
            "schema.generation.key.fields": "id",
            "file.minimum.age.ms": "0",
            "topic": "demo-orders",
        }),
    ))
}

/// The generator; `numbers` records in all, so that a larger number lets it go on.
pub(crate) fn generator(numbers: u64) -> Connector {
    Connector::new(
        "numbers-generator",
        json!({
            "connector.class": "elasticflow.connectors.DatagenSourceConnector",
            "kafka.topic": "demo-numbers",
            "fields": "id:seq,city:city,amount:int(1,1000)",
            "schema.keyfield": "id",
            "random.seed": "42",
            "iterations": numbers.to_string(),
            "flow.rate.records": "10000",
        }),
    )
}

fn table(file: &Path) -> Result<Connector> {
    Ok(Connector::new(
        "orders-to-sqlite",
        json!({
            "connector.class": "elasticflow.connectors.SqliteSinkConnector",
            "topics": "demo-orders",
            "connection.url": format!("jdbc:sqlite:{}", text(file)?),
            "table.name.format": "orders",
            "pk.mode": "record_key",
            "pk.fields": "id",
            "auto.create": "true",
        }),
    ))
}

fn lines(output: &Path) -> Result<Connector> {
    Ok(Connector::new(
        "numbers-to-files",
        json!({
            "connector.class": "elasticflow.connectors.FileSinkConnector",
            "topics": "demo-numbers",
            "output.path": text(output)?,
            "format": "json",
            "commit.interval.ms": "500",
        }),
    ))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
