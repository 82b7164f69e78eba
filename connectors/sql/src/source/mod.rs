//! The batch source engine: tables read in pages through a cursor.
//!
//! Reading order: [`task`] (turns, pages) -> `table` (statements) -> `page` (rows as records) -> `cursor` (positions) ->
//! [`columns`] (texts as values) -> [`dialect`]; beside them `late`, which counts what the cursor has missed.
//!
//! A cursor moves over positive knowledge alone: a page that ended without an error. Times are bounded by the database's own
//! clock less a delay, so that what commits late within the delay is not missed; equal times are never cut apart. Deletes
//! are not seen by any mode, and rows with NULL in a cursor column are not read.
//!
//! Absent on purpose: user queries (a view does the same), columns' changes while a task runs (a restart reads them).
pub mod columns;
pub mod config;
mod connector;
mod cursor;
pub mod dialect;
mod late;
mod page;
pub mod rounds;
mod table;
mod task;

pub use connector::{check_database, check_keys, ends, plan, tables_of};
pub use dialect::{SourceDatabase, SourceDialect};
pub use task::SqlSource;
