//! Rows of the log straight to the JSON of their records, without values in between.
//!
//! The bytes are those that [`crate::assemble`] and the JSON converter make together: what is the same in every row of a
//! table version is written once ([`record::TableJson`]), what is the same in every row of an event once an event
//! ([`Direct::begin`]), the rest cell by cell ([`cell::Pen`]). A row that needs more than that, such as one whose key
//! changes, is left to the assembler.
pub(crate) mod cell;
pub mod record;
mod text;

use crate::assemble::{Assembler, Origin};
use crate::binlog::Reader;
use crate::binlog::rows::Present;
use crate::table::Table;
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Text, Value};
use elasticflow_api::written::{JsonForm, Written};
use elasticflow_cdc::envelope::Op;
use elasticflow_formats::json::write_string;
use record::{Image, TableJson};
use std::ops::Range;

/// The row is left to the assembler, which says what is wrong with it if something is.
pub(crate) struct Unfit;

impl<E: Into<crate::binlog::DecodeError>> From<E> for Unfit {
    fn from(_: E) -> Self {
        Self
    }
}

/// Forms of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forms {
    /// Of keys.
    pub key: JsonForm,
    /// Of values.
    pub value: JsonForm,
}

/// The images of a row that is read.
pub struct Images<'a> {
    /// Columns before the change.
    pub before: Option<&'a Present>,
    /// Columns after it.
    pub after: Option<&'a Present>,
    /// The event.
    pub body: &'a Bytes,
    /// Place of the row in it.
    pub row: u64,
}

/// What writes the rows of one task.
pub struct Direct {
    form: JsonForm,
    /// Source block up to the time of the change.
    lead: Vec<u8>,
    tombstones: bool,
    /// What stands between image and number of the row, and after the number; of the event being read.
    head: Vec<u8>,
    tail: Vec<u8>,
    op: Op,
    /// What rows of a snapshot were prepared for last.
    marker: Option<Value>,
    scratch: Scratch,
    /// Bytes of the last batch.
    expected: usize,
}

/// What is used again for every row.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Where the cells of the key stand.
    pub(crate) keys: Vec<Range<usize>>,
    pub(crate) cell: BytesMut,
    /// Bytes of the last row of a query.
    pub(crate) expected: usize,
}

impl Direct {
    /// For the records of an assembler.
    pub fn new(forms: Forms, assembler: &Assembler) -> Self {
        let mut lead = b",\"source\":{\"version\":".to_vec();
        write_string(&assembler.version, &mut lead);
        lead.extend_from_slice(b",\"connector\":");
        write_string(&assembler.connector, &mut lead);
        lead.extend_from_slice(b",\"name\":");
        write_string(&assembler.prefix, &mut lead);
        lead.extend_from_slice(b",\"ts_ms\":");
        Self {
            form: forms.value,
            lead,
            tombstones: assembler.tombstones,
            head: Vec::new(),
            tail: Vec::new(),
            op: Op::Create,
            marker: None,
            scratch: Scratch::default(),
            expected: 0,
        }
    }

    /// Prepares for rows of an event; false if they are left to the assembler.
    pub fn begin(&mut self, table: &Table, (op, origin): (Op, &Origin), assembler: &Assembler) -> bool {
        if table.json.is_none() || assembler.skips(op) || op == Op::Update && assembler.skip_unchanged {
            return false;
        }
        self.op = op;
        self.marker = None;
        self.write_head(table, origin);
        self.write_tail(origin, assembler.now_ms);
        true
    }

    /// Rows of a snapshot that follow come from another place, or at another time.
    pub(crate) fn forget(&mut self) {
        self.marker = None;
    }

    /// Writes the record of a row that a snapshot has read, after so many other records of the batch.
    pub(crate) fn read(
        &mut self,
        table: &Table,
        image: &Image,
        (origin, assembler): (&Origin, &Assembler),
        (out, after): (&mut Written, usize),
    ) -> usize {
        let Some(json) = &table.json else { return 0 };
        if self.marker.as_ref() != Some(&origin.snapshot) {
            if !self.begin(table, (Op::Read, origin), assembler) {
                return 0;
            }
            self.marker = Some(origin.snapshot.clone());
        }
        let ((image, key), bytes) = (image.parts(), &mut out.bytes);
        let start = bytes.len();
        bytes.extend_from_slice(b"{\"before\":null,\"after\":");
        bytes.extend_from_slice(image);
        bytes.extend_from_slice(&self.head);
        bytes.push(b'0');
        bytes.extend_from_slice(&self.tail);
        let end = bytes.len();
        bytes.extend_from_slice(key);
        let key = (!key.is_empty()).then_some(end..bytes.len());
        out.push(&json.target, after, key, Some(start..end));
        1
    }

