//! Appends the text form of values, a line each.
use super::file_of;
use crate::blocking::{Blocking, aside};
use crate::error::Error;
use async_trait::async_trait;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, SinkContext};
use elasticflow_api::data::Value;
use elasticflow_api::error::Result;
use elasticflow_api::position::{ConsumedOffsets, Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::{IdempotentSink, SinkBatch, SinkConnector, SinkKind, SinkTask, StartAt};
use elasticflow_config::settings;
use elasticflow_formats::string::write_text;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

/// Class of the tasks in Apache's answers.
const TASK_CLASS: &str = "org.apache.kafka.connect.file.FileStreamSinkTask";

settings! {
    /// Settings of `FileStreamSinkConnector`.
    pub struct FileStreamSinkConfig {
        /// File to append to; needed, because standard output is not written to.
        "file" => file: Option<String> { importance: High, order: -1 },
    }
}

/// The sink connector.
pub struct FileStreamSink;

impl SinkConnector for FileStreamSink {
    const NAME: &'static str = "filestream";
    type Config = FileStreamSinkConfig;

    fn guarantee(&self, _: &FileStreamSinkConfig) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn validate(&self, _: &FileStreamSinkConfig, _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }

    fn plan(&self, config: &FileStreamSinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        file_of(config.file.as_ref())?;
        let task = TaskConfig([("task.class".to_owned(), TASK_CLASS.to_owned())].into());
        Ok(vec![task; tasks_max.max(1)])
    }

    fn task(&self, config: &FileStreamSinkConfig, _: TaskConfig) -> Result<SinkKind> {
        let path = file_of(config.file.as_ref())?;
        Ok(SinkKind::Idempotent(Box::new(Task { path, file: Blocking::empty(), consumed: ConsumedOffsets::default() })))
    }

    async fn alter_offsets(
        &self,
        _: &FileStreamSinkConfig,
        _: &TaskId,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        Ok(())
    }
}

struct Task {
    path: String,
    file: Blocking<File>,
    consumed: ConsumedOffsets,
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, _: &SinkContext) -> Result<()> {
        let path = self.path.clone();
        let opened = aside(move || {
            std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(|error| {
                Error::Config(format!("Couldn't find or create file '{path}' for FileStreamSinkTask: {error}"))
            })
        });
        self.file.set(opened.await?);
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        Ok(new.iter().map(|at| (at.clone(), StartAt::Group)).collect())
    }

    async fn put(&mut self, batch: SinkBatch, _: &SinkContext) -> Result<()> {
        let SinkBatch { records, consumed } = batch;
        let path = self.path.clone();
        let written = self.file.call(move |file| {
            let mut lines = String::new();
            for record in &records {
                let value = &record.record.value;
                match &value.value {
                    Value::Null => lines.push_str("null"),
                    other => write_text(other, value.schema.as_deref(), &mut lines),
                }
                lines.push('\n');
            }
            file.write_all(lines.as_bytes()).map_err(Error::with(|| format!("cannot write {path}")))
        });
        written.await?;
        self.consumed.0.extend(consumed.0);
        Ok(())
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        self.consumed.0.retain(|at, _| !gone.contains(at));
        Ok(())
    }

    async fn stop(&mut self) {
        self.file.clear();
    }
}

#[async_trait]
impl IdempotentSink for Task {
    async fn flush(&mut self, _: &SinkContext) -> Result<ConsumedOffsets> {
        let path = self.path.clone();
        self.file
            .call(move |file| file.sync_data().map_err(Error::with(|| format!("cannot make {path} durable"))))
            .await?;
        Ok(self.consumed.clone())
    }
}
