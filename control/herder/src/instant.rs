//! Instants for people.
use chrono::{DateTime, SecondsFormat};

/// ISO-8601 in UTC with milliseconds, from milliseconds since 1970.
pub(crate) fn iso_utc(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::iso_utc;

    #[test]
    fn instants_are_written_in_utc_with_milliseconds() {
        assert_eq!(iso_utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_utc(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
