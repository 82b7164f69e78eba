//! Rows of an offsets topic, and the table that they make.
use crate::problem::{Problem, json_reason};
use bytes::Bytes;
use elasticflow_kafka::ports::LogRecord;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Key of a row, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetKey {
    /// Connector.
    pub connector: String,
    /// Source partition: a flat object, or null.
    pub partition: Json,
}

/// A position that is stored for a source partition.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPosition {
    /// Key bytes as written.
    pub key: Bytes,
    /// Source partition.
    pub partition: Json,
    /// Source offset; a row whose value cannot be decoded is a problem, never an absent position.
    pub offset: Result<Json, Problem>,
}

/// Positions of every connector of a topic.
#[derive(Debug, Default)]
pub struct OffsetTable {
    /// By connector, then by the canonical text of the partition.
    rows: BTreeMap<String, BTreeMap<String, StoredPosition>>,
}

impl OffsetTable {
    /// Takes the next record of the topic.
    ///
    /// # Errors
    /// A key that is not `["<connector>",{...}]`: it belongs to nobody and can only be reported.
    pub fn fold(&mut self, record: &LogRecord) -> Result<(), Problem> {
        let key = decode_key(&record.key)?;
        let partition = canonical(&key.partition);
        let of_connector = self.rows.entry(key.connector).or_default();
        let offset = record.value.as_deref().map(|v| decode_offset(&record.key, v));
        match offset {
            // The value `null` is a forgotten position as well.
            None | Some(Ok(Json::Null)) => {
                of_connector.remove(&partition);
            }
            Some(offset) => {
                let row = StoredPosition { key: record.key.clone(), partition: key.partition, offset };
                of_connector.insert(partition, row);
            }
        }
        Ok(())
    }

    /// Positions of a connector.
    pub fn of(&self, connector: &str) -> Vec<StoredPosition> {
        self.rows.get(connector).map(|rows| rows.values().cloned().collect()).unwrap_or_default()
    }
}

fn decode_key(key: &[u8]) -> Result<OffsetKey, Problem> {
    let parsed: Json = serde_json::from_slice(key).map_err(|e| Problem::new(key, json_reason(&e)))?;
    match parsed {
        Json::Array(parts) => match <[Json; 2]>::try_from(parts) {
            Ok([Json::String(connector), partition @ (Json::Object(_) | Json::Null)]) => {
                Ok(OffsetKey { connector, partition })
            }
            _ => Err(Problem::new(key, "the key is not [\"<connector>\",{...}]")),
        },
        _ => Err(Problem::new(key, "the key is not [\"<connector>\",{...}]")),
    }
}

fn decode_offset(key: &[u8], value: &[u8]) -> Result<Json, Problem> {
    let parsed: Json = serde_json::from_slice(value).map_err(|e| Problem::new(key, json_reason(&e)))?;
    match parsed {
        Json::Object(_) | Json::Null => Ok(parsed),
        _ => Err(Problem::new(key, "the stored position is not a JSON object")),
    }
}

/// Key bytes of a row that is not there yet.
pub fn encode_key(connector: &str, partition: &Json) -> String {
    Json::Array(vec![Json::String(connector.to_owned()), partition.clone()]).to_string()
}

/// JSON text with the members of every object sorted: equal for equal partitions.
pub fn canonical(value: &Json) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let ordered: BTreeMap<&String, Json> = members.iter().map(|(k, v)| (k, sorted(v))).collect();
            Json::Object(ordered.into_iter().map(|(k, v)| (k.clone(), v)).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        plain => plain.clone(),
    }
}
