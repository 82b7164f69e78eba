//! What `information_schema` says about tables.
use crate::column::{Collations, Column, Described};
use crate::error::{Error, Result, of_client};
use crate::wire::{Flavour, Session};
use mysql_async::Row;
use mysql_async::prelude::{FromRow, Queryable};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const DOING: &str = "reading information_schema";

/// Lists of tables that are taken together, and the time between them.
const MARIA_LOOKS: usize = 5;
const MARIA_PAUSE: Duration = Duration::from_millis(20);

/// Looks at a table that the server warns of, and the time between them.
const LOOKS: usize = 50;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Databases of the server itself: never captured.
const SYSTEM: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

/// Whether a database is one of the server's own.
pub fn is_system(db: &str) -> bool {
    SYSTEM.iter().any(|name| name.eq_ignore_ascii_case(db))
}

/// A table as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TableFacts {
    /// Database.
    pub db: String,
    /// Table.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<Arc<Column>>,
    /// Columns that identify a row, in key order: the primary key, else a unique index without nullable columns.
    pub key: Vec<String>,
    /// Whether the key is the primary key.
    pub key_is_primary: bool,
}

/// Every table of the databases that are not the server's own: database and name, in order.
pub async fn tables(session: &mut Session) -> Result<Vec<(String, String)>> {
    let sql = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' \
               ORDER BY TABLE_SCHEMA, TABLE_NAME";
    let mut all = BTreeSet::new();
    // A list of MariaDB may lack a table: by what followed, one that was being altered was left out in two of some 260 starts.
    for look in 0..if session.flavour == Flavour::MariaDb { MARIA_LOOKS } else { 1 } {
        if look > 0 {
            tokio::time::sleep(MARIA_PAUSE).await;
        }
        let found: Vec<(String, String)> = session.conn.query(sql).await.map_err(|e| of_client(e, DOING))?;
        all.extend(found);
    }
    Ok(all.into_iter().filter(|(db, _)| !is_system(db)).collect())
}

/// About how many rows each of these tables has, as the server estimates it.
pub(crate) async fn estimates(
    session: &mut Session,
    tables: &VecDeque<(String, String)>,
) -> Result<HashMap<(String, String), u64>> {
    let wanted: HashSet<&(String, String)> = tables.iter().collect();
    let databases: Vec<&str> = tables.iter().map(|(db, _)| db.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let marks = vec!["?"; databases.len()].join(",");
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN ({marks})"
    );
    let all: Vec<(String, String, Option<u64>)> =
        session.conn.exec(sql, databases).await.map_err(|e| of_client(e, DOING))?;
    let named = all.into_iter().filter_map(|(db, name, rows)| Some(((db, name), rows?)));
    Ok(named.filter(|(table, _)| wanted.contains(table)).collect())
}

/// Charset of each collation.
pub async fn collations(session: &mut Session) -> Result<Collations> {
    let sql = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL";
    let all: Vec<(u32, Option<String>)> = session.conn.query(sql).await.map_err(|e| of_client(e, DOING))?;
    Ok(all.into_iter().filter_map(|(id, name)| Some((id, name?))).collect())
}

/// Columns of a table in order; none if it is not there.
pub(crate) async fn described_columns(session: &mut Session, db: &str, name: &str) -> Result<Vec<Described>> {
    let sql = "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT, \
               CHARACTER_SET_NAME, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION \
               FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let rows: Vec<Row> = ask(session, sql, (db, name)).await?;
    let maria = session.flavour == Flavour::MariaDb;
    Ok(rows.into_iter().map(|row| described(row, maria)).collect())
}

/// Asks about one table. An answer without rows that comes with a warning is that of a server which could not look into the
/// table, not of a table without columns or keys, and is asked for again.
async fn ask<R: FromRow + Send + 'static>(
    session: &mut Session,
    sql: &'static str,
    table: (&str, &str),
) -> Result<Vec<R>> {
    for _ in 0..LOOKS {
        let rows: Vec<R> = session.conn.exec(sql, table).await.map_err(|e| of_client(e, DOING))?;
        if !rows.is_empty() || session.conn.get_warnings() == 0 {
            return Ok(rows);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(Error::TableChanged { table: format!("{}.{}", table.0, table.1) })
}

/// A table, or none if it is not there.
pub async fn table(session: &mut Session, db: &str, name: &str) -> Result<Option<TableFacts>> {
    let described = described_columns(session, db, name).await?;
    let columns: Vec<Arc<Column>> = described.iter().map(Column::described).map(Arc::new).collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let (key, key_is_primary) = key(session, db, name).await?;
    Ok(Some(TableFacts { db: db.to_owned(), name: name.to_owned(), columns, key, key_is_primary }))
}

fn described(mut row: Row, maria: bool) -> Described {
    let mut text = |i: usize| row.take::<Option<String>, _>(i).flatten();
    let name = text(0).unwrap_or_default();
    let data_type = text(1).unwrap_or_default().to_ascii_lowercase();
    let column_type = text(2).unwrap_or_default();
    let nullable = text(3).is_some_and(|t| t == "YES");
    let default = text(4);
    let extra = text(5).unwrap_or_default();
    let comment = text(6).unwrap_or_default();
    let charset = text(7);
    let mut number = |i: usize| row.take::<Option<u64>, _>(i).flatten();
    Described {
        name,
        data_type,
        column_type,
        nullable,
        default,
        extra,
        comment,
        charset,
        length: number(8),
        precision: number(9),
        scale: number(10),
        fsp: number(11),
        maria,
    }
}

/// The primary key, else the first unique index whose columns are whole and not nullable.
pub(crate) async fn key(session: &mut Session, db: &str, name: &str) -> Result<(Vec<String>, bool)> {
    let sql = "SELECT INDEX_NAME, COLUMN_NAME, NULLABLE, SUB_PART FROM information_schema.STATISTICS \
               WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX";
    type Part = (String, Option<String>, Option<String>, Option<u64>);
    let parts: Vec<Part> = ask(session, sql, (db, name)).await?;
    let of_index = |index: &str| -> Vec<&Part> { parts.iter().filter(|p| p.0 == index).collect() };
    let names = |parts: &[&Part]| parts.iter().filter_map(|p| p.1.clone()).collect::<Vec<_>>();
    let primary = of_index("PRIMARY");
    if !primary.is_empty() {
        return Ok((names(&primary), true));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, ..) in &parts {
        if seen.contains(&index.as_str()) {
            continue;
        }
        seen.push(index);
        let index = of_index(index);
        let whole = |p: &&Part| p.1.is_some() && p.3.is_none() && p.2.as_deref() != Some("YES");
        if index.iter().all(whole) {
            return Ok((names(&index), false));
        }
    }
    Ok((Vec::new(), false))
}
