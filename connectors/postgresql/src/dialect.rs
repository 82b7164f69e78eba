//! PostgreSQL's language. Sessions run with `standard_conforming_strings` on, which the quotes rely on.
//!
//! Every value is a quoted literal without a type: the column's own input function reads it, so that text reaches uuid,
//! json, enum and inet columns, and a number any numeric column.
use elasticflow_api::RecordError;
use elasticflow_api::data::{Kind, Schema};
use elasticflow_sql::Dialect;
use elasticflow_sql::calendar::{DAY_MICROS, write_date, write_time, write_timestamp};
use elasticflow_sql::cell::{Cell, write_decimal, write_float, write_float32, write_hex, write_int};
use elasticflow_sql::error::bad;
use elasticflow_sql::table::TableName;

/// The language.
pub struct PostgresDialect;

/// The one value of it.
pub static POSTGRES: PostgresDialect = PostgresDialect;

impl Dialect for PostgresDialect {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn quote_mark(&self) -> char {
        '"'
    }

    fn identifier_max(&self) -> usize {
        63
    }

    fn folded(&self, column: &str) -> String {
        column.to_owned()
    }

    fn write_cell(&self, cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError> {
        if *cell == Cell::Null {
            out.push_str("NULL");
            return Ok(());
        }
        out.push('\'');
        write_inside(cell, out)?;
        out.push('\'');
        Ok(())
    }

    fn column_type(&self, schema: &Schema, _: bool) -> Result<String, String> {
        let named = match schema.name.as_deref() {
            Some("org.apache.kafka.connect.data.Decimal") => return Ok(decimal_type(schema)),
            Some("io.debezium.data.VariableScaleDecimal") => Some("NUMERIC"),
            Some("org.apache.kafka.connect.data.Date" | "io.debezium.time.Date") => Some("DATE"),
            Some("org.apache.kafka.connect.data.Time" | "io.debezium.time.Time") => Some("TIME(3)"),
            Some("org.apache.kafka.connect.data.Timestamp" | "io.debezium.time.Timestamp") => Some("TIMESTAMP(3)"),
            Some("io.debezium.time.MicroTime" | "io.debezium.time.NanoTime") => Some("TIME(6)"),
            Some("io.debezium.time.MicroTimestamp" | "io.debezium.time.NanoTimestamp") => Some("TIMESTAMP(6)"),
            Some("io.debezium.time.ZonedTimestamp") => Some("TIMESTAMPTZ(6)"),
            Some("io.debezium.data.Json") => Some("JSONB"),
            Some("io.debezium.data.Uuid") => Some("UUID"),
            Some("io.debezium.data.Bits") => Some("VARBIT"),
            _ => None,
        };
        if let Some(named) = named {
            return Ok(named.to_owned());
        }
        let plain = match schema.kind {
            Kind::Int8 | Kind::Int16 => "SMALLINT",
            Kind::Int32 => "INTEGER",
            Kind::Int64 => "BIGINT",
            Kind::Float32 => "REAL",
            Kind::Float64 => "DOUBLE PRECISION",
            Kind::Boolean => "BOOLEAN",
            Kind::String => "TEXT",
            Kind::Bytes => "BYTEA",
            Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => {
                return Err("it is nested; flatten it or leave it out with fields.whitelist".to_owned());
            }
        };
        Ok(plain.to_owned())
    }

    fn upsert_tail(&self, key: &[String], rest: &[String]) -> String {
        let pairs: Vec<String> = rest.iter().map(|name| format!("{name}=EXCLUDED.{name}")).collect();
        let action = if pairs.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", pairs.join(",")) };
        format!(" ON CONFLICT ({}) DO {action}", key.join(","))
    }

    fn begin(&self) -> &'static str {
        "BEGIN ISOLATION LEVEL READ COMMITTED"
    }

    fn lock_suffix(&self) -> &'static str {
        " FOR UPDATE"
    }

    fn error_spoils_transaction(&self) -> bool {
        true
    }

    fn rows_max(&self) -> usize {
        10_000
    }

    fn describe(&self, table: &TableName) -> String {
        let this: &dyn Dialect = self;
        format!(
            "SELECT a.attname, CASE WHEN a.attnotnull THEN 0 ELSE 1 END, \
             CASE WHEN t.typname IN ('int2','int4','int8','uuid') \
             OR (t.typname IN ('text','varchar') AND COALESCE(c.collisdeterministic, true)) THEN 1 ELSE 0 END \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation c ON c.oid = a.attcollation \
             WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            this.text_literal(&table.quoted(this))
        )
    }

    fn offset_table_ddl(&self, quoted: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {quoted} (slot_id CHAR(64) COLLATE \"C\" NOT NULL PRIMARY KEY, group_id TEXT NOT NULL, \
             connector TEXT NOT NULL, topic TEXT NOT NULL, kafka_partition INTEGER NOT NULL, next_offset BIGINT NULL, \
             epoch BIGINT NOT NULL, owner TEXT NULL, updated_at TIMESTAMPTZ(6) NULL)"
        )
    }

    fn insert_absent(&self) -> (&'static str, &'static str) {
        ("INSERT INTO", " ON CONFLICT (slot_id) DO NOTHING")
    }

    fn now(&self) -> &'static str {
        "clock_timestamp()"
    }

    fn add_column(&self) -> &'static str {
        "ADD COLUMN IF NOT EXISTS "
    }
}

