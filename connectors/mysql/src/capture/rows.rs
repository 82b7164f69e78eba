//! Rows events to records.
use super::Capture;
use crate::assemble::{Change, Origin};
use crate::batch::Batch;
use crate::binlog::rows::{Partial, RowsHead, RowsKind};
use crate::binlog::{DecodeError, Reader};
use crate::error::{Error, Place, Result};
use crate::log::Event;
use crate::signal::Signal;
use crate::table::{RowError, Table};
use crate::tables::Known;
use crate::window::fingerprint;
use bytes::Bytes;
use elasticflow_api::data::Value;
use elasticflow_cdc::envelope::Op;
use std::sync::Arc;

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

/// A rows event being read.
pub(super) struct Rows {
    pub(super) table: Arc<Table>,
    pub(super) head: RowsHead,
    pub(super) body: Bytes,
    at: usize,
    pub(super) row: u64,
    skip: u64,
    pub(super) origin: Origin,
    pub(super) partial: bool,
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

pub(super) fn op_of(kind: RowsKind) -> Op {
    match kind {
        RowsKind::Write => Op::Create,
        RowsKind::Update => Op::Update,
        RowsKind::Delete => Op::Delete,
    }
}

impl Capture {
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
        if let Some(outside) = &mut self.watch.outside {
            outside.pass(&table, |db, name| self.tables.snapshots(db, name));
        }
        let head = RowsHead::parse(kind, v2, &event.body, table.slots.len()).map_err(broken)?;
        let body = match form {
            Form::Packed => head.unpacked(&event.body).map_err(broken)?,
            Form::Plain | Form::Partial => event.body.clone(),
        };
        let origin = self.origin(event);
        self.has_rows = true;
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
    pub(super) fn emit(&mut self, mut rows: Rows, out: &mut Batch) -> Result<Option<Rows>> {
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
