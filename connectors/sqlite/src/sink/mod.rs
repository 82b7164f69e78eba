//! The transactional sink: every put is one SQLite transaction of rows, next offsets and owner epochs.
//!
//! `open` raises the epoch of each new partition and answers the stored offset; `put` takes the write lock first
//! (`BEGIN IMMEDIATE`), reads the epochs under it, leaves out what lies below the stored offset, applies the rows and moves
//! the offsets. A commit without an answer cannot happen half: the file is the judge and the next `open` reads it.
mod offsets;
mod plan;
mod tables;
mod write;

use crate::config::{InsertMode, PkMode, SinkConfig};
use crate::connection::{Blocking, open_for_writing, path_of};
use crate::error::Error;
use async_trait::async_trait;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, SinkContext};
use elasticflow_api::error::Result;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::{SinkBatch, SinkConnector, SinkKind, SinkTask, StartAt, TransactionalSink};
use offsets::Offsets;
use std::collections::BTreeMap;
use std::sync::Arc;
use write::Writer;

/// The sink connector.
pub struct SqliteSink;

impl SinkConnector for SqliteSink {
    const NAME: &'static str = "sqlite";
    type Config = SinkConfig;

    fn guarantee(&self, _: &SinkConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn validate(&self, config: &SinkConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        check(config, &mut report);
        report
    }

    fn plan(&self, _: &SinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        if tasks_max > 1 {
            tracing::warn!(tasks_max, "SQLite has one writer; one task is planned");
        }
        Ok(vec![TaskConfig::default()])
    }

    fn task(&self, config: &SinkConfig, _: TaskConfig) -> Result<SinkKind> {
        Ok(SinkKind::Transactional(Box::new(Task { config: config.clone(), writer: Blocking::empty() })))
    }

    async fn alter_offsets(
        &self,
        config: &SinkConfig,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        let (config, id, offsets) = (config.clone(), id.clone(), offsets.clone());
        let altered = tokio::task::spawn_blocking(move || {
            let mut connection = open_for_writing(&config)?;
            let table = Offsets::create(&connection, &config.offset_table, &id)?;
            table.alter(&mut connection, &offsets)
        });
        Ok(altered.await.map_err(|_| Error::Bug("altering the offsets panicked".to_owned()))??)
    }
}

fn check(config: &SinkConfig, report: &mut ValidationReport) {
    if let Err(error) = path_of(&config.url) {
        report.error("connection.url", error.to_string());
    }
    if config.insert_mode != InsertMode::Insert && config.pk_mode == PkMode::None {
        report.error("pk.mode", format!("insert.mode={} needs a primary key; set pk.mode", config.insert_mode.word()));
    }
    if config.delete_enabled && config.pk_mode != PkMode::RecordKey {
        report.error("delete.enabled", "deletes need pk.mode=record_key: a null value carries the key alone");
    }
    if config.pk_mode == PkMode::Kafka && !matches!(config.pk_fields.len(), 0 | 3) {
        report.error("pk.fields", "pk.mode=kafka takes no names or three: for topic, partition and offset");
    }
    if !config.table_name_format.contains("${topic") && config.table_name_format.contains("${") {
        report.error("table.name.format", "knows ${topic} and ${topic.last} alone");
    }
}

/// One task: the one writer of the file.
struct Task {
    config: SinkConfig,
    writer: Blocking<Writer>,
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, cx: &SinkContext) -> Result<()> {
        let config = self.config.clone();
        let id = cx.task.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let connection = open_for_writing(&config)?;
            let offsets = Offsets::create(&connection, &config.offset_table, &id)?;
            Ok::<_, Error>(Writer::new(connection, offsets, config))
        });
        let writer = opened.await.map_err(|_| Error::Bug("opening the file panicked".to_owned()))??;
        self.writer.set(writer);
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        let new = new.to_vec();
        Ok(self.writer.call(move |writer| writer.open(&new)).await?)
    }

    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()> {
        let errant = Arc::clone(&cx.errant);
        let now_ms = cx.clock.wall_ms();
        Ok(self.writer.call(move |writer| writer.put(&batch, errant.as_ref(), now_ms)).await?)
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        let gone = gone.to_vec();
        Ok(self
            .writer
            .call(move |writer| {
                writer.close(&gone);
                Ok(())
            })
            .await?)
    }

    async fn stop(&mut self) {
        self.writer.clear();
    }
}

impl TransactionalSink for Task {}
