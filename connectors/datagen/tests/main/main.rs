//! The generator as the runtime sees it: started, polled, started again from a stored position.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "tests stop at the first surprise, and say what they skip"
)]
mod ledger;

use async_trait::async_trait;
use bytes::BytesMut;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{ConnectorContext, Limits, SourceContext, StoredOffsets};
use elasticflow_api::data::{Kind, Value};
use elasticflow_api::position::{SourceOffset, SourcePartition, TaskId, TaskIndex};
use elasticflow_api::registry::{DynSourceConnector, TaskConfig};
use elasticflow_api::source::{Boundary, SourceBatch, SourceTask};
use elasticflow_api::{ErrorClass, Result};
use elasticflow_config::Properties;
use elasticflow_datagen::Datagen;
use elasticflow_formats::json::{Plan, Style};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock that moves when somebody sleeps.
#[derive(Default)]
struct Leaping(Mutex<Duration>);

impl Clock for Leaping {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + i64::try_from(self.monotonic().as_millis()).unwrap()
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        *self.0.lock().unwrap() += for_;
        Box::pin(async {})
    }
}

struct Stored(Option<SourceOffset>);

#[async_trait]
impl StoredOffsets for Stored {
    fn get(&self, _: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.0.clone())
    }
    fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        Ok(Vec::new())
    }
}

fn context(offset: Option<SourceOffset>) -> (SourceContext, Arc<Leaping>) {
    let clock = Arc::new(Leaping::default());
    let cx = SourceContext {
        task: TaskId { group: "g".into(), connector: "gen".into(), task: TaskIndex(0) },
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        offsets: Arc::new(Stored(offset)),
        batch_max: Limits { records: 500, bytes: 1 << 20 },
        poll_max: Duration::from_millis(500),
    };
    (cx, clock)
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    let base = [
        ("kafka.topic", "t"),
        ("fields", "id:seq, who:name, n:int(1,1000), note:nullable(text(1,5),0.2)"),
        ("schema.keyfield", "id"),
    ];
    base.iter().chain(pairs).copied().collect()
}

fn task_config(task: u32, tasks: u32) -> TaskConfig {
    TaskConfig([("task.id", task), ("tasks", tasks)].map(|(k, v)| (k.to_owned(), v.to_string())).into())
}

fn task(pairs: &[(&str, &str)], config: TaskConfig) -> Box<dyn SourceTask> {
    DynSourceConnector::task(&Datagen, &properties(pairs), config).unwrap()
}

/// Everything up to the end, as JSON with topic, partition and timestamp.
async fn run(pairs: &[(&str, &str)], config: TaskConfig, from: Option<SourceOffset>) -> Vec<String> {
    let (cx, _) = context(from);
    let mut task = task(pairs, config);
    task.start(&cx).await.unwrap();
    let mut lines = Vec::new();
    loop {
        let batch = task.poll(&cx).await.unwrap();
        lines.extend(batch.records.iter().map(|record| line(&record.record)));
        if batch.end_of_data {
            return lines;
        }
    }
}

fn line(record: &elasticflow_api::data::Record) -> String {
    let mut out = BytesMut::new();
    Plan::new(record.value.schema.as_ref().unwrap(), &Style::CONNECT)
        .unwrap()
        .write(&record.value.value, &mut out)
        .unwrap();
    format!("{:?} {:?} {:?} {}", record.partition, record.timestamp_ms, record.key.value, String::from_utf8_lossy(&out))
}

const FAST: [(&str, &str); 4] =
    [("max.interval", "0"), ("iterations", "1200"), ("random.seed", "7"), ("clock", "logical")];

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let first = run(&FAST, task_config(0, 1), None).await;
    assert_eq!(first.len(), 1200);
    assert_eq!(first, run(&FAST, task_config(0, 1), None).await);
    let other = [("max.interval", "0"), ("iterations", "1200"), ("random.seed", "8"), ("clock", "logical")];
    assert_ne!(first, run(&other, task_config(0, 1), None).await);
}

