//! Two phases on real directories.
use crate::fakes::Sink;
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::data::{Datum, Field, Kind, Record, Schema, SchemaRef, Struct, Value};
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
            headers: elasticflow_api::data::RawHeaders::default(),
            timestamp_ms: None,
            replay: None,
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

/// The staging directory of the one task of connector `c`.
fn staging(output: &Path) -> std::path::PathBuf {
    output.join(".elasticflow/g/c/0")
}

fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn two_topics() -> SinkBatch {
    let records = (0..4).map(|n| record(if n % 2 == 0 { "a" } else { "b" }, n, Value::Int64(n))).collect();
    SinkBatch { records, consumed: elasticflow_api::position::ConsumedOffsets::default() }
}

const TWO_FILES: [(&str, &str); 2] = [
    ("topics/a/partition=0/a+0+0000000000+0000000002.json", "0\n2\n"),
    ("topics/b/partition=0/b+0+0000000001+0000000003.json", "1\n3\n"),
];

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_kill_before_the_unit_has_its_name_leaves_nothing_and_prepares_nothing() {
    for with_manifest in [false, true] {
        let dir = tempdir().unwrap();
        let mut first = Sink::start("c", &json(dir.path())).await.unwrap();
        first.put(two_topics()).await;
        let open = entries(&staging(dir.path())).into_iter().find(|name| name.starts_with("open-")).unwrap();
        if with_manifest {
            fs::write(staging(dir.path()).join(&open).join("manifest.json"), r#"{"version":1,"files":[]}"#).unwrap();
        }
        drop(first);
        let mut second = Sink::start("c", &json(dir.path())).await.unwrap();
        assert_eq!(second.task.in_doubt().await.unwrap(), []);
        assert_eq!(entries(&staging(dir.path())), [""; 0]);
        assert_eq!(visible(dir.path()), []);
    }
}

#[tokio::test]
async fn a_stop_leaves_prepared_units_alone_and_nothing_else() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
    sink.put(numbers(0..1)).await;
    sink.prepare(1, 1).await;
    sink.put(numbers(1..2)).await;
    sink.task.stop().await;
    assert_eq!(entries(&staging(dir.path())), ["1"]);
}

#[tokio::test]
async fn an_undecided_unit_is_listed_and_aborted_by_the_successor() {
    let dir = tempdir().unwrap();
    let mut first = Sink::start("c", &json(dir.path())).await.unwrap();
    first.put(two_topics()).await;
    let handle = first.prepare(3, 7).await;
    drop(first);
    let mut second = Sink::start("c", &json(dir.path())).await.unwrap();
    assert_eq!(second.task.in_doubt().await.unwrap(), [handle.clone()]);
    for _ in 0..2 {
        second.task.abort(&handle).await.unwrap();
        assert_eq!(second.task.in_doubt().await.unwrap(), []);
    }
    assert_eq!((visible(dir.path()), entries(&staging(dir.path()))), (Vec::new(), Vec::new()));
    second.put(two_topics()).await;
    let handle = second.prepare(4, 1).await;
    second.task.commit(&handle).await.unwrap();
    assert_eq!(visible(dir.path()), owned(&TWO_FILES));
}

#[tokio::test]
async fn a_kill_at_any_step_of_commit_is_finished_by_another_instance_exactly() {
    // Files renamed before the kill, and whether one of them was linked but not yet unlinked.
    for (renamed, linked) in [(0, false), (0, true), (1, false), (1, true), (2, false)] {
        let dir = tempdir().unwrap();
        let mut first = Sink::start("c", &json(dir.path())).await.unwrap();
        first.put(two_topics()).await;
        let handle = first.prepare(1, 1).await;
        drop(first);
        let unit = staging(dir.path()).join("1/1");
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(unit.join("manifest.json")).unwrap()).unwrap();
        for (at, file) in manifest["files"].as_array().unwrap().iter().enumerate() {
            let (part, target) =
                (unit.join(file["part"].as_str().unwrap()), dir.path().join(file["final"].as_str().unwrap()));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            if at < renamed {
                fs::rename(part, target).unwrap();
            } else if at == renamed && linked {
                fs::hard_link(part, target).unwrap();
            }
        }
        let mut second = Sink::start("c", &json(dir.path())).await.unwrap();
        let expected = if renamed == 2 || (renamed == 1 && linked) { Committed::Before } else { Committed::Now };
        assert_eq!(second.task.commit(&handle).await.unwrap(), expected, "{renamed} {linked}");
        assert_eq!(visible(dir.path()), owned(&TWO_FILES));
        assert_eq!(entries(&staging(dir.path())), ["done"]);
        let mut third = Sink::start("c", &json(dir.path())).await.unwrap();
        assert_eq!(third.task.commit(&handle).await.unwrap(), Committed::Before);
    }
}

