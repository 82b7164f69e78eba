//! From events of the log to records: transactions, rows, the position after each batch.
mod rows;
mod written;

use crate::assemble::{Assembler, Origin};
use crate::batch::Batch;
use crate::direct::Direct;
use crate::error::{Error, Place, Result};
use crate::gtid::{Gtid, Gtids};
use crate::log::{Event, Log};
use crate::outside::Outside;
use crate::position::{LogPosition, Part};
use crate::report::Counts;
use crate::schema_log::SchemaLog;
use crate::signal::Signal;
use crate::sources::Sources;
use crate::tables::{Control, Tables};
use crate::txmeta::TxMeta;
use crate::window::Window;
use elasticflow_api::clock::Clock;
use elasticflow_api::data::{Text, Value};
use elasticflow_cdc::notify::Notes;
use rows::Rows;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) use rows::Form;

/// A transaction id that has been announced and whose transaction has not begun.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced {
    pub(crate) gtid: Option<Gtid>,
    pub(crate) committed_us: Option<i64>,
}

/// The transaction being read.
#[derive(Debug)]
pub(crate) struct Tx {
    pub(crate) gtid: Option<Gtid>,
    pub(crate) gtid_text: Option<Text>,
    pub(crate) committed_us: Option<i64>,
    pub(crate) thread: Option<i64>,
    pub(crate) query: Option<Text>,
    /// Where a dump must start to get it again.
    pub(crate) begin: LogPosition,
    /// Events of it that are done.
    pub(crate) events: u64,
    /// Whether records of it have been made.
    pub(crate) emitted: bool,
    /// Whether it is the one that was sent in part before.
    pub(crate) resumed: bool,
    /// Whether nothing of it is sent: it comes from a source that is not captured.
    pub(crate) foreign: bool,
}

/// What a snapshot wants of the stream.
#[derive(Default)]
pub struct Watch {
    /// Tables whose rows are still to be read: their changes are part of what will be read.
    pub gated: HashSet<Arc<str>>,
    /// Tables that come to be while a first snapshot runs.
    pub outside: Option<Outside>,
    /// The chunk being read.
    pub window: Option<Window>,
    /// Whether, since this was reset, a transaction has come that what is being read may not have seen, although it stands before
    /// it in the log.
    pub overtaken: bool,
}

impl Watch {
    /// A prepared transaction was committed: what is being read may have seen it or not.
    pub(crate) fn overtake(&mut self) {
        self.overtaken = true;
        if let Some(window) = &mut self.window {
            window.broken = true;
        }
    }
}

/// Why a call of [`Capture::fill`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The batch is full, or ends well.
    Full,
    /// Nothing more is there.
    Idle,
    /// The place that was asked for is reached.
    Reached,
    /// The connection was lost; see [`Capture::lost`].
    Lost,
}

/// How long a call may take, and what may end it sooner.
pub struct Until<'a> {
    /// Longest time to wait for the first event.
    pub wait: Duration,
    /// A place to stop at, between transactions.
    pub place: Option<&'a LogPosition>,
    /// Wakes a waiting call.
    pub wake: &'a Notify,
}

/// Reads the log into records.
pub struct Capture {
    pub(crate) log: Log,
    pub(crate) tables: Tables,
    pub(crate) control: Control,
    pub(crate) assembler: Assembler,
    pub(crate) clock: Arc<dyn Clock>,
    /// Transactions executed before the one being read.
    pub(crate) gtids: Gtids,
    /// End of the last complete transaction.
    pub(crate) boundary: LogPosition,
    pub(crate) announced: Option<Announced>,
    pub(crate) tx: Option<Tx>,
    rows: Option<Rows>,
    /// What is done already of the transaction that was sent in part; mostly the next one.
    pub(crate) skip: Option<Part>,
    /// Why the log cannot be read on; it must be opened anew at [`Capture::resume`].
    pub(crate) lost: Option<Error>,
    pub(crate) watch: Watch,
    pub(crate) include_query: bool,
    /// Table whose inserted rows are signals, and those that have come.
    signal_table: Option<Arc<str>>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) meta: Option<TxMeta>,
    pub(crate) schema_log: Option<SchemaLog>,
    pub(crate) sources: Option<Sources>,
    pub(crate) notes: Notes,
    pub(crate) direct: Option<Direct>,
    /// Seconds and server of the last event.
    pub(crate) last: (u32, u32),
    pub(crate) counts: Counts,
    /// Whether rows have come since the counts were told when.
    has_rows: bool,
    file_text: Text,
}

