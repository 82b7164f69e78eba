//! Lines of JSON from a topic into files.
use super::{filled, with_json};
use crate::outcome::Outcome;
use crate::scenarios::{LOOK_EVERY, WORK_MAX, figures, options, stamp};
use crate::{Bench, meter, say};
use anyhow::{Result, bail};
use elasticflow_integration_tests::worker::Worker;
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Change events as lines, JSON without schemas, two-phase, from POST of the sink to the last visible line; says how
/// many megabytes a second of wall time and of CPU that is.
pub(crate) async fn lines(bench: &Bench) -> Result<Outcome> {
    let run = format!("files{}", stamp()?);
    let worker_options = options(bench, &run)?;
    let output = std::path::absolute(worker_options.dir.join("output"))?;
    std::fs::create_dir_all(&output)?;
    let worker = Worker::start(worker_options).await?;
    let topic = filled(bench, &worker, &run, false).await?;
    let before = meter::read(worker.pid())?;
    let began = Instant::now();
    let sink = json!({
        "connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "1", "topics": topic,
        "output.path": output.display().to_string(), "format": "json", "commit.interval.ms": "2000", "consumer.override.auto.offset.reset": "earliest",
    });
    worker.rest().create(&run, &with_json(sink, false)).await?;
    let mut seen = Seen::default();
    while seen.lines < bench.rows {
        if began.elapsed() > WORK_MAX {
            bail!("{} of {} lines after {} s", seen.lines, bench.rows, WORK_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        seen.look(&output)?;
    }
    let outcome = figures(&worker, "sink-files", bench.rows, began.elapsed().as_secs_f64(), before)?;
    worker.stop().await?;
    seen.look(&output)?;
    #[expect(clippy::cast_precision_loss, reason = "sizes and counts are far below 2^53")]
    let (megabytes, millions) = (seen.bytes as f64 / 1e6, bench.rows as f64 / 1e6);
    say(&format!(
        "sink-files: {megabytes:.0} MB, {:.0} MB/s, {:.0} MB a CPU second",
        megabytes / outcome.seconds,
        megabytes / (outcome.cpu_s_per_million * millions)
    ));
    std::fs::remove_dir_all(&output)?;
    Ok(Outcome { doubled: seen.lines.saturating_sub(bench.rows), ..outcome })
}

/// What is visible; a file never changes once it is.
#[derive(Default)]
struct Seen {
    files: HashSet<PathBuf>,
    lines: u64,
    bytes: u64,
}

impl Seen {
    fn look(&mut self, below: &Path) -> Result<()> {
        for entry in std::fs::read_dir(below)? {
            let path = entry?.path();
            let is_staging = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if is_staging || self.files.contains(&path) {
                continue;
            }
            if path.is_dir() {
                self.look(&path)?;
                continue;
            }
            let bytes = std::fs::read(&path)?;
            self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.bytes += bytes.len() as u64;
            self.files.insert(path);
        }
        Ok(())
    }
}