#[tokio::test]
async fn a_unit_is_committed_where_it_was_prepared_even_if_the_output_path_has_changed() {
    let (old, new) = (tempdir().unwrap(), tempdir().unwrap());
    let mut first = Sink::start("c", &json(old.path())).await.unwrap();
    first.put(two_topics()).await;
    let handle = first.prepare(1, 1).await;
    let mut second = Sink::start("c", &json(new.path())).await.unwrap();
    second.task.commit(&handle).await.unwrap();
    assert_eq!((visible(old.path()), visible(new.path())), (owned(&TWO_FILES), Vec::new()));
}

#[tokio::test]
async fn two_callers_may_commit_at_once() {
    let dir = tempdir().unwrap();
    let mut first = Sink::start("c", &json(dir.path())).await.unwrap();
    let mut second = Sink::start("c", &json(dir.path())).await.unwrap();
    for round in 1..=20 {
        first.put(numbers(round..round + 1)).await;
        let handle = first.prepare(1, round.unsigned_abs()).await;
        let (a, b) = tokio::join!(first.task.commit(&handle), second.task.commit(&handle));
        assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    }
    assert_eq!(visible(dir.path()).len(), 20);
}

#[tokio::test]
async fn a_decided_unit_that_is_nowhere_is_never_called_committed() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
    sink.put(two_topics()).await;
    let handle = sink.prepare(1, 1).await;
    let unit = staging(dir.path()).join("1/1");
    fs::remove_file(unit.join("0.part")).unwrap();
    let error = sink.task.commit(&handle).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Bug, "{error}");
    fs::remove_dir_all(unit).unwrap();
    assert_eq!(sink.task.commit(&handle).await.unwrap_err().class, ErrorClass::Bug);
}

#[tokio::test]
async fn a_final_name_that_is_taken_by_a_foreign_file_is_definite_and_the_file_is_left_alone() {
    for foreign in ["theirs", "0\n7\n"] {
        let dir = tempdir().unwrap();
        let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
        sink.put(two_topics()).await;
        let handle = sink.prepare(1, 1).await;
        let taken = dir.path().join(TWO_FILES[0].0);
        fs::create_dir_all(taken.parent().unwrap()).unwrap();
        fs::write(&taken, foreign).unwrap();
        let error = sink.task.commit(&handle).await.unwrap_err();
        assert_eq!((error.class, error.code), (ErrorClass::Definite, "FILE-0031"), "{error}");
        assert_eq!(fs::read_to_string(&taken).unwrap(), foreign);
        fs::remove_file(&taken).unwrap();
        sink.task.commit(&handle).await.unwrap();
        assert_eq!(visible(dir.path()), owned(&TWO_FILES));
    }
}

#[tokio::test]
async fn what_a_living_owner_stages_is_left_alone_by_its_successor() {
    let dir = tempdir().unwrap();
    let mut zombie = Sink::start("c", &json(dir.path())).await.unwrap();
    zombie.put(two_topics()).await;
    let mut owner = Sink::start("c", &json(dir.path())).await.unwrap();
    owner.put(two_topics()).await;
    let late = zombie.prepare(1, 1).await;
    assert_eq!(owner.task.in_doubt().await.unwrap(), [late.clone()]);
    let handle = owner.prepare(2, 1).await;
    owner.task.abort(&late).await.unwrap();
    owner.task.commit(&handle).await.unwrap();
    assert_eq!(visible(dir.path()), owned(&TWO_FILES));
}