fn write_inside(cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError> {
    let in_range = match cell {
        Cell::Null => true,
        Cell::Boolean(b) => {
            out.push_str(if *b { "true" } else { "false" });
            true
        }
        Cell::Int(n) => {
            write_int(*n, out);
            true
        }
        Cell::Float32(x) => {
            if x.is_finite() {
                write_float32(*x, out)
            } else {
                out.push_str(not_finite(f64::from(*x)))
            }
            true
        }
        Cell::Float64(x) => {
            if x.is_finite() {
                write_float(*x, out)
            } else {
                out.push_str(not_finite(*x))
            }
            true
        }
        Cell::Text(text) => return write_text(text, out),
        Cell::Bytes(bytes) => {
            out.push_str("\\x");
            write_hex(bytes, out);
            true
        }
        Cell::Bits(bits, length) => {
            write_bits(bits, *length, out);
            true
        }
        Cell::Decimal(digits, scale) => return write_decimal(digits, *scale, out),
        Cell::Date(days) => write_date(*days, out),
        Cell::Time(micros) => {
            let in_day = (0..=DAY_MICROS).contains(micros);
            if in_day {
                write_time(*micros, out);
            }
            in_day
        }
        Cell::Timestamp(micros) => write_timestamp(*micros, out),
        Cell::Instant(micros) => {
            let in_range = write_timestamp(*micros, out);
            out.push_str("+00");
            in_range
        }
    };
    if in_range { Ok(()) } else { Err(bad("a date or time is out of range")) }
}

fn not_finite(x: f64) -> &'static str {
    if x.is_nan() {
        "NaN"
    } else if x > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn write_text(text: &str, out: &mut String) -> Result<(), RecordError> {
    if text.contains('\0') {
        return Err(bad("text holds U+0000, which PostgreSQL cannot store (PG-0021)"));
    }
    let mut parts = text.split('\'');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("''");
        out.push_str(part);
    }
    Ok(())
}

/// Bits, the highest first; their bytes come the lowest first.
fn write_bits(bits: &[u8], length: u32, out: &mut String) {
    for at in (0..length).rev() {
        let byte = usize::try_from(at / 8).ok().and_then(|at| bits.get(at)).copied().unwrap_or(0);
        out.push(if byte >> (at % 8) & 1 == 1 { '1' } else { '0' });
    }
}

fn decimal_type(schema: &Schema) -> String {
    let number = |name: &str| schema.parameters.get(name).and_then(|s| s.parse::<i32>().ok());
    match (number("connect.decimal.precision"), number("scale")) {
        (Some(precision), Some(scale)) if (1..=1000).contains(&precision) && (0..=precision).contains(&scale) => {
            format!("NUMERIC({precision},{scale})")
        }
        _ => "NUMERIC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(cell: &Cell<'_>) -> String {
        let mut out = String::new();
        POSTGRES.write_cell(cell, &mut out).unwrap();
        out
    }

    #[test]
    fn values_become_literals_that_end_where_they_should() {
        for (cell, text) in [
            (Cell::Null, "NULL"),
            (Cell::Boolean(true), "'true'"),
            (Cell::Int(-7), "'-7'"),
            (Cell::Float64(f64::NEG_INFINITY), "'-Infinity'"),
            (Cell::Text("a'b\\c'"), "'a''b\\c'''"),
            (Cell::Bytes(&[0, 255]), "'\\x00ff'"),
            (Cell::Bits(&[0b101, 1], 10), "'0100000101'"),
            (Cell::Decimal(&[4, 210], 2), "'12.34'"),
            (Cell::Instant(1), "'1970-01-01 00:00:00.000001+00'"),
        ] {
            assert_eq!(literal(&cell), text);
        }
        assert!(POSTGRES.write_cell(&Cell::Text("a\0"), &mut String::new()).is_err());
        assert!(POSTGRES.write_cell(&Cell::Time(-1), &mut String::new()).is_err());
    }
}
