//! What a table looks like: columns, key, what orders its rows, and the statements that follow.
use super::times::milliseconds;
use super::{has_time, partition_of};
use crate::config::SourceConfig;
use crate::connection::quoted;
use crate::error::Error;
use crate::types::column_schema;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef};
use elasticflow_api::position::SourcePartition;
use elasticflow_sql::source::config::SourceMode;
use rusqlite::Connection;
use std::sync::Arc;

/// A described table.
pub(crate) struct Table {
    /// Name.
    pub(crate) name: String,
    /// Topic of its records.
    pub(crate) topic: Arc<str>,
    /// Key of its positions.
    pub(crate) partition: Arc<SourcePartition>,
    /// Row schema, fields in column order.
    pub(crate) schema: SchemaRef,
    /// Schema of the record key; `None` without a primary key.
    pub(crate) key: Option<SchemaRef>,
    /// Column indices of the primary key.
    pub(crate) key_columns: Vec<usize>,
    /// Statements of this mode.
    pub(super) statements: Statements,
}

/// Statements over a table. The first column is the growing value, the second the time, each null in a mode without it; the
/// table's own columns follow. Rows whose time cannot be read come first, so that none is passed over.
pub(super) struct Statements {
    /// A page: parameters by mode, see [`super::page`].
    pub(super) page: String,
    /// Every row of one time.
    pub(super) ties: String,
}

/// Names of the user's tables.
pub(crate) fn names(connection: &Connection) -> Result<Vec<String>, Error> {
    let at = || Error::at("cannot list the tables of the file");
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(sql).map_err(at())?;
    let names = statement.query_map([], |row| row.get(0)).map_err(at())?;
    names.collect::<Result<_, _>>().map_err(at())
}

struct Column {
    name: String,
    schema: Schema,
    key_place: i64,
}

impl Table {
    /// Reads the columns of a table.
    pub(crate) fn describe(connection: &Connection, name: &str, config: &SourceConfig) -> Result<Self, Error> {
        let columns = columns(connection, name)?;
        if columns.is_empty() {
            return Err(Error::Config(format!("table {name} is not in the file")));
        }
        let statements = statements(connection, name, &columns, config)?;
        let field = |c: &Column| Field { name: Arc::from(c.name.as_str()), schema: Arc::new(c.schema.clone()) };
        let mut key: Vec<(i64, usize)> =
            columns.iter().enumerate().filter(|(_, c)| c.key_place > 0).map(|(at, c)| (c.key_place, at)).collect();
        key.sort_unstable();
        let key_columns: Vec<usize> = key.into_iter().map(|(_, at)| at).collect();
        let key_fields: Vec<Field> = key_columns.iter().filter_map(|at| columns.get(*at)).map(field).collect();
        let topic = format!("{}{name}", config.topic_prefix);
        Ok(Self {
            name: name.to_owned(),
            partition: Arc::new(partition_of(name)),
            schema: row_schema(name, columns.iter().map(field).collect()),
            key: (!key_fields.is_empty()).then(|| row_schema(&format!("{name}.Key"), key_fields)),
            key_columns,
            statements,
            topic: Arc::from(topic),
        })
    }
}

fn statements(
    connection: &Connection,
    name: &str,
    columns: &[Column],
    config: &SourceConfig,
) -> Result<Statements, Error> {
    let id = match config.mode {
        SourceMode::Timestamp => None,
        _ => Some(ordering_column(connection, name, columns, config)?),
    };
    let time = has_time(config.mode).then(|| time_columns(name, columns, config)).transpose()?;
    let list: Vec<String> = columns.iter().map(|c| quoted(&c.name)).collect();
    let (id, null) = (id.as_deref().unwrap_or("NULL"), "NULL".to_owned());
    let at = time.as_deref().map_or(null, milliseconds);
    let select = format!("SELECT {id}, {at}, {} FROM {}", list.join(", "), quoted(name));
    let unread = time.map(|time| format!("({time} IS NOT NULL AND {at} IS NULL)")).unwrap_or_default();
    let page = match config.mode {
        SourceMode::Bulk | SourceMode::Incrementing => format!("{select} WHERE {id} > ?1 ORDER BY {id} LIMIT ?2"),
        SourceMode::Timestamp => format!("{select} WHERE ({at} > ?1 AND {at} < ?3) OR {unread} ORDER BY {at} LIMIT ?2"),
        SourceMode::TimestampIncrementing => format!(
            "{select} WHERE ({at} >= ?1 AND ({at} > ?1 OR {id} > ?4) AND {at} < ?3) OR {unread} ORDER BY {at}, {id} LIMIT ?2"
        ),
    };
    Ok(Statements { page, ties: format!("{select} WHERE {at} = ?1") })
}

