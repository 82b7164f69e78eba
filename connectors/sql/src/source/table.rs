//! A table as the source reads it: columns, key, cursor columns, statements.
use super::columns::ColumnFacts;
use super::config::{SourceKeys, SourceMode};
use super::cursor::{Cursor, partition_of};
use super::dialect::SourceDialect;
use crate::cell::Cell;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::session::{Session, text};
use crate::table::TableName;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef};
use elasticflow_api::position::SourcePartition;
use std::sync::Arc;

/// Where a page ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Times below it (exclusive) or ids up to it (inclusive).
    pub(crate) upper: i64,
    /// Most rows.
    pub(crate) rows: usize,
}

/// A described table.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: Arc<SourcePartition>,
    pub(crate) schema: SchemaRef,
    /// Schema of the record key.
    pub(crate) key: Option<SchemaRef>,
    /// Columns of the record key.
    pub(crate) key_columns: Vec<usize>,
    /// Columns of the primary key, for bulk reads.
    pub(crate) order: Vec<String>,
    /// Place of the growing column among the selected ones.
    pub(crate) id_at: Option<usize>,
    /// Places of the primary key's columns.
    pub(crate) order_at: Vec<usize>,
    /// Expression of the time.
    time: Option<String>,
    /// The growing column, quoted.
    id: Option<String>,
    from: String,
    selected: String,
}

impl Table {
    /// Reads the columns of a table and checks the cursor columns.
    pub(crate) async fn describe(
        session: &mut dyn Session,
        dialect: &'static dyn SourceDialect,
        keys: &SourceKeys,
        name: &str,
    ) -> Result<Self, Error> {
        let table = TableName { schema: None, table: name.to_owned() };
        let doing = || Error::at(format!("reading the columns of table {name}"));
        let rows = session.rows(&dialect.columns(&table)).await.map_err(doing())?;
        let columns: Vec<ColumnFacts> = rows.iter().filter_map(ColumnFacts::read).collect();
        if columns.is_empty() {
            return Err(config(format!("table {name} does not exist or has no column that may be read")));
        }
        let qualifier = session.rows(dialect.qualifier()).await.map_err(doing())?;
        let qualifier = qualifier.first().and_then(|row| text(row, 0)).unwrap_or_default().to_owned();
        Self::new(dialect, keys, &table, &qualifier, &columns)
    }

    fn new(
        dialect: &'static dyn SourceDialect,
        keys: &SourceKeys,
        table: &TableName,
        qualifier: &str,
        columns: &[ColumnFacts],
    ) -> Result<Self, Error> {
        let name = &table.table;
        let quote: &dyn Dialect = dialect;
        let schemas = schemas(dialect, keys, name, columns)?;
        let mut primary: Vec<(i64, usize)> =
            columns.iter().enumerate().filter(|(_, c)| c.key_place > 0).map(|(at, c)| (c.key_place, at)).collect();
        primary.sort_unstable();
        let primary: Vec<usize> = primary.into_iter().map(|(_, at)| at).collect();
        let key_columns = key_columns(keys, name, columns, &primary)?;
        let field = |at: &usize| {
            let (column, schema) = (columns.get(*at)?, schemas.get(*at)?);
            Some(Field { name: Arc::from(column.name.as_str()), schema: Arc::clone(schema) })
        };
        let key_fields: Vec<Field> = key_columns.iter().filter_map(field).collect();
        let all: Vec<usize> = (0..columns.len()).collect();
        let id_at = id_column(keys, name, columns, &schemas)?;
        let quoted_at = |at: usize| columns.get(at).map(|c| quote.quoted(&c.name));
        let selected: Vec<String> = columns.iter().map(|c| dialect.select(c, &quote.quoted(&c.name))).collect();
        Ok(Self {
            topic: Arc::from(format!("{}{name}", keys.topic_prefix)),
            partition: Arc::new(partition_of(&format!("{qualifier}.{name}"))),
            schema: structure(name, all.iter().filter_map(field).collect()),
            key: (!key_fields.is_empty()).then(|| structure(&format!("{name}.Key"), key_fields)),
            key_columns,
            order: primary.iter().filter_map(|at| quoted_at(*at)).collect(),
            id: id_at.and_then(quoted_at),
            id_at,
            order_at: primary,
            time: time_expression(keys, name, columns, quote)?,
            from: table.quoted(quote),
            selected: selected.join(", "),
            name: name.clone(),
        })
    }

