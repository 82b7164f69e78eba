//! From bytes to records, one at a time.
pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod lines;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use bytes::Bytes;
use elasticflow_api::data::Datum;

/// What a decoder has made of the bytes.
#[derive(Debug)]
pub(crate) enum Step {
    /// More bytes are needed.
    More,
    /// A record ends where the rest begins.
    Record(Row),
    /// A bad record ends where the rest begins.
    Bad(String),
    /// A record is longer than allowed. The decoder has dropped what it held; reading goes on after the line feed that
    /// follows the record's beginning.
    TooLong,
}

/// Key and value of a record.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: Datum,
    pub(crate) value: Datum,
    /// Bytes of key and value, for the limits of a batch.
    pub(crate) bytes: usize,
}

/// Turns bytes into records.
pub(crate) trait Decode: Send {
    /// Takes bytes from the front of `piece`.
    ///
    /// With `is_end` nothing follows: an unterminated last record counts as one. After `More` at the end nothing is left.
    fn step(&mut self, piece: &mut Bytes, is_end: bool) -> Step;

    /// Line feeds taken since the beginning.
    fn line(&self) -> u64;

    /// Forgets half a record and goes on at a record's beginning.
    fn reset(&mut self, line: u64);
}
