//! The batch source: whole tables, or rows above a growing column, page by page in key order.
//!
//! A position is the last value read of a table; it moves with the rows in one Kafka transaction, so a restart goes on at
//! the next row. `bulk` reads a table in row-id order and begins again after `poll.interval.ms`.
mod page;
mod table;

use crate::config::{SourceConfig, SourceMode};
use crate::connection::{Blocking, open_for_reading, path_of};
use crate::error::Error;
use async_trait::async_trait;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, SourceContext};
use elasticflow_api::error::Result;
use elasticflow_api::position::{SourceOffset, SourcePartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::source::{Boundary, Read, SourceBatch, SourceConnector, SourceTask};
use page::Cursor;
use rusqlite::Connection;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;
use table::Table;

/// Key of a task's configuration: its tables, comma separated.
const TASK_TABLES: &str = "tables";

/// The source connector.
pub struct SqliteSource;

impl SourceConnector for SqliteSource {
    const NAME: &'static str = "sqlite";
    type Config = SourceConfig;
    type Task = Task;

    fn guarantee(&self, _: &SourceConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn validate(&self, config: &SourceConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        if let Err(error) = path_of(&config.url) {
            report.error("connection.url", error.to_string());
        } else if let Err(error) = tables_of(config).await {
            let error = elasticflow_api::ConnectorError::from(error);
            report.error("connection.url", error.message);
        }
        report
    }

    async fn plan(&self, config: &SourceConfig, tasks_max: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        let tables = tables_of(config).await?;
        let tasks = tasks_max.clamp(1, tables.len().max(1));
        let mut shares: Vec<Vec<String>> = vec![Vec::new(); tasks];
        for (at, table) in tables.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(at % tasks) {
                share.push(table);
            }
        }
        let config = |share: Vec<String>| TaskConfig([(TASK_TABLES.to_owned(), share.join(","))].into());
        Ok(shares.into_iter().map(config).collect())
    }

    fn task(&self, config: &SourceConfig, task: TaskConfig) -> Result<Task> {
        let tables = task.0.get(TASK_TABLES).map(String::as_str).unwrap_or_default();
        let tables = tables.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect();
        Ok(Task { config: config.clone(), names: tables, reader: Blocking::empty(), tables: Vec::new(), turn: 0 })
    }
}

/// Names of the tables to read, in order.
async fn tables_of(config: &SourceConfig) -> std::result::Result<Vec<String>, Error> {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || {
        let connection = open_for_reading(&config)?;
        let all = table::names(&connection)?;
        if let Some(missing) = config.tables.iter().find(|t| !all.contains(t)) {
            return Err(Error::Config(format!("table.whitelist names {missing}, which is not in the file")));
        }
        let wanted =
            |t: &String| (config.tables.is_empty() || config.tables.contains(t)) && !config.tables_excluded.contains(t);
        Ok(all.into_iter().filter(wanted).collect())
    });
    read.await.map_err(|_| Error::Bug("reading the table names panicked".to_owned()))?
}

/// One table and where reading stands.
struct Reading {
    table: Arc<Table>,
    cursor: Cursor,
    due: Duration,
}

/// One task: some tables, read in turn.
pub struct Task {
    config: SourceConfig,
    names: Vec<String>,
    reader: Blocking<Connection>,
    tables: Vec<Reading>,
    turn: usize,
}

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        let (config, names) = (self.config.clone(), self.names.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let connection = open_for_reading(&config)?;
            let described: std::result::Result<Vec<Table>, Error> =
                names.iter().map(|name| Table::describe(&connection, name, &config)).collect();
            described.map(|tables| (connection, tables))
        });
        let (connection, tables) = opened.await.map_err(|_| Error::Bug("opening the file panicked".to_owned()))??;
        self.reader.set(connection);
        for table in tables {
            let stored = cx.offsets.get(&table.partition)?;
            let cursor = Cursor::from_stored(self.config.mode, stored.as_ref(), &table.name)?;
            self.tables.push(Reading { table: Arc::new(table), cursor, due: Duration::ZERO });
        }
        Ok(())
    }

    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        let now = cx.clock.monotonic();
        let count = self.tables.len();
        let due =
            (0..count).map(|n| (self.turn + n) % count).find(|at| self.tables.get(*at).is_some_and(|t| t.due <= now));
        let Some(at) = due else {
            let next = self.tables.iter().map(|t| t.due).min().unwrap_or(now + cx.poll_max);
            cx.clock.sleep(next.saturating_sub(now).min(cx.poll_max)).await;
            return Ok(SourceBatch::default());
        };
        self.turn = at + 1;
        self.read_page(at, cx).await
    }

    async fn stop(&mut self) {
        self.reader.clear();
    }
}

impl Task {
    async fn read_page(&mut self, at: usize, cx: &SourceContext) -> Result<SourceBatch> {
        let Some(reading) = self.tables.get(at) else { return Ok(SourceBatch::default()) };
        let (table, mut cursor) = (Arc::clone(&reading.table), reading.cursor.clone());
        let rows_max = cx.batch_max.records.min(self.config.batch_max_rows as usize).max(1);
        let bytes_max = cx.batch_max.bytes;
        let page = self.reader.call(move |connection| {
            page::read(connection, &table, &mut cursor, rows_max, bytes_max).map(|p| (p, cursor))
        });
        let (page, cursor) = page.await?;
        let rest = Duration::from_millis(self.config.poll_interval_ms);
        let now = cx.clock.monotonic();
        if let Some(reading) = self.tables.get_mut(at) {
            reading.cursor = cursor;
            reading.due = if page.is_last { now + rest } else { now };
        }
        Ok(SourceBatch {
            records: page.records,
            progress: page.progress,
            boundary: Boundary::Complete,
            read: Read::Snapshot,
            ..SourceBatch::default()
        })
    }
}

/// The source partition of a table.
fn partition_of(table: &str) -> SourcePartition {
    let name = format!("main.{table}");
    SourcePartition(Map::from_iter([("protocol".to_owned(), Json::from("1")), ("table".to_owned(), Json::from(name))]))
}

/// Whether a mode reads each row once.
fn is_bulk(mode: SourceMode) -> bool {
    mode == SourceMode::Bulk
}

/// A stored offset as JSON.
fn offset(pairs: impl IntoIterator<Item = (&'static str, Json)>) -> SourceOffset {
    SourceOffset(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}
