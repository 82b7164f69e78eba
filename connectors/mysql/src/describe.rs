//! Tables as records of schema changes tell them, from `information_schema` and `SHOW CREATE`.
use crate::column::{Column, Described, Ty, members_of};
use crate::error::{Result, of_client};
use crate::information::{self, described_columns};
use crate::wire::Session;
use elasticflow_cdc::table_change::{ColumnDescription, TableDescription};
use mysql_async::prelude::Queryable;

const DOING: &str = "describing tables";

/// A table as it is; none if it is not there. With `comments`, what its author wrote about it.
pub(crate) async fn table(
    session: &mut Session,
    (db, name): (&str, &str),
    comments: bool,
) -> Result<Option<TableDescription>> {
    let columns = described_columns(session, db, name).await?;
    if columns.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT c.CHARACTER_SET_NAME, t.TABLE_COMMENT FROM information_schema.TABLES t \
               LEFT JOIN information_schema.COLLATIONS c ON c.COLLATION_NAME = t.TABLE_COLLATION \
               WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ?";
    let found: Option<(Option<String>, Option<String>)> =
        session.conn.exec_first(sql, (db, name)).await.map_err(|e| of_client(e, DOING))?;
    let (charset, comment) = found.unwrap_or_default();
    let (key, primary) = information::key(session, db, name).await?;
    Ok(Some(TableDescription {
        charset,
        key: if primary { key } else { Vec::new() },
        columns: columns.iter().map(|d| column(d, comments)).collect(),
        comment: comment.filter(|c| comments && !c.is_empty()),
    }))
}

/// `SHOW CREATE TABLE`; none if the table is gone or the server cannot say.
pub(crate) async fn create_statement(session: &mut Session, db: &str, name: &str) -> Result<Option<String>> {
    let sql = format!("SHOW CREATE TABLE {}.{}", quoted(db), quoted(name));
    let row: Result<Option<(String, String)>, _> = session.conn.query_first(sql).await;
    match row {
        Ok(row) => Ok(row.map(|(_, text)| text)),
        Err(mysql_async::Error::Server(refusal)) => {
            tracing::warn!(table = format!("{db}.{name}"), code = refusal.code, "the server does not describe a table");
            Ok(None)
        }
        Err(error) => Err(of_client(error, DOING)),
    }
}

/// The databases that are not the server's own: name, character set and collation.
pub(crate) async fn databases(session: &mut Session) -> Result<Vec<(String, String, String)>> {
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
               FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME";
    let all: Vec<(String, String, String)> = session.conn.query(sql).await.map_err(|e| of_client(e, DOING))?;
    Ok(all.into_iter().filter(|(db, ..)| !information::is_system(db)).collect())
}

/// The statement that sets what the server's databases start with.
pub(crate) async fn server_settings(session: &mut Session) -> Result<String> {
    let sql = "SELECT @@GLOBAL.character_set_server, @@GLOBAL.collation_server";
    let found: Option<(String, String)> = session.conn.query_first(sql).await.map_err(|e| of_client(e, DOING))?;
    let (charset, collation) = found.unwrap_or_default();
    Ok(format!("SET character_set_server={charset}, collation_server={collation}"))
}

/// Whether a table has a row.
pub(crate) async fn has_rows(session: &mut Session, db: &str, name: &str) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {}.{} LIMIT 1", quoted(db), quoted(name));
    let row: Result<Option<u8>, _> = session.conn.query_first(sql).await;
    match row {
        Ok(row) => Ok(row.is_some()),
        Err(mysql_async::Error::Server(_)) => Ok(false),
        Err(error) => Err(of_client(error, DOING)),
    }
}

/// A name in backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn column(d: &Described, comments: bool) -> ColumnDescription {
    let (jdbc_type, length, scale) = type_of(d);
    let declared = d.column_type.to_ascii_lowercase();
    let sign = if declared.contains("unsigned") { " UNSIGNED" } else { "" };
    let fill = if declared.contains("zerofill") { " ZEROFILL" } else { "" };
    let members = matches!(d.data_type.as_str(), "enum" | "set")
        .then(|| members_of(&d.column_type).into_iter().map(|m| format!("'{}'", m.replace('\'', "''"))).collect());
    let extra = d.extra.to_ascii_lowercase();
    ColumnDescription {
        name: d.name.clone(),
        jdbc_type,
        type_name: format!("{}{sign}{fill}", d.data_type.to_uppercase()),
        charset: d.charset.clone(),
        length,
        scale,
        optional: d.nullable,
        auto_incremented: extra.contains("auto_increment"),
        comment: (comments && !d.comment.is_empty()).then(|| d.comment.clone()),
        default: d.plain_default(),
        members,
    }
}

