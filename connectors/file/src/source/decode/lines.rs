//! A line is a record: text, or a JSON value by another step.
use super::text::Charset;
use super::{Decode, Row, Step};
use bytes::{Buf, Bytes};
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Text, Value};
use std::sync::Arc;

/// What a line becomes; `Ok(None)` passes it over.
pub(crate) trait Line: Send {
    /// The error is the reason, without contents.
    fn row(&mut self, line: Bytes) -> Result<Option<Row>, String>;
}

/// Splits at line feeds.
pub(crate) struct Lines<L> {
    line: u64,
    bytes_max: usize,
    /// Bytes of the piece already searched.
    searched: usize,
    of: L,
}

impl<L: Line> Lines<L> {
    /// From a line on.
    pub(crate) fn new(of: L, bytes_max: usize) -> Self {
        Self { line: 0, bytes_max, searched: 0, of }
    }

    /// The next line without its line feed; `None` when it has not ended.
    fn next(&mut self, piece: &mut Bytes, is_end: bool) -> Option<Bytes> {
        let unsearched = piece.get(self.searched..).unwrap_or_default();
        if let Some(at) = memchr::memchr(b'\n', unsearched) {
            let line = piece.split_to(self.searched + at);
            piece.advance(1);
            self.line += 1;
            self.searched = 0;
            return Some(line);
        }
        self.searched = piece.len();
        if is_end && !piece.is_empty() {
            self.searched = 0;
            return Some(std::mem::take(piece));
        }
        None
    }
}

impl<L: Line> Decode for Lines<L> {
    fn step(&mut self, piece: &mut Bytes, is_end: bool) -> Step {
        loop {
            let Some(mut line) = self.next(piece, is_end) else {
                let too_long = piece.len() > self.bytes_max;
                return if too_long { Step::TooLong } else { Step::More };
            };
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if line.len() > self.bytes_max {
                return Step::Bad(format!("longer than csv.max.record.bytes={}", self.bytes_max));
            }
            match self.of.row(line) {
                Ok(Some(row)) => return Step::Record(row),
                Ok(None) => {}
                Err(reason) => return Step::Bad(reason),
            }
        }
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn reset(&mut self, line: u64) {
        self.line = line;
        self.searched = 0;
    }
}

/// A line is a text.
pub(crate) struct TextLine {
    charset: Charset,
    schema: SchemaRef,
}

impl TextLine {
    /// In a charset.
    pub(crate) fn new(charset: Charset) -> Self {
        Self { charset, schema: plain(Kind::String, false) }
    }
}

impl Line for TextLine {
    fn row(&mut self, line: Bytes) -> Result<Option<Row>, String> {
        let bytes = line.len();
        let text: Text = self.charset.text(line).ok_or_else(not_of_charset)?;
        let value = Datum { schema: Some(Arc::clone(&self.schema)), value: Value::String(text) };
        Ok(Some(Row { key: NO_KEY, value, bytes }))
    }
}

/// Reason of a record with bytes that are not of the charset.
pub(crate) fn not_of_charset() -> String {
    "bytes that are not of the charset".to_owned()
}

/// A null key without a schema.
pub(crate) const NO_KEY: Datum = Datum { schema: None, value: Value::Null };

/// A schema without a name.
pub(crate) fn plain(kind: Kind, optional: bool) -> SchemaRef {
    Arc::new(Schema { kind, name: None, version: None, optional, default: None, doc: None, parameters: [].into() })
}
