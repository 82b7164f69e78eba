//! From events of the log to records: transactions, rows, the position after each batch.
use crate::assemble::{Assembler, Change, Origin};
use crate::batch::Batch;
use crate::binlog::rows::{Partial, RowsHead, RowsKind};
use crate::binlog::{DecodeError, Reader};
use crate::direct::{self, Direct};
use crate::error::{Error, Place, Result};
use crate::gtid::{Gtid, Gtids};
use crate::log::{Event, Log};
use crate::position::{LogPosition, Part};
use crate::report::Counts;
use crate::schema_log::SchemaLog;
use crate::signal::Signal;
use crate::sources::Sources;
use crate::table::{RowError, Table};
use crate::tables::{Control, Known, Tables};
use crate::txmeta::TxMeta;
use crate::window::{Window, fingerprint};
use bytes::Bytes;
use elasticflow_api::clock::Clock;
use elasticflow_api::data::{Text, Value};
use elasticflow_cdc::envelope::Op;
use elasticflow_cdc::notify::Notes;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

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

/// A rows event being read.
struct Rows {
    table: Arc<Table>,
    head: RowsHead,
    body: Bytes,
    at: usize,
    row: u64,
    skip: u64,
    origin: Origin,
    partial: bool,
}

/// The first three columns of a row of the signal table.
fn signal(image: &[Value]) -> Signal {
    let text = |i: usize| match image.get(i) {
        Some(Value::String(text)) => text.to_string(),
        _ => String::new(),
    };
    Signal { id: text(0), kind: text(1), data: text(2) }
}

/// The images before and after a change.
type ImagePair = (Option<Vec<Value>>, Option<Vec<Value>>);

fn images(rows: &Rows, r: &mut Reader<'_>) -> Result<ImagePair, RowError> {
    let (table, body) = (&rows.table, &rows.body);
    let before = rows.head.before.as_ref().map(|p| table.image(r, p, body)).transpose()?;
    let after = match (&rows.head.after, &before) {
        (Some(p), Some(before)) if rows.partial => Some(table.partial_image(r, p, body, before)?),
        (Some(p), _) => Some(table.image(r, p, body)?),
        (None, _) => None,
    };
    Ok((before, after))
}

fn op_of(kind: RowsKind) -> Op {
    match kind {
        RowsKind::Write => Op::Create,
        RowsKind::Update => Op::Update,
        RowsKind::Delete => Op::Delete,
    }
}

/// How the rows of an event are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Plain,
    /// Compressed, by MariaDB.
    Packed,
    /// Updates of which JSON columns may hold steps alone.
    Partial,
}

/// What a snapshot wants of the stream.
#[derive(Default)]
pub struct Watch {
    /// Tables whose rows are still to be read: their changes are part of what will be read.
    pub gated: HashSet<Arc<str>>,
    /// The chunk being read.
    pub window: Option<Window>,
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

    /// Begins to read a rows event.
    pub(crate) fn begin_rows(&mut self, (kind, v2): (RowsKind, bool), event: &Event, form: Form) -> Result<()> {
        let place = || self.log.place(event.start);
        let broken = |cause| Error::Decode { place: place(), cause };
        let Some(tx) = &self.tx else {
            return Err(Error::LogOrder { place: place(), what: "rows outside a transaction" });
        };
        let id = crate::binlog::table_map::table_id(&event.body).map_err(broken)?;
        if tx.foreign {
            return self.count_event();
        }
        let done = tx.events;
        let part = self.skip.as_ref().filter(|_| tx.resumed).map(|part| (part.events, part.rows));
        let table = match self.tables.by_id(id) {
            Some(Known::Captured(table)) => Arc::clone(table),
            Some(Known::Ignored) => return self.count_event(),
            None => return Err(Error::LogOrder { place: place(), what: "rows without a table map" }),
        };
        let skip = match part {
            Some((events, _)) if done < events => return self.count_event(),
            Some((events, rows)) if done == events => rows,
            _ => 0,
        };
        if self.watch.gated.contains(&table.id) {
            return self.count_event();
        }
        let head = RowsHead::parse(kind, v2, &event.body, table.slots.len()).map_err(broken)?;
        let body = match form {
            Form::Packed => head.unpacked(&event.body).map_err(broken)?,
            Form::Plain | Form::Partial => event.body.clone(),
        };
        let origin = self.origin(event);
        self.counts.rows_at = Some(self.clock.monotonic());
        self.counts.behind_ms = Some((self.assembler.now_ms - origin.ts_us.div_euclid(1000)).max(0));
        let at = head.rows_at;
        self.rows = Some(Rows { table, head, body, at, row: 0, skip, origin, partial: form == Form::Partial });
        Ok(())
    }

    /// An event of the open transaction is done.
    #[expect(clippy::unnecessary_wraps, reason = "ends the arms of functions that return results")]
    pub(crate) fn count_event(&mut self) -> Result<()> {
        if let Some(tx) = &mut self.tx {
            tx.events += 1;
        }
        Ok(())
    }

