//! The ledger: what every sink of its kind promises, and what it finds in a stream that was tampered with.
use async_trait::async_trait;
use bytes::BytesMut;
use elasticflow_api::data::Origin;
use elasticflow_api::data::{Datum, Kind, Record, Schema, Value};
use elasticflow_api::position::{CommitEpoch, ConsumedOffsets, Offset, OwnerEpoch, TaskIndex, TopicPartition, UnitId};
use elasticflow_api::registry::{Plugin, TaskConfig};
use elasticflow_api::sink::{SinkBatch, SinkKind, SinkRecord, TwoPhaseSink};
use elasticflow_config::Properties;
use elasticflow_datagen::test_plugins;
use elasticflow_testkit::{SinkCase, check_sink, sink_context, task_id};
use serde_json::Value as Json;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn sink(path: &Path, own: &[(&str, &str)], alone: bool) -> Box<dyn TwoPhaseSink> {
    let path = path.display().to_string();
    let keys = own.iter().copied().chain([("ledger.path", path.as_str())]).collect::<Properties>();
    let task = TaskConfig([("ledger.alone".to_owned(), alone.to_string())].into());
    let Plugin::Sink(plugin) = &test_plugins()[0].plugin else { panic!("no sink") };
    match plugin.task(&keys, task).unwrap() {
        SinkKind::TwoPhase(sink) => sink,
        SinkKind::Idempotent(_) | SinkKind::Transactional(_) => panic!("no two-phase sink"),
    }
}

fn number(n: i64) -> Datum {
    let schema = Schema {
        kind: Kind::Int64,
        name: None,
        version: None,
        optional: false,
        default: None,
        doc: None,
        parameters: Default::default(),
    };
    Datum { schema: Some(Arc::new(schema)), value: Value::Int64(n) }
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

/// The record that the generator numbers `n`, as it stands at an offset.
fn record(partition: i32, offset: i64, n: i64) -> SinkRecord {
    let value = number(n * 7);
    let digest = elasticflow_datagen::digest_of(&value.value);
    let headers = [("ef.task", 0), ("ef.n", n), ("ef.digest", digest)];
    SinkRecord {
        record: Record {
            topic: "t".into(),
            partition: Some(partition),
            key: Datum { schema: None, value: Value::Null },
            value,
            headers: headers.into_iter().map(|(name, n)| (name.into(), number(n))).collect(),
            timestamp_ms: Some(0),
        },
        origin: Origin {
            at: at(partition),
            offset: Offset(offset),
            key: None,
            value: Some(BytesMut::new().freeze()),
            headers: elasticflow_api::data::RawHeaders::default(),
            timestamp_ms: Some(0),
            replay: None,
        },
    }
}

fn stream(numbers: &[i64]) -> SinkBatch {
    let records: Vec<_> = (0..).zip(numbers).map(|(offset, n)| record(0, offset, *n)).collect();
    let end = Offset(i64::try_from(numbers.len()).unwrap());
    SinkBatch { records, consumed: ConsumedOffsets([(at(0), end)].into()) }
}

fn unit(owner: u64, commit: u64) -> UnitId {
    UnitId { connector: "g/c".into(), task: TaskIndex(0), owner: OwnerEpoch(owner), commit: CommitEpoch(commit) }
}

/// The report, after a sink has taken a batch and made it final.
async fn run(path: &Path, own: &[(&str, &str)], owner: u64, batch: SinkBatch) -> Result<Json, String> {
    let (cx, ..) = sink_context(task_id("c", 0));
    let mut sink = sink(path, own, true);
    sink.start(&cx).await.unwrap();
    sink.open(&[at(0)], &cx).await.unwrap();
    sink.put(batch, &cx).await.map_err(|error| error.to_string())?;
    if let Some(handle) = sink.prepare(&unit(owner, 1), &cx).await.unwrap() {
        sink.commit(&handle).await.unwrap();
    }
    Ok(report(path))
}

fn report(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path.join("c").join("report-0.json")).unwrap()).unwrap()
}

struct Pages(TempDir);

