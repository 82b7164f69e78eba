//! Reads chunks of tables on a connection of its own, each under a snapshot whose place in the log is known well enough.
mod cells;
mod following;
mod opening;
mod row;
mod select;

use crate::config::CdcConfig;
use crate::direct::Scratch;
use crate::direct::record::Image;
use crate::error::{Error, Result, of_client};
use crate::gtid::Gtids;
use crate::position::LogPosition;
use crate::preflight::{end_of_log, gtid_mode};
use crate::table::Table;
use crate::window::Mark;
use crate::wire::{self, Flavour, Session};
use elasticflow_api::data::Value;
use following::FirstWithRows;
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use select::Select;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

pub(crate) use cells::raw_of;
pub use following::Following;
pub use select::{is_chunkable, quoted};

/// Rows sent at once while a table without a key is read.
const PORTION: usize = 500;

/// What the task asks for.
pub struct Ask {
    /// The table.
    pub table: Arc<Table>,
    /// Key of the last row of the chunk before, as SQL literals; none at the beginning.
    pub after: Option<Vec<String>>,
    /// Key of the last row of the table, as SQL literals; none if it is still to be learnt.
    pub end: Option<Vec<String>>,
    /// The whole table at once.
    pub whole: bool,
    /// Condition that rows must meet, in SQL.
    pub filter: Option<String>,
    /// Most rows of the chunk.
    pub rows_max: usize,
    /// What the reader of the log has processed: the snapshot must cover it.
    pub covers: (Gtids, LogPosition),
    /// Whether rows may come as JSON.
    pub directly: bool,
    /// Tables that follow.
    pub following: Following,
}

/// A row that was read.
pub struct ReadRow {
    /// Captured columns.
    pub form: RowForm,
    /// Fingerprint of its key.
    pub key: u128,
    /// Bytes, about.
    pub size: usize,
}

/// The captured columns of a row.
pub enum RowForm {
    /// As values.
    Values(Vec<Value>),
    /// As JSON.
    Json(Image),
}

/// What the reader answers.
pub enum Told {
    /// A chunk.
    Chunk {
        /// Its rows.
        rows: Vec<ReadRow>,
        /// What its snapshot could see.
        seen: Mark,
        /// A place in the log after everything its snapshot could see.
        high: LogPosition,
        /// Key of its last row, if more may follow.
        next: Option<Vec<String>>,
        /// Key of the last row of the table that a snapshot has to read, if more may follow.
        end: Option<Vec<String>>,
        /// Whether a following table has rows; told with the last chunk of a table.
        more: bool,
    },
    /// The snapshot of a whole table sees exactly what ends at this place; rows follow.
    Opened(LogPosition),
    /// Rows of a whole table.
    Rows(Vec<ReadRow>),
    /// The whole table has been read; whether a following one has rows.
    End(bool),
    /// The table is not as it was thought to be: asked again with its present columns.
    Stale,
    /// It failed.
    Failed(Error),
}

/// The reader.
pub struct ChunkReader {
    config: Arc<CdcConfig>,
    session: Session,
    numbered: bool,
    limit: usize,
    first_with_rows: FirstWithRows,
    told: mpsc::Sender<Told>,
    wake: Arc<Notify>,
}