#[tokio::test]
async fn two_connectors_share_a_directory_without_seeing_each_other() {
    let dir = tempdir().unwrap();
    let mut one = Sink::start("one", &json(dir.path())).await.unwrap();
    let mut two = Sink::start("two", &json(dir.path())).await.unwrap();
    one.put(numbers(0..1)).await;
    two.put(numbers(1..2)).await;
    let (a, b) = (one.prepare(1, 1).await, two.prepare(1, 1).await);
    assert_eq!(one.task.in_doubt().await.unwrap().len(), 1);
    one.task.commit(&a).await.unwrap();
    two.task.abort(&b).await.unwrap();
    assert_eq!(visible(dir.path()).len(), 1);
    assert_eq!(entries(&dir.path().join(".elasticflow/g")), ["one", "two"]);
}

#[tokio::test]
async fn a_listing_never_shows_a_file_that_is_not_whole() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = tempdir().unwrap();
    let output = dir.path().to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut looks = 0;
            while !stop.load(Ordering::SeqCst) {
                for (name, text) in visible(&output) {
                    assert_eq!(text.lines().count(), 100, "{name}");
                    looks += 1;
                }
            }
            looks
        }
    });
    let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
    for round in 0..20 {
        sink.put(numbers(round * 100..(round + 1) * 100)).await;
        let handle = sink.prepare(1, round.unsigned_abs() + 1).await;
        sink.task.commit(&handle).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    reader.join().unwrap();
    assert_eq!(visible(dir.path()).len(), 20);
}

#[tokio::test]
async fn files_end_at_their_limits_and_a_commit_is_asked_for() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path()).with("flush.size", "2")).await.unwrap();
    sink.put(numbers(0..5)).await;
    assert_eq!(sink.flow.commits.load(std::sync::atomic::Ordering::SeqCst), 2);
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    let texts: Vec<String> = visible(dir.path()).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["0\n1\n", "2\n3\n", "4\n"]);
    // By record time: a second each.
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path()).with("rotate.interval.ms", "2000")).await.unwrap();
    sink.put(numbers(0..3)).await;
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    assert_eq!(visible(dir.path()).len(), 2);
}

#[tokio::test]
async fn nothing_put_is_nothing_prepared_and_partitions_that_are_gone_leave_no_part() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
    assert_eq!(sink.task.prepare(&unit(1, 1), &sink.cx).await.unwrap(), None);
    sink.put(two_topics()).await;
    let gone = [TopicPartition { topic: "a".into(), partition: 0 }];
    sink.task.close(&gone, true).await.unwrap();
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    assert_eq!(visible(dir.path()), owned(&TWO_FILES[1..]));
}

#[tokio::test]
async fn bad_records_go_to_the_error_policy_and_the_rest_is_written() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path()).with("format", "text")).await.unwrap();
    let values = [Value::String("a".into()), Value::Null, Value::Int64(1), Value::String("two\nlines".into())];
    let records = values.into_iter().zip(0..).map(|(value, n)| record("t", n, value)).collect();
    sink.put(SinkBatch { records, consumed: Default::default() }).await;
    let rejected: Vec<i64> = sink.errant.records.lock().unwrap().iter().map(|(offset, _)| *offset).collect();
    assert_eq!(rejected, [1, 2, 3]);
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    assert_eq!(
        visible(dir.path())[0],
        ("topics/t/partition=0/t+0+0000000000+0000000000.txt".to_owned(), "a\n".to_owned())
    );
}

