//! The task: some tables, read in turn through one session.
use super::config::{SourceKeys, SourceMode};
use super::cursor::{Cursor, legacy_partition_of};
use super::dialect::{SourceDatabase, SourceDialect};
use super::late::Audit;
use super::page::Reader;
use super::rounds::{Reads, Round, is_over, resumed, round_of};
use super::table::{Bounds, Table};
use crate::calendar::read_timestamp;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::session::{Session, TextRow, number, text};
use async_trait::async_trait;
use elasticflow_api::context::SourceContext;
use elasticflow_api::error::Result;
use elasticflow_api::source::{Boundary, Figure, Read, Report, SourceBatch, SourceTask};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Samples of a growing column's newest value that are kept while they settle.
const SAMPLES_MAX: usize = 64;

/// One table and where reading stands.
struct Reading {
    table: Arc<Table>,
    cursor: Cursor,
    due: Duration,
    /// When a value of the growing column was the newest.
    samples: VecDeque<(Duration, i64)>,
    /// Whether a newer value still settles.
    is_settling: bool,
    /// Whether a bulk read is under way in the session's snapshot.
    in_snapshot: bool,
    audit: Audit,
}

/// A batch source task.
pub struct SqlSource {
    database: Arc<dyn SourceDatabase>,
    keys: SourceKeys,
    names: Vec<String>,
    session: Option<Box<dyn Session>>,
    tables: Vec<Reading>,
    turn: usize,
    /// Where the start has found the round of bulk reads, until the runtime has heard of it.
    found: Round,
}

/// Rows of a page and whether nothing follows at present.
struct Page {
    rows: Vec<TextRow>,
    is_last: bool,
}

impl SqlSource {
    /// A task for tables; connects at its start.
    pub fn new(database: Arc<dyn SourceDatabase>, keys: &SourceKeys, names: Vec<String>) -> Self {
        Self { database, keys: keys.clone(), names, session: None, tables: Vec::new(), turn: 0, found: Round::Fresh }
    }

