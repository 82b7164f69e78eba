//! What a batch source needs to know of a system's language.
use super::columns::ColumnFacts;
use super::config::NumericMapping;
use crate::dialect::Dialect;
use crate::session::Database;
use crate::table::TableName;
use bytes::Bytes;
use elasticflow_api::data::Schema;

/// The reading half of a dialect.
pub trait SourceDialect: Dialect {
    /// Names of the tables of the connected database or schema, one a row.
    fn tables(&self) -> &'static str;

    /// Asks for what the source partition's name begins with: `database`, or `database.schema`.
    fn qualifier(&self) -> &'static str;

    /// Asks for the columns of a table in order: name, type, may be null (0 or 1), place in the primary key, precision, scale,
    /// counted up by the database (0 or 1).
    fn columns(&self, table: &TableName) -> String;

    /// Schema of a column; the error says why there is none.
    fn schema_of(&self, column: &ColumnFacts, mapping: NumericMapping) -> Result<Schema, String>;

    /// The expression that reads a column without loss in the text protocol.
    fn select(&self, column: &ColumnFacts, quoted: &str) -> String {
        let _ = column;
        quoted.to_owned()
    }

    /// Bytes of a binary column's text.
    fn bytes(&self) -> fn(&Bytes) -> Option<Bytes>;

    /// Asks for the database's time, `YYYY-MM-DD HH:MM:SS.ffffff` in UTC.
    fn clock(&self) -> &'static str;

    /// Starts a transaction that sees one state.
    fn snapshot(&self) -> &'static str;
}

/// A database that a batch source reads.
pub trait SourceDatabase: Database {
    /// Its language.
    fn source_dialect(&self) -> &'static dyn SourceDialect;
}