    /// The newest value of the growing column.
    pub(crate) fn newest(&self) -> String {
        format!("SELECT MAX({}) FROM {}", self.id.as_deref().unwrap_or("NULL"), self.from)
    }

    /// A page above a cursor.
    pub(crate) fn page(&self, dialect: &dyn Dialect, mode: SourceMode, cursor: &Cursor, bounds: Bounds) -> String {
        let Bounds { upper, rows } = bounds;
        let time = |micros: i64| literal(dialect, &Cell::Timestamp(micros));
        let (t, id) = (self.time.as_deref().unwrap_or("NULL"), self.id.as_deref().unwrap_or("NULL"));
        let (condition, order) = match mode {
            SourceMode::Incrementing => {
                let above = cursor.id.map_or_else(String::new, |last| format!("{id} > {last} AND "));
                (format!("{above}{id} <= {upper}"), id.to_owned())
            }
            SourceMode::Timestamp | SourceMode::TimestampIncrementing => {
                let above = self.after(dialect, cursor).map_or_else(String::new, |after| format!("{after} AND "));
                let tie = self.id.as_ref().map_or_else(String::new, |id| format!(", {id}"));
                (format!("{above}{t} < {}", time(upper)), format!("{t}{tie}"))
            }
            SourceMode::Bulk => return self.bulk_page(dialect, cursor, rows),
        };
        let time_column = self.time.as_ref().map_or_else(String::new, |t| format!(", {t}"));
        format!(
            "SELECT {}{time_column} FROM {} WHERE {condition} ORDER BY {order} LIMIT {rows}",
            self.selected, self.from
        )
    }

    /// Behind a cursor of time; none at the beginning.
    fn after(&self, dialect: &dyn Dialect, cursor: &Cursor) -> Option<String> {
        let last = literal(dialect, &Cell::Timestamp(cursor.time?));
        let t = self.time.as_deref().unwrap_or("NULL");
        Some(match &self.id {
            None => format!("{t} > {last}"),
            Some(id) => format!("{t} >= {last} AND ({t} > {last} OR {id} > {})", cursor.id.unwrap_or(i64::MIN)),
        })
    }

    /// How many rows lie between two cursors of time, the first excluded.
    pub(crate) fn between(&self, dialect: &dyn Dialect, from: &Cursor, to: &Cursor) -> String {
        let after = |cursor| self.after(dialect, cursor).unwrap_or_else(|| "1 = 1".to_owned());
        format!("SELECT COUNT(*) FROM {} WHERE {} AND NOT ({})", self.from, after(from), after(to))
    }

    /// All rows of one time.
    pub(crate) fn ties(&self, dialect: &dyn Dialect, at: i64) -> String {
        let t = self.time.as_deref().unwrap_or("NULL");
        format!(
            "SELECT {}, {t} FROM {} WHERE {t} = {}",
            self.selected,
            self.from,
            literal(dialect, &Cell::Timestamp(at))
        )
    }

    fn bulk_page(&self, dialect: &dyn Dialect, cursor: &Cursor, rows: usize) -> String {
        if self.order.is_empty() {
            return format!("SELECT {} FROM {}", self.selected, self.from);
        }
        let condition = cursor.key.as_ref().map_or_else(String::new, |key| {
            let literals: Vec<String> = key.iter().map(|part| literal(dialect, &Cell::Text(part))).collect();
            format!(" WHERE {}", above(&self.order, &literals))
        });
        format!(
            "SELECT {} FROM {}{condition} ORDER BY {} LIMIT {rows}",
            self.selected,
            self.from,
            self.order.join(", ")
        )
    }
}

/// `(a, b) > (x, y)` written out: some systems compare rows without an index.
fn above(columns: &[String], values: &[String]) -> String {
    let pairs: Vec<(&String, &String)> = columns.iter().zip(values).collect();
    let term = |n: usize| {
        let equal = pairs.iter().take(n).map(|(c, v)| format!("{c} = {v}"));
        let greater = pairs.iter().skip(n).take(1).map(|(c, v)| format!("{c} > {v}"));
        format!("({})", equal.chain(greater).collect::<Vec<_>>().join(" AND "))
    };
    format!("({})", (0..pairs.len()).map(term).collect::<Vec<_>>().join(" OR "))
}

