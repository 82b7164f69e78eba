//! The seam to a database: sessions that run text.
//!
//! The engine writes whole statements; a session only runs them and sorts the answers. So a further system is a dialect
//! (pure text) and a session (a connection), nothing else.
use crate::dialect::Dialect;
use crate::error::{Error, SqlError};
use async_trait::async_trait;
use bytes::Bytes;

/// A row of an answer in the text protocol; `None` is NULL.
pub type TextRow = Vec<Option<Bytes>>;

/// A database that can be connected to.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Its language.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Opens a session for writing: text in UTF-8, times in UTC, READ COMMITTED or stricter, no automatic commit inside a
    /// transaction that the engine begins.
    async fn connect(&self) -> Result<Box<dyn Session>, SqlError>;

    /// Looks for what is odd with a table that the sink is going to write.
    async fn check_table(&self, session: &mut dyn Session, table: &crate::table::TableName) -> Result<(), Error> {
        let _ = (session, table);
        Ok(())
    }

    /// Looks whether the server keeps prepared branches as [`Branches`](crate::Branches) need it, and whether this user may
    /// list them.
    async fn check_branches(&self, session: &mut dyn Session) -> Result<(), Error> {
        let _ = session;
        Ok(())
    }
}

/// A connection. After an error other than of a row it is dropped, which ends its transaction.
#[async_trait]
pub trait Session: Send {
    /// Runs statements without an answer of rows; how many rows were affected, all statements together.
    async fn execute(&mut self, sql: &str) -> Result<u64, SqlError>;

    /// Runs a query with a small answer.
    async fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, SqlError>;

    /// Longest statement that the server takes.
    fn statement_bytes_max(&self) -> usize;

    /// Says goodbye; a session that is just dropped does as well.
    async fn close(self: Box<Self>);
}

/// A column of an answer as text.
pub fn text(row: &TextRow, at: usize) -> Option<&str> {
    row.get(at)?.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// A column of an answer as a number.
pub fn number(row: &TextRow, at: usize) -> Option<i64> {
    text(row, at)?.parse().ok()
}
