//! Source offsets: Connect's format, what is stored, what must be stored next.
use crate::error::TaskError;
use crate::table::Table;
use bytes::Bytes;
use elasticflow_api::context::StoredOffsets;
use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

/// The connector of a key `["<connector>",{<partition>}]`.
pub(crate) fn owner(key: &[u8]) -> Option<String> {
    read_key(key).map(|(connector, _)| connector)
}

fn read_key(key: &[u8]) -> Option<(String, Option<SourcePartition>)> {
    let (connector, partition): (String, Option<Map<String, Json>>) = serde_json::from_slice(key).ok()?;
    Some((connector, partition.map(SourcePartition)))
}

/// The key of a partition, in the bytes that Connect writes.
fn write_key(connector: &str, partition: &SourcePartition) -> Bytes {
    // A map of strings to JSON values always serialises.
    Bytes::from(serde_json::to_vec(&(connector, partition)).unwrap_or_default())
}

/// Equal for partitions that are equal as parsed JSON, whatever the order of their members.
fn canonical(partition: &SourcePartition) -> String {
    let sorted: std::collections::BTreeMap<&String, &Json> = partition.0.iter().collect();
    serde_json::to_string(&sorted).unwrap_or_default()
}

/// What was stored when the task started: final, because older owners were fenced before it was read.
pub(super) struct Stored {
    by_partition: HashMap<String, Row>,
}

struct Row {
    key: Bytes,
    partition: SourcePartition,
    offset: Option<SourceOffset>,
}

impl Stored {
    /// Takes the rows of a connector; those of `own` go over those of `worker`.
    pub(super) fn read(connector: &str, worker: &Table, own: Option<&Table>) -> Self {
        let mut by_partition = HashMap::new();
        let rows = worker.rows(connector).into_iter().chain(own.map(|t| t.rows(connector)).unwrap_or_default());
        for (key, value) in rows {
            let Some((_, Some(partition))) = read_key(&key) else { continue };
            let offset = serde_json::from_slice(&value).ok().map(SourceOffset);
            by_partition.insert(canonical(&partition), Row { key, partition, offset });
        }
        Self { by_partition }
    }

    /// Every stored position; an undecodable one is an error, because an unreadable position is not an absent one.
    pub(super) fn positions(&self) -> Result<Vec<SourcePosition>> {
        let all = self.all()?;
        Ok(all.into_iter().map(|(p, o)| SourcePosition { partition: Arc::new(p), offset: Arc::new(o) }).collect())
    }

    /// The key bytes that are there, so that compaction keeps one row a partition.
    pub(super) fn keys(&self) -> KeyBook {
        KeyBook { by_partition: self.by_partition.iter().map(|(name, row)| (name.clone(), row.key.clone())).collect() }
    }
}

fn decoded(row: &Row) -> Result<SourceOffset> {
    row.offset.clone().ok_or_else(|| ConnectorError {
        class: ErrorClass::Definite,
        code: "OFFSETS-0001",
        message: format!(
            "the stored offset of source partition {} is not a JSON object; repair it with PATCH or DELETE of the connector's offsets",
            canonical(&row.partition)
        ),
        source: None,
    })
}

impl StoredOffsets for Stored {
    fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        self.by_partition.get(&canonical(partition)).map(decoded).transpose()
    }

    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        self.by_partition.values().map(|row| Ok((row.partition.clone(), decoded(row)?))).collect()
    }
}

/// Key bytes by partition.
pub(super) struct KeyBook {
    by_partition: HashMap<String, Bytes>,
}

impl KeyBook {
    /// The key to write.
    pub(super) fn key(&mut self, connector: &str, partition: &SourcePartition) -> Bytes {
        let key = self.by_partition.entry(canonical(partition)).or_insert_with(|| write_key(connector, partition));
        key.clone()
    }
}

/// The latest position of each partition since the last commit.
#[derive(Default)]
pub(super) struct Pending {
    latest: Vec<SourcePosition>,
}

impl Pending {
    /// Takes a position. Records of one partition mostly share its pointer and come in a row, so the last entry is
    /// tried first.
    pub(super) fn note(&mut self, position: SourcePosition) {
        if let Some(last) = self.latest.last_mut()
            && Arc::ptr_eq(&last.partition, &position.partition)
        {
            last.offset = position.offset;
            return;
        }
        let same =
            |p: &SourcePosition| Arc::ptr_eq(&p.partition, &position.partition) || p.partition == position.partition;
        match self.latest.iter().position(same) {
            Some(at) => {
                // Moved to the end, so that the next record of this partition finds it at once.
                self.latest.remove(at);
                self.latest.push(position);
            }
            None => self.latest.push(position),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    pub(super) fn latest(&self) -> &[SourcePosition] {
        &self.latest
    }

    pub(super) fn take(&mut self) -> Vec<SourcePosition> {
        std::mem::take(&mut self.latest)
    }
}

/// The value of an offset record.
pub(super) fn write_value(offset: &SourceOffset, out: &mut Vec<u8>) -> Result<(), TaskError> {
    out.clear();
    serde_json::to_writer(out, offset).map_err(|e| TaskError::Bug(format!("an offset cannot be written as JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better")]
    fn partition(json: Json) -> SourcePartition {
        SourcePartition(json.as_object().unwrap().clone())
    }

    fn position(p: &Arc<SourcePartition>, n: i64) -> SourcePosition {
        let offset = SourceOffset(json!({ "n": n }).as_object().unwrap().clone());
        SourcePosition { partition: Arc::clone(p), offset: Arc::new(offset) }
    }

    #[test]
    fn keys_are_written_as_connect_writes_them() {
        let key = write_key("src1", &partition(json!({"filename":"/d/in.txt"})));
        assert_eq!(&key[..], br#"["src1",{"filename":"/d/in.txt"}]"#);
        assert_eq!(owner(&key).as_deref(), Some("src1"));
        assert_eq!(owner(b"[\"src1\",null]").as_deref(), Some("src1"));
        assert_eq!(owner(b"not json"), None);
    }

    #[test]
    fn a_stored_key_is_reused_whatever_the_order_of_its_members() {
        let stored = partition(json!({"b":1,"a":"x"}));
        let bytes = Bytes::from_static(br#"["c", {"b":1, "a":"x"}]"#);
        let mut book = KeyBook { by_partition: HashMap::from([(canonical(&stored), bytes.clone())]) };
        assert_eq!(book.key("c", &partition(json!({"a":"x","b":1}))), bytes);
        assert_eq!(book.key("c", &partition(json!({"a":"y"}))), Bytes::from_static(br#"["c",{"a":"y"}]"#));
    }

    #[test]
    fn an_undecodable_offset_is_definite_and_never_absent() {
        let p = partition(json!({"f":"x"}));
        let row = Row { key: Bytes::new(), partition: p.clone(), offset: None };
        let stored = Stored { by_partition: HashMap::from([(canonical(&p), row)]) };
        assert_eq!(stored.get(&p).unwrap_err().class, ErrorClass::Definite);
        assert!(stored.positions().is_err());
    }

    #[test]
    fn the_latest_position_of_each_partition_remains() {
        let (a, b) = (Arc::new(partition(json!({"p":"a"}))), Arc::new(partition(json!({"p":"b"}))));
        let also_a = Arc::new(partition(json!({"p":"a"})));
        let mut pending = Pending::default();
        for p in [position(&a, 1), position(&b, 2), position(&a, 3), position(&also_a, 4)] {
            pending.note(p);
        }
        let latest = pending.take();
        assert_eq!(latest, [position(&b, 2), position(&a, 4)]);
        assert!(pending.is_empty());
    }
}
