//! What the task does and how far it is: words for the status, numbers for metrics, named after Debezium's.
use crate::capture::Capture;
use crate::snapshot::Snapshot;
use crate::task::Running;
use elasticflow_api::source::{Figure, Report};
use std::time::Duration;

/// Most tables that get a number of their own.
const TABLES_MAX: usize = 1000;
/// A longer set of GTIDs is left out of the words.
const GTIDS_MAX: usize = 300;

/// What the log has brought since the task was started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) creates: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    pub(crate) transactions: u64,
    /// Between the last change in the database and its reading here.
    pub(crate) behind_ms: Option<i64>,
    /// When rows were read last.
    pub(crate) rows_at: Option<Duration>,
}

/// How far a snapshot is.
pub(crate) struct Advanced {
    pub(crate) words: String,
    pub(crate) tables: usize,
    pub(crate) left: usize,
    /// Rows read of each table.
    pub(crate) rows: Vec<(String, u64)>,
    pub(crate) seconds: Option<f64>,
    pub(crate) seconds_left: Option<u64>,
    pub(crate) paused: bool,
}

impl Running {
    /// What is told of the task.
    pub(crate) fn report(&self) -> Report {
        let now = self.capture.clock.monotonic();
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.advanced(now));
        let place = place(&self.capture);
        let (phase, words) = match (&self.capture.lost, &snapshot) {
            (Some(_), _) => ("disconnected", format!("the connection was lost at {place}: connecting again")),
            (None, _) if self.finished => ("complete", "the snapshot is complete, and nothing follows it".to_owned()),
            (None, Some(advanced)) => (self.snapshot_phase(advanced), format!("{}; {place}", advanced.words)),
            (None, None) => ("streaming", format!("streaming: {place}")),
        };
        let words = self.last_signal.as_ref().map_or_else(|| words.clone(), |signal| format!("{words}; {signal}"));
        let mut figures = of_stream(&self.capture, now);
        figures.push(counter(
            "elasticflow_cdc_disconnects_total",
            "connections to the log that were lost",
            self.losses,
        ));
        of_snapshot(snapshot, self.is_in_initial_snapshot(), &mut figures);
        Report { phase, words, figures }
    }

    fn snapshot_phase(&self, advanced: &Advanced) -> &'static str {
        match (advanced.paused, self.is_in_initial_snapshot()) {
            (true, _) => "snapshot paused",
            (false, true) => "initial snapshot",
            (false, false) => "snapshot beside the stream",
        }
    }
}

/// Where the log is read.
fn place(capture: &Capture) -> String {
    let mut words = format!("the log is read up to {}", capture.log.at());
    if let Some(gtids) = capture.gtids.text().filter(|text| !text.is_empty() && text.len() <= GTIDS_MAX) {
        words.push_str(&format!(" (GTIDs {gtids})"));
    }
    if let Some(behind) = capture.counts.behind_ms {
        words.push_str(&format!(", the last change {behind} ms after its commit"));
    }
    words
}

