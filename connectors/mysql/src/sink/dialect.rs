//! MySQL's and MariaDB's language. Sessions run with `NO_BACKSLASH_ESCAPES` off, which the escapes rely on.
use elasticflow_api::RecordError;
use elasticflow_api::data::{Kind, Schema};
use elasticflow_sql::Dialect;
use elasticflow_sql::calendar::{write_date, write_time, write_timestamp};
use elasticflow_sql::cell::{Cell, write_decimal, write_float, write_float32, write_hex, write_int};
use elasticflow_sql::error::bad;
use elasticflow_sql::table::TableName;
use std::fmt::Write;

/// The language.
pub struct MysqlDialect;

/// The one value of it.
pub static MYSQL: MysqlDialect = MysqlDialect;

/// Most digits of a DECIMAL, and most of them after the point.
const DECIMAL_DIGITS_MAX: i32 = 65;
const DECIMAL_SCALE_MAX: i32 = 30;

impl Dialect for MysqlDialect {
    fn name(&self) -> &'static str {
        "MySQL"
    }

    fn quote_mark(&self) -> char {
        '`'
    }

    fn identifier_max(&self) -> usize {
        64
    }

    fn write_cell(&self, cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError> {
        match cell {
            Cell::Null => out.push_str("NULL"),
            Cell::Boolean(b) => out.push(if *b { '1' } else { '0' }),
            Cell::Int(n) => write_int(*n, out),
            Cell::Float32(x) if x.is_finite() => write_float32(*x, out),
            Cell::Float64(x) if x.is_finite() => write_float(*x, out),
            Cell::Float32(_) | Cell::Float64(_) => return Err(bad("MySQL stores neither NaN nor infinity")),
            Cell::Text(text) => write_text(text, out),
            Cell::Bytes(bytes) => {
                out.push_str("x'");
                write_hex(bytes, out);
                out.push('\'');
            }
            Cell::Bits(bits, _) => {
                let high_first: Vec<u8> = bits.iter().rev().copied().collect();
                out.push_str("x'");
                write_hex(&high_first, out);
                out.push('\'');
            }
            Cell::Decimal(digits, scale) => write_decimal(digits, *scale, out)?,
            Cell::Date(_) | Cell::Time(_) | Cell::Timestamp(_) | Cell::Instant(_) => return write_moment(cell, out),
        }
        Ok(())
    }

    /// Texts, bytes and JSON take an expression alone, which is what stands in parentheses.
    fn write_default(&self, cell: &Cell<'_>, out: &mut String) -> bool {
        let is_expression = matches!(cell, Cell::Text(_) | Cell::Bytes(_));
        if is_expression {
            out.push('(');
        }
        let written = self.write_cell(cell, out).is_ok();
        if is_expression {
            out.push(')');
        }
        written
    }

    fn column_type(&self, schema: &Schema, in_key: bool) -> Result<String, String> {
        let named = match schema.name.as_deref() {
            Some("org.apache.kafka.connect.data.Decimal") => return decimal_type(schema),
            Some("org.apache.kafka.connect.data.Date" | "io.debezium.time.Date") => Some("DATE"),
            Some("org.apache.kafka.connect.data.Time" | "io.debezium.time.Time") => Some("TIME(3)"),
            Some("org.apache.kafka.connect.data.Timestamp" | "io.debezium.time.Timestamp") => Some("DATETIME(3)"),
            Some("io.debezium.time.MicroTime" | "io.debezium.time.NanoTime") => Some("TIME(6)"),
            Some("io.debezium.time.MicroTimestamp" | "io.debezium.time.NanoTimestamp") => Some("DATETIME(6)"),
            Some("io.debezium.time.ZonedTimestamp") => Some("TIMESTAMP(6)"),
            Some("io.debezium.time.Year") => Some("YEAR"),
            Some("io.debezium.data.Json") => Some("JSON"),
            Some("io.debezium.data.Enum" | "io.debezium.data.EnumSet") => Some("VARCHAR(255)"),
            Some("io.debezium.data.Uuid") => Some("CHAR(36)"),
            Some("io.debezium.data.Bits") => return Ok(bit_type(schema)),
            Some("io.debezium.data.VariableScaleDecimal") => Some("DECIMAL(65,30)"),
            _ => None,
        };
        if let Some(named) = named {
            return Ok(named.to_owned());
        }
        let plain = match (&schema.kind, in_key) {
            (Kind::Int8, _) => "TINYINT",
            (Kind::Int16, _) => "SMALLINT",
            (Kind::Int32, _) => "INT",
            (Kind::Int64, _) => "BIGINT",
            (Kind::Float32, _) => "FLOAT",
            (Kind::Float64, _) => "DOUBLE",
            (Kind::Boolean, _) => "TINYINT(1)",
            (Kind::String, false) => "LONGTEXT",
            (Kind::String, true) => "VARCHAR(255)",
            (Kind::Bytes, false) => "LONGBLOB",
            (Kind::Bytes, true) => "VARBINARY(255)",
            (Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_), _) => {
                return Err("it is nested; flatten it or leave it out with fields.whitelist".to_owned());
            }
        };
        Ok(plain.to_owned())
    }

    fn table_options(&self) -> &'static str {
        " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    }

    fn upsert_tail(&self, key: &[String], rest: &[String]) -> String {
        // A table of key columns alone has nothing to change; the statement still must not fail.
        let changed = if rest.is_empty() { key } else { rest };
        let pairs: Vec<String> = changed.iter().map(|name| format!("{name}=VALUES({name})")).collect();
        format!(" ON DUPLICATE KEY UPDATE {}", pairs.join(","))
    }

    fn begin(&self) -> &'static str {
        "START TRANSACTION"
    }

    fn lock_suffix(&self) -> &'static str {
        " FOR UPDATE"
    }

    fn error_spoils_transaction(&self) -> bool {
        false
    }

    fn rows_max(&self) -> usize {
        10_000
    }

    fn describe(&self, table: &TableName) -> String {
        let this: &dyn Dialect = self;
        let schema = table.schema.as_ref().map_or_else(|| "DATABASE()".to_owned(), |s| this.text_literal(s));
        format!(
            "SELECT COLUMN_NAME, IS_NULLABLE = 'YES', \
             DATA_TYPE IN ('tinyint','smallint','mediumint','int','bigint') OR COALESCE(COLLATION_NAME, '') = 'utf8mb4_0900_bin' \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
            this.text_literal(&table.table)
        )
    }

    fn offset_table_ddl(&self, quoted: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {quoted} (slot_id CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
             group_id VARCHAR(255) NOT NULL, connector VARCHAR(255) NOT NULL, topic VARCHAR(249) NOT NULL, \
             kafka_partition INT NOT NULL, next_offset BIGINT NULL, epoch BIGINT NOT NULL, owner VARCHAR(255) NULL, \
             updated_at DATETIME(6) NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
        )
    }

    fn insert_absent(&self) -> (&'static str, &'static str) {
        // IGNORE would hide other errors too; assigning the key to itself hides nothing.
        ("INSERT INTO", " ON DUPLICATE KEY UPDATE slot_id=VALUES(slot_id)")
    }

    fn create_like(&self, quoted: &str, like: &str) -> String {
        format!("CREATE TABLE IF NOT EXISTS {quoted} LIKE {like}")
    }

    fn swaps_by_rename(&self) -> bool {
        true
    }

    fn now(&self) -> &'static str {
        "UTC_TIMESTAMP(6)"
    }
}

