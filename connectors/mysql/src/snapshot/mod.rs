//! The snapshot beside the stream: which chunk is next, when its rows may go out, what is stored of its progress.
mod asked;
mod asking;
mod sending;

pub(crate) use sending::read_origin;

use crate::batch::Batch;
use crate::capture::{Capture, Filled, Until, Watch};
use crate::chunk::{Ask, ChunkReader, ReadRow, Told};
use crate::config::{CdcConfig, SnapshotMode};
use crate::error::{Error, Result};
use crate::filters::Filters;
use crate::information;
use crate::outside::Outside;
use crate::pace::{Advance, Pace};
use crate::position::LogPosition;
use crate::preflight::reads_rows;
use crate::progress::{Adhoc, Progress};
use crate::schema_snapshot::SchemaSnapshot;
use crate::table::Table;
use crate::window::Mark;
use crate::wire::Session;
use elasticflow_cdc::notify::Stage;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Most rows of a whole table that wait here.
const AHEAD_MAX: usize = 2000;

/// What a step has put into the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Rows, and more of the same chunk follow.
    InChunk,
    /// The last rows of a chunk.
    ChunkDone,
    /// Events of the log, or nothing.
    Streamed,
    /// The last rows of the snapshot.
    Finished,
}

/// What is being waited for.
enum Phase {
    /// Nothing has been asked.
    Idle,
    /// A chunk is being read.
    Reading,
    /// A whole table is being opened: until its place is known the log is not read, because its changes are not sent.
    Holding,
    /// A chunk has been read; the log must reach a place.
    Ready { rows: Vec<ReadRow>, seen: Mark, high: LogPosition, next: Option<Vec<String>>, more: bool },
    /// Rows go out.
    Sending { rows: std::vec::IntoIter<ReadRow>, next: Option<Vec<String>>, more: bool, outdated: HashSet<u128> },
    /// A whole table has been opened; the log must reach a place.
    Opening(LogPosition),
    /// Rows of a whole table go out; one is held back, because it may be the last.
    Flowing { rows: VecDeque<ReadRow>, ended: Option<bool> },
}

/// The snapshot.
pub struct Snapshot {
    /// What is told of the tables before their rows.
    schema: Option<SchemaSnapshot>,
    pub(crate) tables: VecDeque<(String, String)>,
    /// A list that ends with `tables`; none if they are others since it was made.
    listed: Option<Arc<[(String, String)]>>,
    pub(crate) current: Option<Arc<Table>>,
    /// Key of the last row of the current table that is to be read, once it is known.
    end: Option<Vec<String>>,
    phase: Phase,
    progress: Progress,
    first: bool,
    first_of_table: bool,
    only: bool,
    asks: mpsc::Sender<Ask>,
    told: mpsc::Receiver<Told>,
    wake: Arc<Notify>,
    reader: tokio::task::JoinHandle<()>,
    config: Arc<CdcConfig>,
    /// Connections of the reader that were lost since its last answer.
    losses: u32,
    /// When the next chunk may be asked for.
    not_before: Duration,
    /// Whether the current table is to be read no further.
    discard: bool,
    /// Its tables, for notifications.
    pub(crate) names: Vec<String>,
    /// Whether its beginning is still to be told.
    fresh: bool,
    /// Whether the beginning of the current table has been told.
    pub(crate) told_table: bool,
    /// Key of the last row sent, and the greatest one of the table, in words.
    pub(crate) last_key: Option<String>,
    pub(crate) maximum: Option<String>,
    pace: Pace,
    pub(crate) advance: Advance,
    /// About how many rows the current table has.
    pub(crate) about: Option<u64>,
    /// About how many rows each table has, once that was asked.
    pub(crate) estimates: Option<HashMap<(String, String), u64>>,
    /// Rows read of the tables that are complete.
    pub(crate) scanned: Vec<(String, u64)>,
}

/// Lost connections in a row after which the snapshot fails.
const LOSSES_MAX: u32 = 30;

/// Starts a reader of chunks.
fn spawn(config: &Arc<CdcConfig>, wake: &Arc<Notify>) -> Reading {
    let (asks, asked) = mpsc::channel(1);
    let (tell, told) = mpsc::channel(2);
    let reader = tokio::spawn(ChunkReader::serve(Arc::clone(config), asked, tell, Arc::clone(wake)));
    (asks, told, reader)
}

