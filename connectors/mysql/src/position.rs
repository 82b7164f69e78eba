//! Positions in the log and the offset stored for them: Debezium's fields, so that its offsets go on.
use crate::error::{Error, Result};
use crate::gtid::{GtidSet, Gtids, MariaGtids};
use crate::txmeta::Stored;
use elasticflow_api::position::SourceOffset;
use serde_json::{Map, Value as Json};
use std::cmp::Ordering;
use std::sync::Arc;

/// A place in the log of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    /// Log file.
    pub file: Arc<str>,
    /// End of what has been read in it.
    pub pos: u64,
}

impl LogPosition {
    /// Joins the parts.
    pub fn new(file: &str, pos: u64) -> Self {
        Self { file: Arc::from(file), pos }
    }

    /// File numbers compare as numbers: `.1000000` comes after `.999999`.
    fn number(&self) -> u64 {
        self.file.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

impl PartialOrd for LogPosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LogPosition {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.file == other.file {
            return self.pos.cmp(&other.pos);
        }
        (self.number(), self.pos).cmp(&(other.number(), other.pos))
    }
}

impl std::fmt::Display for LogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.pos)
    }
}

/// What is done of a transaction that was sent in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Events of it; 0 and 0 between transactions.
    pub events: u64,
    /// Rows of the next event.
    pub rows: u64,
    /// Its id, if that is known: on another server other transactions may come before it.
    pub gtid: Option<Arc<str>>,
}

impl Part {
    /// Whether there is such a transaction.
    pub fn is_open(&self) -> bool {
        self.events > 0 || self.rows > 0
    }

    /// Whether a transaction is the one.
    pub fn is_of(&self, gtid: Option<&str>) -> bool {
        self.gtid.is_none() || self.gtid.as_deref() == gtid
    }
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Place in the log: between transactions, or where the transaction begins that was sent in part.
    pub at: LogPosition,
    /// Transactions executed before that place.
    pub gtids: Gtids,
    /// What is done of the transaction there.
    pub part: Part,
    /// What Debezium's snapshot said about itself.
    pub snapshot: Option<String>,
    /// Our own field: progress of the snapshot.
    pub own: Option<String>,
    /// The transaction that was open.
    pub transaction: Stored,
}

/// Name of our own field; Debezium ignores it.
pub const OWN_FIELD: &str = "elasticflow";
/// Field with the id of the transaction that was sent in part.
const OPEN_FIELD: &str = "elasticflow_gtid";

impl Resume {
    /// Between transactions.
    pub fn new(at: LogPosition, gtids: Gtids) -> Self {
        let transaction = Stored::default();
        Self { at, gtids, part: Part::default(), snapshot: None, own: None, transaction }
    }

    /// Reads a stored offset.
    ///
    /// # Errors
    /// A field is missing or cannot be read: an unreadable offset is no absent one.
    pub fn read(offset: &SourceOffset) -> Result<Self> {
        let bad = |reason: String| Error::OffsetUndecodable { reason };
        let text = |key: &str| offset.0.get(key).and_then(Json::as_str);
        let number = |key: &str| match offset.0.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Number(n)) if n.as_u64().is_some() => Ok(n.as_u64()),
            Some(Json::String(s)) if s.parse::<u64>().is_ok() => Ok(s.parse().ok()),
            Some(_) => Err(bad(format!("`{key}` is no number"))),
        };
        let file = text("file").ok_or_else(|| bad("`file` is missing".to_owned()))?;
        let pos = number("pos")?.ok_or_else(|| bad("`pos` is missing".to_owned()))?;
        Ok(Self {
            at: LogPosition::new(file, pos),
            gtids: gtids(text("gtids").unwrap_or_default()).map_err(|e| bad(format!("`gtids`: {e}")))?,
            part: Part {
                events: number("event")?.unwrap_or(0),
                rows: number("row")?.unwrap_or(0),
                gtid: text(OPEN_FIELD).map(Arc::from),
            },
            snapshot: match offset.0.get("snapshot") {
                None | Some(Json::Null | Json::Bool(false)) => None,
                Some(Json::String(word)) => (word != "false").then(|| word.clone()),
                Some(_) => Some("INITIAL".to_owned()),
            },
            own: text(OWN_FIELD).map(str::to_owned),
            transaction: Stored::read(&offset.0),
        })
    }
}

/// Reads the text of a set: MariaDB's has no colon.
fn gtids(text: &str) -> std::result::Result<Gtids, String> {
    if text.trim().is_empty() {
        Ok(Gtids::Off)
    } else if text.contains(':') {
        GtidSet::parse(text).map(Gtids::MySql)
    } else {
        MariaGtids::parse(text).map(Gtids::Maria)
    }
}

/// The parts of an offset that is written.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// Seconds of the event.
    pub ts_sec: i64,
    /// Place to go on from.
    pub at: &'a LogPosition,
    /// Transactions executed before.
    pub gtids: Option<&'a str>,
    /// What is done of the transaction there.
    pub part: Part,
    /// Server of the event.
    pub server_id: Option<u32>,
    /// Progress of a snapshot that still runs.
    pub snapshot: Option<&'a str>,
    /// Whether it is the first one, which ends before the stream alone is left.
    pub initial: bool,
}

/// Builds the offset.
pub fn offset(parts: &Parts<'_>) -> SourceOffset {
    let mut map = Map::new();
    map.insert("ts_sec".to_owned(), parts.ts_sec.into());
    map.insert("file".to_owned(), Json::String(parts.at.file.as_ref().to_owned()));
    map.insert("pos".to_owned(), parts.at.pos.into());
    if let Some(gtids) = parts.gtids {
        map.insert("gtids".to_owned(), Json::String(gtids.to_owned()));
    }
    let part = &parts.part;
    if part.is_open() {
        map.insert("row".to_owned(), part.rows.into());
        map.insert("event".to_owned(), part.events.into());
        if let Some(gtid) = &part.gtid {
            map.insert(OPEN_FIELD.to_owned(), Json::String(gtid.as_ref().to_owned()));
        }
    }
    if let Some(id) = parts.server_id {
        map.insert("server_id".to_owned(), id.into());
    }
    if let Some(progress) = parts.snapshot {
        if parts.initial {
            map.insert("snapshot".to_owned(), Json::String("INITIAL".to_owned()));
        }
        map.insert(OWN_FIELD.to_owned(), Json::String(progress.to_owned()));
    }
    SourceOffset(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(json: &str) -> SourceOffset {
        SourceOffset(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_offset_of_debezium_is_read() {
        let resume = Resume::read(&stored(
            r#"{"ts_sec":1,"file":"binlog.000003","pos":197,"gtids":"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5","row":2,"server_id":101,"event":3}"#,
        ))
        .unwrap();
        assert_eq!((resume.at, resume.part.events, resume.part.rows), (LogPosition::new("binlog.000003", 197), 3, 2));
        assert_eq!(resume.gtids.text().unwrap(), "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5");
    }

    #[test]
    fn an_unreadable_offset_is_an_error() {
        for json in [r#"{"pos":4}"#, r#"{"file":"a.1","pos":"x"}"#, r#"{"file":"a.1","pos":4,"gtids":"x:y"}"#] {
            assert!(matches!(Resume::read(&stored(json)), Err(Error::OffsetUndecodable { .. })), "{json}");
        }
    }

    #[test]
    fn file_numbers_compare_as_numbers() {
        assert!(LogPosition::new("b.1000000", 4) > LogPosition::new("b.999999", 900));
        assert!(LogPosition::new("b.000001", 5) > LogPosition::new("b.000001", 4));
    }
}