    fn dialect(&self) -> &'static dyn SourceDialect {
        self.database.source_dialect()
    }

    async fn read(&mut self, at: usize, cx: &SourceContext) -> Result<SourceBatch, Error> {
        let Some(mut session) = self.session.take() else {
            return Err(Error::Bug("a task was polled before its start"));
        };
        let Some(reading) = self.tables.get(at) else { return Err(Error::Bug("a table was lost")) };
        let (table, mut cursor) = (Arc::clone(&reading.table), reading.cursor.clone());
        let most = self.keys.rows_max.min(cx.batch_max.records).max(1);
        let page = self.page(at, session.as_mut(), most, cx).await?;
        let reader = Reader { table: &table, dialect: self.dialect(), mode: self.keys.mode };
        let records = reader.records(&page.rows, &mut cursor)?;
        let mut progress = Vec::new();
        let is_bulk_end = self.keys.mode == SourceMode::Bulk && page.is_last;
        if is_bulk_end {
            session.execute("COMMIT").await.map_err(Error::at(format!("ending a read of table {}", table.name)))?;
            cursor = Cursor { run: cursor.run + 1, ..Cursor::default() };
            progress.push(reader.position(&cursor));
        }
        let now = cx.clock.monotonic();
        if let Some(reading) = self.tables.get_mut(at) {
            reading.audit.read(records.len());
            if page.is_last {
                audited(&mut reading.audit, session.as_mut(), (&reader, &cursor), now).await?;
            }
            reading.cursor = cursor;
            reading.in_snapshot = self.keys.mode == SourceMode::Bulk && !is_bulk_end;
            let poll = self.keys.poll_interval.duration();
            let rest = if reading.is_settling { poll.min(self.keys.settle.duration()) } else { poll };
            reading.due = if page.is_last { now + rest } else { now };
        }
        self.session = Some(session);
        Ok(SourceBatch {
            records,
            progress,
            boundary: Boundary::Complete,
            read: Read::Snapshot,
            end_of_run: is_bulk_end && is_over(self.runs()),
            ..SourceBatch::default()
        })
    }

    fn runs(&self) -> impl Iterator<Item = i64> {
        self.tables.iter().map(|reading| reading.cursor.run)
    }

    /// The next table and when it is due: of bulk reads one that this round has not had yet, so that a round ends with all
    /// of them.
    fn next_due(&self) -> Option<(usize, Duration)> {
        let count = self.tables.len();
        let round = self.runs().min().filter(|_| self.keys.mode == SourceMode::Bulk);
        let in_turn = (0..count).map(|n| (self.turn + n) % count);
        let tables = in_turn.filter_map(|at| Some((at, self.tables.get(at)?)));
        let of_round = tables.filter(|(_, reading)| round.is_none_or(|round| reading.cursor.run == round));
        of_round.map(|(at, reading)| (at, reading.due)).min_by_key(|(_, due)| *due)
    }

    async fn page(
        &mut self,
        at: usize,
        session: &mut dyn Session,
        most: usize,
        cx: &SourceContext,
    ) -> Result<Page, Error> {
        match self.keys.mode {
            SourceMode::Bulk => self.bulk_page(at, session, most).await,
            SourceMode::Incrementing => {
                let Some(upper) = self.settled(at, session, cx).await? else { return Ok(nothing()) };
                self.keyset_page(at, session, upper, most).await
            }
            SourceMode::Timestamp | SourceMode::TimestampIncrementing => {
                let upper =
                    now_of(session, self.dialect()).await? - i64::try_from(self.keys.delay.0).unwrap_or(0) * 1000;
                self.keyset_page(at, session, upper, most).await
            }
        }
    }

    async fn bulk_page(&mut self, at: usize, session: &mut dyn Session, most: usize) -> Result<Page, Error> {
        let Some(reading) = self.tables.get(at) else { return Ok(nothing()) };
        let doing = || Error::at(format!("reading table {}", reading.table.name));
        if !reading.in_snapshot {
            session.execute(self.database.source_dialect().snapshot()).await.map_err(doing())?;
        }
        let sql = reading.table.page(
            self.database.dialect(),
            SourceMode::Bulk,
            &reading.cursor,
            Bounds { upper: 0, rows: most },
        );
        let rows = session.rows(&sql).await.map_err(doing())?;
        let is_last = rows.len() < most || reading.table.order.is_empty();
        Ok(Page { rows, is_last })
    }

    async fn keyset_page(
        &mut self,
        at: usize,
        session: &mut dyn Session,
        upper: i64,
        most: usize,
    ) -> Result<Page, Error> {
        let Some(reading) = self.tables.get(at) else { return Ok(nothing()) };
        let (table, mode) = (&reading.table, self.keys.mode);
        let doing = || Error::at(format!("reading table {}", table.name));
        let dialect: &'static dyn Dialect = self.database.dialect();
        let sql = table.page(dialect, mode, &reading.cursor, Bounds { upper, rows: most });
        let mut rows = session.rows(&sql).await.map_err(doing())?;
        let is_last = rows.len() < most;
        if is_last || mode != SourceMode::Timestamp {
            return Ok(Page { rows, is_last });
        }
        // A full page may end amid rows of one time: those wait for the next page, or are read all at once.
        let reader = Reader { table, dialect: self.dialect(), mode };
        let last = rows.last().map(|row| reader.time(row)).transpose()?.flatten();
        let times = rows.iter().map(|row| reader.time(row)).collect::<Result<Vec<_>, _>>()?;
        let before = times.iter().take_while(|time| **time != last).count();
        if before > 0 {
            rows.truncate(before);
        } else if let Some(last) = last {
            rows = session.rows(&table.ties(dialect, last)).await.map_err(doing())?;
        }
        Ok(Page { rows, is_last: false })
    }

    /// The largest value of the growing column that was the newest long enough ago.
    async fn settled(
        &mut self,
        at: usize,
        session: &mut dyn Session,
        cx: &SourceContext,
    ) -> Result<Option<i64>, Error> {
        let settle = self.keys.settle.duration();
        let Some(reading) = self.tables.get_mut(at) else { return Ok(None) };
        let doing = Error::at(format!("reading the newest value of table {}", reading.table.name));
        let newest = session.rows(&reading.table.newest()).await.map_err(doing)?;
        let Some(newest) = newest.first().and_then(|row| number(row, 0)) else { return Ok(None) };
        if settle.is_zero() {
            return Ok(Some(newest));
        }
        let now = cx.clock.monotonic();
        if reading.samples.back().is_none_or(|(_, value)| *value != newest) && reading.samples.len() < SAMPLES_MAX {
            reading.samples.push_back((now, newest));
        }
        let mut settled = None;
        while reading.samples.front().is_some_and(|(since, _)| *since + settle <= now) {
            settled = reading.samples.pop_front().map(|(_, value)| value);
        }
        // The same newest value stays settled without a further wait.
        if let Some(value) = settled {
            reading.samples.push_front((now.saturating_sub(settle), value));
        }
        reading.is_settling = settled != Some(newest);
        Ok(settled)
    }
}