#[tokio::test]
async fn a_restart_at_any_position_goes_on_without_gap_or_repetition() {
    let all = run(&FAST, task_config(0, 1), None).await;
    let (cx, _) = context(None);
    let mut task = task(&FAST, task_config(0, 1));
    task.start(&cx).await.unwrap();
    let (mut made, mut positions) = (0, 0);
    loop {
        let batch: SourceBatch = task.poll(&cx).await.unwrap();
        assert!(
            batch.records.last().is_none_or(|last| last.position.is_some()),
            "a batch ends where a task can resume"
        );
        for record in &batch.records {
            made += 1;
            if let Some(position) = &record.position {
                positions += 1;
                let rest = run(&FAST, task_config(0, 1), Some(position.offset.as_ref().clone())).await;
                assert_eq!(rest, all[made..]);
            }
        }
        if batch.end_of_data {
            break;
        }
    }
    assert!(positions >= 12, "{positions}");
}

#[tokio::test]
async fn tasks_make_different_records_and_each_its_own_count() {
    let (first, second) = (run(&FAST, task_config(0, 2), None).await, run(&FAST, task_config(1, 2), None).await);
    assert_eq!((first.len(), second.len()), (1200, 1200));
    assert!(first.iter().zip(&second).all(|(a, b)| a != b));
}

#[tokio::test]
async fn a_position_of_other_settings_is_refused() {
    let (cx, _) =
        context(Some(SourceOffset(json!({"current.iteration": 5, "settings": "x"}).as_object().unwrap().clone())));
    let error = task(&FAST, task_config(0, 1)).start(&cx).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "DATAGEN-0020"));
    assert!(error.message.contains("reset the offsets"), "{error}");
    let (cx, _) = context(Some(SourceOffset(json!({"task.generation": 1}).as_object().unwrap().clone())));
    assert_eq!(task(&FAST, task_config(0, 1)).start(&cx).await.unwrap_err().class, ErrorClass::Definite);
}

#[tokio::test]
async fn the_familiar_generators_position_is_continued() {
    let offset =
        json!({"current.iteration": 1190, "task.generation": 2, "random.seed": 99}).as_object().unwrap().clone();
    let rest = run(&FAST, task_config(0, 1), Some(SourceOffset(offset))).await;
    assert_eq!(rest, run(&FAST, task_config(0, 1), None).await[1190..]);
}

#[tokio::test]
async fn the_pause_between_records_is_exact_over_time() {
    for (keys, wanted) in [(&[("max.interval", "5")][..], 4000), (&[][..], 40)] {
        let (cx, clock) = context(None);
        let mut task = task(keys, task_config(0, 3));
        task.start(&cx).await.unwrap();
        let mut made = 0;
        while clock.monotonic() < Duration::from_secs(20) {
            made += task.poll(&cx).await.unwrap().records.len();
        }
        assert!((wanted..=wanted + 1).contains(&made), "{keys:?}: {made}");
    }
}

#[tokio::test]
async fn a_rate_that_the_runtime_holds_stands_for_the_pause() {
    let (cx, _) = context(None);
    let mut task = task(&[("flow.rate.records", "600")], task_config(0, 3));
    task.start(&cx).await.unwrap();
    assert!(task.poll(&cx).await.unwrap().records.len() > 100, "as many as one poll may have");
}

#[tokio::test]
async fn transactions_end_where_they_are_asked_to() {
    let (cx, _) = context(None);
    let mut pairs = FAST.to_vec();
    pairs.extend([("transaction.records", "70"), ("batch.records", "50")]);
    let mut task = task(&pairs, task_config(0, 1));
    task.start(&cx).await.unwrap();
    let mut made = 0;
    while made < 1200 {
        let batch = task.poll(&cx).await.unwrap();
        made += batch.records.len();
        let complete = made % 70 == 0 || made == 1200;
        assert_eq!(batch.boundary == Boundary::Complete, complete, "{made}");
    }
}

#[tokio::test]
async fn stamps_and_partitions_are_there_when_asked_for() {
    let (cx, _) = context(None);
    let mut pairs = FAST.to_vec();
    pairs.extend([("stamp", "true"), ("partition.mode", "round-robin:3")]);
    let mut task = task(&pairs, task_config(1, 2));
    task.start(&cx).await.unwrap();
    let batch = task.poll(&cx).await.unwrap();
    let record = &batch.records[4].record;
    assert_eq!(record.partition, Some(1));
    let stamps: Vec<_> = record.headers.iter().map(|(name, datum)| (&**name, datum.value.clone())).collect();
    let digest = elasticflow_datagen::digest_of(&record.value.value);
    assert_eq!(stamps, [("ef.task", Value::Int64(1)), ("ef.n", Value::Int64(4)), ("ef.digest", Value::Int64(digest))]);
    assert_eq!(record.key.value, Value::Int64(4));
    assert_eq!(record.key.schema.as_ref().unwrap().kind, Kind::Int64);
}

