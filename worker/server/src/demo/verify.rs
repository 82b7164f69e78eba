//! Looks for every record where it must have come out.
use super::{Folders, input};
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Records of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) orders: u64,
    pub(crate) numbers: u64,
}

impl Counts {
    /// What is at the destinations now.
    pub(crate) fn count(folders: &Folders) -> Result<Self> {
        let orders = match table(&folders.table)? {
            Some(table) => table.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap_or(0),
            None => 0,
        };
        let mut numbers = 0;
        for file in json_files(&folders.output)? {
            numbers += std::fs::read(&file)?.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        Ok(Self { orders, numbers })
    }

    /// Whether both are there.
    pub(crate) fn reaches(&self, goal: &Self) -> bool {
        self.orders >= goal.orders && self.numbers >= goal.numbers
    }
}

/// The outcome of a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    went_in: u64,
    came_out: u64,
    missing: u64,
    duplicated: u64,
    changed: u64,
}

impl Report {
    /// Whether everything came out once, as it went in.
    pub(crate) fn is_exact(&self) -> bool {
        self.went_in == self.came_out && self.missing + self.duplicated + self.changed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { went_in, came_out, missing, duplicated, changed } = self;
        write!(f, "verified: {went_in} in, {came_out} out, {missing} missing, {duplicated} duplicated")?;
        if *changed > 0 { write!(f, ", {changed} changed") } else { Ok(()) }
    }
}

/// Compares both destinations with what went in.
pub(crate) fn compare(folders: &Folders, goal: &Counts) -> Result<Report> {
    let mut report = Report { went_in: goal.orders + goal.numbers, ..Report::default() };
    compare_orders(&folders.table, goal.orders, &mut report)?;
    let mut seen = BTreeMap::new();
    for file in json_files(&folders.output)? {
        for line in std::fs::read_to_string(&file)?.lines() {
            let value: Value =
                serde_json::from_str(line).with_context(|| format!("{} holds a broken line", file.display()))?;
            let id = value["id"].as_u64().with_context(|| format!("{}: a line has no id", file.display()))?;
            *seen.entry(id).or_default() += 1;
        }
    }
    tally(&seen, first_number(&seen), goal.numbers, &mut report);
    Ok(report)
}

fn compare_orders(file: &Path, goal: u64, report: &mut Report) -> Result<()> {
    let table = table(file)?.context("the orders table is missing")?;
    let mut statement = table.prepare("SELECT CAST(id AS INTEGER), city, CAST(amount AS INTEGER) FROM orders")?;
    let mut rows = statement.query([])?;
    let mut seen = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let id = row.get::<_, u64>(0)?;
        let is_intact = row.get::<_, String>(1)? == input::city(id) && row.get::<_, u64>(2)? == input::amount(id);
        report.changed += u64::from(!is_intact);
        *seen.entry(id).or_default() += 1;
    }
    tally(&seen, 1, goal, report);
    Ok(())
}

/// The generator counts from 0 or from 1; what counts is that there is no gap.
fn first_number(seen: &BTreeMap<u64, u64>) -> u64 {
    u64::from(!seen.contains_key(&0))
}

fn tally(seen: &BTreeMap<u64, u64>, first: u64, goal: u64, report: &mut Report) {
    report.came_out += seen.values().sum::<u64>();
    report.missing += (first..first + goal).filter(|id| !seen.contains_key(id)).count() as u64;
    report.duplicated += seen.values().map(|times| times - 1).sum::<u64>();
}

fn table(file: &Path) -> Result<Option<Connection>> {
    if !file.exists() {
        return Ok(None);
    }
    Ok(Some(Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?))
}

/// Final files alone: what begins with a dot is staging.
pub(super) fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files.extend(json_files(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_and_a_repeat_are_counted() {
        let seen = BTreeMap::from([(1, 1), (2, 2), (4, 1)]);
        let mut report = Report { went_in: 4, ..Report::default() };
        tally(&seen, 1, 4, &mut report);
        assert_eq!(report, Report { went_in: 4, came_out: 4, missing: 1, duplicated: 1, changed: 0 });
        assert!(!report.is_exact());
        assert_eq!(report.to_string(), "verified: 4 in, 4 out, 1 missing, 1 duplicated");
    }
}
