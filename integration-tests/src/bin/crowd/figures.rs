//! Figures as a table for people and as JSON for programs.
use crate::say;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    /// What it is to be at most.
    most: Option<f64>,
}

impl Row {
    pub(crate) fn new(what: &str, value: f64, unit: &'static str) -> Self {
        Self { what: what.to_owned(), value, unit, most: None }
    }

    pub(crate) fn seconds(what: &str, time: Duration) -> Self {
        Self::new(what, time.as_secs_f64(), "s")
    }

    fn line(&self) -> String {
        let Self { what, value, unit, most } = self;
        let verdict = match most {
            Some(most) if value <= most => format!("at most {most}"),
            Some(most) => format!("at most {most}: MISSED"),
            None => String::new(),
        };
        format!("{what:<52} {value:>9.1} {unit:<11} {verdict}")
    }

    pub(crate) fn at_most(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }
}

/// Figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    connectors: usize,
    rows: Vec<Row>,
}

impl Figures {
    pub(crate) fn new(connectors: usize) -> Self {
        say(&format!("{connectors} connectors of one task, three workers, requests to any of them"));
        Self { connectors, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        say(&row.line());
        self.rows.push(row);
    }

    /// Median and 99th percentile; the limit is that of the latter, in milliseconds.
    pub(crate) fn times(&mut self, what: &str, times: &[Duration], most: Option<f64>) {
        for (percent, most) in [(50, None), (99, most)] {
            let time = percentile(times, percent).as_secs_f64() * 1_000.0;
            self.add(Row { most, ..Row::new(&format!("{what}, p{percent}"), time, "ms") });
        }
    }

    /// Writes the JSON; the file's name.
    pub(crate) fn write(&self) -> Result<String> {
        let folder = Path::new("bench-results");
        std::fs::create_dir_all(folder)?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let file = folder.join(format!("crowd-{at}.json"));
        std::fs::write(&file, serde_json::to_vec_pretty(self)?)?;
        Ok(file.display().to_string())
    }
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}
