//! Stored records of the decisions topic: claims and units, JSON, with the format's number in `v`.
use crate::error::TaskError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use elasticflow_api::position::{CommitEpoch, Offset, OwnerEpoch, TaskId, TaskIndex, TopicPartition, UnitId};
use elasticflow_api::sink::Handle;
use elasticflow_protocol::{must_adopt, next_owner};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The one format that is written and read.
const FORMAT: u32 = 1;

/// A partition's offset, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    topic: String,
    partition: i32,
    offset: Option<i64>,
}

/// A claim: the last owner of a task. Never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    v: u32,
    owner: u64,
    offsets: Vec<Row>,
    time: i64,
}

/// A decided unit, until it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    v: u32,
    token: String,
    offsets: Vec<Row>,
    time: i64,
}

fn rows(offsets: &BTreeMap<TopicPartition, Option<Offset>>) -> Vec<Row> {
    let row = |(at, offset): (&TopicPartition, &Option<Offset>)| Row {
        topic: at.topic.to_string(),
        partition: at.partition,
        offset: offset.map(|o| o.0),
    };
    offsets.iter().map(row).collect()
}

impl Row {
    fn is_of(&self, at: &TopicPartition) -> bool {
        self.partition == at.partition && self.topic == *at.topic
    }
}

/// What the decisions topic says about one connector.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub(super) claims: BTreeMap<u32, Claim>,
    pub(super) units: Vec<(String, UnitId, Unit)>,
}

impl Decisions {
    /// Reads the rows of a connector. What is not understood stops the task: a decision must not be overlooked.
    pub(super) fn read(task: &TaskId, rows: &[(Bytes, Bytes)]) -> Result<Self, TaskError> {
        let mut decisions = Self::default();
        for (key, value) in rows {
            let text = String::from_utf8_lossy(key).into_owned();
            let wrong = || {
                TaskError::Definite(format!(
                    "record {text:?} of the decisions topic cannot be read; it may be written by a later version, which must run this connector"
                ))
            };
            if let Some((_, number)) = claim_of(&text) {
                let claim: Claim = serde_json::from_slice(value).map_err(|_| wrong())?;
                decisions.claims.insert(number, Some(claim).filter(|c| c.v == FORMAT).ok_or_else(wrong)?);
            } else if let Some((_, number, owner, commit)) = unit_of(&text) {
                let unit: Unit = serde_json::from_slice(value).map_err(|_| wrong())?;
                let unit = Some(unit).filter(|u| u.v == FORMAT).ok_or_else(wrong)?;
                let id = UnitId {
                    connector: connector_name(task),
                    task: TaskIndex(number),
                    owner: OwnerEpoch(owner),
                    commit: CommitEpoch(commit),
                };
                decisions.units.push((text, id, unit));
            }
        }
        decisions.units.sort_by_key(|(_, id, _)| (id.task, id.owner, id.commit));
        Ok(decisions)
    }

    /// The owner epoch that comes next for a task.
    pub(super) fn next_owner(&self, task: TaskIndex) -> OwnerEpoch {
        OwnerEpoch(next_owner(self.claims.get(&task.0).map_or(0, |claim| claim.owner)))
    }

    /// Whether an offset of this partition was committed when some owner claimed it.
    pub(super) fn was_committed(&self, at: &TopicPartition) -> bool {
        self.claims.values().any(|c| c.offsets.iter().any(|row| row.is_of(at) && row.offset.is_some()))
    }

    /// Offsets of the last claim of a task.
    pub(super) fn claimed(&self, task: TaskIndex) -> BTreeMap<TopicPartition, Option<Offset>> {
        let rows = self.claims.get(&task.0).map(|claim| claim.offsets.as_slice()).unwrap_or_default();
        let row = |row: &Row| {
            let at = TopicPartition { topic: row.topic.as_str().into(), partition: row.partition };
            (at, row.offset.map(Offset))
        };
        rows.iter().map(row).collect()
    }

    /// Units to commit before these partitions are read, in order: those that cover one of them, and those of owners of the
    /// task before `mine`. All that are here are decided and not forgotten.
    pub(super) fn to_adopt(
        &self,
        partitions: &[TopicPartition],
        task: TaskIndex,
        mine: OwnerEpoch,
    ) -> Vec<(String, Handle)> {
        let covers = |unit: &Unit| partitions.iter().any(|at| unit.offsets.iter().any(|row| row.is_of(at)));
        let is_older = |id: &UnitId| id.task == task && id.owner < mine;
        let of = self.units.iter().filter(|(_, id, unit)| must_adopt(true, covers(unit), is_older(id)));
        of.filter_map(|(key, id, unit)| Some((key.clone(), Handle { unit: id.clone(), token: unit.token()? })))
            .collect()
    }

    /// Everything that is decided and not forgotten, in order.
    pub(super) fn handles(&self) -> Vec<Handle> {
        let handle = |(_, id, unit): &(String, UnitId, Unit)| Some(Handle { unit: id.clone(), token: unit.token()? });
        self.units.iter().filter_map(handle).collect()
    }

