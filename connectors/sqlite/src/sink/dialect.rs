//! SQLite's language.
use elasticflow_api::RecordError;
use elasticflow_api::data::{Kind, Schema};
use elasticflow_sql::Dialect;
use elasticflow_sql::calendar::{DAY_MICROS, write_date, write_time, write_timestamp};
use elasticflow_sql::cell::{Cell, write_decimal, write_float, write_hex, write_int};
use elasticflow_sql::error::bad;
use elasticflow_sql::table::TableName;
use std::fmt::Write;
use std::ops::RangeInclusive;

/// The language.
pub(crate) struct SqliteDialect;

/// The one value of it.
pub(crate) static SQLITE: SqliteDialect = SqliteDialect;

impl Dialect for SqliteDialect {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn quote_mark(&self) -> char {
        '"'
    }

    fn identifier_max(&self) -> usize {
        1000
    }

    fn name_parts_max(&self) -> usize {
        1
    }

    fn write_cell(&self, cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError> {
        match cell {
            Cell::Null => out.push_str("NULL"),
            Cell::Boolean(b) => out.push(if *b { '1' } else { '0' }),
            Cell::Int(n) => write_int(*n, out),
            Cell::Float32(x) => write_real(f64::from(*x), out)?,
            Cell::Float64(x) => write_real(*x, out)?,
            Cell::Text(text) => write_text(text, out),
            Cell::Bytes(bytes) | Cell::Bits(bytes, _) => {
                out.push_str("x'");
                write_hex(bytes, out);
                out.push('\'');
            }
            Cell::Decimal(digits, scale) => {
                out.push('\'');
                write_decimal(digits, *scale, out)?;
                out.push('\'');
            }
            Cell::Date(_) | Cell::Time(_) | Cell::Timestamp(_) | Cell::Instant(_) => return write_moment(cell, out),
        }
        Ok(())
    }

    fn column_type(&self, schema: &Schema, _: bool) -> Result<String, String> {
        let named = schema.name.as_deref().unwrap_or_default();
        let is_text = named == "org.apache.kafka.connect.data.Decimal"
            || named == "io.debezium.data.VariableScaleDecimal"
            || matches!(
                named
                    .strip_prefix("org.apache.kafka.connect.data.")
                    .or_else(|| named.strip_prefix("io.debezium.time.")),
                Some(
                    "Date"
                        | "Time"
                        | "Timestamp"
                        | "MicroTime"
                        | "MicroTimestamp"
                        | "NanoTime"
                        | "NanoTimestamp"
                        | "ZonedTimestamp"
                )
            );
        let plain = match schema.kind {
            _ if is_text => "TEXT",
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Boolean => "INTEGER",
            Kind::Float32 | Kind::Float64 => "REAL",
            Kind::Bytes => "BLOB",
            Kind::String => "TEXT",
            Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => {
                return Err("it is nested; flatten it or leave it out with fields.whitelist".to_owned());
            }
        };
        Ok(plain.to_owned())
    }

    fn table_options(&self) -> &'static str {
        " STRICT"
    }

    fn upsert_tail(&self, key: &[String], rest: &[String]) -> String {
        let pairs: Vec<String> = rest.iter().map(|name| format!("{name}=excluded.{name}")).collect();
        let action = if pairs.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", pairs.join(",")) };
        format!(" ON CONFLICT ({}) DO {action}", key.join(","))
    }

    fn begin(&self) -> &'static str {
        // IMMEDIATE takes the write lock at once: it is the fence. A deferred transaction could read an epoch that is no
        // longer true.
        "BEGIN IMMEDIATE"
    }

    fn lock_suffix(&self) -> &'static str {
        ""
    }

    fn error_spoils_transaction(&self) -> bool {
        false
    }

    fn rows_max(&self) -> usize {
        500
    }

    fn row_list(&self) -> &'static str {
        "VALUES "
    }

    fn always_in_order(&self) -> bool {
        true
    }

    fn describe(&self, table: &TableName) -> String {
        let this: &dyn Dialect = self;
        format!(
            "SELECT name, CASE WHEN \"notnull\" THEN 0 ELSE 1 END, 0 FROM pragma_table_info({})",
            this.text_literal(&table.table)
        )
    }

    fn offset_table_ddl(&self, quoted: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {quoted} (slot_id TEXT NOT NULL PRIMARY KEY, group_id TEXT NOT NULL, \
             connector TEXT NOT NULL, topic TEXT NOT NULL, kafka_partition INTEGER NOT NULL, next_offset INTEGER, \
             epoch INTEGER NOT NULL, owner TEXT, updated_at TEXT) WITHOUT ROWID"
        )
    }

    fn insert_absent(&self) -> (&'static str, &'static str) {
        ("INSERT INTO", " ON CONFLICT (slot_id) DO NOTHING")
    }

    fn body_query(&self, table: &TableName) -> Option<String> {
        let this: &dyn Dialect = self;
        let name = this.text_literal(&table.table);
        Some(format!("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = {name}"))
    }

    fn now(&self) -> &'static str {
        "strftime('%Y-%m-%d %H:%M:%f','now')"
    }
}