/// What a capture starts with.
pub struct Start {
    /// Stream of the log.
    pub log: Log,
    /// Versions of tables.
    pub tables: Tables,
    /// Connection for questions.
    pub control: Control,
    /// Maker of records.
    pub assembler: Assembler,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Transactions executed before.
    pub gtids: Gtids,
    /// What to pass over.
    pub skip: Part,
    /// Whether records carry statements.
    pub include_query: bool,
    /// Table whose inserted rows are signals.
    pub signal_table: Option<Arc<str>>,
    /// Counts transactions, if that is asked for.
    pub meta: Option<TxMeta>,
    /// Tells changes of tables, if that is asked for.
    pub schema_log: Option<SchemaLog>,
    /// Whose transactions are captured, if not all.
    pub sources: Option<Sources>,
    /// Tells of snapshots.
    pub notes: Notes,
    /// Writes rows as JSON.
    pub direct: Option<Direct>,
}

impl Capture {
    /// Starts between transactions.
    pub fn new(start: Start) -> Self {
        Self {
            boundary: start.log.at().clone(),
            file_text: Text::from(start.log.at().file.as_ref()),
            log: start.log,
            tables: start.tables,
            control: start.control,
            assembler: start.assembler,
            clock: start.clock,
            gtids: start.gtids,
            announced: None,
            tx: None,
            rows: None,
            lost: None,
            skip: Some(start.skip).filter(|part| part.events > 0),
            watch: Watch::default(),
            include_query: start.include_query,
            signal_table: start.signal_table,
            signals: Vec::new(),
            meta: start.meta,
            schema_log: start.schema_log,
            sources: start.sources,
            notes: start.notes,
            direct: start.direct,
            last: (0, 0),
            counts: Counts::default(),
            has_rows: false,
        }
    }

    /// Whether no transaction is open.
    pub fn is_between(&self) -> bool {
        self.tx.is_none() && self.announced.is_none() && self.skip.is_none()
    }

    /// Whether records of the open transaction have been made, now or before it was begun again.
    pub fn is_inside(&self) -> bool {
        self.tx.as_ref().map_or(self.skip.is_some(), |tx| tx.emitted)
    }

    /// Whether a transaction has begun to be sent while another is sent in part: no position can tell of both.
    pub(crate) fn is_between_positions(&self) -> bool {
        self.skip.is_some() && self.tx.as_ref().is_some_and(|tx| tx.emitted && !tx.resumed)
    }

    /// Where a dump must start, and what is done of the transaction there.
    pub fn resume(&self) -> (&LogPosition, Part) {
        let before = self.skip.clone().unwrap_or_default();
        match &self.tx {
            Some(tx) if tx.emitted => {
                let rows = self.rows.as_ref().map_or(0, |rows| rows.row);
                // What was done before the transaction was begun again stays done until it is passed.
                let (events, rows) = (tx.events, rows).max((before.events, before.rows));
                (&tx.begin, Part { events, rows, gtid: tx.gtid_text.as_ref().map(|g| Arc::from(&**g)) })
            }
            _ => (&self.boundary, before),
        }
    }

    /// The connection is gone: the open transaction will be read again up to where it stands.
    fn lose(&mut self, error: Error) -> Filled {
        let (at, done) = self.resume();
        let at = at.clone();
        self.skip = Some(done).filter(|part| part.events > 0);
        self.boundary = at;
        self.tx = None;
        self.rows = None;
        self.announced = None;
        if let Some(meta) = &mut self.meta {
            meta.interrupt();
        }
        if let Some(window) = &mut self.watch.window {
            window.interrupt();
        }
        self.lost = Some(error);
        Filled::Lost
    }

    /// Goes on with another stream, which starts at [`Self::resume`].
    pub(crate) fn reopened(&mut self, log: Log, control: Control) {
        self.log = log;
        self.control = control;
        self.lost = None;
        self.tables.forget_ids();
    }