    /// Whether a unit is decided.
    pub(super) fn is_decided(&self, id: &UnitId) -> bool {
        self.units.iter().any(|(_, other, _)| other == id)
    }
}

impl Unit {
    fn token(&self) -> Option<Bytes> {
        STANDARD.decode(&self.token).ok().map(Bytes::from)
    }
}

/// `<group.id>/<connector>`.
pub(super) fn connector_name(task: &TaskId) -> Arc<str> {
    format!("{}/{}", task.group, task.connector).into()
}

pub(super) fn claim_key(task: &TaskId) -> String {
    format!("claim-{}-{}", task.connector, task.task.0)
}

pub(super) fn claim_value(owner: OwnerEpoch, offsets: &BTreeMap<TopicPartition, Option<Offset>>, time: i64) -> Vec<u8> {
    let claim = Claim { v: FORMAT, owner: owner.0, offsets: rows(offsets), time };
    serde_json::to_vec(&claim).unwrap_or_default()
}

pub(super) fn unit_key(task: &TaskId, id: &UnitId) -> String {
    format!("unit-{}-{}-{}-{}", task.connector, id.task.0, id.owner.0, id.commit.0)
}

pub(super) fn unit_value(handle: &Handle, offsets: &BTreeMap<TopicPartition, Offset>, time: i64) -> Vec<u8> {
    let offsets = offsets.iter().map(|(at, o)| (at.clone(), Some(*o))).collect();
    let unit = Unit { v: FORMAT, token: STANDARD.encode(&handle.token), offsets: rows(&offsets), time };
    serde_json::to_vec(&unit).unwrap_or_default()
}

/// The connector of a key.
pub(super) fn owner(key: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(key).ok()?;
    claim_of(text).map(|(c, _)| c.to_owned()).or_else(|| unit_of(text).map(|(c, ..)| c.to_owned()))
}

fn claim_of(key: &str) -> Option<(&str, u32)> {
    let (connector, task) = key.strip_prefix("claim-")?.rsplit_once('-')?;
    Some((connector, task.parse().ok()?))
}

fn unit_of(key: &str) -> Option<(&str, u32, u64, u64)> {
    let (rest, commit) = key.strip_prefix("unit-")?.rsplit_once('-')?;
    let (rest, owner) = rest.rsplit_once('-')?;
    let (connector, task) = rest.rsplit_once('-')?;
    Some((connector, task.parse().ok()?, owner.parse().ok()?, commit.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskId {
        TaskId { group: "g".into(), connector: "a-b".into(), task: TaskIndex(1) }
    }

    fn unit(owner: u64, commit: u64) -> UnitId {
        UnitId { connector: "g/a-b".into(), task: TaskIndex(1), owner: OwnerEpoch(owner), commit: CommitEpoch(commit) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let at = TopicPartition { topic: "t".into(), partition: 3 };
        let handle = Handle { unit: unit(7, 2), token: Bytes::from_static(b"\x00token") };
        let rows = [
            (claim_key(&task()), claim_value(OwnerEpoch(7), &BTreeMap::from([(at.clone(), Some(Offset(5)))]), 1)),
            (unit_key(&task(), &handle.unit), unit_value(&handle, &BTreeMap::from([(at.clone(), Offset(9))]), 1)),
        ];
        assert_eq!(rows[1].0, "unit-a-b-1-7-2");
        let rows: Vec<_> = rows.into_iter().map(|(k, v)| (Bytes::from(k), Bytes::from(v))).collect();
        assert!(rows.iter().all(|(k, _)| owner(k).as_deref() == Some("a-b")));
        let decisions = Decisions::read(&task(), &rows).unwrap();
        assert_eq!(decisions.next_owner(TaskIndex(1)), OwnerEpoch(8));
        assert_eq!(decisions.next_owner(TaskIndex(0)), OwnerEpoch(1));
        assert!(decisions.was_committed(&at));
        assert_eq!(
            decisions.to_adopt(std::slice::from_ref(&at), TaskIndex(0), OwnerEpoch(1)),
            [("unit-a-b-1-7-2".to_owned(), handle)]
        );
        assert!(decisions.is_decided(&unit(7, 2)) && !decisions.is_decided(&unit(7, 3)));
        let other = [TopicPartition { partition: 4, ..at.clone() }];
        assert!(decisions.to_adopt(&other, TaskIndex(1), OwnerEpoch(7)).is_empty(), "a living owner commits its own");
        assert_eq!(decisions.to_adopt(&[], TaskIndex(1), OwnerEpoch(8)).len(), 1);
        assert_eq!(decisions.claimed(TaskIndex(1)), BTreeMap::from([(at, Some(Offset(5)))]));
    }

    #[test]
    fn a_record_of_a_later_format_stops_the_task() {
        let key = Bytes::from("unit-a-b-1-7-2");
        for value in [r#"{"v":2,"token":"","offsets":[],"time":1}"#, "not json"] {
            let error = Decisions::read(&task(), &[(key.clone(), Bytes::from(value))]).unwrap_err();
            assert_eq!(error.class(), elasticflow_api::ErrorClass::Definite);
        }
    }
}
