//! The decoder of the binary log: bytes in, cells out. No I/O, and no bytes make it panic.
pub mod charset;
pub mod compress;
pub mod decimal;
pub mod event;
pub mod jsonb;
pub mod jsondiff;
pub mod payload;
pub mod reader;
pub mod rows;
pub mod table_map;
pub mod temporal;

pub use reader::{Reader, Short};

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The event ends before the value does.
    #[error("the event ends before the value does")]
    Short,
    /// A column type without an operation.
    #[error("column type {0} is not known")]
    UnknownType(u8),
    /// Rows event and table map disagree.
    #[error("the rows event has {rows} columns and its table map {table}")]
    ColumnCount {
        /// Columns of the rows event.
        rows: u64,
        /// Columns of the table map.
        table: usize,
    },
    /// A rows event that consumes no bytes would never end.
    #[error("a row takes no bytes")]
    NoProgress,
    /// JSON that breaks its own format.
    #[error("binary JSON is broken: {0}")]
    Json(&'static str),
    /// A DECIMAL of digits that cannot be, or packed bytes that are no number.
    #[error("a DECIMAL is broken: more than 65 digits, more behind the point than in all, or a group above its digits")]
    Decimal,
    /// A TIME that is no time of day, where the configuration asks for one.
    #[error("a TIME is outside one day, which time.precision.mode does not allow")]
    TimeOfDay,
    /// A compressed part whose format is not known.
    #[error("compression of kind {0} is not supported")]
    Compression(u8),
    /// A checksum of a kind that is not known.
    #[error("checksums of kind {0} are not supported")]
    Checksum(u8),
}

impl From<Short> for DecodeError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}