#[async_trait]
impl SinkCase for Pages {
    async fn reset(&self) {
        for entry in std::fs::read_dir(self.0.path()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }
    fn task(&self) -> SinkKind {
        SinkKind::TwoPhase(sink(self.0.path(), &[], true))
    }
    fn records(&self) -> Vec<SinkRecord> {
        stream(&(0..8).collect::<Vec<_>>()).records
    }
    async fn contents(&self) -> Vec<String> {
        let units = self.0.path().join("case").join("units");
        let entries = std::fs::read_dir(units).into_iter().flatten().flatten();
        let mut pages: Vec<_> = entries.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect();
        pages.sort();
        pages
    }
}

#[tokio::test]
async fn the_ledger_keeps_the_promises_of_every_two_phase_sink() {
    check_sink(&Pages(tempfile::tempdir().unwrap())).await;
}

#[tokio::test]
async fn a_planted_gap_double_change_or_swap_fails_the_task_and_names_the_record() {
    let mut changed = stream(&[0, 1, 2, 3]);
    changed.records[2].record.value = number(5);
    for (batch, words) in [
        (stream(&[0, 1, 3, 4]), "gap at task 0, record 3"),
        (stream(&[0, 1, 1, 2]), "duplicate at task 0, record 1"),
        (changed, "corrupt at task 0, record 2"),
        (stream(&[0, 2, 1, 3]), "record"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let error = run(dir.path(), &[], 1, batch).await.unwrap_err();
        assert!(error.contains("LEDGER-0001") || error.contains(words), "{error}");
        assert!(error.contains("t-0: ") && error.contains(words), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let own = [("ledger.fail.on", "order")];
    let error = run(dir.path(), &own, 1, stream(&[0, 2, 1, 3])).await.unwrap_err();
    assert!(error.contains("order at task 0, record 1"), "{error}");
}

#[tokio::test]
async fn what_does_not_fail_the_task_is_counted() {
    let mut batch = stream(&[0, 1, 1, 5, 4, 7]);
    batch.records[1].record.value = number(99);
    let dir = tempfile::tempdir().unwrap();
    let told = run(dir.path(), &[("ledger.fail.on", "")], 1, batch).await.unwrap();
    let gaps: Vec<_> =
        told["gaps"].as_array().unwrap().iter().map(|gap| (gap["first"].clone(), gap["last"].clone())).collect();
    assert_eq!(gaps, [(2.into(), 3.into()), (6.into(), 6.into())], "{told}");
    assert_eq!((&told["seen"], &told["records"], &told["duplicates"]), (&5.into(), &6.into(), &1.into()), "{told}");
    assert_eq!((&told["corrupt"], &told["order_violations"]), (&1.into(), &1.into()), "{told}");
    assert_eq!(told["verdict"], "violated");
}

#[tokio::test]
async fn a_number_may_be_late_by_the_window_and_modes_look_at_less() {
    for (own, numbers) in [
        (vec![("ledger.window", "2")], vec![1, 0, 3, 2]),
        (vec![("ledger.mode", "set")], vec![9, 0, 3]),
        (vec![("ledger.mode", "count")], vec![1, 1, 1]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let told = run(dir.path(), &own, 1, stream(&numbers)).await.unwrap();
        assert_eq!(told["records"], numbers.len(), "{own:?} {told}");
    }
}

#[tokio::test]
async fn another_instance_goes_on_with_what_is_final_and_a_double_across_them_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let own = [("ledger.expected", "6"), ("ledger.latency", "false")];
    let told = run(dir.path(), &own, 1, stream(&[0, 1, 2])).await.unwrap();
    assert_eq!((&told["verdict"], &told["p50_ms"]), (&"open".into(), &Json::Null), "{told}");
    let error = run(dir.path(), &own, 2, stream(&[2, 3])).await.unwrap_err();
    assert!(error.contains("duplicate at task 0, record 2"), "{error}");
    let told = run(dir.path(), &own, 3, stream(&[3, 4, 5])).await.unwrap();
    assert_eq!(told["verdict"], "ok", "{told}");
}

#[tokio::test]
async fn a_record_without_stamp_is_bad_and_a_key_that_does_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, errant, ..) = sink_context(task_id("c", 0));
    let mut sink = sink(dir.path(), &[], true);
    sink.start(&cx).await.unwrap();
    sink.open(&[at(0)], &cx).await.unwrap();
    let mut batch = stream(&[0]);
    batch.records[0].record.headers.clear();
    sink.put(batch, &cx).await.unwrap();
    assert_eq!(errant.0.lock().len(), 1);
    let Plugin::Sink(plugin) = &test_plugins()[0].plugin else { panic!("no sink") };
    let (source, _) = crate::context(None);
    let cx = elasticflow_api::context::ConnectorContext { clock: source.clock, replan: Arc::new(|| {}) };
    for (key, value) in [("ledger.report.topic", "t"), ("ledger.fail.on", "what"), ("ledger.path", "relative")] {
        let keys = Properties::from_iter([("ledger.path", "/tmp/ledger")]).with(key, value);
        let report = plugin.validate(&keys, &cx).await;
        assert!(report.errors.contains_key(key), "{key}: {report}");
    }
}
