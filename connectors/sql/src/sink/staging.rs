//! Tables beside the real ones.
use super::shape::Shape;
use crate::cell::write_hex;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::session::{Session, text};
use crate::table::TableName;
use elasticflow_api::position::{BatchId, TaskId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Length of the part of a staging table's name that names batch and attempt.
pub(super) const SHORT: usize = 12;

/// Where rows of a batch go.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Appended to the names of tables.
    pub(crate) suffix: String,
    /// Real tables that were met: staging table, and key columns as JSON.
    pub(crate) tables: BTreeMap<TableName, (TableName, String)>,
}

impl Stage {
    pub(crate) fn new(id: &TaskId, batch: &BatchId, attempt: u32) -> Self {
        let mut hex = hash(&[&id.group, &id.connector, &batch.0, &attempt.to_string()]);
        hex.truncate(SHORT);
        Self { suffix: format!("__stage_{hex}"), tables: BTreeMap::new() }
    }

    /// As the ledger takes it: real table, staging table, key columns.
    pub(crate) fn rows(&self) -> Vec<(TableName, TableName, String)> {
        self.tables.iter().map(|(live, (stage, key))| (live.clone(), stage.clone(), key.clone())).collect()
    }
}

/// Makes the staging table of a table that exists, with everything that belongs to it; one that does not exist is created
/// like any other, under its staging name.
pub(super) async fn make(
    dialect: &'static dyn Dialect,
    session: &mut dyn Session,
    shape: &Shape,
    auto_create: bool,
) -> Result<(), Error> {
    let (live, stage) = (&shape.live, &shape.table);
    if exists(dialect, session, stage).await? {
        return Ok(());
    }
    if exists(dialect, session, live).await? {
        let copy = copy_ddl(dialect, session, live, &stage.quoted(dialect)).await?;
        return session.execute(&copy).await.map(drop).map_err(Error::at(format!("creating staging table {stage}")));
    }
    if auto_create {
        return Ok(());
    }
    let text = format!("table {live} does not exist; create it or set auto.create=true{}", shape.hint);
    Err(Error::Config { code: "SQL-0053", text })
}

/// SHA-256 of texts, as hexadecimal digits.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut out = String::with_capacity(64);
    write_hex(&hash.finalize(), &mut out);
    out
}

/// A name as the ledger holds it.
pub(super) fn name_of(text: &str, dialect: &dyn Dialect) -> TableName {
    if dialect.name_parts_max() < 2 {
        TableName { schema: None, table: text.to_owned() }
    } else {
        TableName::parse(text)
    }
}

pub(super) async fn exists(dialect: &dyn Dialect, session: &mut dyn Session, table: &TableName) -> Result<bool, Error> {
    Ok(!columns(dialect, session, table).await?.is_empty())
}

/// Quoted names of a table's columns; none without the table.
pub(super) async fn columns(
    dialect: &dyn Dialect,
    session: &mut dyn Session,
    table: &TableName,
) -> Result<Vec<String>, Error> {
    let doing = Error::at(format!("reading the columns of table {table}"));
    let rows = session.rows(&dialect.describe(table)).await.map_err(doing)?;
    Ok(rows.iter().filter_map(|row| Some(dialect.quoted(text(row, 0)?))).collect())
}

/// `CREATE TABLE` of an empty table like another.
pub(super) async fn copy_ddl(
    dialect: &dyn Dialect,
    session: &mut dyn Session,
    like: &TableName,
    quoted: &str,
) -> Result<String, Error> {
    let Some(query) = dialect.body_query(like) else {
        return Ok(dialect.create_like(quoted, &like.quoted(dialect)));
    };
    let rows = session.rows(&query).await.map_err(Error::at(format!("reading how table {like} was made")))?;
    let body = rows.first().and_then(|row| text(row, 0)).and_then(|sql| sql.get(sql.find('(')?..));
    let body = body.ok_or_else(|| {
        let text = format!("{like} is no table that can be staged");
        Error::Config { code: "SQL-0053", text }
    })?;
    Ok(format!("CREATE TABLE IF NOT EXISTS {quoted} {body}"))
}
