//! The change envelope: before, after, source, transaction, op and three times.
use crate::schema::{Shape, field, of, structure};
use elasticflow_api::data::{Kind, Schema, SchemaRef, Text};
use std::sync::Arc;

/// Places of the envelope's fields.
pub mod at {
    /// Image before the change.
    pub const BEFORE: usize = 0;
    /// Image after the change.
    pub const AFTER: usize = 1;
    /// Where the change comes from.
    pub const SOURCE: usize = 2;
    /// The upstream transaction.
    pub const TRANSACTION: usize = 3;
    /// What happened.
    pub const OP: usize = 4;
    /// Number of fields.
    pub const COUNT: usize = 8;
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Inserted.
    Create,
    /// Updated.
    Update,
    /// Deleted.
    Delete,
    /// Read by a snapshot.
    Read,
    /// The table was emptied.
    Truncate,
}

impl Op {
    /// The letter in the envelope.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
            Self::Truncate => "t",
        }
    }

    /// The letter as a shared text.
    pub fn text(self) -> Text {
        Text::from_static(self.letter())
    }
}

/// Values of `source.snapshot`.
pub const SNAPSHOT_WORDS: &str = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";

/// Schema of the block that ties a change to its upstream transaction.
pub fn transaction_block() -> Schema {
    structure(vec![
        field("id", of(Kind::String)),
        field("total_order", of(Kind::Int64)),
        field("data_collection_order", of(Kind::Int64)),
    ])
    .named("event.block", 1)
    .nullable(true)
}

/// Schema of `source.snapshot`: null while streaming, for which converters write the default.
pub fn snapshot_marker() -> Schema {
    of(Kind::String)
        .named("io.debezium.data.Enum", 1)
        .with("allowed", SNAPSHOT_WORDS)
        .nullable(true)
        .or(Some(elasticflow_api::data::Value::String(Text::from_static("false"))))
}

/// Schema of the envelope of one table.
pub fn envelope(name: &str, value: &SchemaRef, source: &SchemaRef, transaction: &SchemaRef) -> SchemaRef {
    let time = || of(Kind::Int64).nullable(true);
    Arc::new(
        structure(vec![
            field("before", Arc::clone(value)),
            field("after", Arc::clone(value)),
            field("source", Arc::clone(source)),
            field("transaction", Arc::clone(transaction)),
            field("op", of(Kind::String)),
            field("ts_ms", time()),
            field("ts_us", time()),
            field("ts_ns", time()),
        ])
        .named(name, 2),
    )
}
