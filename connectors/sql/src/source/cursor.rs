//! Where reading stands in a table, as Connect's source offset.
use super::config::SourceMode;
use crate::error::Error;
use elasticflow_api::position::{SourceOffset, SourcePartition};
use serde_json::{Map, Value as Json};

/// Where reading stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Last time read, microseconds since 1970.
    pub(crate) time: Option<i64>,
    /// Last value of the growing column.
    pub(crate) id: Option<i64>,
    /// Last key of an unfinished bulk read, as texts.
    pub(crate) key: Option<Vec<String>>,
    /// Finished bulk reads.
    pub(crate) run: i64,
}

impl Cursor {
    /// From a stored offset; one that cannot be read is an error, never a fresh start.
    pub(crate) fn read(mode: SourceMode, stored: &SourceOffset, table: &str) -> Result<Self, Error> {
        let stored = &stored.0;
        let whole = |key: &str| stored.get(key).and_then(Json::as_i64);
        let time = whole("timestamp").map(|ms| {
            let nanos = whole("timestamp_nanos").unwrap_or_default();
            // The nanoseconds are those of the whole second, as in java.sql.Timestamp.
            ms.div_euclid(1000) * 1_000_000 + nanos / 1000
        });
        let id = whole("incrementing");
        let cursor = match mode {
            SourceMode::Incrementing => id.map(|id| Self { id: Some(id), ..Self::default() }),
            SourceMode::Timestamp => time.map(|time| Self { time: Some(time), ..Self::default() }),
            SourceMode::TimestampIncrementing => {
                time.map(|time| Self { time: Some(time), id: Some(id.unwrap_or(i64::MIN)), ..Self::default() })
            }
            SourceMode::Bulk => bulk(stored),
        };
        cursor.ok_or_else(|| Error::Definite {
            code: "SQL-0040",
            text: format!("stored offset of {table} cannot be decoded; alter or reset the connector's offsets"),
        })
    }

    /// As stored after a row.
    pub(crate) fn stored(&self, mode: SourceMode) -> SourceOffset {
        let mut out = Map::new();
        if let Some(time) = self.time {
            out.insert("timestamp".to_owned(), time.div_euclid(1000).into());
            out.insert("timestamp_nanos".to_owned(), (time.rem_euclid(1_000_000) * 1000).into());
        }
        if let Some(id) = self.id {
            out.insert("incrementing".to_owned(), id.into());
        }
        if mode == SourceMode::Bulk {
            out.insert("bulk_run".to_owned(), self.run.into());
            out.insert("bulk_key".to_owned(), self.key.clone().map_or(Json::Null, Json::from));
            out.insert("bulk_done".to_owned(), self.key.is_none().into());
        }
        SourceOffset(out)
    }
}

fn bulk(stored: &Map<String, Json>) -> Option<Cursor> {
    let run = stored.get("bulk_run")?.as_i64()?;
    let key = match (stored.get("bulk_done")?.as_bool()?, stored.get("bulk_key")?) {
        (true, _) => None,
        (false, Json::Array(parts)) => {
            Some(parts.iter().map(|p| p.as_str().map(str::to_owned)).collect::<Option<_>>()?)
        }
        (false, _) => return None,
    };
    Some(Cursor { run, key, ..Cursor::default() })
}

/// The source partition of a table.
pub(crate) fn partition_of(table: &str) -> SourcePartition {
    SourcePartition(Map::from_iter([("protocol".to_owned(), Json::from("1")), ("table".to_owned(), Json::from(table))]))
}

/// The partition that older connectors write.
pub(crate) fn legacy_partition_of(table: &str) -> SourcePartition {
    SourcePartition(Map::from_iter([("table".to_owned(), Json::from(table))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cursor_is_read_back_from_what_it_stores() {
        let cursors = [
            (SourceMode::Incrementing, Cursor { id: Some(-4), ..Cursor::default() }),
            (SourceMode::Timestamp, Cursor { time: Some(-1), ..Cursor::default() }),
            (SourceMode::Timestamp, Cursor { time: Some(1_700_000_000_123_456), ..Cursor::default() }),
            (SourceMode::TimestampIncrementing, Cursor { time: Some(5), id: Some(7), ..Cursor::default() }),
            (SourceMode::Bulk, Cursor { run: 3, key: Some(vec!["a".to_owned()]), ..Cursor::default() }),
            (SourceMode::Bulk, Cursor { run: 4, ..Cursor::default() }),
        ];
        for (mode, cursor) in cursors {
            assert_eq!(Cursor::read(mode, &cursor.stored(mode), "t").unwrap(), cursor);
        }
    }

    #[test]
    fn an_offset_of_another_mode_is_an_error_and_never_a_fresh_start() {
        let stored = Cursor { id: Some(1), ..Cursor::default() }.stored(SourceMode::Incrementing);
        for mode in [SourceMode::Timestamp, SourceMode::TimestampIncrementing, SourceMode::Bulk] {
            assert!(Cursor::read(mode, &stored, "t").is_err());
        }
    }
}
