//! Reads chunks of tables on a connection of its own, each under a snapshot whose place in the log is known well enough.
use crate::binlog::DecodeError;
use crate::binlog::rows::Raw;
use crate::binlog::temporal::Civil;
use crate::column::{Column, Ty};
use crate::config::{CdcConfig, LockingMode};
use crate::convert::hex;
use crate::direct::Scratch;
use crate::direct::record::Image;
use crate::error::{Error, Result, of_client};
use crate::gtid::Gtids;
use crate::position::LogPosition;
use crate::preflight::{end_of_log, gtid_mode};
use crate::start::{executed, maria_snapshot_position};
use crate::table::Table;
use crate::window::{Mark, fingerprint};
use crate::wire::{self, Flavour, Session};
use elasticflow_api::data::Value;
use futures_util::StreamExt;
use mysql_async::Value as Sql;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Rows sent at once while a table without a key is read.
const PORTION: usize = 500;

/// What the task asks for.
pub struct Ask {
    /// The table.
    pub table: Arc<Table>,
    /// Key of the last row of the chunk before, as SQL literals; none at the beginning.
    pub after: Option<Vec<String>>,
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
    /// Tables that follow: whether one of them has rows tells which row is the last of all.
    pub following: Vec<(String, String)>,
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
            let mut reader = Self { config, session, numbered, limit, told: told.clone(), wake: Arc::clone(&wake) };
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
        let sql = select.chunk(ask.after.as_deref(), ask.filter.as_deref(), limit);
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
        self.close().await?;
        let high = match &low {
            Mark::Position(exact) if self.session.flavour == Flavour::MariaDb => exact.clone(),
            _ => end_of_log(&mut self.session).await?,
        };
        if !rows.is_empty() {
            let per_row = (bytes / rows.len()).max(1);
            self.limit = (self.config.chunk_bytes / per_row).clamp(1, self.config.chunk_rows);
        }
        let more = last.is_none() && self.any_has_rows(&ask.following).await?;
        self.tell(Told::Chunk { rows, seen: low, high, next: last, more }).await
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
        let more = self.any_has_rows(&ask.following).await?;
        self.tell(Told::End(more)).await
    }

    async fn any_has_rows(&mut self, tables: &[(String, String)]) -> Result<bool> {
        for (db, name) in tables {
            let sql = format!("SELECT 1 FROM {}.{} LIMIT 1", quoted(db), quoted(name));
            let found: Result<Option<u8>, _> = self.session.conn.query_first(sql).await;
            match found {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                // Dropped meanwhile: it has none.
                Err(mysql_async::Error::Server(e)) if e.code == 1146 => {}
                Err(e) => return Err(of_client(e, READING)),
            }
        }
        Ok(false)
    }

    async fn run(&mut self, sql: &str) -> Result<()> {
        self.session.conn.query_drop(sql).await.map_err(|e| of_client(e, OPENING))
    }

    async fn close(&mut self) -> Result<()> {
        self.run("COMMIT").await
    }

    /// Opens a snapshot that covers what the reader of the log has processed; says what it sees at least.
    async fn open(&mut self, (gtids, place): &(Gtids, LogPosition)) -> Result<Mark> {
        if self.session.flavour == Flavour::MariaDb {
            return self.open_maria(place).await.map(Mark::Position);
        }
        let Gtids::MySql(processed) = gtids else {
            return self.open_without_gtids(place).await;
        };
        if !self.numbered {
            return self.open_without_gtids(place).await;
        }
        loop {
            // The set, never the position: a transaction is in the set only when queries see it.
            let seen = executed(&mut self.session).await?;
            if seen.contains_all(processed) {
                self.run(SNAPSHOT).await?;
                return Ok(Mark::Gtids(seen));
            }
            tokio::time::sleep(BARRIER).await;
        }
    }

    async fn open_maria(&mut self, place: &LogPosition) -> Result<LogPosition> {
        loop {
            let at = maria_snapshot_position(&mut self.session).await?;
            if at >= *place {
                return Ok(at);
            }
            self.run("ROLLBACK").await?;
            tokio::time::sleep(BARRIER).await;
        }
    }

    async fn open_without_gtids(&mut self, place: &LogPosition) -> Result<Mark> {
        loop {
            let Some(seen) = self.log_status().await? else {
                return self.open_locked().await.map(Mark::Position);
            };
            if seen >= *place {
                self.run(SNAPSHOT).await?;
                return Ok(Mark::Position(seen));
            }
            tokio::time::sleep(BARRIER).await;
        }
    }

    /// The place that `performance_schema` gives; none without the privilege or the schema.
    async fn log_status(&mut self) -> Result<Option<LogPosition>> {
        let sql = "SELECT LOCAL->>'$.binary_log_file', CAST(LOCAL->>'$.binary_log_position' AS UNSIGNED) \
                   FROM performance_schema.log_status";
        let row: Result<Option<(Option<String>, Option<u64>)>, _> = self.session.conn.query_first(sql).await;
        match row {
            Ok(Some((Some(file), Some(pos)))) => Ok(Some(LogPosition::new(&file, pos))),
            Ok(_) | Err(mysql_async::Error::Server(_)) => Ok(None),
            Err(e) => Err(of_client(e, OPENING)),
        }
    }

    /// Under a lock of milliseconds the place is exact.
    async fn open_locked(&mut self) -> Result<LogPosition> {
        if self.config.locking_mode == LockingMode::None {
            return Err(Error::Preflight {
                text: "without a lock (snapshot.locking.mode=none) a snapshot needs gtid_mode=ON, or BACKUP_ADMIN and SELECT on performance_schema.log_status".to_owned(),
            });
        }
        self.run("SET SESSION lock_wait_timeout = 2").await?;
        let mut tries = 0;
        loop {
            match self.session.conn.query_drop("FLUSH TABLES WITH READ LOCK").await {
                Ok(()) => break,
                // A long statement holds a table: let others pass, and try again.
                Err(mysql_async::Error::Server(e)) if e.code == 1205 && tries < 150 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(e) => return Err(of_client(e, "locking the tables for a moment (RELOAD)")),
            }
        }
        let at = end_of_log(&mut self.session).await;
        let opened = self.run(SNAPSHOT).await;
        self.run("UNLOCK TABLES").await?;
        opened.and(at)
    }

    async fn open_exactly(&mut self, ask: &Ask) -> Result<LogPosition> {
        match self.session.flavour {
            Flavour::MariaDb => self.open_maria(&ask.covers.1).await,
            Flavour::MySql => self.open_locked().await,
        }
    }
}

