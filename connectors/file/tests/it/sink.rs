//! Two phases on real directories.
use crate::fakes::Sink;
use elasticflow_api::config::Properties;
use elasticflow_api::data::{Datum, Record, Value};
use elasticflow_api::position::{CommitEpoch, Offset, OwnerEpoch, TaskIndex, TopicPartition, UnitId};
use elasticflow_api::sink::{Committed, Handle, SinkBatch, SinkRecord};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::tempdir;

pub(crate) fn json(output: &Path) -> Properties {
    Properties::from_iter([("output.path", output.to_str().unwrap())])
}

pub(crate) fn record(topic: &str, offset: i64, value: Value) -> SinkRecord {
    let topic: Arc<str> = Arc::from(topic);
    let none = || Datum { schema: None, value: Value::Null };
    SinkRecord {
        record: Record {
            topic: Arc::clone(&topic),
            partition: Some(0),
            key: none(),
            value: Datum { schema: None, value },
            headers: Vec::new(),
            timestamp_ms: Some(offset * 1000),
        },
        origin: elasticflow_api::data::Origin {
            at: TopicPartition { topic, partition: 0 },
            offset: Offset(offset),
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp_ms: None,
        },
    }
}

pub(crate) fn numbers(offsets: std::ops::Range<i64>) -> SinkBatch {
    SinkBatch {
        records: offsets.map(|n| record("t", n, Value::Int64(n))).collect(),
        consumed: elasticflow_api::position::ConsumedOffsets::default(),
    }
}

pub(crate) fn unit(owner: u64, commit: u64) -> UnitId {
    UnitId { connector: Arc::from("g/c"), task: TaskIndex(0), owner: OwnerEpoch(owner), commit: CommitEpoch(commit) }
}

impl Sink {
    pub(crate) async fn put(&mut self, batch: SinkBatch) {
        self.task.put(batch, &self.cx).await.unwrap();
    }

    pub(crate) async fn prepare(&mut self, owner: u64, commit: u64) -> Handle {
        self.task.prepare(&unit(owner, commit), &self.cx).await.unwrap().unwrap()
    }
}

/// Finished files with their contents, sorted; what is staged does not count.
pub(crate) fn visible(output: &Path) -> Vec<(String, String)> {
    fn walk(dir: &Path, output: &Path, found: &mut Vec<(String, String)>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(".elasticflow") {
                walk(&path, output, found);
            } else if path.is_file() {
                let name = path.strip_prefix(output).unwrap().to_str().unwrap().to_owned();
                found.push((name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()));
            }
        }
    }
    let mut found = Vec::new();
    walk(output, output, &mut found);
    found.sort();
    found
}

#[tokio::test]
async fn nothing_is_visible_before_commit_and_all_of_it_after() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
    sink.put(numbers(0..3)).await;
    assert_eq!(visible(dir.path()), []);
    let handle = sink.prepare(1, 1).await;
    assert_eq!(visible(dir.path()), []);
    assert_eq!(sink.task.commit(&handle).await.unwrap(), Committed::Now);
    let name = "topics/t/partition=0/t+0+0000000000+0000000002.json".to_owned();
    assert_eq!(visible(dir.path()), [(name, "0\n1\n2\n".to_owned())]);
    assert_eq!(sink.task.commit(&handle).await.unwrap(), Committed::Before);
    assert_eq!(sink.task.in_doubt().await.unwrap(), []);
}