/// SQLite turns NaN into NULL, so NaN is refused; it has no word for infinity, and a number too large is one.
fn write_real(x: f64, out: &mut String) -> Result<(), RecordError> {
    if x.is_nan() {
        return Err(bad("NaN cannot be stored: SQLite would turn it into NULL"));
    }
    if x.is_finite() {
        if x == 0.0 || EXACT.contains(&x.abs()) { write_float(x, out) } else { write_factors(x, out) }
    } else {
        out.push_str(if x > 0.0 { "9e999" } else { "-9e999" });
    }
    Ok(())
}

/// Numbers whose decimal form SQLite reads exactly; one in six beyond comes out next to what was written (3.50).
const EXACT: RangeInclusive<f64> = 1e-9..=1e15;
/// 2 to the power of 60, which SQLite reads exactly.
const LARGE: &str = "1152921504606846976.0";

/// A number as a product of an integer and powers of two, so that nothing is rounded on the way.
fn write_factors(x: f64, out: &mut String) {
    let bits = x.to_bits();
    let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    // The hidden bit, which numbers below the normal ones do not have.
    let (mut digits, mut power) = if exponent == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, i64::try_from(exponent).unwrap_or(0) - 1075)
    };
    let even = i64::from(digits.trailing_zeros());
    (digits, power) = (digits >> even, power + even);
    let sign = if x < 0.0 { "-" } else { "" };
    let mut written = write!(out, "({sign}{digits}.0");
    let operator = if power < 0 { '/' } else { '*' };
    for _ in 0..power.abs() / 60 {
        written = written.and_then(|()| write!(out, "{operator}{LARGE}"));
    }
    written = written.and_then(|()| write!(out, "{operator}{}.0)", 1_u64 << (power.abs() % 60)));
    debug_assert!(written.is_ok(), "a string takes everything");
}

/// A statement's text ends at a NUL, so that a text with one is written by its bytes.
fn write_text(text: &str, out: &mut String) {
    if text.contains('\0') {
        out.push_str("CAST(x'");
        write_hex(text.as_bytes(), out);
        out.push_str("' AS TEXT)");
        return;
    }
    out.push('\'');
    let mut parts = text.split('\'');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("''");
        out.push_str(part);
    }
    out.push('\'');
}

/// ISO-8601 in UTC, with milliseconds where that is exact.
fn write_moment(cell: &Cell<'_>, out: &mut String) -> Result<(), RecordError> {
    out.push('\'');
    let (in_range, fraction) = match cell {
        Cell::Date(days) => (write_date(*days, out), None),
        Cell::Time(micros) => {
            let in_day = (0..=DAY_MICROS).contains(micros);
            if in_day {
                write_time(*micros, out);
            }
            (in_day, Some(*micros))
        }
        Cell::Timestamp(micros) | Cell::Instant(micros) => (write_timestamp(*micros, out), Some(*micros)),
        _ => (false, None),
    };
    if in_range && fraction.is_some_and(|micros| micros % 1000 == 0) {
        out.truncate(out.len().saturating_sub(3));
    }
    out.push('\'');
    if in_range { Ok(()) } else { Err(bad("a date or time is out of range")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_literals_that_end_where_they_should() {
        for (cell, text) in [
            (Cell::Null, "NULL"),
            (Cell::Text("a'b"), "'a''b'"),
            (Cell::Text("a\0"), "CAST(x'6100' AS TEXT)"),
            (Cell::Bytes(&[0, 255]), "x'00ff'"),
            (Cell::Decimal(&[4, 210], 2), "'12.34'"),
            (Cell::Float64(f64::INFINITY), "9e999"),
            (Cell::Timestamp(1_000), "'1970-01-01 00:00:00.001'"),
            (Cell::Timestamp(1), "'1970-01-01 00:00:00.000001'"),
            (Cell::Time(0), "'00:00:00.000'"),
        ] {
            let mut out = String::new();
            SQLITE.write_cell(&cell, &mut out).unwrap();
            assert_eq!(out, text);
        }
        assert!(SQLITE.write_cell(&Cell::Float64(f64::NAN), &mut String::new()).is_err());
    }

    /// SQLite reads exactly what is written for each finite number.
    fn come_out_as_they_are(numbers: impl Iterator<Item = f64>) {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        for x in numbers.filter(|x| x.is_finite()) {
            let mut statement = "SELECT ".to_owned();
            SQLITE.write_cell(&Cell::Float64(x), &mut statement).unwrap();
            let read: f64 = database.query_row(&statement, [], |row| row.get(0)).unwrap();
            assert_eq!(read.to_bits(), x.to_bits(), "{x:e} was written as {statement} and is read as {read:e}");
        }
    }

    #[test]
    fn numbers_of_every_size_are_stored_exactly() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        come_out_as_they_are((0..20_000).map(|_| f64::from_bits(random())));
        let ordinary = EXACT.start().to_bits()..=EXACT.end().to_bits();
        come_out_as_they_are(
            (0..40_000).map(|_| f64::from_bits(ordinary.start() + random() % (ordinary.end() - ordinary.start()))),
        );
        let edges = [
            0.0,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            5e-324,
            1.1e-300,
            1e22,
            0.1,
            1e15,
            1e-9,
            9_007_199_254_740_993.0,
        ];
        come_out_as_they_are(edges.into_iter().flat_map(|x| [x, -x]).filter(|x| x.to_bits() != (-0.0_f64).to_bits()));
    }
}