const OPENING: &str = "opening a snapshot";
const READING: &str = "reading a table";
const SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
/// How long a commit that is in the log may take to become visible; mostly nothing.
const BARRIER: Duration = Duration::from_millis(2);

/// Unknown column or table, a definition that changed after the snapshot was opened.
fn is_stale(code: u16) -> bool {
    matches!(code, 1054 | 1146 | 1412)
}

/// Whether a table can be read in chunks: by a key whose order and equality a literal keeps.
pub fn is_chunkable(table: &Table) -> bool {
    let ordered = |i: &usize| table.slots.get(*i).is_some_and(|s| keeps_order(&s.column.ty));
    !table.identity.is_empty() && table.identity.iter().all(ordered)
}

fn keeps_order(ty: &Ty) -> bool {
    match ty {
        Ty::Int { .. }
        | Ty::Decimal { .. }
        | Ty::Text { .. }
        | Ty::Binary { .. }
        | Ty::Blob { .. }
        | Ty::Date
        | Ty::Time { .. }
        | Ty::DateTime { .. }
        | Ty::Timestamp { .. }
        | Ty::Year => true,
        Ty::Float { .. }
        | Ty::Double
        | Ty::Bit { .. }
        | Ty::Enum { .. }
        | Ty::Set { .. }
        | Ty::Json
        | Ty::Point
        | Ty::Geometry
        | Ty::Vector
        | Ty::Uuid
        | Ty::Inet4
        | Ty::Inet6
        | Ty::Unknown => false,
    }
}

/// A name as an identifier.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The queries of a table and the reading of their rows.
struct Select<'a> {
    table: &'a Table,
    /// Columns that are read: captured ones and those of the key.
    columns: Vec<usize>,
    /// Places of the key's columns among them.
    key: Vec<usize>,
}

