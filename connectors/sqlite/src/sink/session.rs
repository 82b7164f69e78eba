//! The file as a session of the engine.
use super::dialect::SQLITE;
use crate::config::SinkConfig;
use crate::connection::{Blocking, open_for_writing};
use crate::error::{Error, is_row_error};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::ErrorClass;
use elasticflow_sql::session::TextRow;
use elasticflow_sql::{Database, Dialect, Session, SqlError, Trouble};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Longest statement: far below SQLite's own limit.
const STATEMENT_BYTES_MAX: usize = 64 << 20;

/// The file of a sink.
pub(super) struct SqliteDatabase(pub(super) SinkConfig);

#[async_trait]
impl Database for SqliteDatabase {
    fn dialect(&self) -> &'static dyn Dialect {
        &SQLITE
    }

    async fn connect(&self) -> Result<Box<dyn Session>, SqlError> {
        let config = self.0.clone();
        let opened = tokio::task::spawn_blocking(move || open_for_writing(&config)).await;
        let connection = opened.map_err(|_| panicked())?.map_err(|e| answer(&e))?;
        let mut session = SqliteSession(Blocking::empty());
        session.0.set(connection);
        Ok(Box::new(session))
    }
}

struct SqliteSession(Blocking<Connection>);

#[async_trait]
impl Session for SqliteSession {
    async fn execute(&mut self, sql: &str) -> Result<u64, SqlError> {
        let sql = sql.to_owned();
        let run = self.0.call(move |connection| connection.execute(&sql, []).map_err(Error::at("SQLite")));
        run.await.map(|rows| rows as u64).map_err(|e| answer(&e))
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, SqlError> {
        let sql = sql.to_owned();
        self.0.call(move |connection| read(connection, &sql).map_err(Error::at("SQLite"))).await.map_err(|e| answer(&e))
    }

    fn statement_bytes_max(&self) -> usize {
        STATEMENT_BYTES_MAX
    }

    async fn close(self: Box<Self>) {}
}

fn read(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<TextRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let cell = |at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => None,
                ValueRef::Integer(n) => Some(Bytes::from(n.to_string())),
                ValueRef::Real(x) => Some(Bytes::from(x.to_string())),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Bytes::copy_from_slice(bytes)),
            })
        };
        all.push((0..columns).map(cell).collect::<rusqlite::Result<TextRow>>()?);
    }
    Ok(all)
}

fn panicked() -> SqlError {
    SqlError {
        trouble: Trouble::Unknown,
        code: String::new(),
        text: "the thread of the database connection has panicked".to_owned(),
    }
}

/// SQLite's answer as the engine sorts answers. Its texts name constraints and columns, never values.
fn answer(error: &Error) -> SqlError {
    let (class, code) = error.class_and_code();
    let trouble = match (error, class) {
        (Error::Sqlite { source, .. }, _) if is_row_error(source) => Trouble::Row,
        (Error::Sqlite { source, .. }, _) if is_structure(source) => Trouble::Structure,
        (_, ErrorClass::Transient { retry_after: Some(_) }) => Trouble::NoSpace,
        (_, ErrorClass::Transient { retry_after: None }) => Trouble::Passing,
        (_, ErrorClass::Config) => Trouble::Config,
        (_, ErrorClass::Record) => Trouble::Row,
        (_, ErrorClass::Definite | ErrorClass::Fenced | ErrorClass::Bug) => Trouble::Unknown,
    };
    let cause = match error {
        Error::Sqlite { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    SqlError { trouble, code: code.to_owned(), text: format!("{cause} ({code})") }
}

/// A missing table or column is an error of the statement's text, told apart by its message alone.
fn is_structure(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    text.contains("no such table") || text.contains("no such column") || text.contains("has no column named")
}
