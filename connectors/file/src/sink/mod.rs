//! The two-phase sink: records into parts that nobody sees, a unit made durable under one name, files that appear by one
//! rename each after the decision.
//!
//! [`writer`] fills parts below `.elasticflow` and prepares units; [`unit`] commits, aborts and lists them and needs no
//! writer, because a successor or the leader may do it. Nothing that is visible is ever written to: a reader of the final
//! tree sees whole files only. What is done is recognised by names and checksums on the disk, never by memory.
mod batches;
mod csv;
mod encode;
mod manifest;
mod names;
mod part;
mod staging;
mod unit;
mod writer;

use crate::blocking::{Blocking, aside};
use crate::config::{Format, Partitioner, SinkConfig};
use crate::error::Error;
use async_trait::async_trait;
use batches::Batches;
use elasticflow_api::clock::Clock;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, SinkContext};
use elasticflow_api::error::Result;
use elasticflow_api::position::{BatchId, Offset, TaskId, TopicPartition, UnitId};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::{
    Announced, AtomicBatches, BatchPart, Committed, Handle, PublishKind, Published, SinkBatch, SinkConnector, SinkKind,
    SinkTask, StartAt, TwoPhaseSink,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use unit::Attempt;
use writer::{Around, Writer};

/// Waits before a unit that cannot be found is looked for again: another caller may be in the middle of committing it.
const LOOK_AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(9), Duration::from_secs(20)];

/// The sink connector.
pub struct FileSink;

impl SinkConnector for FileSink {
    const NAME: &'static str = "file";
    type Config = SinkConfig;

    fn guarantee(&self, _: &SinkConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn validate(&self, config: &SinkConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        check(config, &mut report);
        report
    }

    fn plan(&self, config: &SinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        let mut report = ValidationReport::default();
        check(config, &mut report);
        if !report.is_ok() {
            return Err(Error::Config(report.to_string()).into());
        }
        Ok(vec![TaskConfig::default(); tasks_max.max(1)])
    }

    fn task(&self, config: &SinkConfig, _: TaskConfig) -> Result<SinkKind> {
        Ok(SinkKind::TwoPhase(Box::new(Task {
            config: config.clone(),
            writer: Blocking::empty(),
            started: None,
            as_text: false,
        })))
    }

    fn publishes(&self, _: &SinkConfig) -> &'static [PublishKind] {
        &[PublishKind::Append, PublishKind::Replace]
    }

    async fn alter_offsets(
        &self,
        _: &SinkConfig,
        _: &TaskId,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        Ok(())
    }
}

fn check(config: &SinkConfig, report: &mut ValidationReport) {
    match (config.partitioner.0, config.partition_fields.is_empty()) {
        (Partitioner::Field, true) => report.error("partition.field.name", "is needed by FieldPartitioner"),
        (Partitioner::Default, false) => {
            report.error("partition.field.name", "is used by partitioner.class=FieldPartitioner alone");
        }
        _ => {}
    }
    let path = std::path::Path::new(&config.output_path);
    if path.exists() && !path.is_dir() {
        report.error("output.path", format!("{} is no directory", config.output_path));
    }
}

struct Started {
    id: TaskId,
    clock: Arc<dyn Clock>,
}

/// One task.
struct Task {
    config: SinkConfig,
    writer: Blocking<Writer>,
    started: Option<Started>,
    /// Values come as the JSON they are.
    as_text: bool,
}

#[async_trait]
impl SinkTask for Task {
    fn takes_json(&mut self) -> bool {
        // Folders named after fields need the fields.
        self.as_text = self.config.format == Format::Json && self.config.partitioner.0 == Partitioner::Default;
        self.as_text
    }

    fn reads_headers(&self) -> bool {
        false
    }

    fn reads_keys(&self) -> bool {
        false
    }

