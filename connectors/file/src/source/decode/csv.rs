//! Rows of csv, RFC 4180: a quoted field may hold separators, doubled quotes and line ends.
use super::columns::{Columns, Rules};
use super::{Decode, Row, Step};
use bytes::{Buf, Bytes};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use std::sync::Arc;

/// Room for the fields of a record at first.
const OUT_BYTES: usize = 4 << 10;
/// Room for the ends of a record's fields at first.
const ENDS: usize = 64;
/// Most fields of a record.
const FIELDS_MAX: usize = 100_000;

/// How csv is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) separator: u8,
    pub(crate) quote: u8,
    pub(crate) escape: Option<u8>,
    /// Most bytes of a record.
    pub(crate) bytes_max: usize,
}

impl Dialect {
    fn reader(&self) -> Reader {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.separator)
            .quote(self.quote)
            .escape(self.escape)
            .double_quote(true)
            .build();
        // The reader takes a byte order mark at its very first byte for one, also in the middle of a file. After an empty
        // line, which is no record, it no longer does.
        let _ = reader.read_record(b"\n", &mut [0; 1], &mut [0; 1]);
        reader.set_line(0);
        reader
    }
}

/// Raw fields of a record.
#[derive(Debug)]
pub(crate) enum Split {
    /// More bytes are needed.
    More,
    /// A record is in the buffers.
    Record,
    /// A record is longer than allowed.
    TooLong,
}

/// Splits bytes into records and fields, over pieces.
pub(crate) struct Splitter {
    dialect: Dialect,
    reader: Reader,
    out: Vec<u8>,
    out_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    taken: usize,
    line: u64,
}

impl Splitter {
    /// At the beginning of a record.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            reader: dialect.reader(),
            dialect,
            out: vec![0; OUT_BYTES],
            out_len: 0,
            ends: vec![0; ENDS],
            ends_len: 0,
            taken: 0,
            line: 0,
        }
    }

    /// Takes bytes from the front of the piece up to the end of a record.
    pub(crate) fn split(&mut self, piece: &mut Bytes, is_end: bool) -> Split {
        loop {
            // An empty input tells the reader that nothing follows.
            if piece.is_empty() && !is_end {
                return Split::More;
            }
            let (Some(out), Some(ends)) = (self.out.get_mut(self.out_len..), self.ends.get_mut(self.ends_len..)) else {
                return Split::TooLong;
            };
            let (result, read, wrote, ended) = self.reader.read_record(piece, out, ends);
            self.out_len += wrote;
            self.ends_len += ended;
            self.taken += read;
            piece.advance(read);
            match result {
                ReadRecordResult::InputEmpty if self.taken > self.dialect.bytes_max => return Split::TooLong,
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.out.len() > self.dialect.bytes_max => return Split::TooLong,
                ReadRecordResult::OutputFull => self.out.resize(self.out.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() > FIELDS_MAX => return Split::TooLong,
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.line += self.reader.line();
                    self.reader.set_line(0);
                    return Split::Record;
                }
                ReadRecordResult::End => return Split::More,
            }
        }
    }

    /// Line feeds taken.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Bytes of the fields of the record, one after another.
    pub(crate) fn fields(&self) -> &[u8] {
        self.out.get(..self.out_len).unwrap_or_default()
    }

    /// Where the fields end.
    pub(crate) fn ends(&self) -> &[usize] {
        self.ends.get(..self.ends_len).unwrap_or_default()
    }

    /// Lets go of the record.
    pub(crate) fn next(&mut self) {
        (self.out_len, self.ends_len, self.taken) = (0, 0, 0);
        // One long record must not hold its memory for ever.
        if self.out.len() > 64 * OUT_BYTES {
            self.out = vec![0; OUT_BYTES];
        }
    }

    /// Fields of the record as texts, for headers.
    pub(crate) fn names(&self, rules: &Rules) -> Option<Vec<String>> {
        let fields = Bytes::copy_from_slice(self.fields());
        let mut from = 0;
        let mut names = Vec::with_capacity(self.ends_len);
        for end in self.ends() {
            let text = rules.charset.text(fields.slice(from..*end))?;
            names.push(text.trim().to_owned());
            from = *end;
        }
        Some(names)
    }
}

/// Turns csv into structs.
pub(crate) struct CsvRows {
    splitter: Splitter,
    columns: Columns,
    rules: Arc<Rules>,
}

impl CsvRows {
    /// Of a file with these columns.
    pub(crate) fn new(dialect: Dialect, columns: Columns, rules: Arc<Rules>) -> Self {
        Self { splitter: Splitter::new(dialect), columns, rules }
    }
}

impl Decode for CsvRows {
    fn step(&mut self, piece: &mut Bytes, is_end: bool) -> Step {
        match self.splitter.split(piece, is_end) {
            Split::More => return Step::More,
            Split::TooLong => return Step::TooLong,
            Split::Record => {}
        }
        if self.splitter.taken > self.splitter.dialect.bytes_max {
            self.splitter.next();
            return Step::Bad(format!("longer than csv.max.record.bytes={}", self.splitter.dialect.bytes_max));
        }
        let bytes = self.splitter.fields().len();
        let fields = Bytes::copy_from_slice(self.splitter.fields());
        let row = self.columns.row(&fields, self.splitter.ends(), &self.rules);
        self.splitter.next();
        match row {
            Ok((key, value)) => Step::Record(Row { key, value, bytes }),
            Err(reason) => Step::Bad(reason),
        }
    }

    fn line(&self) -> u64 {
        self.splitter.line
    }

    fn reset(&mut self, line: u64) {
        self.splitter = Splitter { line, ..Splitter::new(self.splitter.dialect) };
    }
}
