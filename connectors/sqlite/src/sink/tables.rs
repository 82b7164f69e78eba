//! Tables of the destination: what columns they have, creating and extending them.
use super::plan::Column;
use crate::connection::quoted;
use crate::error::Error;
use crate::types::declared_type;
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};

/// Column names of the tables seen so far, lower-cased as SQLite compares them.
#[derive(Default)]
pub(crate) struct Tables {
    known: HashMap<String, HashSet<String>>,
}

/// What the settings allow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// `auto.create`.
    pub(crate) create: bool,
    /// `auto.evolve`.
    pub(crate) evolve: bool,
}

impl Tables {
    /// Makes sure that a table has the columns.
    pub(crate) fn ensure(
        &mut self,
        connection: &Connection,
        table: &str,
        columns: &[Column],
        allowed: Allowed,
    ) -> Result<(), Error> {
        if self.has(table, columns) {
            return Ok(());
        }
        self.read(connection, table)?;
        if !self.known.contains_key(table) {
            create(connection, table, columns, allowed)?;
        }
        self.read(connection, table)?;
        if !self.has(table, columns) {
            self.extend(connection, table, columns, allowed)?;
            self.read(connection, table)?;
        }
        Ok(())
    }

    fn has(&self, table: &str, columns: &[Column]) -> bool {
        self.known.get(table).is_some_and(|names| columns.iter().all(|c| names.contains(&c.name.to_ascii_lowercase())))
    }

    fn read(&mut self, connection: &Connection, table: &str) -> Result<(), Error> {
        let at = || Error::at(format!("cannot read the columns of table {table}"));
        let mut statement = connection.prepare_cached("SELECT name FROM pragma_table_info(?1)").map_err(at())?;
        let names = statement.query_map([table], |row| row.get::<_, String>(0)).map_err(at())?;
        let names: Result<HashSet<String>, _> = names.map(|n| n.map(|n| n.to_ascii_lowercase())).collect();
        let names = names.map_err(at())?;
        if names.is_empty() {
            self.known.remove(table);
        } else {
            self.known.insert(table.to_owned(), names);
        }
        Ok(())
    }

    fn extend(&self, connection: &Connection, table: &str, columns: &[Column], allowed: Allowed) -> Result<(), Error> {
        let missing: Vec<&Column> = columns.iter().filter(|c| !self.has(table, std::slice::from_ref(*c))).collect();
        let names = missing.iter().map(|c| &*c.name).collect::<Vec<_>>().join(", ");
        if !allowed.evolve {
            return Err(Error::Config(format!(
                "table {table} has no column for {names}; set auto.evolve=true, add the column, or leave the field out with fields.whitelist"
            )));
        }
        for column in missing {
            add_column(connection, table, column)?;
        }
        Ok(())
    }
}

fn add_column(connection: &Connection, table: &str, column: &Column) -> Result<(), Error> {
    let Some(schema) = &column.schema else {
        return Err(Error::Config(format!(
            "field {} of schemaless data has no type: add the column to table {table}",
            column.name
        )));
    };
    if !schema.optional && schema.default.is_none() {
        return Err(Error::Config(format!(
            "field {} is required and has no default, so table {table} cannot get a column for it; add the column by hand",
            column.name
        )));
    }
    let ddl = format!("ALTER TABLE {} ADD COLUMN {} {}", quoted(table), quoted(&column.name), declared_type(schema));
    connection
        .execute(&ddl, [])
        .map(drop)
        .map_err(Error::at(format!("cannot add column {} to table {table}", column.name)))
}

fn create(connection: &Connection, table: &str, columns: &[Column], allowed: Allowed) -> Result<(), Error> {
    if !allowed.create {
        return Err(Error::Config(format!("table {table} does not exist; create it or set auto.create=true")));
    }
    let mut parts = Vec::with_capacity(columns.len() + 1);
    for column in columns {
        let Some(schema) = &column.schema else {
            return Err(Error::Config(format!(
                "table {table} cannot be created from schemaless data: field {} has no type; create the table, or use a converter with schemas",
                column.name
            )));
        };
        let required = if schema.optional { "" } else { " NOT NULL" };
        parts.push(format!("{} {}{required}", quoted(&column.name), declared_type(schema)));
    }
    let key: Vec<String> = columns.iter().filter(|c| c.in_key).map(|c| quoted(&c.name)).collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    let ddl = format!("CREATE TABLE IF NOT EXISTS {} ({}) STRICT", quoted(table), parts.join(", "));
    connection.execute(&ddl, []).map(drop).map_err(Error::at(format!("cannot create table {table}")))
}