impl<'a> Select<'a> {
    fn new(table: &'a Table) -> Self {
        let needed = |(i, slot): (usize, &crate::table::Slot)| {
            (slot.converter.is_some() || table.identity.contains(&i)).then_some(i)
        };
        let columns: Vec<usize> = table.slots.iter().enumerate().filter_map(needed).collect();
        let place = |i: &usize| columns.iter().position(|c| c == i);
        let key = table.identity.iter().filter_map(place).collect();
        Self { table, columns, key }
    }

    fn name(&self, column: usize) -> String {
        self.table.slots.get(column).map(|s| quoted(&s.name)).unwrap_or_default()
    }

    fn all(&self) -> String {
        let list: Vec<String> = self.columns.iter().map(|i| self.name(*i)).collect();
        format!("SELECT {} FROM {}.{}", list.join(", "), quoted(&self.table.db), quoted(&self.table.name))
    }

    fn chunk(&self, after: Option<&[String]>, filter: Option<&str>, limit: usize) -> String {
        let keys: Vec<String> = self.table.identity.iter().map(|i| self.name(*i)).collect();
        let wanted = match (after.map(|literals| beyond(&keys, literals)), filter) {
            (Some(beyond), Some(filter)) => format!(" WHERE ({beyond}) AND ({filter})"),
            (Some(beyond), None) => format!(" WHERE {beyond}"),
            (None, Some(filter)) => format!(" WHERE ({filter})"),
            (None, None) => String::new(),
        };
        format!("{}{wanted} ORDER BY {} LIMIT {limit}", self.all(), keys.join(", "))
    }

    /// The key of a row as SQL literals.
    fn literals(&self, cells: &[Sql]) -> Result<Vec<String>> {
        let one = |(place, column): (&usize, &usize)| {
            let column = &self.table.slots.get(*column)?.column;
            literal(cells.get(*place)?, column)
        };
        let all: Option<Vec<String>> = self.key.iter().zip(&self.table.identity).map(one).collect();
        all.ok_or_else(|| Error::Snapshot {
            table: self.table.id.to_string(),
            reason: "a key cannot be written as a literal".to_owned(),
        })
    }

    fn row(&self, cells: &[Sql], scratch: Option<&mut Scratch>) -> Result<ReadRow> {
        let broken =
            |cause: DecodeError| Error::Snapshot { table: self.table.id.to_string(), reason: cause.to_string() };
        let key = if self.key.is_empty() { 0 } else { fingerprint(&self.identity(cells).map_err(broken)?) };
        let size = cells.iter().map(size_of).sum();
        if let (Some(json), Some(scratch)) = (&self.table.json, scratch)
            && let Ok(image) = json.read(self.columns.iter().copied().zip(cells), scratch)
        {
            return Ok(ReadRow { form: RowForm::Json(image), key, size });
        }
        let mut values = Vec::with_capacity(self.table.captured);
        for (cell, column) in cells.iter().zip(&self.columns) {
            let Some(slot) = self.table.slots.get(*column) else { continue };
            let Some(converter) = &slot.converter else { continue };
            let value =
                raw_of(cell, &slot.column.ty).and_then(|raw| raw.map_or(Ok(Value::Null), |r| converter.convert(r)));
            let value = value.map_err(|cause| Error::Snapshot {
                table: self.table.id.to_string(),
                reason: format!("column {}: {cause}", slot.name),
            })?;
            values.push(match &slot.mask {
                None => value,
                Some((mask, length)) => mask.apply(value, *length),
            });
        }
        Ok(ReadRow { form: RowForm::Values(values), key, size })
    }

    /// The columns that identify the row, without loss.
    fn identity(&self, cells: &[Sql]) -> Result<Vec<Value>, DecodeError> {
        let one = |place: &usize| {
            let slot = self.columns.get(*place).and_then(|column| self.table.slots.get(*column));
            let (Some(slot), Some(cell)) = (slot, cells.get(*place)) else { return Ok(Value::Null) };
            match (&slot.exact, raw_of(cell, &slot.column.ty)?) {
                (Some(exact), Some(raw)) => exact.convert(raw),
                _ => Ok(Value::Null),
            }
        };
        self.key.iter().map(one).collect()
    }
}