    async fn start(&mut self, cx: &SinkContext) -> Result<()> {
        let (config, id, as_text) = (self.config.clone(), cx.task.clone(), self.as_text);
        self.started = Some(Started { id: id.clone(), clock: Arc::clone(&cx.clock) });
        self.writer.set(aside(move || Writer::new(config, &id, as_text)).await?);
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        Ok(new.iter().map(|at| (at.clone(), StartAt::Group)).collect())
    }

    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()> {
        let around = Around { errant: Arc::clone(&cx.errant), flow: Arc::clone(&cx.flow), now_ms: cx.clock.wall_ms() };
        Ok(self.writer.call(move |writer| writer.put(&batch.records, &around)).await?)
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        // After a last commit nothing is left of them; without one nothing may be.
        let gone = gone.to_vec();
        Ok(self.writer.call(move |writer| writer.close(&gone)).await?)
    }

    async fn stop(&mut self) {
        // What cannot be removed is removed by the next start.
        if let Err(error) = self.writer.call(Writer::discard).await {
            tracing::debug!(%error, "staged parts are left to the next start");
        }
        self.writer.clear();
    }

    fn batches(&mut self) -> Option<&mut dyn AtomicBatches> {
        Some(self)
    }
}

impl Task {
    fn id(&self) -> std::result::Result<&TaskId, Error> {
        let started = self.started.as_ref().map(|started| &started.id);
        started.ok_or_else(|| Error::Bug("the sink was used before start".to_owned()))
    }
}

#[async_trait]
impl AtomicBatches for Task {
    async fn stage(&mut self, part: &BatchPart) -> Result<()> {
        let path = batches::path_of(self.id()?, &part.batch, part.attempt)?;
        let records = part.records.clone();
        Ok(self.writer.call(move |writer| writer.direct_to(path, &records)).await?)
    }

    async fn publish(&mut self, batch: &Announced, kind: PublishKind) -> Result<Published> {
        let (config, id, batch) = (self.config.clone(), self.id()?.clone(), batch.clone());
        Ok(aside(move || Batches::open(&config, &id)?.publish(&batch, kind)).await?)
    }

    async fn drop_staged(&mut self, batch: &BatchId) -> Result<()> {
        let (config, id, batch) = (self.config.clone(), self.id()?.clone(), batch.clone());
        Ok(aside(move || Batches::open(&config, &id)?.drop_staged(&batch)).await?)
    }
}

#[async_trait]
impl TwoPhaseSink for Task {
    async fn prepare(&mut self, unit: &UnitId, _: &SinkContext) -> Result<Option<Handle>> {
        let unit = unit.clone();
        Ok(self.writer.call(move |writer| writer.prepare(&unit)).await?)
    }

    async fn commit(&mut self, handle: &Handle) -> Result<Committed> {
        let mut waits = LOOK_AGAIN.iter();
        loop {
            let own = handle.clone();
            match aside(move || unit::commit(&own)).await? {
                Attempt::Applied(committed) => {
                    self.writer.call(|writer| writer.prune()).await?;
                    return Ok(committed);
                }
                Attempt::Missing(what) => match (waits.next(), &self.started) {
                    (Some(wait), Some(started)) => started.clock.sleep(*wait).await,
                    _ => return Err(lost(handle, &what).into()),
                },
            }
        }
    }

    async fn abort(&mut self, handle: &Handle) -> Result<()> {
        let own = handle.clone();
        Ok(aside(move || unit::abort(&own)).await?)
    }

    async fn in_doubt(&mut self) -> Result<Vec<Handle>> {
        let Some(Started { id, .. }) = &self.started else {
            return Err(Error::Bug("the sink was used before start".to_owned()).into());
        };
        let (output, id) = (self.config.output_path.clone(), id.clone());
        Ok(aside(move || unit::in_doubt(&output, &id.group, &id.connector)).await?)
    }
}

fn lost(handle: &Handle, what: &str) -> Error {
    let UnitId { owner, commit, .. } = &handle.unit;
    Error::Bug(format!(
        "epoch {}/{} was decided, and {what} is neither staged nor finished; put the file back where it was, or into the staging directory, and restart the task",
        owner.0, commit.0
    ))
}