type Reading = (mpsc::Sender<Ask>, mpsc::Receiver<Told>, tokio::task::JoinHandle<()>);

impl Snapshot {
    /// Plans the snapshot of every table that matches, or goes on with a stored one.
    pub async fn plan(
        config: &Arc<CdcConfig>,
        filters: &Filters,
        session: &mut Session,
        stored: Option<&str>,
        wake: Arc<Notify>,
    ) -> Result<Self> {
        let mut progress = match stored {
            None => Progress { v: 1, ..Progress::default() },
            Some(text) => serde_json::from_str::<Progress>(text)
                .ok()
                .filter(|p| p.v == 1)
                .ok_or_else(|| Error::OffsetUndecodable { reason: "the progress of the snapshot".to_owned() })?,
        };
        let mut tables = information::tables(session).await?;
        tables.sort();
        tables.retain(|(db, name)| filters.table(db, name) && filters.snapshots(db, name));
        if let Some(adhoc) = &progress.adhoc {
            tables.clone_from(&adhoc.tables);
        } else if progress.has_rows() || progress.table.is_some() {
            tables.retain(|table| Some(table) > progress.done.as_ref());
            progress.go_on(&mut tables, |(db, name)| filters.table(db, name) && filters.snapshots(db, name));
        } else if !reads_rows(config.snapshot_mode) {
            tables.clear();
        }
        let schema = match (stored, &progress.schema) {
            (None, _) if config.schema_changes => Some(SchemaSnapshot::plan(session, None, &tables).await?),
            (_, Some(done)) => Some(SchemaSnapshot::plan(session, Some(done), &tables).await?),
            _ => None,
        };
        let resumed = progress.has_rows();
        tracing::info!(tables = tables.len(), resumed, "taking a snapshot");
        Ok(Self { schema, fresh: stored.is_none(), ..Self::begin(config, tables, progress, wake) })
    }

    /// A snapshot that a signal asks for, beside the stream.
    pub(crate) fn adhoc(config: &Arc<CdcConfig>, adhoc: Adhoc, wake: Arc<Notify>) -> Self {
        let tables = adhoc.tables.clone();
        Self::begin(config, tables, Progress { v: 1, adhoc: Some(adhoc), ..Progress::default() }, wake)
    }

    fn begin(config: &Arc<CdcConfig>, tables: Vec<(String, String)>, progress: Progress, wake: Arc<Notify>) -> Self {
        let (asks, told, reader) = spawn(config, &wake);
        let resumed = progress.has_rows();
        Self {
            schema: None,
            names: names_of(&tables),
            fresh: true,
            told_table: false,
            last_key: None,
            maximum: None,
            pace: config.snapshot_pace(progress.adhoc.is_none()),
            advance: Advance::default(),
            about: None,
            estimates: None,
            scanned: Vec::new(),
            tables: tables.into(),
            listed: None,
            current: None,
            end: progress.end.clone(),
            phase: Phase::Idle,
            first: !resumed,
            first_of_table: progress.key.is_none(),
            progress,
            only: config.snapshot_mode == SnapshotMode::InitialOnly,
            asks,
            told,
            wake,
            reader,
            config: Arc::clone(config),
            losses: 0,
            not_before: Duration::ZERO,
            discard: false,
        }
    }

    /// Whether it is the first one of the connector.
    pub fn is_initial(&self) -> bool {
        self.progress.adhoc.is_none()
    }

    /// Whether it reads beside the stream what a signal has asked for.
    pub(crate) fn is_incremental(&self) -> bool {
        self.progress.adhoc.as_ref().is_some_and(|a| !a.blocking)
    }

    /// Whether a table is the one into which signals are inserted.
    pub(crate) fn is_signal_table(&self, name: &str) -> bool {
        self.config.signal_table.as_deref() == Some(name)
    }

    /// Tables that are not complete.
    pub(crate) fn tables_left(&self) -> usize {
        self.tables.len()
    }

    /// Rows of the current table that have been read.
    pub(crate) fn rows_of_table(&self) -> u64 {
        self.progress.rows
    }

