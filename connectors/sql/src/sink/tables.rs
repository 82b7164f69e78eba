//! Tables of the destination: what columns they have, creating and extending them.
use super::plan::Column;
use super::shape::Shape;
use crate::config::SinkKeys;
use crate::dialect::Dialect;
use crate::error::{Error, SqlError};
use crate::session::{Database, Session, number, text};
use crate::table::TableName;
use std::collections::HashMap;

/// Tables seen so far.
#[derive(Default)]
pub(crate) struct Tables {
    known: HashMap<TableName, Known>,
}

/// A described table: columns by name as the system compares names.
struct Known {
    dialect: &'static dyn Dialect,
    columns: HashMap<String, ColumnFacts>,
}

impl Known {
    fn folded(&self, column: &str) -> String {
        self.dialect.folded(column)
    }
}

/// What matters of a column.
#[derive(Debug, Clone, Copy)]
struct ColumnFacts {
    /// Whether two values are equal exactly when their literals are.
    exact: bool,
}

impl Tables {
    /// Makes sure that the table of a shape has its columns; tables that are there are described once. False: there is no
    /// table yet, and a delete does not create one.
    pub(crate) async fn ensure(
        &mut self,
        database: &dyn Database,
        session: &mut dyn Session,
        shape: &Shape,
        keys: &SinkKeys,
    ) -> Result<bool, Error> {
        let (dialect, table) = (database.dialect(), &shape.table);
        if self.missing(shape).is_some_and(|m| m.is_empty()) {
            return Ok(true);
        }
        self.read(dialect, session, table).await?;
        if !self.known.contains_key(table) {
            if shape.is_delete && keys.auto_create {
                return Ok(false);
            }
            create(dialect, session, shape, keys).await?;
            self.read(dialect, session, table).await?;
        }
        let missing: Vec<Column> = self.missing(shape).unwrap_or_default().into_iter().cloned().collect();
        if !missing.is_empty() {
            extend(dialect, session, table, &missing, keys).await?;
            self.read(dialect, session, table).await?;
        }
        database.check_table(session, table).await?;
        Ok(true)
    }

    /// Whether rows with different key texts are surely different rows.
    pub(crate) fn has_exact_key(&self, shape: &Shape) -> bool {
        let Some(known) = self.known.get(&shape.table) else { return false };
        let key = shape.columns.iter().filter(|c| c.in_key);
        key.clone()
            .all(|c| c.schema.is_some() && known.columns.get(&known.folded(&c.name)).is_some_and(|facts| facts.exact))
    }

    /// Forgets everything: a table has changed under the sink.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    fn missing<'s>(&self, shape: &'s Shape) -> Option<Vec<&'s Column>> {
        let known = self.known.get(&shape.table)?;
        Some(shape.columns.iter().filter(|c| !known.columns.contains_key(&known.folded(&c.name))).collect())
    }

    async fn read(
        &mut self,
        dialect: &'static dyn Dialect,
        session: &mut dyn Session,
        table: &TableName,
    ) -> Result<(), Error> {
        let doing = Error::at(format!("reading the columns of table {table}"));
        let rows = session.rows(&dialect.describe(table)).await.map_err(doing)?;
        let column = |row: &crate::session::TextRow| {
            Some((dialect.folded(text(row, 0)?), ColumnFacts { exact: number(row, 2) == Some(1) }))
        };
        let columns: HashMap<String, ColumnFacts> = rows.iter().filter_map(column).collect();
        if columns.is_empty() {
            self.known.remove(table);
        } else {
            self.known.insert(table.clone(), Known { dialect, columns });
        }
        Ok(())
    }
}

async fn create(dialect: &dyn Dialect, session: &mut dyn Session, shape: &Shape, keys: &SinkKeys) -> Result<(), Error> {
    let table = &shape.table;
    if !keys.auto_create {
        let text = format!("table {table} does not exist; create it or set auto.create=true{}", shape.hint);
        return Err(Error::Config { code: "SQL-0053", text });
    }
    tracing::info!(%table, "creating the table");
    let is_tried = |declaring| creation(dialect, shape, declaring);
    let Err(answer) = session.execute(&is_tried(Declaring::Defaults)?).await else { return Ok(()) };
    if has_defaults(&shape.columns) && session.execute(&is_tried(Declaring::Bare)?).await.is_ok() {
        return Ok(());
    }
    let text = format!("{}{}", answer.text, shape.hint);
    Err(Error::at(format!("creating table {table}"))(SqlError { text, ..answer }))
}