    /// Makes the records of a rows event; gives it back if the batch is full before its end.
    fn emit(&mut self, mut rows: Rows, out: &mut Batch) -> Result<Option<Rows>> {
        let body = rows.body.clone();
        let mut r = Reader::new(body.get(rows.at..).unwrap_or_default());
        let directly = self.writes_directly(&rows, out);
        loop {
            if out.is_full() {
                rows.at = body.len().saturating_sub(r.len());
                return Ok(Some(rows));
            }
            if r.is_empty() {
                break;
            }
            self.row(&mut rows, directly, &mut r, out)?;
        }
        self.count_event()?;
        Ok(None)
    }

    /// Whether the rows of an event go to JSON directly; prepares for it.
    fn writes_directly(&mut self, rows: &Rows, out: &mut Batch) -> bool {
        let Some(direct) = self.direct.as_mut().filter(|_| !rows.partial) else { return false };
        if self.signal_table.as_ref().is_some_and(|t| *t == rows.table.id) {
            return false;
        }
        let begins = direct.begin(&rows.table, (op_of(rows.head.kind), &rows.origin), &self.assembler);
        if begins && out.written.is_empty() {
            out.written.headers.clone_from(&self.assembler.headers);
        }
        begins
    }

    fn row(&mut self, rows: &mut Rows, directly: bool, r: &mut Reader<'_>, out: &mut Batch) -> Result<()> {
        let (start, row) = (*r, rows.row);
        let written = if directly && row >= rows.skip { self.write(rows, r, out) } else { None };
        let images = match written {
            Some(_) => None,
            None => Some(images(rows, r).map_err(|e| self.row_error(e, rows))?),
        };
        let size = start.len().saturating_sub(r.len());
        if size == 0 {
            return Err(self.row_error(RowError::Decode(DecodeError::NoProgress), rows));
        }
        rows.row += 1;
        if row < rows.skip {
            return Ok(());
        }
        if self.watch.window.as_ref().is_some_and(|w| w.table == rows.table.id) {
            self.note(rows, start, &rows.body)?;
        }
        match rows.head.kind {
            RowsKind::Write => self.counts.creates += 1,
            RowsKind::Update => self.counts.updates += 1,
            RowsKind::Delete => self.counts.deletes += 1,
        }
        let made = match images {
            None => written.unwrap_or_default(),
            Some(images) => self.assemble(rows, images, row, out),
        };
        out.count(made, size);
        if made > 0
            && let Some(tx) = &mut self.tx
        {
            tx.emitted = true;
        }
        Ok(())
    }

    /// Writes the records of a row as JSON; none if it is left to the assembler.
    fn write(&mut self, rows: &Rows, r: &mut Reader<'_>, out: &mut Batch) -> Option<usize> {
        let (before, after) = (rows.head.before.as_ref(), rows.head.after.as_ref());
        let images = direct::Images { before, after, body: &rows.body, row: rows.row };
        let others = out.records.len();
        self.direct.as_mut()?.row(&rows.table, r, &images, (&mut out.written, others))
    }

    fn assemble(&mut self, rows: &Rows, (before, after): ImagePair, row: u64, out: &mut Batch) -> usize {
        let op = op_of(rows.head.kind);
        if op == Op::Create && self.signal_table.as_ref().is_some_and(|t| *t == rows.table.id) {
            self.signals.extend(after.as_deref().map(signal));
        }
        let change = Change { op, before, after, row: i32::try_from(row).unwrap_or(i32::MAX) };
        let made = self.assembler.change(&rows.table, change, &rows.origin, &mut out.records);
        if let Some(meta) = &mut self.meta {
            let first = out.records.len().saturating_sub(made);
            meta.number(&rows.table.id, out.records.get_mut(first..).unwrap_or_default());
        }
        made
    }

    /// Notes the keys of both images for the chunk that is being read.
    fn note(&mut self, rows: &Rows, mut r: Reader<'_>, body: &Bytes) -> Result<()> {
        for (i, present) in [&rows.head.before, &rows.head.after].into_iter().flatten().enumerate() {
            if rows.partial && i == 1 {
                let read = Partial::read(&mut r, rows.table.json_columns());
                read.map_err(|e| self.row_error(RowError::Decode(e), rows))?;
            }
            let key = rows.table.identity_of(&mut r, present, body).map_err(|e| self.row_error(e, rows))?;
            if let Some(window) = &mut self.watch.window {
                window.note(fingerprint(&key));
            }
        }
        Ok(())
    }

    fn row_error(&self, error: RowError, rows: &Rows) -> Error {
        let place = Place { file: self.log.at().file.to_string(), pos: rows.origin.pos.cast_unsigned() };
        match error {
            RowError::Decode(cause) => Error::Decode { place, cause },
            RowError::Absent(column) => {
                Error::PartialImage { table: rows.table.id.to_string(), column: column.to_string(), place }
            }
        }
    }
}