/// Records as they are.
async fn made(pairs: &[(&str, &str)]) -> Vec<elasticflow_api::data::Record> {
    let (cx, _) = context(None);
    let pairs: Vec<_> = FAST.iter().chain(pairs).copied().collect();
    let mut task = task(&pairs, task_config(0, 1));
    task.start(&cx).await.unwrap();
    let mut records = Vec::new();
    loop {
        let batch = task.poll(&cx).await.unwrap();
        records.extend(batch.records.into_iter().map(|record| record.record));
        if batch.end_of_data {
            return records;
        }
    }
}

#[tokio::test]
async fn keys_come_again_as_often_as_they_are_asked_to_with_other_values() {
    let records = made(&[("key.cardinality", "20")]).await;
    let mut keys = std::collections::BTreeMap::new();
    for record in &records {
        let Value::Int64(key) = record.key.value else { panic!("no number") };
        *keys.entry(key).or_insert(0) += 1;
    }
    assert!(keys.len() <= 20 && keys.keys().all(|key| (0..20).contains(key)), "{keys:?}");
    assert!(keys[&0] > 2 * keys[&19], "the first comes most often: {keys:?}");
    assert!(
        records.iter().all(|record| matches!(&record.value.value, Value::Struct(v) if v.values[0] == record.key.value))
    );
}

#[tokio::test]
async fn changes_have_the_row_before_them_and_each_follows_from_the_last() {
    let mut rows = std::collections::BTreeMap::new();
    for record in made(&[("ops", "5:7:2")]).await {
        let Value::Struct(change) = &record.value.value else { panic!("no change") };
        let [before, after, _, Value::String(op), _] = change.values.as_slice() else { panic!("{change:?}") };
        let Value::Int64(key) = record.key.value else { panic!("no key") };
        assert_eq!(*before, rows.get(&key).cloned().unwrap_or(Value::Null), "{key} {op}");
        match &**op {
            "c" | "u" => drop(rows.insert(key, after.clone())),
            "d" => {
                assert_eq!(*after, Value::Null);
                rows.remove(&key);
            }
            other => panic!("{other}"),
        }
        line(&record);
    }
    assert!(!rows.is_empty());
}

#[tokio::test]
async fn records_have_the_size_that_they_are_asked_for() {
    for size in [200_usize, 1000] {
        for record in made(&[("record.bytes", &size.to_string())]).await.iter().take(300) {
            let mut out = BytesMut::new();
            let plan = Plan::new(record.value.schema.as_ref().unwrap(), &Style::CONNECT).unwrap();
            plan.write(&record.value.value, &mut out).unwrap();
            assert!(out.len().abs_diff(size) <= size / 20, "{} of {size}: {out:?}", out.len());
        }
    }
}

#[tokio::test]
async fn some_records_have_no_bytes_and_the_same_ones_each_time() {
    let is_bad = |record: &elasticflow_api::data::Record| {
        let plan = Plan::new(record.value.schema.as_ref().unwrap(), &Style::CONNECT).unwrap();
        plan.write(&record.value.value, &mut BytesMut::new()).is_err()
    };
    let run = async || made(&[("poison.ratio", "0.1")]).await.iter().map(is_bad).collect::<Vec<bool>>();
    let first = run().await;
    let bad = first.iter().filter(|bad| **bad).count();
    assert!((60..180).contains(&bad), "{bad} of 1200");
    assert_eq!(first, run().await);
    assert!(made(&[]).await.iter().all(|record| !is_bad(record)));
}