fn size_of(cell: &Sql) -> usize {
    match cell {
        Sql::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

/// `(a > x) OR (a = x AND b > y)`.
fn beyond(keys: &[String], literals: &[String]) -> String {
    let pairs: Vec<(&String, &String)> = keys.iter().zip(literals).collect();
    let mut parts = Vec::with_capacity(pairs.len());
    for (n, (key, value)) in pairs.iter().enumerate() {
        let equal: String = pairs.iter().take(n).map(|(k, v)| format!("{k} = {v} AND ")).collect();
        parts.push(format!("({equal}{key} > {value})"));
    }
    parts.join(" OR ")
}

/// A cell of a query as the log would store it; none for a null.
pub(crate) fn raw_of<'a>(cell: &'a Sql, ty: &Ty) -> Result<Option<Raw<'a>>, DecodeError> {
    Ok(Some(match cell {
        Sql::NULL => return Ok(None),
        Sql::Int(v) => match ty {
            Ty::Int { bytes: 8, unsigned: true } => Raw::UInt(v.cast_unsigned()),
            _ => Raw::Int(*v),
        },
        Sql::UInt(v) => match ty {
            Ty::Int { bytes: 8, unsigned: true } => Raw::UInt(*v),
            _ => Raw::Int(v.cast_signed()),
        },
        Sql::Float(v) => Raw::F32(*v),
        Sql::Double(v) => Raw::F64(*v),
        Sql::Date(year, month, day, h, m, s, us) => {
            let seconds = i64::from(*h) * 3600 + i64::from(*m) * 60 + i64::from(*s);
            let micros = seconds * 1_000_000 + i64::from(*us);
            let (year, month, day) = (i64::from(*year), i64::from(*month), i64::from(*day));
            let civil = Civil { year, month, day, micros };
            match ty {
                Ty::Timestamp { .. } if civil.is_zero() => Raw::Stamp(None),
                Ty::Timestamp { .. } => Raw::Stamp(Some(civil.epoch_micros())),
                _ => Raw::Civil(civil),
            }
        }
        Sql::Time(negative, days, h, m, s, us) => {
            let hours = i64::from(*days) * 24 + i64::from(*h);
            let micros = (hours * 3600 + i64::from(*m) * 60 + i64::from(*s)) * 1_000_000 + i64::from(*us);
            Raw::Time(if *negative { -micros } else { micros })
        }
        Sql::Bytes(bytes) => match ty {
            Ty::Decimal { .. } => Raw::DecimalText(std::str::from_utf8(bytes).map_err(|_| DecodeError::Short)?),
            Ty::Bit { .. } => Raw::Bits(bytes),
            Ty::Binary { .. } | Ty::Blob { .. } | Ty::Point | Ty::Geometry | Ty::Vector => Raw::Slice(bytes),
            Ty::Text { charset, .. } if charset == "binary" => Raw::Slice(bytes),
            _ => Raw::Utf8Slice(bytes),
        },
    }))
}

/// A value of a key as a literal that compares with its column as the value itself does.
fn literal(cell: &Sql, column: &Column) -> Option<String> {
    Some(match cell {
        Sql::NULL | Sql::Float(_) | Sql::Double(_) => return None,
        Sql::Int(v) => v.to_string(),
        Sql::UInt(v) => v.to_string(),
        Sql::Date(..) | Sql::Time(..) => cell.as_sql(true),
        Sql::Bytes(bytes) => match &column.ty {
            Ty::Decimal { .. } => {
                let text = std::str::from_utf8(bytes).ok()?;
                text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.')).then(|| text.to_owned())?
            }
            Ty::Text { charset, .. } if charset != "binary" => format!("_utf8mb4 X'{}'", hex(bytes)),
            _ => format!("X'{}'", hex(bytes)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_keys_are_written_out() {
        let keys = ["`a`".to_owned(), "`b`".to_owned(), "`c`".to_owned()];
        let literals = ["1".to_owned(), "2".to_owned(), "3".to_owned()];
        assert_eq!(beyond(&keys, &literals), "(`a` > 1) OR (`a` = 1 AND `b` > 2) OR (`a` = 1 AND `b` = 2 AND `c` > 3)");
        assert_eq!(quoted("a`b"), "`a``b`");
    }
}