fn row_schema(name: &str, fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema {
        kind: Kind::Struct(fields.into()),
        name: Some(Arc::from(name)),
        version: None,
        optional: false,
        default: None,
        doc: None,
        parameters: [].into(),
    })
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<Column>, Error> {
    let at = || Error::at(format!("cannot read the columns of table {table}"));
    let mut statement =
        connection.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1)").map_err(at())?;
    let rows = statement.query_map([table], |row| {
        let declared: String = row.get(1)?;
        let key_place: i64 = row.get(3)?;
        let not_null = row.get::<_, bool>(2)? || (key_place > 0 && declared.eq_ignore_ascii_case("INTEGER"));
        Ok(Column { name: row.get(0)?, schema: column_schema(&declared, not_null), key_place })
    });
    rows.map_err(at())?.collect::<Result<_, _>>().map_err(at())
}

fn may_be_null(key: &str, columns: &str, table: &str) -> String {
    format!(
        "{key}: {columns} of table {table} may be NULL; declare it NOT NULL (validate.non.null=false to accept that such rows are never read)"
    )
}

/// The expression of a row's time, as it is stored.
fn time_columns(table: &str, columns: &[Column], config: &SourceConfig) -> Result<String, Error> {
    let mut names = Vec::with_capacity(config.timestamps.len());
    let mut all_optional = true;
    for name in &config.timestamps {
        let Some(column) = columns.iter().find(|c| c.name.eq_ignore_ascii_case(name)) else {
            return Err(Error::Config(format!("timestamp.column.name: table {table} has no column {name}")));
        };
        all_optional &= column.schema.optional;
        names.push(quoted(&column.name));
    }
    if all_optional && config.non_null {
        return Err(Error::Config(may_be_null("timestamp.column.name", &config.timestamps.join(", "), table)));
    }
    Ok(match names.as_slice() {
        [one] => one.clone(),
        several => format!("COALESCE({})", several.join(", ")),
    })
}

/// The column that orders a table's rows: the named one, which must hold integers, or the row id.
fn ordering_column(
    connection: &Connection,
    table: &str,
    columns: &[Column],
    config: &SourceConfig,
) -> Result<String, Error> {
    let named = &config.incrementing_column;
    if super::is_bulk(config.mode) || named.is_empty() {
        let sql = format!("SELECT rowid FROM {} LIMIT 0", quoted(table));
        return match connection.prepare(&sql) {
            Ok(_) => Ok("rowid".to_owned()),
            Err(_) => Err(Error::Config(format!(
                "table {table} has no row id; name an integer column in incrementing.column.name"
            ))),
        };
    }
    match columns.iter().find(|c| c.name.eq_ignore_ascii_case(named)) {
        Some(column) if column.schema.optional && config.non_null => {
            Err(Error::Config(may_be_null("incrementing.column.name", named, table)))
        }
        Some(column) if column.schema.kind == Kind::Int64 => Ok(quoted(&column.name)),
        Some(_) => {
            Err(Error::Config(format!("incrementing.column.name: {named} of table {table} is not an integer column")))
        }
        None => Err(Error::Config(format!("incrementing.column.name: table {table} has no column {named}"))),
    }
}