/// A task beside this one may create the table at the same time.
fn creation(dialect: &dyn Dialect, shape: &Shape, declaring: Declaring) -> Result<String, Error> {
    let table = &shape.table;
    let mut parts = Vec::with_capacity(shape.columns.len() + 1);
    for column in &shape.columns {
        parts.push(declared(dialect, table, column, declaring)?);
    }
    let key: Vec<String> = shape.columns.iter().filter(|c| c.in_key).map(|c| dialect.quoted(&c.name)).collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", key.join(",")));
    }
    let (name, options) = (table.quoted(dialect), dialect.table_options());
    Ok(format!("CREATE TABLE IF NOT EXISTS {name} ({}){options}", parts.join(", ")))
}

/// How columns are declared: a default that the server does not take is no reason to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declaring {
    Defaults,
    /// Without defaults, for a table without rows.
    Bare,
    /// Without defaults, and null in the rows that are there.
    Nullable,
}

fn has_defaults(columns: &[Column]) -> bool {
    columns.iter().any(|column| column.schema.as_ref().is_some_and(|schema| schema.default.is_some()))
}

fn declared(dialect: &dyn Dialect, table: &TableName, column: &Column, declaring: Declaring) -> Result<String, Error> {
    let name = &column.name;
    let Some(schema) = &column.schema else {
        let text = format!(
            "table {table} cannot get a column for field {name} of schemaless data, which has no type; create it by hand, or use a converter with schemas"
        );
        return Err(Error::Config { code: "SQL-0054", text });
    };
    let kind = dialect.column_type(schema, column.in_key).map_err(|why| Error::Config {
        code: "SQL-0054",
        text: format!("table {table} cannot get a column for field {name}: {why}"),
    })?;
    let takes_null = schema.optional || declaring == Declaring::Nullable;
    let required = if takes_null && !column.in_key { "" } else { " NOT NULL" };
    let default = match schema.default.as_ref() {
        Some(value) if !column.in_key && declaring == Declaring::Defaults => default_of(dialect, column, value),
        _ => None,
    };
    Ok(format!("{} {kind}{}{required}", dialect.quoted(name), default.unwrap_or_default()))
}

/// A default is carried, so that rows that were written before a column was added hold what they hold at the source.
fn default_of(dialect: &dyn Dialect, column: &Column, value: &elasticflow_api::data::Value) -> Option<String> {
    let cell = crate::cell::cell_of(value, column.logical).ok()?;
    if matches!(cell, crate::cell::Cell::Null) {
        return None;
    }
    let mut out = " DEFAULT ".to_owned();
    dialect.write_default(&cell, &mut out).then_some(out)
}

async fn extend(
    dialect: &dyn Dialect,
    session: &mut dyn Session,
    table: &TableName,
    missing: &[Column],
    keys: &SinkKeys,
) -> Result<(), Error> {
    let names = missing.iter().map(|c| &*c.name).collect::<Vec<_>>().join(", ");
    if !keys.auto_evolve {
        let text = format!(
            "table {table} has no column for field {names}; add it, set auto.evolve=true or list fields.whitelist"
        );
        return Err(Error::Config { code: "SQL-0055", text });
    }
    for column in missing {
        let required = column.schema.as_ref().is_some_and(|s| !s.optional && s.default.is_none());
        if required {
            let text = format!(
                "field {} is required, has no default and table {table} has no such column; auto.evolve cannot add it: add the column by hand",
                column.name
            );
            return Err(Error::Config { code: "SQL-0054", text });
        }
        tracing::info!(%table, column = &*column.name, "adding a column");
        add(dialect, session, table, column).await?;
    }
    Ok(())
}

async fn add(
    dialect: &dyn Dialect,
    session: &mut dyn Session,
    table: &TableName,
    column: &Column,
) -> Result<(), Error> {
    let addition = |declaring| -> Result<String, Error> {
        let declared = declared(dialect, table, column, declaring)?;
        Ok(format!("ALTER TABLE {} {}{declared}", table.quoted(dialect), dialect.add_column()))
    };
    let Err(answer) = session.execute(&addition(Declaring::Defaults)?).await else { return Ok(()) };
    if is_there(dialect, session, table, column).await {
        return Ok(());
    }
    let has_default = has_defaults(std::slice::from_ref(column));
    if has_default && session.execute(&addition(Declaring::Nullable)?).await.is_ok() {
        tracing::warn!(%table, column = &*column.name, code = answer.code, "the column is null in older rows: its default was refused");
        return Ok(());
    }
    Err(Error::Database { doing: format!("adding column {} to table {table}", column.name), answer })
}

/// Whether another task was faster.
async fn is_there(dialect: &dyn Dialect, session: &mut dyn Session, table: &TableName, column: &Column) -> bool {
    let rows = session.rows(&dialect.describe(table)).await.unwrap_or_default();
    rows.iter().any(|row| text(row, 0).is_some_and(|name| dialect.folded(name) == dialect.folded(&column.name)))
}
