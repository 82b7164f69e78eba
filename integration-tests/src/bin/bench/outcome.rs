//! Figures of a scenario, as a table for people and as JSON for programs.
use crate::meter::Reading;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Figures of one scenario.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Name.
    pub(crate) scenario: String,
    /// Records that had to arrive.
    pub(crate) records: u64,
    /// From the start of the work to the last record.
    pub(crate) seconds: f64,
    /// Records a second.
    pub(crate) records_per_s: f64,
    /// CPU seconds of the worker per million records.
    pub(crate) cpu_s_per_million: f64,
    /// Peak resident memory of the worker.
    pub(crate) peak_mib: f64,
    /// Resident memory of the idle worker, where it was measured.
    pub(crate) idle_mib: Option<f64>,
    /// Start of the process to an answer of REST, median, where it was measured.
    pub(crate) ready_ms: Option<f64>,
    /// Commit in the database to a read_committed reader, where it was measured: the middle one,
    pub(crate) p50_ms: Option<f64>,
    /// what nine of ten stay below,
    pub(crate) p90_ms: Option<f64>,
    /// and 99 of 100.
    pub(crate) p99_ms: Option<f64>,
    /// Records that did not arrive.
    pub(crate) lost: u64,
    /// Records that arrived more than once.
    pub(crate) doubled: u64,
}

impl Outcome {
    /// Of work on so many records, between two readings of the process that did it.
    pub(crate) fn of(scenario: &str, records: u64, seconds: f64, (before, after): (Reading, Reading)) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "record counts are far below 2^53")]
        let records_f = records as f64;
        Self {
            scenario: scenario.to_owned(),
            records,
            seconds,
            records_per_s: records_f / seconds,
            cpu_s_per_million: (after.cpu_s - before.cpu_s) / records_f * 1e6,
            peak_mib: after.peak_mib,
            ..Self::default()
        }
    }

    /// Whether everything arrived once.
    pub(crate) fn is_exact(&self) -> bool {
        self.lost == 0 && self.doubled == 0
    }
}

/// The table.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "\n{:<10} {:>10} {:>8} {:>10} {:>11} {:>9} {:>9} {:>9} {:>7} {:>7} {:>5} {:>7}\n",
        "scenario",
        "records",
        "seconds",
        "records/s",
        "CPU-s per M",
        "peak MiB",
        "idle MiB",
        "ready ms",
        "p50 ms",
        "p99 ms",
        "lost",
        "doubled"
    );
    for o in outcomes {
        let optional = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |f| format!("{f:.0}"));
        let tenths = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |f| format!("{f:.1}"));
        text.push_str(&format!(
            "{:<10} {:>10} {:>8.1} {:>10.0} {:>11.3} {:>9.0} {:>9} {:>9} {:>7} {:>7} {:>5} {:>7}\n",
            o.scenario,
            o.records,
            o.seconds,
            o.records_per_s,
            o.cpu_s_per_million,
            o.peak_mib,
            optional(o.idle_mib),
            optional(o.ready_ms),
            tenths(o.p50_ms),
            tenths(o.p99_ms),
            o.lost,
            o.doubled
        ));
    }
    text
}

/// Writes the JSON; the file's name.
pub(crate) fn write(outcomes: &[Outcome]) -> Result<String> {
    let folder = Path::new("bench-results");
    std::fs::create_dir_all(folder)?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let file = folder.join(format!("{at}.json"));
    std::fs::write(&file, serde_json::to_vec_pretty(outcomes)?)?;
    Ok(file.display().to_string())
}