#[tokio::test]
async fn hostile_topics_and_fields_stay_below_the_output_path() {
    let dir = tempdir().unwrap();
    let properties = json(dir.path())
        .with("partitioner.class", "FieldPartitioner")
        .with("partition.field.name", "city")
        .with("topics.dir", "");
    let mut sink = Sink::start("c", &properties).await.unwrap();
    let city = |name: &str| Value::Map(vec![(Value::String("city".into()), Value::String(name.into()))]);
    let records = vec![
        record("..", 0, city("../../up")),
        record(".elasticflow", 1, city("a/b")),
        record("t", 2, Value::Int64(1)),
    ];
    sink.put(SinkBatch { records, consumed: Default::default() }).await;
    assert_eq!(sink.errant.records.lock().unwrap().len(), 1);
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    let names: Vec<String> = visible(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "%2E./city=..%2F..%2Fup/%2E.+0+0000000000+0000000000.json",
            "%2Eelasticflow/city=a%2Fb/%2Eelasticflow+0+0000000001+0000000001.json"
        ]
    );
}

#[tokio::test]
async fn a_link_in_the_output_tree_leads_nowhere() {
    let (dir, outside) = (tempdir().unwrap(), tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), dir.path().join("topics")).unwrap();
    let mut sink = Sink::start("c", &json(dir.path())).await.unwrap();
    sink.put(numbers(0..1)).await;
    let handle = sink.prepare(1, 1).await;
    let error = sink.task.commit(&handle).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Config, "{error}");
    assert_eq!(entries(outside.path()), [""; 0]);
}

#[tokio::test]
async fn csv_rows_have_a_header_and_a_file_has_one_schema() {
    let field = |name: &str, kind| Field { name: name.into(), schema: plain(kind) };
    let one = plain(Kind::Struct([field("id", Kind::Int64), field("a,b", Kind::String)].into()));
    let two = plain(Kind::Struct([field("id", Kind::Int64)].into()));
    let row = |schema: &SchemaRef, offset, values| {
        let mut record = record("t", offset, Value::Struct(Struct { schema: Arc::clone(schema), values }));
        record.record.value.schema = Some(Arc::clone(schema));
        record
    };
    let text = |text: &str| Value::String(text.into());
    let records = vec![
        row(&one, 0, vec![Value::Int64(1), text("x\"y")]),
        row(&one, 1, vec![Value::Null, text("")]),
        row(&two, 2, vec![Value::Int64(3)]),
    ];
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path()).with("format", "csv").with("compression", "gzip")).await.unwrap();
    sink.put(SinkBatch { records, consumed: Default::default() }).await;
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    let texts: Vec<String> = visible(dir.path())
        .into_iter()
        .map(|(name, _)| {
            let file = fs::File::open(dir.path().join(name)).unwrap();
            std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap()
        })
        .collect();
    assert_eq!(texts, ["id,\"a,b\"\n1,\"x\"\"y\"\n,\"\"\n", "id\n3\n"]);
}

fn plain(kind: Kind) -> SchemaRef {
    let parameters = Default::default();
    Arc::new(Schema { kind, name: None, version: None, optional: true, default: None, doc: None, parameters })
}

#[tokio::test]
async fn a_file_may_be_compressed_with_zstd() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path()).with("compression", "zstd")).await.unwrap();
    sink.put(numbers(0..3)).await;
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    let path = dir.path().join("topics/t/partition=0/t+0+0000000000+0000000002.json.zst");
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    assert_eq!(text, b"0\n1\n2\n");
}

#[tokio::test]
async fn a_file_that_was_open_for_too_long_by_the_clock_is_closed_by_the_next_record() {
    let dir = tempdir().unwrap();
    let mut sink = Sink::start("c", &json(dir.path()).with("rotate.schedule.interval.ms", "1000")).await.unwrap();
    sink.put(numbers(0..2)).await;
    sink.put(numbers(2..3)).await;
    sink.cx.clock.sleep(std::time::Duration::from_secs(2)).await;
    sink.put(numbers(3..4)).await;
    assert_eq!(sink.flow.commits.load(std::sync::atomic::Ordering::SeqCst), 1, "a commit is asked for");
    let handle = sink.prepare(1, 1).await;
    sink.task.commit(&handle).await.unwrap();
    let texts: Vec<String> = visible(dir.path()).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["0\n1\n2\n", "3\n"]);
}