/// A column as a table map has it: what the log does not know, such as CHAR or VARCHAR, is told in its wider form.
pub(crate) fn mapped(column: &Column) -> ColumnDescription {
    let plain = |data_type: &str| Described { data_type: data_type.to_owned(), ..Described::default() };
    let exact = |data_type: &str, fsp: u8| Described { fsp: Some(u64::from(fsp)), ..plain(data_type) };
    let sized = |data_type: &str, length: u64| Described { length: Some(length), ..plain(data_type) };
    let members = |data_type: &str, members: &[String]| {
        let quoted: Vec<String> = members.iter().map(|m| format!("'{}'", m.replace('\'', "''"))).collect();
        Described { column_type: format!("{data_type}({})", quoted.join(",")), ..plain(data_type) }
    };
    let mut described = match &column.ty {
        Ty::Int { bytes, unsigned } => {
            let name = ["tinyint", "smallint", "mediumint", "int"].get(usize::from(*bytes).wrapping_sub(1));
            let sign = if *unsigned { " unsigned" } else { "" };
            let name = name.copied().unwrap_or("bigint");
            Described { column_type: format!("{name}{sign}"), ..plain(name) }
        }
        Ty::Float { .. } => plain("float"),
        Ty::Double => plain("double"),
        Ty::Decimal { precision, scale } => {
            let (precision, scale) = (Some(u64::from(*precision)), Some(u64::from(*scale)));
            Described { precision, scale, ..plain("decimal") }
        }
        Ty::Bit { bits } => Described { precision: Some(u64::from(*bits)), ..plain("bit") },
        Ty::Text { charset, length: Some(bytes) } => sized("varchar", u64::from(bytes / widest(charset))),
        Ty::Text { .. } => plain("text"),
        Ty::Binary { length } => sized("binary", u64::try_from(*length).unwrap_or(0)),
        Ty::Blob { length: Some(length) } => sized("varbinary", u64::from(*length)),
        Ty::Blob { length: None } => plain("blob"),
        Ty::Date => plain("date"),
        Ty::Time { fsp } => exact("time", *fsp),
        Ty::DateTime { fsp } => exact("datetime", *fsp),
        Ty::Timestamp { fsp } => exact("timestamp", *fsp),
        Ty::Year => plain("year"),
        Ty::Enum { members: all } => members("enum", all),
        Ty::Set { members: all } => members("set", all),
        Ty::Json => plain("json"),
        Ty::Point => plain("point"),
        Ty::Geometry => plain("geometry"),
        Ty::Vector => plain("vector"),
        Ty::Uuid => plain("uuid"),
        Ty::Inet4 => plain("inet4"),
        Ty::Inet6 => plain("inet6"),
        Ty::Unknown => Described::default(),
    };
    if let Ty::Text { charset, .. } = &column.ty {
        described.charset = Some(charset.clone());
    }
    described.name.clone_from(&column.name);
    described.nullable = column.nullable;
    self::column(&described, false)
}

/// Most bytes of a character.
fn widest(charset: &str) -> u32 {
    match charset {
        "utf8mb4" | "utf16" | "utf16le" | "utf32" | "gb18030" => 4,
        "utf8" | "utf8mb3" | "ujis" | "eucjpms" => 3,
        "ucs2" | "sjis" | "cp932" | "gbk" | "gb2312" | "big5" | "euckr" => 2,
        _ => 1,
    }
}

/// Number of the type in JDBC, length and scale, as Debezium tells them.
fn type_of(d: &Described) -> (i32, Option<i32>, Option<i32>) {
    let small = |n: Option<u64>| n.and_then(|n| i32::try_from(n).ok());
    let length = small(d.length);
    let fraction = small(d.fsp.filter(|n| *n > 0));
    // What the declaration itself has in parentheses.
    let mut given = d
        .column_type
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inner, _)| inner.split(',').map(|n| n.trim().parse::<i32>().ok()))
        .into_iter()
        .flatten();
    let (first, second) = (given.next().flatten(), given.next().flatten());
    match d.data_type.as_str() {
        "tinyint" | "smallint" => (5, first, None),
        "mediumint" | "int" | "year" => (4, first, None),
        "bigint" => (-5, first, None),
        "decimal" => (3, small(d.precision), small(d.scale)),
        "float" => (6, first, second),
        "double" => (8, first, second),
        "bit" => (-7, small(d.precision), None),
        "date" => (91, None, None),
        "time" => (92, fraction, None),
        "datetime" => (93, fraction, None),
        "timestamp" => (2014, fraction, None),
        "char" | "inet4" | "inet6" | "uuid" => (1, length, None),
        "varchar" => (12, length, None),
        "tinytext" | "text" | "mediumtext" | "longtext" => (12, None, None),
        "binary" => (-2, length, None),
        "varbinary" => (-3, length, None),
        "tinyblob" | "blob" | "mediumblob" | "longblob" => (2004, None, None),
        "enum" => (1, Some(1), None),
        "set" => {
            let members = i32::try_from(members_of(&d.column_type).len()).unwrap_or(i32::MAX);
            (1, Some(members.saturating_mul(2).saturating_sub(1)), None)
        }
        "vector" => (1111, first, None),
        _ => (1111, None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data_type: &str, column_type: &str) -> ColumnDescription {
        let d = Described { data_type: data_type.into(), column_type: column_type.into(), ..Described::default() };
        column(&d, false)
    }

    #[test]
    fn types_are_told_as_debezium_tells_them() {
        let all = [
            ("bigint", "bigint unsigned", -5, "BIGINT UNSIGNED", None, None),
            ("float", "float(7,3)", 6, "FLOAT", Some(7), Some(3)),
            ("tinyint", "tinyint(1)", 5, "TINYINT", Some(1), None),
            ("set", "set('a','b','c')", 1, "SET", Some(5), None),
            ("enum", "enum('a','b(1)')", 1, "ENUM", Some(1), None),
            ("json", "json", 1111, "JSON", None, None),
        ];
        for (data_type, column_type, jdbc, name, length, scale) in all {
            let c = told(data_type, column_type);
            assert_eq!((c.jdbc_type, c.type_name.as_str(), c.length, c.scale), (jdbc, name, length, scale));
        }
        assert_eq!(told("enum", "enum('a','it''s')").members, Some(vec!["'a'".to_owned(), "'it''s'".to_owned()]));
    }
}