    /// Tables whose changes need not be sent, because their rows are still to be read.
    pub fn waiting(&self) -> HashSet<Arc<str>> {
        if self.progress.adhoc.is_some() {
            return HashSet::new();
        }
        let goes_out = |table: &&(String, String)| {
            self.progress.table.as_ref() == Some(*table) || self.progress.outside.contains(*table)
        };
        let waiting = self.tables.iter().filter(|table| !goes_out(table));
        waiting.map(|(db, name)| Arc::from(format!("{db}.{name}"))).collect()
    }

    /// Whether nothing follows the snapshot.
    pub fn is_only(&self) -> bool {
        self.only
    }

    /// The tables that come to be while it runs; none of one beside the stream, which holds no changes back.
    pub(crate) fn outside(&self) -> Option<Outside> {
        let progress = &self.progress;
        let is_first = progress.adhoc.is_none() && reads_rows(self.config.snapshot_mode);
        is_first.then(|| Outside::new(self.tables.iter(), progress.done.as_ref(), &progress.outside))
    }

    /// What is stored of the progress.
    pub fn progress(&self, watch: &Watch) -> String {
        let outside = watch.outside.as_ref().map(Outside::found).unwrap_or_default();
        if outside.is_empty() {
            return serde_json::to_string(&self.progress).unwrap_or_default();
        }
        serde_json::to_string(&Progress { outside, ..self.progress.clone() }).unwrap_or_default()
    }

    /// The stream is read again from an earlier place, maybe of another server: a chunk that waits is read again.
    pub fn interrupted(&mut self) {
        if matches!(self.phase, Phase::Ready { .. }) {
            self.read_again();
        }
    }

    /// The chunk is asked for again, of the table as it is by then: its keys may be ordered otherwise.
    fn read_again(&mut self) {
        self.phase = Phase::Idle;
        self.current = None;
        (self.end, self.progress.end) = (None, None);
    }

    /// The reader failed. Another one reads again what was asked for, unless rows of it may be out already.
    fn reader_failed(&mut self, error: Error) -> Result<()> {
        let unsent = matches!(self.phase, Phase::Idle | Phase::Reading | Phase::Holding);
        if !unsent || !error.is_link() || self.losses >= LOSSES_MAX {
            return Err(error);
        }
        tracing::warn!(%error, "the connection that reads tables was lost: connecting again");
        self.losses += 1;
        (self.asks, self.told, self.reader) = spawn(&self.config, &self.wake);
        self.read_again();
        Ok(())
    }

    /// Ends the reader.
    pub async fn stop(self) {
        self.reader.abort();
        // An aborted task answers with that.
        let _ = self.reader.await;
    }

    /// Puts rows of the snapshot or events of the log into the batch.
    pub async fn step(&mut self, capture: &mut Capture, out: &mut Batch, wait: Duration) -> Result<Outcome> {
        if std::mem::take(&mut self.fresh) {
            self.tell(capture, Stage::Started);
        }
        if let Some(schema) = &mut self.schema {
            self.progress.schema = schema.fill(capture, out, wait).await?;
            if self.progress.schema.is_some() {
                return Ok(Outcome::ChunkDone);
            }
            self.schema = None;
        }
        let deadline = capture.clock.monotonic() + wait;
        loop {
            if capture.is_between() {
                self.advance(capture).await?;
                match self.send(capture, out).await? {
                    Some(Outcome::ChunkDone) if out.is_empty() => continue,
                    Some(outcome) => return Ok(outcome),
                    None => {}
                }
            }
            let now = capture.clock.monotonic();
            let due = self.pace.left(now);
            let mut left = deadline.saturating_sub(now);
            if !due.is_zero() && matches!(self.phase, Phase::Idle) {
                left = left.min(due);
            }
            let place = match &self.phase {
                Phase::Ready { high, .. } => Some(high.clone()),
                Phase::Opening(at) => Some(at.clone()),
                Phase::Holding => return self.await_told(left, Outcome::Streamed).await,
                Phase::Flowing { .. } if !due.is_zero() => {
                    capture.clock.sleep(left.min(due)).await;
                    return Ok(Outcome::InChunk);
                }
                Phase::Flowing { .. } => return self.await_told(left, Outcome::InChunk).await,
                _ => None,
            };
            let until = Until { wait: left, place: place.as_ref(), wake: &self.wake };
            let filled = capture.fill(out, until).await?;
            if matches!(filled, Filled::Full | Filled::Lost) || !out.is_empty() || left.is_zero() {
                return Ok(Outcome::Streamed);
            }
        }
    }

