//! Records as text of rows: rendered once into one buffer, cut into statements afterwards.
//!
//! A rendered row is its cells with commas between, those of the key first; so the text of the key tells rows of one key
//! apart from others, and a statement is a join of slices however often it is split.
use super::shape::{Planned, Shape};
use crate::cell::{Cell, cell_of};
use crate::config::{InsertMode, SinkKeys};
use crate::dialect::Dialect;
use crate::error::bad;
use crate::table::TableName;
use elasticflow_api::RecordError;
use elasticflow_api::blame::FaultKind;
use elasticflow_api::sink::SinkRecord;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

/// A rendered row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Which record of the batch.
    pub(crate) at: usize,
    /// First byte in the buffer.
    start: usize,
    /// Where its cells' ends begin in the list of ends.
    cells: usize,
}

/// Rows of one table that may be written together.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Shape of the writes.
    pub(crate) write: Option<Arc<Shape>>,
    /// Shape of the deletes.
    pub(crate) delete: Option<Arc<Shape>>,
    /// In the order of the records.
    entries: Vec<Entry>,
    /// The last entry of each hash of a key.
    by_hash: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    hash: RandomState,
}

/// A row of a segment.
#[derive(Debug)]
struct Entry {
    is_delete: bool,
    row: Row,
    /// A later row of the same key has taken its place.
    is_replaced: bool,
    /// Where the text of its key ends.
    key_end: usize,
    /// The entry before it with a key of the same hash.
    before: Option<usize>,
}

/// Hashes the hash of a key, which is hashed already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Everything a batch asks for.
#[derive(Default)]
pub(crate) struct Rows {
    text: String,
    ends: Vec<usize>,
    /// By name, so that all tasks lock tables in one order.
    pub(crate) tables: BTreeMap<TableName, Vec<Segment>>,
}

/// Rows that one kind of statement covers, in order.
pub(crate) struct Run {
    /// Their shape.
    pub(crate) shape: Arc<Shape>,
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

impl Rows {
    /// Empties it and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.tables.clear();
    }

    /// Renders a record and files it under its table.
    pub(crate) fn add(
        &mut self,
        keys: &SinkKeys,
        dialect: &dyn Dialect,
        planned: &Planned,
        record: &SinkRecord,
    ) -> Result<(), RecordError> {
        let (start, cells) = (self.text.len(), self.ends.len());
        if let Err(error) = self.render(dialect, planned, record) {
            self.text.truncate(start);
            self.ends.truncate(cells);
            return Err(error);
        }
        self.file(keys, &planned.shape, Row { at: planned.at, start, cells });
        Ok(())
    }

    fn render(&mut self, dialect: &dyn Dialect, planned: &Planned, record: &SinkRecord) -> Result<(), RecordError> {
        let row = planned.row.row(&record.record.value.value);
        for (at, column) in planned.shape.columns.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            let value = column.value(record, row);
            let cell = cell_of(&value, column.logical).map_err(|e| in_column(&column.name, e))?;
            if column.in_key && cell == Cell::Null {
                let error = bad(format!("column {} of the key is null", column.name));
                return Err(error.blaming(FaultKind::Null, Some(column.name.to_string()), None));
            }
            dialect.write_cell(&cell, &mut self.text).map_err(|e| in_column(&column.name, e))?;
            self.ends.push(self.text.len());
        }
        Ok(())
    }

    fn file(&mut self, keys: &SinkKeys, shape: &Arc<Shape>, row: Row) {
        if !self.tables.contains_key(&shape.table) {
            self.tables.insert(shape.table.clone(), Vec::new());
        }
        let collapses = keys.insert_mode != InsertMode::Insert;
        let key_end = self.key_end(shape, row).filter(|_| collapses);
        let Some(segments) = self.tables.get_mut(&shape.table) else { return };
        if segments.last().is_none_or(|s| !s.takes(shape)) {
            segments.push(Segment::new());
        }
        if let Some(segment) = segments.last_mut() {
            segment.add(shape, row, key_end.map(|end| (self.text.as_str(), end)));
        }
    }

    /// Where the text of a row's key ends; none without a key.
    fn key_end(&self, shape: &Shape, row: Row) -> Option<usize> {
        let last = shape.key_columns.checked_sub(1)?;
        self.ends.get(row.cells + last).copied()
    }

    /// A row's cells of a shape, commas between.
    pub(crate) fn whole(&self, shape: &Shape, row: Row) -> &str {
        let last = shape.columns.len().saturating_sub(1);
        let end = self.ends.get(row.cells + last).copied().unwrap_or(row.start);
        self.text.get(row.start..end).unwrap_or_default()
    }

    /// One cell.
    pub(crate) fn cell(&self, row: Row, at: usize) -> &str {
        let start = match at.checked_sub(1) {
            Some(before) => self.ends.get(row.cells + before).map_or(row.start, |end| end + 1),
            None => row.start,
        };
        self.text.get(start..self.ends.get(row.cells + at).copied().unwrap_or(start)).unwrap_or_default()
    }
}

