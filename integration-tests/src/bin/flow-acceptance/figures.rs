//! What was measured beside its bar, as a table for people and as JSON for programs.
use crate::say;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    scenario: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
    least: Option<f64>,
    most: Option<f64>,
}

/// Figures of a run.
#[derive(Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
}

impl Row {
    fn is_met(&self) -> bool {
        let Self { value, least, most, .. } = self;
        least.is_none_or(|least| *value >= least) && most.is_none_or(|most| *value <= most)
    }

    fn line(&self) -> String {
        let bar = match (self.least, self.most) {
            (None, None) => String::new(),
            (Some(least), None) => format!("at least {least:.1}"),
            (None, Some(most)) => format!("at most {most:.1}"),
            (Some(least), Some(most)) => format!("{least:.1} to {most:.1}"),
        };
        let verdict = if self.is_met() { "" } else { " MISSED" };
        format!("{:<9} {:<62} {:>10.1} {:<6} {bar}{verdict}", self.scenario, self.what, self.value, self.unit)
    }
}

impl Figures {
    /// A figure with the least and the most that it may be.
    pub(crate) fn add(
        &mut self,
        (scenario, what): (&'static str, &str),
        (value, unit): (f64, &'static str),
        (least, most): (Option<f64>, Option<f64>),
    ) {
        let row = Row { scenario, what: what.to_owned(), value, unit, least, most };
        say(&row.line());
        self.rows.push(row);
    }

    /// The whole table again, and the JSON; how many bars were missed.
    pub(crate) fn finish(&self) -> Result<usize> {
        say("");
        self.rows.iter().for_each(|row| say(&row.line()));
        let folder = Path::new("bench-results");
        std::fs::create_dir_all(folder)?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let file = folder.join(format!("flow-acceptance-{at}.json"));
        std::fs::write(&file, serde_json::to_vec_pretty(&self.rows)?)?;
        say(&format!("written to {}", file.display()));
        Ok(self.rows.iter().filter(|row| !row.is_met()).count())
    }
}

/// The value that so many of a hundred stay below.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or(f64::NAN)
}