#[tokio::test]
async fn an_avro_schema_of_the_familiar_generator_is_read_as_text_and_from_a_file() {
    let schema = r#"{"namespace":"ksql","name":"users","type":"record","fields":[
        {"name":"registertime","type":{"type":"long","arg.properties":{"range":{"min":1487715775521,"max":1519273364600}}}},
        {"name":"userid","type":{"type":"string","arg.properties":{"regex":"User_[1-9]"}}},
        {"name":"gender","type":{"type":"string","arg.properties":{"options":["MALE","FEMALE","OTHER"]}}}],"connect.name":"ksql.users"}"#;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users.avsc");
    std::fs::write(&file, schema).unwrap();
    let file = file.display().to_string();
    let own = |key: &'static str, value| [("fields", ""), (key, value), ("schema.keyfield", "userid")];
    let records = made(&own("schema.string", schema)).await;
    assert_eq!(records, made(&own("schema.filename", &file)).await);
    for record in &records {
        assert_eq!(record.value.schema.as_ref().unwrap().name.as_deref(), Some("ksql.users"));
        let Value::String(user) = &record.key.value else { panic!("no text") };
        assert!(user.starts_with("User_") && user.len() == 6, "{user}");
    }
}

#[tokio::test]
async fn a_change_of_what_makes_records_is_no_continuation() {
    let (cx, _) = context(None);
    let mut first = task(&FAST, task_config(0, 1));
    first.start(&cx).await.unwrap();
    let position = first.poll(&cx).await.unwrap().records.pop().unwrap().position.unwrap();
    for change in [
        ("random.seed", "8"),
        ("key.cardinality", "5"),
        ("ops", "1:1:0"),
        ("record.bytes", "99"),
        ("poison.ratio", "0.5"),
    ] {
        let pairs: Vec<_> = FAST.iter().copied().filter(|(key, _)| *key != change.0).chain([change]).collect();
        let (cx, _) = context(Some(position.offset.as_ref().clone()));
        let error = task(&pairs, task_config(0, 1)).start(&cx).await.unwrap_err();
        assert_eq!((error.class, error.code), (ErrorClass::Definite, "DATAGEN-0020"), "{change:?}");
    }
}

#[tokio::test]
async fn every_problem_of_a_configuration_is_reported_with_its_key() {
    let (cx, _) = context(None);
    let cx = ConnectorContext { clock: cx.clock, replan: Arc::new(|| {}) };
    for (pairs, key, words) in [
        (vec![("quickstart", "nope"), ("fields", "")], "quickstart", "available: users, orders"),
        (vec![("quickstart", "users")], "fields", "exactly one"),
        (vec![("fields", "a:what")], "fields", "kind what is not known"),
        (vec![("schema.keyfield", "zz")], "schema.keyfield", "no field zz"),
        (vec![("schema.string", "{}"), ("fields", "")], "schema.string", "the schema of a record"),
        (vec![("schema.filename", "/nowhere.avsc"), ("fields", "")], "schema.filename", "cannot be read"),
        (vec![("ops", "0:1:0")], "ops", "must create rows"),
        (vec![("ops", "1:1:0"), ("schema.keyfield", "")], "ops", "needs a key"),
        (vec![("key.cardinality", "5"), ("schema.keyfield", "")], "key.cardinality", "needs a key"),
        (vec![("key.cardinality", "5"), ("ops", "1:1:0")], "key.cardinality", "leave one of them out"),
        (vec![("record.bytes", "100"), ("fields", "id:seq,pad:uuid")], "record.bytes", "one of that name"),
        (vec![("poison.ratio", "2")], "poison.ratio", "no more than 1"),
        (vec![("burst.factor", "0")], "burst.factor", "at least 1"),
        (vec![("partition.mode", "fixed:-1")], "partition.mode", "fixed:N"),
        (vec![("kafka.topic", "a b")], "kafka.topic", "249"),
    ] {
        let report = DynSourceConnector::validate(&Datagen, &properties(&pairs), &cx).await;
        assert!(report.errors.get(key).is_some_and(|texts| texts[0].contains(words)), "{key}: {:?}", report.errors);
    }
    assert!(DynSourceConnector::validate(&Datagen, &properties(&[]), &cx).await.is_ok());
}

#[test]
fn altered_offsets_are_checked() {
    let check = |partition: serde_json::Value, offset: serde_json::Value| {
        DynSourceConnector::check_offset(&Datagen, &properties(&[]), partition.as_object(), offset.as_object())
    };
    assert!(check(json!({"task.id": 0}), json!({"current.iteration": 5})).is_ok());
    assert!(check(json!({"task.id": 0}), json!(null)).is_ok());
    assert!(check(json!({"task.id": 0}), json!({"n": 5})).is_err());
    assert!(check(json!({"x": 0}), json!({"current.iteration": 5})).is_err());
}