fn in_column(name: &str, error: RecordError) -> RecordError {
    let kind = if error.kind() == FaultKind::Other { FaultKind::Conversion } else { error.kind() };
    let reason = format!("column {name}: {}", error.reason);
    RecordError { reason, ..error }.blaming(kind, Some(name.to_owned()), None)
}

impl Segment {
    fn new() -> Self {
        let (entries, by_hash) = (Vec::new(), HashMap::default());
        Self { write: None, delete: None, entries, by_hash, hash: RandomState::new() }
    }

    /// A change of the column set ends a segment, so that the order of a key's rows is kept.
    fn takes(&self, shape: &Arc<Shape>) -> bool {
        let mine = if shape.is_delete { &self.delete } else { &self.write };
        mine.as_ref().is_none_or(|mine| Arc::ptr_eq(mine, shape) || same_columns(mine, shape))
    }

    /// Adds a row; with the text of all rows and the end of its key, it takes the place of an earlier one of its key.
    fn add(&mut self, shape: &Arc<Shape>, row: Row, key: Option<(&str, usize)>) {
        let mine = if shape.is_delete { &mut self.delete } else { &mut self.write };
        mine.get_or_insert_with(|| Arc::clone(shape));
        let before = key.and_then(|(text, end)| self.replace(text, row.start..end));
        let key_end = key.map_or(row.start, |(_, end)| end);
        self.entries.push(Entry { is_delete: shape.is_delete, row, is_replaced: false, key_end, before });
    }

    /// Replaces the last entry with the key of the next one; the last entry with a key of the same hash.
    fn replace(&mut self, text: &str, key: Range<usize>) -> Option<usize> {
        let key = text.get(key)?;
        let last = self.by_hash.insert(self.hash.hash_one(key), self.entries.len());
        let mut next = last;
        while let Some(entry) = next.and_then(|at| self.entries.get_mut(at)) {
            if text.get(entry.row.start..entry.key_end) == Some(key) {
                entry.is_replaced = true;
                break;
            }
            next = entry.before;
        }
        last
    }

    /// The rows by kind of statement: deletes first where the keys of different rows are surely different, else in order.
    pub(crate) fn runs(&self, in_order: bool) -> Vec<Run> {
        let rows = self.entries.iter().filter(|entry| !entry.is_replaced).map(|entry| (entry.is_delete, entry.row));
        let mut groups: Vec<(bool, Vec<Row>)> = Vec::new();
        if in_order {
            for (is_delete, row) in rows {
                match groups.last_mut() {
                    Some((of, group)) if *of == is_delete => group.push(row),
                    _ => groups.push((is_delete, vec![row])),
                }
            }
        } else {
            let (deletes, writes): (Vec<_>, Vec<_>) = rows.partition(|(is_delete, _)| *is_delete);
            groups.push((true, deletes.into_iter().map(|(_, row)| row).collect()));
            groups.push((false, writes.into_iter().map(|(_, row)| row).collect()));
        }
        let run = |(is_delete, rows): (bool, Vec<Row>)| {
            let shape = if is_delete { &self.delete } else { &self.write };
            shape.as_ref().filter(|_| !rows.is_empty()).map(|shape| Run { shape: Arc::clone(shape), rows })
        };
        groups.into_iter().filter_map(run).collect()
    }
}

fn same_columns(a: &Shape, b: &Shape) -> bool {
    a.key_columns == b.key_columns
        && a.columns.len() == b.columns.len()
        && a.columns.iter().zip(&b.columns).all(|(a, b)| a.name == b.name && a.in_key == b.in_key)
}

/// Rows of a run that fit one statement, from a first one on.
pub(crate) fn fitting(rows: &Rows, run: &Run, from: usize, most: usize, bytes: usize) -> Range<usize> {
    let mut total = 0;
    let mut end = from;
    for row in run.rows.iter().skip(from).take(most) {
        total += rows.whole(&run.shape, *row).len() + 3;
        if end > from && total > bytes {
            break;
        }
        end += 1;
    }
    from..end
}