impl ChunkReader {
    /// Serves until the asking side is gone.
    pub async fn serve(
        config: Arc<CdcConfig>,
        mut asks: mpsc::Receiver<Ask>,
        told: mpsc::Sender<Told>,
        wake: Arc<Notify>,
    ) {
        let outcome = async {
            let mut session = wire::connect(&config).await?;
            let numbered = gtid_mode(&mut session).await?;
            let level = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
            session.conn.query_drop(level).await.map_err(|e| of_client(e, OPENING))?;
            // Patience while the task is busy with other records.
            let _ = session.conn.query_drop("SET SESSION net_write_timeout = 600").await;
            let limit = config.chunk_rows.min(1000);
            let (told, wake) = (told.clone(), Arc::clone(&wake));
            let mut reader =
                Self { config, session, numbered, limit, first_with_rows: FirstWithRows::default(), told, wake };
            while let Some(ask) = asks.recv().await {
                reader.answer(ask).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = outcome.await {
            // Nobody listens any more when this fails.
            let _ = told.send(Told::Failed(error)).await;
            wake.notify_one();
        }
    }

    async fn tell(&self, told: Told) -> Result<()> {
        self.told.send(told).await.map_err(|_| Error::Bug("the snapshot has ended"))?;
        self.wake.notify_one();
        Ok(())
    }

    async fn answer(&mut self, ask: Ask) -> Result<()> {
        let (whole, table) = (ask.whole, Arc::clone(&ask.table.id));
        let outcome = if whole { self.whole(ask).await } else { self.chunk(ask).await };
        match outcome {
            Err(Error::Statement { cause: mysql_async::Error::Server(e), .. }) if is_stale(e.code) => {
                if whole {
                    // Rows of it may be out: begun anew after the open transaction is aborted.
                    return Err(Error::TableChanged { table: table.to_string() });
                }
                self.close().await?;
                self.tell(Told::Stale).await
            }
            other => other,
        }
    }

    async fn chunk(&mut self, ask: Ask) -> Result<()> {
        let low = self.open(&ask.covers).await?;
        let select = Select::new(&ask.table);
        let limit = self.limit.min(ask.rows_max);
        let sql = select.chunk(&ask, limit);
        let mut rows = Vec::new();
        let (mut bytes, mut last) = (0, None);
        let mut scratch = ask.directly.then(Scratch::default);
        {
            let result = self.session.conn.exec_iter(sql, ()).await.map_err(|e| of_client(e, READING))?;
            let mut result = result;
            let Some(mut stream) = result.stream::<mysql_async::Row>().await.map_err(|e| of_client(e, READING))? else {
                return Err(Error::Bug("a chunk without a result"));
            };
            while let Some(row) = stream.next().await {
                let cells = row.map_err(|e| of_client(e, READING))?.unwrap();
                if rows.len() + 1 == limit {
                    last = Some(select.literals(&cells)?);
                }
                let row = select.row(&cells, scratch.as_mut())?;
                bytes += row.size;
                rows.push(row);
            }
        }
        let end = match ask.end {
            // Small tables are read without it.
            None if last.is_some() => self.greatest(&select).await?,
            known => known,
        };
        self.close().await?;
        let high = match &low {
            Mark::Position(exact) if self.session.flavour == Flavour::MariaDb => exact.clone(),
            _ => end_of_log(&mut self.session).await?,
        };
        if !rows.is_empty() {
            let per_row = (bytes / rows.len()).max(1);
            self.limit = (self.config.chunk_bytes / per_row).clamp(1, self.config.chunk_rows);
        }
        let more = last.is_none() && self.any_follows(&ask.following).await?;
        self.tell(Told::Chunk { rows, seen: low, high, next: last, end, more }).await
    }

    /// The greatest key of a table, under the snapshot that is open: rows behind it have come after, so that the log has
    /// them. Without such an end a table that grows faster than it is read would be read for ever.
    async fn greatest(&mut self, select: &Select<'_>) -> Result<Option<Vec<String>>> {
        let row: Option<mysql_async::Row> =
            self.session.conn.exec_first(select.greatest(), ()).await.map_err(|e| of_client(e, READING))?;
        row.map(|row| select.literals(&row.unwrap())).transpose()
    }

    async fn whole(&mut self, ask: Ask) -> Result<()> {
        let at = self.open_exactly(&ask).await?;
        self.tell(Told::Opened(at)).await?;
        let select = Select::new(&ask.table);
        let mut scratch = ask.directly.then(Scratch::default);
        {
            let filter = ask.filter.as_ref().map(|f| format!(" WHERE ({f})")).unwrap_or_default();
            let sql = format!("{}{filter}", select.all());
            let mut result = self.session.conn.exec_iter(sql, ()).await.map_err(|e| of_client(e, READING))?;
            let Some(mut stream) = result.stream::<mysql_async::Row>().await.map_err(|e| of_client(e, READING))? else {
                return Err(Error::Bug("a table without a result"));
            };
            let mut rows = Vec::new();
            while let Some(row) = stream.next().await {
                let cells = row.map_err(|e| of_client(e, READING))?.unwrap();
                rows.push(select.row(&cells, scratch.as_mut())?);
                if rows.len() == PORTION {
                    let told = Told::Rows(std::mem::take(&mut rows));
                    self.told.send(told).await.map_err(|_| Error::Bug("the snapshot has ended"))?;
                    self.wake.notify_one();
                }
            }
            self.told.send(Told::Rows(rows)).await.map_err(|_| Error::Bug("the snapshot has ended"))?;
            self.wake.notify_one();
        }
        self.close().await?;
        let more = self.any_follows(&ask.following).await?;
        self.tell(Told::End(more)).await
    }

    /// Whether a table that follows has rows.
    async fn any_follows(&mut self, following: &Following) -> Result<bool> {
        if let Some(known) = self.first_with_rows.known(following) {
            return Ok(known);
        }
        let mut first = None;
        for (at, (db, name)) in following.tables().iter().enumerate() {
            if self.has_rows(db, name).await? {
                first = Some(at);
                break;
            }
        }
        Ok(self.first_with_rows.learn(following, first))
    }

    async fn has_rows(&mut self, db: &str, name: &str) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {}.{} LIMIT 1", quoted(db), quoted(name));
        let found: Result<Option<u8>, _> = self.session.conn.query_first(sql).await;
        match found {
            Ok(found) => Ok(found.is_some()),
            // Dropped meanwhile: it has none.
            Err(mysql_async::Error::Server(e)) if e.code == 1146 => Ok(false),
            Err(e) => Err(of_client(e, READING)),
        }
    }
}

const OPENING: &str = "opening a snapshot";
const READING: &str = "reading a table";

/// Unknown column or table, a definition that changed after the snapshot was opened.
fn is_stale(code: u16) -> bool {
    matches!(code, 1054 | 1146 | 1412)
}