    /// Reads events until the batch is full, nothing more is there, or a place is reached.
    pub async fn fill(&mut self, out: &mut Batch, until: Until<'_>) -> Result<Filled> {
        let filled = self.fill_on(out, until).await;
        if std::mem::take(&mut self.has_rows) {
            self.counts.rows_at = Some(self.clock.monotonic());
        }
        filled
    }

    async fn fill_on(&mut self, out: &mut Batch, until: Until<'_>) -> Result<Filled> {
        if self.lost.is_some() {
            return Ok(Filled::Lost);
        }
        let deadline = self.clock.monotonic() + until.wait;
        loop {
            if let Some(rows) = self.rows.take() {
                self.rows = self.emit(rows, out)?;
                if self.rows.is_some() {
                    return Ok(Filled::Full);
                }
                continue;
            }
            let between = self.is_between();
            if between && until.place.is_some_and(|p| self.log.known() && self.log.at() >= p) {
                return Ok(Filled::Reached);
            }
            let buffered = self.log.buffered();
            let next = match buffered {
                Ok(None) if between && !out.is_empty() => return Ok(Filled::Idle),
                Ok(None) => {
                    let left = deadline.saturating_sub(self.clock.monotonic());
                    self.log.next_or_woken(left, until.wake).await
                }
                other => other,
            };
            let taken = match next {
                Ok(Some(event)) => self.event(event, out).await,
                Ok(None) => return Ok(Filled::Idle),
                Err(error) => Err(error),
            };
            match taken {
                Err(error) if error.is_link() && !self.is_between_positions() => return Ok(self.lose(error)),
                other => other?,
            }
            if self.is_between() {
                out.transaction_ended();
            }
            if self.is_between() && out.ends_at_commit() && !out.is_empty() {
                return Ok(Filled::Full);
            }
        }
    }

    /// The open transaction has ended well.
    pub(crate) fn commit(&mut self, out: &mut Batch) {
        let ended_ms = i64::from(self.last.0) * 1000;
        if let Some(end) = self.meta.as_mut().and_then(|meta| meta.end(ended_ms)) {
            out.records.push(end);
            out.count(1, 0);
        }
        self.counts.transactions += 1;
        if let Some(tx) = self.tx.take() {
            if tx.resumed {
                self.skip = None;
            }
            if let Some(window) = &mut self.watch.window {
                window.commit(tx.gtid.as_ref(), self.log.at());
            }
            if let Some(gtid) = &tx.gtid {
                self.gtids.add(gtid);
            }
        }
        self.passed();
    }

    /// A statement that is a transaction of its own has ended.
    pub(crate) fn commit_statement(&mut self) {
        let gtid = self.announced.take().and_then(|announced| announced.gtid);
        let text = self.skip.as_ref().and(gtid.as_ref()).map(ToString::to_string);
        self.skip = self.skip.take().filter(|part| !part.is_of(text.as_deref()));
        if let Some(gtid) = gtid {
            self.gtids.add(&gtid);
        }
        self.passed();
    }

    /// Between transactions: the end of the last event is a place to go on from.
    pub(crate) fn passed(&mut self) {
        // A transaction that was sent in part must be read from its own beginning.
        if self.skip.is_some() {
            return;
        }
        let at = self.log.at();
        self.boundary.pos = at.pos;
        if !Arc::ptr_eq(&self.boundary.file, &at.file) {
            self.boundary.file = Arc::clone(&at.file);
        }
    }

    /// Where an event is, for messages.
    pub(crate) fn place(&self, event: &Event) -> Place {
        self.log.place(event.start)
    }

    pub(crate) fn origin(&mut self, event: &Event) -> Origin {
        if self.file_text.as_bytes() != self.log.at().file.as_bytes() {
            self.file_text = Text::from(self.log.at().file.as_ref());
        }
        let tx = self.tx.as_ref();
        let committed = tx.and_then(|tx| tx.committed_us).or_else(|| self.announced.as_ref()?.committed_us);
        Origin {
            ts_us: committed.unwrap_or_else(|| i64::from(event.header.timestamp) * 1_000_000),
            snapshot: Value::Null,
            server_id: i64::from(event.header.server_id),
            gtid: tx.and_then(|tx| tx.gtid_text.clone()),
            file: self.file_text.clone(),
            pos: event.start.cast_signed(),
            thread: tx.and_then(|tx| tx.thread),
            query: tx.and_then(|tx| tx.query.clone()),
        }
    }
}