fn figure(name: &'static str, help: &'static str, value: f64) -> Figure {
    Figure { name, help, counts: false, label: None, value }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; 2^53 changes are out of reach")]
fn counter(name: &'static str, help: &'static str, value: u64) -> Figure {
    Figure { counts: true, ..figure(name, help, value as f64) }
}

fn of_stream(capture: &Capture, now: Duration) -> Vec<Figure> {
    let counts = &capture.counts;
    let connected = f64::from(u8::from(capture.lost.is_none()));
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
    let position = capture.log.at().pos as f64;
    let mut figures = vec![
        figure("elasticflow_cdc_streaming_connected", "1 while the log is read (Connected)", connected),
        figure("elasticflow_cdc_binlog_position", "place in the present file of the log (BinlogPosition)", position),
        counter(
            "elasticflow_cdc_transactions_total",
            "transactions read to their end (NumberOfCommittedTransactions)",
            counts.transactions,
        ),
    ];
    for (op, count) in [("c", counts.creates), ("u", counts.updates), ("d", counts.deletes)] {
        let name = "elasticflow_cdc_events_total";
        let help = "changed rows read from the log (TotalNumberOfEventsSeen)";
        figures.push(Figure { label: Some(("op", op.to_owned())), ..counter(name, help, count) });
    }
    if let Some(behind) = counts.behind_ms {
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
        figures.push(figure(
            "elasticflow_cdc_ms_behind_source",
            "from the commit of the last change to its reading (MilliSecondsBehindSource)",
            behind as f64,
        ));
    }
    if let Some(at) = counts.rows_at {
        let since = now.saturating_sub(at).as_secs_f64() * 1000.0;
        let help = "since the last change was read (MilliSecondsSinceLastEvent)";
        figures.push(figure("elasticflow_cdc_ms_since_last_event", help, since));
    }
    figures
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; 2^53 rows are out of reach")]
fn of_snapshot(advanced: Option<Advanced>, initial: bool, figures: &mut Vec<Figure>) {
    let flag = |is: bool| f64::from(u8::from(is));
    let running = advanced.is_some();
    let paused = advanced.as_ref().is_some_and(|a| a.paused);
    figures.extend([
        figure(
            "elasticflow_cdc_snapshot_running",
            "1 while tables are read (SnapshotRunning)",
            flag(running && !paused),
        ),
        figure("elasticflow_cdc_snapshot_paused", "1 while a snapshot is paused (SnapshotPaused)", flag(paused)),
        figure(
            "elasticflow_cdc_snapshot_completed",
            "1 once the first snapshot is complete, or none was asked for (SnapshotCompleted)",
            flag(!initial),
        ),
    ]);
    let Some(advanced) = advanced else { return };
    figures.extend([
        figure("elasticflow_cdc_snapshot_tables", "tables of the snapshot (TotalTableCount)", advanced.tables as f64),
        figure(
            "elasticflow_cdc_snapshot_tables_remaining",
            "tables that are not complete (RemainingTableCount)",
            advanced.left as f64,
        ),
    ]);
    let seconds = advanced.seconds.map(|seconds| {
        figure("elasticflow_cdc_snapshot_duration_seconds", "since its first row (SnapshotDurationInSeconds)", seconds)
    });
    let left = advanced.seconds_left.map(|left| {
        figure("elasticflow_cdc_snapshot_seconds_left", "about how long it takes yet, at its present rate", left as f64)
    });
    figures.extend(seconds.into_iter().chain(left));
    for (table, rows) in advanced.rows {
        let help = "rows read of a table (RowsScanned)";
        let base = figure("elasticflow_cdc_snapshot_rows_scanned", help, rows as f64);
        figures.push(Figure { label: Some(("table", table)), ..base });
    }
}

impl Snapshot {
    /// How far it is.
    pub(crate) fn advanced(&self, now: Duration) -> Advanced {
        let (tables, left) = (self.names.len(), self.tables_left());
        let done = self.rows_of_table();
        let seconds_left = self.advance.rate(now).map(|rate| self.rows_left() / rate.max(1));
        let mut rows: Vec<_> = self.scanned.iter().take(TABLES_MAX).cloned().collect();
        let mut words = self.kind().to_owned();
        if self.is_paused() {
            words.push_str(" is paused");
        }
        match &self.current {
            Some(table) => {
                rows.push((table.id.to_string(), done));
                let about = self.about.filter(|about| *about > 0);
                let about = about.map_or_else(String::new, |about| format!(" of about {}", about.max(done)));
                let number = (tables + 1).saturating_sub(left).clamp(1, tables.max(1));
                words.push_str(&format!(": {} {done}{about} rows, table {number} of {tables}", table.id));
            }
            None => words.push_str(&format!(": {left} of {tables} tables to read")),
        }
        if let Some(seconds) = seconds_left {
            words.push_str(&format!(", about {} left", span(seconds)));
        }
        let seconds = self.advance.lasted(now).map(|lasted| lasted.as_secs_f64());
        Advanced { words, tables, left, rows, seconds, seconds_left, paused: self.is_paused() }
    }

    /// About how many rows are still to be read.
    fn rows_left(&self) -> u64 {
        let current = self.about.unwrap_or(0).saturating_sub(self.rows_of_table());
        let waiting = self.tables.iter().skip(1).filter_map(|table| self.estimates.as_ref()?.get(table));
        waiting.fold(current, |sum, rows| sum.saturating_add(*rows))
    }

    fn kind(&self) -> &'static str {
        match (self.is_initial(), self.is_incremental()) {
            (true, _) => "initial snapshot",
            (false, true) => "incremental snapshot",
            (false, false) => "blocking snapshot",
        }
    }
}

/// Seconds in words.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_unit_that_fits() {
        let told = [0, 119, 120, 7199, 7200, 90_061].map(span);
        assert_eq!(told, ["0 s", "119 s", "2 min", "119 min", "2 h 0 min", "25 h 1 min"]);
    }

    #[test]
    fn without_a_snapshot_the_first_one_counts_as_complete() {
        let mut figures = Vec::new();
        of_snapshot(None, false, &mut figures);
        let value = |name: &str| figures.iter().find(|f| f.name == name).map(|f| f.value);
        assert_eq!(value("elasticflow_cdc_snapshot_running"), Some(0.0));
        assert_eq!(value("elasticflow_cdc_snapshot_completed"), Some(1.0));
    }
}
