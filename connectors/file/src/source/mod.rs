//! The source: files of a directory to records, with a position after each that names the next byte.
//!
//! One poll is one batch, read on a blocking thread. [`spool`] reads whole files once; [`tail`] follows growing ones. Both
//! read through a [`reader`], which goes from a place in a file to records by a decoder and knows nothing of directories.
//! A position names the file, the first byte that was not read and a fingerprint of the beginning, so a restart goes on at
//! that byte or stops because the file is not what it was. Nothing is deleted or moved before the positions are durable.
mod batch;
mod cleanup;
mod decode;
mod input;
mod listing;
mod options;
mod place;
mod preamble;
mod reader;
mod rotation;
mod spool;
mod tail;

use crate::blocking::{Blocking, aside};
use crate::config::{Mode, SourceConfig};
use crate::dir::Dir;
use crate::error::Error;
use async_trait::async_trait;
use batch::Now;
use elasticflow_api::clock::Clock;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::{ConnectorContext, Limits, SourceContext, StoredOffsets};
use elasticflow_api::error::Result;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::source::{SourceBatch, SourceConnector, SourceTask};
use listing::Share;
use options::Options;
pub(crate) use options::Preset;
use place::{Place, Stored, name_of};
use spool::Spool;
use std::sync::Arc;
use tail::Tail;

/// Keys of a task's configuration.
const TASK_INDEX: &str = "task.index";
const TASK_COUNT: &str = "task.count";

/// The source connector.
pub struct FileSource {
    pub(crate) preset: Preset,
}

impl SourceConnector for FileSource {
    const NAME: &'static str = "file";
    type Config = SourceConfig;
    type Task = Task;

    fn guarantee(&self, _: &SourceConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn validate(&self, config: &SourceConfig, _: &ConnectorContext) -> ValidationReport {
        let (config, preset) = (config.clone(), self.preset);
        aside(move || Ok(report(&config, preset))).await.unwrap_or_default()
    }

    async fn plan(&self, config: &SourceConfig, tasks_max: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        Options::checked(config, self.preset)?;
        let of = tasks_max.max(1);
        let task = |index: usize| {
            let keys = [(TASK_INDEX.to_owned(), index.to_string()), (TASK_COUNT.to_owned(), of.to_string())];
            TaskConfig(keys.into())
        };
        Ok((0..of).map(task).collect())
    }

    fn task(&self, config: &SourceConfig, task: TaskConfig) -> Result<Task> {
        let options = Options::checked(config, self.preset)?;
        let number = |key: &str| task.0.get(key).and_then(|text| text.parse().ok());
        let share = Share { index: number(TASK_INDEX).unwrap_or(0), of: number(TASK_COUNT).unwrap_or(1) };
        Ok(Task { options: Arc::new(options), share, engine: Blocking::empty() })
    }
}

/// Every problem of a configuration.
fn report(config: &SourceConfig, preset: Preset) -> ValidationReport {
    let mut report = ValidationReport::default();
    let options = match Options::new(config, preset) {
        Ok(options) => options,
        Err(problems) => {
            for (key, text) in problems {
                report.error(key, text);
            }
            return report;
        }
    };
    let input = match Dir::open(&options.input_path).and_then(|dir| dir.look(".")) {
        Ok(Some(entry)) => entry.identity,
        Ok(None) => return report,
        Err(error) => {
            report.error("input.path", format!("cannot open directory {}: {error}", config.input_path));
            return report;
        }
    };
    for (key, path) in [("finished.path", &options.finished_path), ("error.path", &options.error_path)] {
        let Some(path) = path else { continue };
        match Dir::open(path).and_then(|dir| dir.look(".")) {
            Ok(Some(entry)) if entry.identity.dev != input.dev => {
                report.error(key, format!("FILE-0011: {} is on another file system than input.path", path.display()));
            }
            Ok(_) => {}
            Err(error) => report.error(key, format!("cannot open directory {}: {error}", path.display())),
        }
    }
    if let Some(text) = options.truncation_warning() {
        report.warning("tail.rotation", text);
    }
    report
}

/// Reads whole or growing files.
enum Engine {
    Spool(Box<Spool>),
    Tail(Box<Tail>),
}

impl Engine {
    fn open(options: Arc<Options>, share: Share, offsets: &dyn StoredOffsets) -> std::result::Result<Self, Error> {
        let path = &options.input_path;
        let root = Dir::open(path).map_err(Error::with(|| format!("cannot open input.path {}", path.display())))?;
        let stored = stored_places(offsets, &options, share)?;
        Ok(match options.mode {
            Mode::Spool => Self::Spool(Box::new(Spool::new(root, options, share, stored))),
            Mode::Tail => Self::Tail(Box::new(Tail::new(root, options, share, stored)?)),
        })
    }

    fn poll(&mut self, now: Now, limits: Limits) -> std::result::Result<SourceBatch, Error> {
        match self {
            Self::Spool(spool) => spool.poll(now, limits),
            Self::Tail(tail) => tail.poll(now, limits),
        }
    }

    fn committed(&mut self, positions: &[(Arc<str>, Place)]) -> std::result::Result<(), Error> {
        match self {
            Self::Spool(spool) => spool.committed(positions),
            // Growing files stay where they are.
            Self::Tail(_) => Ok(()),
        }
    }
}

/// Stored positions of this task's files.
fn stored_places(
    offsets: &dyn StoredOffsets,
    options: &Options,
    share: Share,
) -> std::result::Result<Vec<(Arc<str>, Stored)>, Error> {
    let mut places = Vec::new();
    for (partition, offset) in offsets.all()? {
        match name_of(&partition) {
            Some(name) if share.has(name, options.mode) => {
                places.push((Arc::from(name), Place::from_stored(&offset, name)?));
            }
            _ => {}
        }
    }
    Ok(places)
}

/// One task: its share of the files.
pub struct Task {
    options: Arc<Options>,
    share: Share,
    engine: Blocking<Engine>,
}

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        if let Some(text) = self.options.truncation_warning() {
            tracing::warn!(task = %cx.task, "{text}");
        }
        let (options, share, offsets) = (Arc::clone(&self.options), self.share, Arc::clone(&cx.offsets));
        let engine = aside(move || Engine::open(options, share, offsets.as_ref())).await?;
        self.engine.set(engine);
        Ok(())
    }

    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        let now = now(cx.clock.as_ref());
        let limits = Limits { records: cx.batch_max.records.min(self.options.batch_records), ..cx.batch_max };
        let batch = self.engine.call(move |engine| engine.poll(now, limits)).await?;
        if batch.records.is_empty() && batch.rejected.is_empty() && batch.progress.is_empty() {
            cx.clock.sleep(self.options.empty_wait.min(cx.poll_max)).await;
        }
        Ok(batch)
    }

    async fn committed(&mut self, positions: &[SourcePosition]) -> Result<()> {
        let mut places = Vec::new();
        for SourcePosition { partition, offset } in positions {
            if let (Some(name), Ok(Stored::Place(place))) = (name_of(partition), Place::from_stored(offset, "")) {
                places.push((Arc::from(name), place));
            }
        }
        Ok(self.engine.call(move |engine| engine.committed(&places)).await?)
    }

    async fn stop(&mut self) {
        self.engine.clear();
    }
}

fn now(clock: &dyn Clock) -> Now {
    Now { wall_ms: clock.wall_ms(), monotonic: clock.monotonic() }
}
