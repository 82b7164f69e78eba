//! The database file: where it is, how it is opened, and how blocking calls leave the async threads.
use crate::config::{JournalMode, SinkConfig, SourceConfig, Synchronous};
use crate::error::Error;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Prepared statements kept per connection.
const STATEMENT_CACHE: usize = 64;
/// Pages of the write-ahead log before SQLite checkpoints it.
const WAL_PAGES: u32 = 4000;

/// Takes the path out of `jdbc:sqlite:PATH`, `sqlite://PATH` or a plain path.
pub(crate) fn path_of(url: &str) -> Result<PathBuf, Error> {
    let path = url.strip_prefix("jdbc:sqlite:").or_else(|| url.strip_prefix("sqlite://")).unwrap_or(url);
    if path.is_empty() || path == ":memory:" || path.contains("://") {
        return Err(Error::Config("connection.url names no file; use jdbc:sqlite:/path/file.db".to_owned()));
    }
    Ok(PathBuf::from(path))
}

/// Opens the sink's file for writing.
pub(crate) fn open_for_writing(config: &SinkConfig) -> Result<Connection, Error> {
    let path = path_of(&config.keys.url)?;
    let own = &config.own;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if own.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = open(&path, flags, own.busy_timeout_ms)?;
    let pragma = |name: &str, value: &str| {
        connection
            .pragma_update(None, name, value)
            .map_err(Error::at(format!("cannot set {name} on {}", path.display())))
    };
    match own.journal {
        JournalMode::Wal => pragma("journal_mode", "wal")?,
        JournalMode::Delete => pragma("journal_mode", "delete")?,
        JournalMode::Keep => {}
    }
    match own.synchronous {
        Synchronous::Full => pragma("synchronous", "full")?,
        Synchronous::Normal => pragma("synchronous", "normal")?,
    }
    pragma("foreign_keys", "on")?;
    pragma("trusted_schema", "off")?;
    pragma("wal_autocheckpoint", &WAL_PAGES.to_string())?;
    Ok(connection)
}

/// Opens the source's file for reading alone.
pub(crate) fn open_for_reading(config: &SourceConfig) -> Result<Connection, Error> {
    let path = path_of(&config.url)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(&path, flags, config.busy_timeout_ms)?;
    connection
        .pragma_update(None, "query_only", "on")
        .map_err(Error::at(format!("cannot set query_only on {}", path.display())))?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags, busy_timeout_ms: u32) -> Result<Connection, Error> {
    let connection =
        Connection::open_with_flags(path, flags).map_err(Error::at(format!("cannot open {}", path.display())))?;
    connection
        .busy_timeout(Duration::from_millis(u64::from(busy_timeout_ms)))
        .map_err(Error::at("cannot set the busy timeout"))?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

/// A quoted name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Owns a state that is used on blocking threads alone; it comes back after each call.
pub(crate) struct Blocking<S> {
    state: Option<S>,
}

impl<S: Send + 'static> Blocking<S> {
    /// Nothing yet.
    pub(crate) fn empty() -> Self {
        Self { state: None }
    }

    /// Holds a state.
    pub(crate) fn set(&mut self, state: S) {
        self.state = Some(state);
    }

    /// Drops the state.
    pub(crate) fn clear(&mut self) {
        self.state = None;
    }

    /// Runs a call with the state on a blocking thread. A dropped future loses the state: the instance is then useless
    /// and answers `Bug`, as the runtime drops it anyway.
    pub(crate) async fn call<T, F>(&mut self, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, Error> + Send + 'static,
    {
        let Some(mut state) = self.state.take() else {
            return Err(Error::Bug("the task was used before start or after a dropped call".to_owned()));
        };
        let joined = tokio::task::spawn_blocking(move || {
            let answer = call(&mut state);
            (state, answer)
        });
        let (state, answer) =
            joined.await.map_err(|_| Error::Bug("the thread of the database connection has panicked".to_owned()))?;
        self.state = Some(state);
        answer
    }
}
