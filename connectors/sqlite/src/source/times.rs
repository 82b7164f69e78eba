//! Times of SQLite, which has no type for them: each value says by its class what it is.
use crate::error::Error;
use rusqlite::Connection;

/// Milliseconds since 1970 of an expression, null where that is no time: text as SQLite's own functions read it, whole
/// numbers as seconds, milliseconds or microseconds by their magnitude, and broken ones as Julian days.
pub(super) fn milliseconds(value: &str) -> String {
    format!(
        "CASE typeof({value}) \
         WHEN 'integer' THEN CASE \
         WHEN {value} BETWEEN -99999999999 AND 99999999999 THEN {value} * 1000 \
         WHEN {value} BETWEEN -99999999999999 AND 99999999999999 THEN {value} ELSE {value} / 1000 END \
         WHEN 'real' THEN CAST(round(({value} - 2440587.5) * 86400000.0) AS INTEGER) \
         WHEN 'text' THEN CAST(round(unixepoch({value}, 'subsec') * 1000) AS INTEGER) END"
    )
}

/// SQLite's clock, milliseconds since 1970.
pub(super) fn now(connection: &Connection) -> Result<i64, Error> {
    let sql = format!("SELECT {}", milliseconds("strftime('%Y-%m-%d %H:%M:%f', 'now')"));
    connection.query_row(&sql, [], |row| row.get(0)).map_err(Error::at("cannot read SQLite's clock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_class_are_read_as_times() {
        let connection = Connection::open_in_memory().unwrap();
        for (value, wanted) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000123", Some(1_700_000_000_123)),
            ("1700000000123456", Some(1_700_000_000_123)),
            ("-1", Some(-1000)),
            ("'2023-11-14 22:13:20.123'", Some(1_700_000_000_123)),
            ("'2023-11-14T22:13:20Z'", Some(1_700_000_000_000)),
            ("'2023-11-15 00:13:20+02:00'", Some(1_700_000_000_000)),
            ("2440588.5", Some(86_400_000)),
            ("'soon'", None),
            ("x'00'", None),
            ("NULL", None),
            ("-9223372036854775808", Some(-9_223_372_036_854_775)),
        ] {
            let sql = format!("SELECT {}", milliseconds(value));
            let read: Option<i64> = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(read, wanted, "{value}");
        }
    }

    #[test]
    fn the_clock_is_after_the_code_was_written() {
        assert!(now(&Connection::open_in_memory().unwrap()).unwrap() > 1_700_000_000_000);
    }
}
