//! The batch source: whole tables, or rows above a growing column, a time or both, page by page in that order.
//!
//! A position is the last value or time read of a table; it moves with the rows in one Kafka transaction, so a restart goes
//! on at the next row; rows of one time are never cut apart. `bulk` reads a table in row-id order and begins again after `poll.interval.ms`.
mod page;
mod table;
mod times;

use crate::config::SourceConfig;
use crate::connection::{Blocking, open_for_reading, path_of};
use crate::error::Error;
use async_trait::async_trait;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, SourceContext};
use elasticflow_api::error::Result;
use elasticflow_api::position::{SourceOffset, SourcePartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::source::{Boundary, Read, SourceBatch, SourceConnector, SourceTask};
use elasticflow_sql::source::config::SourceMode;
use elasticflow_sql::source::rounds::{Reads, Round, is_over, resumed, round_of};
use page::{Bounds, Cursor};
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

    fn ends(&self, config: &SourceConfig) -> bool {
        is_bulk(config.mode)
    }

    async fn validate(&self, config: &SourceConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        if has_time(config.mode) && config.timestamps.is_empty() {
            let text = format!("mode {} needs timestamp.column.name", config.mode.word());
            report.error("timestamp.column.name", text);
            return report;
        }
        if let Err(error) = path_of(&config.url) {
            report.error("connection.url", error.to_string());
            return report;
        }
        let text = |error: Error| elasticflow_api::ConnectorError::from(error).message;
        match tables_of(config).await {
            Err(error) => report.error("connection.url", text(error)),
            Ok(names) => {
                if let Err(error) = described(config, names).await {
                    report.error("mode", text(error));
                }
            }
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
        let (config, reader) = (config.clone(), Blocking::empty());
        Ok(Task { config, names: tables, reader, tables: Vec::new(), turn: 0, found: Round::Fresh })
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

/// The file, open, and its tables as this mode reads them.
async fn described(config: &SourceConfig, names: Vec<String>) -> std::result::Result<(Connection, Vec<Table>), Error> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let connection = open_for_reading(&config)?;
        let described: std::result::Result<Vec<Table>, Error> =
            names.iter().map(|name| Table::describe(&connection, name, &config)).collect();
        described.map(|tables| (connection, tables))
    });
    opened.await.map_err(|_| Error::Bug("opening the file panicked".to_owned()))?
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
    /// Where the start has found the round of bulk reads, until the runtime has heard of it.
    found: Round,
}

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        let (connection, tables) = described(&self.config, self.names.clone()).await?;
        self.reader.set(connection);
        let mut stored_reads = Vec::with_capacity(tables.len());
        for table in tables {
            let stored = cx.offsets.get(&table.partition)?;
            let cursor = match &stored {
                Some(stored) => Cursor::from_stored(self.config.mode, stored, &table.name)?,
                None => self.first_cursor().await?,
            };
            stored_reads.push(stored.is_some().then(|| cursor.reads()));
            self.tables.push(Reading { table: Arc::new(table), cursor, due: Duration::ZERO });
        }
        self.resume_round(&stored_reads);
        Ok(())
    }

    fn is_inside_run(&self) -> bool {
        self.found == Round::Inside
    }

    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        let now = cx.clock.monotonic();
        if std::mem::replace(&mut self.found, Round::Inside) == Round::Over {
            // Whoever ran before may have died before the run's end was told.
            return Ok(SourceBatch { end_of_run: true, ..SourceBatch::default() });
        }
        let (at, due) = self.next_due().unwrap_or((0, now + cx.poll_max));
        if due > now {
            cx.clock.sleep((due - now).min(cx.poll_max)).await;
            return Ok(SourceBatch::default());
        }
        self.turn = at + 1;
        self.read_page(at, cx).await
    }

    async fn stop(&mut self) {
        self.reader.clear();
    }
}

impl Task {
    /// Where reading begins in a table of which nothing is stored.
    async fn first_cursor(&mut self) -> std::result::Result<Cursor, Error> {
        let mode = self.config.mode;
        match self.config.initial.filter(|_| has_time(mode)) {
            None => Ok(Cursor::fresh(mode)),
            Some(-1) => {
                let now = self.reader.call(|connection| times::now(connection));
                Ok(Cursor::after(mode, now.await?))
            }
            Some(ms) => Ok(Cursor::after(mode, ms)),
        }
    }

    fn runs(&self) -> impl Iterator<Item = i64> {
        self.tables.iter().map(|reading| reading.cursor.run)
    }

    /// The next table and when it is due: of bulk reads one that this round has not had yet, so that a round ends with all
    /// of them.
    fn next_due(&self) -> Option<(usize, Duration)> {
        let count = self.tables.len();
        let round = self.runs().min().filter(|_| is_bulk(self.config.mode));
        let in_turn = (0..count).map(|n| (self.turn + n) % count);
        let tables = in_turn.filter_map(|at| Some((at, self.tables.get(at)?)));
        let of_round = tables.filter(|(_, reading)| round.is_none_or(|round| reading.cursor.run == round));
        of_round.map(|(at, reading)| (at, reading.due)).min_by_key(|(_, due)| *due)
    }

    /// Tables of a bulk read go on in the round that was under way.
    fn resume_round(&mut self, stored: &[Option<Reads>]) {
        if !is_bulk(self.config.mode) {
            return;
        }
        self.found = round_of(stored);
        for (reading, run) in self.tables.iter_mut().zip(resumed(stored)) {
            reading.cursor.run = run;
        }
    }

    async fn read_page(&mut self, at: usize, cx: &SourceContext) -> Result<SourceBatch> {
        let Some(reading) = self.tables.get(at) else { return Ok(SourceBatch::default()) };
        let (table, mut cursor) = (Arc::clone(&reading.table), reading.cursor.clone());
        let bounds = Bounds {
            rows: cx.batch_max.records.min(self.config.batch_max_rows as usize).max(1),
            bytes: cx.batch_max.bytes,
            delay: i64::try_from(self.config.delay.0).unwrap_or(i64::MAX),
        };
        let page = self
            .reader
            .call(move |connection| page::read(connection, &table, &mut cursor, bounds).map(|p| (p, cursor)));
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
            end_of_run: page.is_last && is_bulk(self.config.mode) && is_over(self.runs()),
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

/// Whether a mode looks at times.
fn has_time(mode: SourceMode) -> bool {
    matches!(mode, SourceMode::Timestamp | SourceMode::TimestampIncrementing)
}

/// A stored offset as JSON.
fn offset(pairs: impl IntoIterator<Item = (&'static str, Json)>) -> SourceOffset {
    SourceOffset(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}