    fn write_head(&mut self, table: &Table, origin: &Origin) {
        let out = &mut self.head;
        out.clear();
        out.extend_from_slice(&self.lead);
        int(origin.ts_us.div_euclid(1000), out);
        out.extend_from_slice(b",\"snapshot\":");
        match &origin.snapshot {
            Value::String(marker) => write_string(marker, out),
            _ if self.form.nulls_take_defaults => out.extend_from_slice(b"\"false\""),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"db\":");
        write_string(&table.db, out);
        out.extend_from_slice(b",\"sequence\":null,\"ts_us\":");
        int(origin.ts_us, out);
        out.extend_from_slice(b",\"ts_ns\":");
        int(origin.ts_us.saturating_mul(1000), out);
        out.extend_from_slice(b",\"table\":");
        write_string(&table.name, out);
        out.extend_from_slice(b",\"server_id\":");
        int(origin.server_id, out);
        out.extend_from_slice(b",\"gtid\":");
        nullable(origin.gtid.as_ref(), out);
        out.extend_from_slice(b",\"file\":");
        write_string(&origin.file, out);
        out.extend_from_slice(b",\"pos\":");
        int(origin.pos, out);
        out.extend_from_slice(b",\"row\":");
    }

    fn write_tail(&mut self, origin: &Origin, now_ms: i64) {
        let out = &mut self.tail;
        out.clear();
        out.extend_from_slice(b",\"thread\":");
        match origin.thread {
            Some(thread) => int(thread, out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"query\":");
        nullable(origin.query.as_ref(), out);
        out.extend_from_slice(b"},\"transaction\":null,\"op\":\"");
        out.extend_from_slice(self.op.letter().as_bytes());
        out.extend_from_slice(b"\",\"ts_ms\":");
        int(now_ms, out);
        out.extend_from_slice(b",\"ts_us\":");
        int(now_ms * 1000, out);
        out.extend_from_slice(b",\"ts_ns\":");
        int(now_ms * 1_000_000, out);
        out.push(b'}');
    }

    /// Writes the records of a row, after so many other records of the batch; says how many. None: nothing was written, and
    /// the reader stands where it stood.
    pub fn row(
        &mut self,
        table: &Table,
        r: &mut Reader<'_>,
        images: &Images<'_>,
        (out, after): (&mut Written, usize),
    ) -> Option<usize> {
        let json = table.json.as_ref()?;
        if out.bytes.capacity() == 0 {
            out.bytes.reserve(self.expected);
        }
        let (start, mark) = (*r, out.mark());
        let Ok(made) = self.write(json, r, images, (out, after)) else {
            *r = start;
            out.truncate(mark);
            return None;
        };
        self.expected = out.bytes.len();
        Some(made)
    }

    fn write(
        &mut self,
        json: &TableJson,
        r: &mut Reader<'_>,
        images: &Images<'_>,
        (out, after): (&mut Written, usize),
    ) -> Result<usize, Unfit> {
        let (bytes, scratch) = (&mut out.bytes, &mut self.scratch);
        let start = bytes.len();
        match (images.before, images.after) {
            (None, Some(present)) => {
                bytes.extend_from_slice(b"{\"before\":null,\"after\":");
                json.image(r, (present, images.body), bytes, scratch)?;
            }
            (Some(present), None) => {
                bytes.extend_from_slice(b"{\"before\":");
                json.image(r, (present, images.body), bytes, scratch)?;
                bytes.extend_from_slice(b",\"after\":null");
            }
            (Some(before), Some(present)) => {
                bytes.extend_from_slice(b"{\"before\":");
                json.image(r, (before, images.body), bytes, scratch)?;
                let keys = std::mem::take(&mut scratch.keys);
                bytes.extend_from_slice(b",\"after\":");
                json.image(r, (present, images.body), bytes, scratch)?;
                let same = |(a, b): (&Range<usize>, &Range<usize>)| bytes.get(a.clone()) == bytes.get(b.clone());
                if !json.tells_keys_apart || !keys.iter().zip(&scratch.keys).all(same) {
                    return Err(Unfit);
                }
            }
            (None, None) => return Err(Unfit),
        }
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(itoa::Buffer::new().format(images.row).as_bytes());
        bytes.extend_from_slice(&self.tail);
        let value = start..bytes.len();
        let key = json.key(bytes, scratch);
        out.push(&json.target, after, key.clone(), Some(value));
        if self.op != Op::Delete || !self.tombstones {
            return Ok(1);
        }
        out.push(&json.target, after, key, None);
        Ok(2)
    }
}

fn int(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn nullable(text: Option<&Text>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}