fn literal(dialect: &dyn Dialect, cell: &Cell<'_>) -> String {
    let mut out = String::new();
    // A text or time that cannot be written compares with nothing.
    if dialect.write_cell(cell, &mut out).is_err() {
        return "NULL".to_owned();
    }
    out
}

fn config(text: String) -> Error {
    Error::Config { code: "SQL-0011", text }
}

fn schemas(
    dialect: &dyn SourceDialect,
    keys: &SourceKeys,
    table: &str,
    columns: &[ColumnFacts],
) -> Result<Vec<SchemaRef>, Error> {
    let schema = |column: &ColumnFacts| {
        let schema = dialect.schema_of(column, keys.numeric);
        schema.map(Arc::new).map_err(|why| config(format!("column {} of {table}: {why}", column.name)))
    };
    columns.iter().map(schema).collect()
}

fn key_columns(
    keys: &SourceKeys,
    table: &str,
    columns: &[ColumnFacts],
    primary: &[usize],
) -> Result<Vec<usize>, Error> {
    match keys.key_columns.as_slice() {
        [] => Ok(Vec::new()),
        [word] if word == "none" => Ok(Vec::new()),
        [word] if word == "pk" => Ok(primary.to_vec()),
        names => names.iter().map(|name| place_of(table, columns, name, "key.columns")).collect(),
    }
}

fn place_of(table: &str, columns: &[ColumnFacts], name: &str, key: &str) -> Result<usize, Error> {
    let found = columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| config(format!("{key}: table {table} has no column {name}")))
}

fn id_column(
    keys: &SourceKeys,
    table: &str,
    columns: &[ColumnFacts],
    schemas: &[SchemaRef],
) -> Result<Option<usize>, Error> {
    if !matches!(keys.mode, SourceMode::Incrementing | SourceMode::TimestampIncrementing) {
        return Ok(None);
    }
    let at = if keys.incrementing.is_empty() {
        let counting: Vec<usize> = columns.iter().enumerate().filter(|(_, c)| c.counts_up).map(|(at, _)| at).collect();
        match counting.as_slice() {
            [one] => *one,
            _ => {
                return Err(config(format!(
                    "table {table} has not exactly one column that the database counts up; name one in incrementing.column.name"
                )));
            }
        }
    } else {
        place_of(table, columns, &keys.incrementing, "incrementing.column.name")?
    };
    let is_whole =
        schemas.get(at).is_some_and(|s| matches!(s.kind, Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64));
    let Some(column) = columns.get(at).filter(|_| is_whole) else {
        return Err(config(format!("incrementing.column.name: the column of table {table} holds no whole numbers")));
    };
    refuse_null(keys, table, column)?;
    Ok(Some(at))
}

fn refuse_null(keys: &SourceKeys, table: &str, column: &ColumnFacts) -> Result<(), Error> {
    if column.optional && keys.non_null {
        let text = format!(
            "column {} of {table} may be NULL; a cursor column must be NOT NULL (validate.non.null=false to accept that such rows are never read)",
            column.name
        );
        return Err(Error::Config { code: "SQL-0012", text });
    }
    Ok(())
}

fn time_expression(
    keys: &SourceKeys,
    table: &str,
    columns: &[ColumnFacts],
    quote: &dyn Dialect,
) -> Result<Option<String>, Error> {
    if !matches!(keys.mode, SourceMode::Timestamp | SourceMode::TimestampIncrementing) {
        return Ok(None);
    }
    let mut names = Vec::with_capacity(keys.timestamps.len());
    let mut all_optional = true;
    for name in &keys.timestamps {
        let at = place_of(table, columns, name, "timestamp.column.name")?;
        let Some(column) = columns.get(at) else { continue };
        all_optional &= column.optional;
        names.push((quote.quoted(&column.name), column));
    }
    // Of several columns one that is never null is enough.
    if let Some((_, first)) = names.first().filter(|_| all_optional) {
        refuse_null(keys, table, first)?;
    }
    match names.as_slice() {
        [] => Err(config("mode timestamp needs timestamp.column.name".to_owned())),
        [(one, _)] => Ok(Some(one.clone())),
        several => {
            let list: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            Ok(Some(format!("COALESCE({})", list.join(", "))))
        }
    }
}

fn structure(name: &str, fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema {
        kind: Kind::Struct(fields.into()),
        name: Some(Arc::from(name)),
        version: None,
        optional: false,
        default: None,
        doc: None,
        parameters: std::collections::BTreeMap::new(),
    })
}