/// Counts once more what was read an interval ago, when that is due.
async fn audited(
    audit: &mut Audit,
    session: &mut dyn Session,
    (reader, cursor): (&Reader<'_>, &Cursor),
    now: Duration,
) -> Result<(), Error> {
    let Some(window) = audit.caught_up(cursor, now) else { return Ok(()) };
    let table = reader.table;
    let sql = table.between(reader.dialect, &window.from, &window.to);
    let rows = session.rows(&sql).await.map_err(Error::at(format!("counting late rows of table {}", table.name)))?;
    let rows = rows.first().and_then(|row| number(row, 0)).unwrap_or_default();
    let late = audit.counted(&window, u64::try_from(rows).unwrap_or_default());
    if late > 0 {
        tracing::warn!(
            code = "SQL-0033",
            table = table.name,
            late,
            "rows were committed behind the time that was read and are not read; raise timestamp.delay.interval.ms above the longest transaction"
        );
    }
    Ok(())
}

fn nothing() -> Page {
    Page { rows: Vec::new(), is_last: true }
}

/// The database's time in microseconds; the worker's clock is never used.
async fn now_of(session: &mut dyn Session, dialect: &dyn SourceDialect) -> Result<i64, Error> {
    let rows = session.rows(dialect.clock()).await.map_err(Error::at("reading the database's clock"))?;
    let now = rows.first().and_then(|row| text(row, 0)).and_then(read_timestamp);
    now.ok_or(Error::Bug("the database's clock cannot be read"))
}

#[async_trait]
impl SourceTask for SqlSource {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        let mut session = self.database.connect().await.map_err(Error::at("connecting"))?;
        let mut stored_reads = Vec::with_capacity(self.names.len());
        for name in self.names.clone() {
            let name = name.as_str();
            let table = Table::describe(session.as_mut(), self.dialect(), &self.keys, name).await?;
            let stored = match cx.offsets.get(&table.partition)? {
                Some(stored) => Some(stored),
                None => cx.offsets.get(&legacy_partition_of(name))?,
            };
            let is_new = stored.is_none();
            let cursor = match stored {
                Some(stored) => Cursor::read(self.keys.mode, &stored, name)?,
                None => self.first_cursor(session.as_mut()).await?,
            };
            let reads = Reads { run: cursor.run, is_under_way: cursor.key.is_some() };
            stored_reads.push((!is_new).then_some(reads));
            self.tables.push(Reading {
                table: Arc::new(table),
                cursor,
                due: Duration::ZERO,
                samples: VecDeque::new(),
                is_settling: false,
                in_snapshot: false,
                audit: Audit::new(self.keys.audit.duration()),
            });
        }
        self.session = Some(session);
        self.resume_round(&stored_reads);
        Ok(())
    }

    fn is_inside_run(&self) -> bool {
        self.found == Round::Inside
    }

    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        let now = cx.clock.monotonic();
        if std::mem::replace(&mut self.found, Round::Inside) == Round::Over {
            // Whoever ran before may have died before the run's end was told.
            return Ok(SourceBatch { end_of_run: true, ..SourceBatch::default() });
        }
        // A bulk read goes on to its end: the session's snapshot is its own.
        let under_way = self.tables.iter().position(|t| t.in_snapshot).map(|at| (at, now));
        let (at, due) = under_way.or_else(|| self.next_due()).unwrap_or((0, now + cx.poll_max));
        if due > now {
            cx.clock.sleep((due - now).min(cx.poll_max)).await;
            return Ok(SourceBatch::default());
        }
        self.turn = at + 1;
        Ok(self.read(at, cx).await?)
    }

    fn report(&self) -> Option<Report> {
        let audited = self.tables.iter().filter(|_| self.keys.audit.0 > 0);
        let figure = |reading: &Reading| Figure {
            name: "elasticflow_sql_late_rows_total",
            help: "rows that were committed behind the time that was read, at least",
            counts: true,
            label: Some(("table", reading.table.name.clone())),
            #[expect(clippy::cast_precision_loss, reason = "a count of rows for people")]
            value: reading.audit.late as f64,
        };
        let figures: Vec<Figure> = audited.map(figure).collect();
        let late: u64 = self.tables.iter().map(|reading| reading.audit.late).sum();
        let missed = if late == 0 { String::new() } else { format!("; {late} rows came too late and were not read") };
        let words = format!("reading {} tables in turn, mode {}{missed}", self.tables.len(), self.keys.mode.word());
        Some(Report { phase: "reading", words, figures })
    }

    async fn stop(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }
}

impl SqlSource {
    /// Tables of a bulk read go on in the round that was under way.
    fn resume_round(&mut self, stored: &[Option<Reads>]) {
        if self.keys.mode != SourceMode::Bulk {
            return;
        }
        self.found = round_of(stored);
        for (reading, run) in self.tables.iter_mut().zip(resumed(stored)) {
            reading.cursor.run = run;
        }
    }

    async fn first_cursor(&mut self, session: &mut dyn Session) -> Result<Cursor, Error> {
        let time = match (self.keys.mode, self.keys.initial) {
            (SourceMode::Timestamp | SourceMode::TimestampIncrementing, Some(-1)) => {
                Some(now_of(session, self.dialect()).await?)
            }
            (SourceMode::Timestamp | SourceMode::TimestampIncrementing, Some(ms)) => Some(ms.saturating_mul(1000)),
            _ => None,
        };
        Ok(Cursor { time, ..Cursor::default() })
    }
}