    async fn await_told(&mut self, left: Duration, outcome: Outcome) -> Result<Outcome> {
        match tokio::time::timeout(left, self.told.recv()).await {
            Ok(Some(told)) => self.hear(told)?,
            Ok(None) => return Err(Error::Bug("the reader of chunks has ended")),
            Err(_) => {}
        }
        Ok(outcome)
    }

    /// Takes answers, asks for the next chunk, opens what is ready. Between transactions only.
    async fn advance(&mut self, capture: &mut Capture) -> Result<()> {
        while self.listens() {
            let Ok(told) = self.told.try_recv() else { break };
            self.hear(told)?;
        }
        if self.reader.is_finished() && matches!(self.phase, Phase::Reading) {
            return Err(Error::Bug("the reader of chunks has ended"));
        }
        if self.discard && matches!(self.phase, Phase::Idle | Phase::Ready { .. }) {
            capture.watch.window = None;
            self.discard = false;
            self.table_done(capture);
            self.phase = Phase::Idle;
        }
        let now = capture.clock.monotonic();
        if matches!(self.phase, Phase::Idle) && !self.is_paused() && self.pace.left(now).is_zero() {
            if self.losses > 0 && self.not_before <= now {
                self.not_before = now + Duration::from_millis(100 << self.losses.min(8));
                self.ask(capture).await?;
            } else if self.losses == 0 {
                self.ask(capture).await?;
            }
        }
        let reached = |at: &LogPosition| capture.log.known() && capture.log.at() >= at;
        match std::mem::replace(&mut self.phase, Phase::Reading) {
            Phase::Ready { rows, seen, high, next, more } if reached(&high) => {
                let window = capture.watch.window.take();
                let Some(window) = window.filter(|w| !w.broken) else {
                    tracing::info!("a table changed while a chunk of it was read: reading the chunk again");
                    self.read_again();
                    return Ok(());
                };
                let outdated = window.outdated(&seen);
                self.phase = Phase::Sending { rows: rows.into_iter(), next, more, outdated };
            }
            Phase::Opening(at) if reached(&at) => {
                if let (true, Some(table)) = (capture.watch.overtaken, &self.current) {
                    return Err(Error::TableChanged { table: table.id.to_string() });
                }
                self.phase = Phase::Flowing { rows: VecDeque::new(), ended: None };
            }
            other => self.phase = other,
        }
        Ok(())
    }

    /// Whether an answer can be taken: what is read ahead stays with the reader, whose queue is short.
    fn listens(&self) -> bool {
        match &self.phase {
            // Of an idle reader, that it has failed.
            Phase::Idle | Phase::Reading | Phase::Holding => true,
            Phase::Flowing { rows, ended } => ended.is_none() && rows.len() < AHEAD_MAX,
            Phase::Ready { .. } | Phase::Sending { .. } | Phase::Opening(_) => false,
        }
    }

    fn hear(&mut self, told: Told) -> Result<()> {
        if !matches!(told, Told::Failed(_)) {
            self.losses = 0;
        }
        match (told, &mut self.phase) {
            (Told::Failed(error), _) => return self.reader_failed(error),
            (Told::Chunk { rows, seen, high, next, end, more }, phase) => {
                *phase = Phase::Ready { rows, seen, high, next, more };
                self.end = end;
            }
            (Told::Stale, _) => self.read_again(),
            (Told::Opened(at), phase) => *phase = Phase::Opening(at),
            (Told::Rows(new), Phase::Flowing { rows, .. }) => rows.extend(new),
            (Told::End(more), Phase::Flowing { ended, .. }) => *ended = Some(more),
            (Told::Rows(_) | Told::End(_), _) => return Err(Error::Bug("rows of a table that is not open")),
        }
        Ok(())
    }
}

fn names_of(tables: &[(String, String)]) -> Vec<String> {
    tables.iter().map(|(db, name)| format!("{db}.{name}")).collect()
}

fn key_names(table: &Table) -> Vec<String> {
    table.identity.iter().filter_map(|i| table.slots.get(*i)).map(|s| s.name.to_string()).collect()
}
