//! Positions, epochs and names: newtypes, so that one cannot stand for another.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A topic and a partition number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

/// A Kafka offset: the next record to read when used as a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// First offset not yet consumed, per partition. What a sink commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumedOffsets(pub BTreeMap<TopicPartition, Offset>);

/// Connect's source partition: flat JSON object, compared as parsed JSON, rewritten with its original key bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePartition(pub Map<String, Json>);

/// Connect's source offset: flat JSON object of the connector's own making, versioned by the connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceOffset(pub Map<String, Json>);

/// Where a source stands in one of its partitions after a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePosition {
    /// Shared by every record of the partition.
    pub partition: Arc<SourcePartition>,
    /// Cheap to build per record, or shared over a batch.
    pub offset: Arc<SourceOffset>,
}

/// Index of a task within its connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(pub u32);

/// Name of a task within its worker group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// `group.id` of the workers.
    pub group: Arc<str>,
    /// Connector.
    pub connector: Arc<str>,
    /// Which task of the connector.
    pub task: TaskIndex,
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.connector, self.task.0)
    }
}

/// Order of owners of one task, raised by a claim written after fencing.
///
/// Never reset: claims outlive the deletion of the connector, so a new one of the same name stands above every leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerEpoch(pub u64);

/// Order of commits of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitEpoch(pub u64);

/// Name of one unit of two-phase work; every prepared handle carries it, and the destination can list it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitId {
    /// `<group.id>/<connector>`; a destination with short names stores a hash of it.
    pub connector: Arc<str>,
    /// Which task.
    pub task: TaskIndex,
    /// Which owner of the task.
    pub owner: OwnerEpoch,
    /// Which commit of that owner.
    pub commit: CommitEpoch,
}

/// Name of an atomic batch: the run that produced it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub Arc<str>);