/// A text with what would end or change the literal escaped.
fn write_text(text: &str, out: &mut String) {
    out.push('\'');
    let mut rest = text;
    // Without an early end, so that it is done sixteen at a time; few texts have any.
    let has_special = text.bytes().fold(false, |met, byte| met | (byte == b'\'') | (byte == b'\\') | (byte == 0));
    let is_special = |byte: u8| matches!(byte, b'\'' | b'\\' | 0);
    while has_special && let Some(at) = rest.bytes().position(is_special) {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        let mut chars = special.chars();
        out.push_str(match chars.next() {
            Some('\'') => "''",
            Some('\\') => "\\\\",
            _ => "\\0",
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('\'');
}

fn write_moment(cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError> {
    out.push('\'');
    let in_range = match cell {
        Cell::Date(days) => write_date(*days, out),
        Cell::Time(micros) => {
            if *micros < 0 {
                out.push('-');
            }
            write_time(micros.saturating_abs(), out);
            true
        }
        Cell::Timestamp(micros) | Cell::Instant(micros) => write_timestamp(*micros, out),
        _ => false,
    };
    out.push('\'');
    if in_range { Ok(()) } else { Err(bad("a date or time is out of range")) }
}

fn decimal_type(schema: &Schema) -> Result<String, String> {
    let number = |name: &str| schema.parameters.get(name).and_then(|s| s.parse::<i32>().ok());
    let scale = number("scale").unwrap_or(0);
    if !(0..=DECIMAL_SCALE_MAX).contains(&scale) {
        return Err(format!(
            "its scale is {scale}, and DECIMAL takes 0 to {DECIMAL_SCALE_MAX}; create the column by hand"
        ));
    }
    let precision = number("connect.decimal.precision").filter(|p| (1..=DECIMAL_DIGITS_MAX).contains(p) && *p >= scale);
    Ok(format!("DECIMAL({},{scale})", precision.unwrap_or(DECIMAL_DIGITS_MAX)))
}

fn bit_type(schema: &Schema) -> String {
    let mut out = String::new();
    let length = schema.parameters.get("length").and_then(|s| s.parse::<u32>().ok()).unwrap_or(64).clamp(1, 64);
    // Writing to a String cannot fail.
    let _ = write!(out, "BIT({length})");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(cell: &Cell<'_>) -> String {
        let mut out = String::new();
        MYSQL.write_cell(cell, &mut out).unwrap();
        out
    }

    #[test]
    fn values_become_literals_that_end_where_they_should() {
        for (cell, text) in [
            (Cell::Null, "NULL"),
            (Cell::Boolean(true), "1"),
            (Cell::Int(-7), "-7"),
            (Cell::Float64(0.1), "0.1"),
            (Cell::Text("a'b\\c\0d'"), "'a''b\\\\c\\0d'''"),
            (Cell::Bytes(&[0, 255]), "x'00ff'"),
            (Cell::Bits(&[1, 2], 16), "x'0201'"),
            (Cell::Decimal(&[4, 210], 2), "12.34"),
            (Cell::Date(0), "'1970-01-01'"),
            (Cell::Time(-3_600_000_001), "'-01:00:00.000001'"),
            (Cell::Timestamp(1), "'1970-01-01 00:00:00.000001'"),
        ] {
            assert_eq!(literal(&cell), text);
        }
        assert!(MYSQL.write_cell(&Cell::Float64(f64::NAN), &mut String::new()).is_err());
    }

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        let this: &dyn Dialect = &MYSQL;
        assert_eq!(this.quoted("a`b"), "`a``b`");
        assert_eq!(this.quoted("a\0b"), "`ab`");
    }
}
