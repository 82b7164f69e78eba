//! The source loop on the in-memory Kafka.
use crate::testing::{Commits, Fixture, scripted_batch, scripted_source, until};
use crate::{Happening, StopOutcome, TaskKind, TaskState};
use bytes::Bytes;
use elasticflow_api::data::{Datum, Value};
use elasticflow_api::error::Stage;
use elasticflow_api::source::{Boundary, Rejected, SourceBatch};
use elasticflow_api::written::Target;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn numbers(to: u64) -> Vec<String> {
    (0..to).map(|n| format!("v{n}")).collect()
}

fn stored(fixture: &Fixture) -> Option<String> {
    fixture.kafka.table("offsets").get(r#"["c",{"p":"x"}]"#).cloned()
}

/// Counts to `end` in steps of ten.
fn counting(end: u64) -> impl Fn(u64) -> Result<Option<SourceBatch>, ConnectorError> {
    move |at| Ok((at < end).then(|| scripted_batch(at, at + 10, Boundary::Complete)))
}

fn transient() -> ConnectorError {
    ConnectorError {
        class: ErrorClass::Transient { retry_after: None },
        code: "TEST-0001",
        message: "gone".to_owned(),
        source: None,
    }
}

#[tokio::test(start_paused = true)]
async fn records_and_offsets_are_committed_together_and_the_source_is_told() {
    let script = scripted_source(counting(100));
    let fixture = Fixture::new(Some(Arc::clone(&script)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":100}"#)).await;
    assert_eq!(fixture.kafka.values("out"), numbers(100));
    until("the source is told", || script.committed.lock().last() == Some(&100)).await;
    assert_eq!(runtime.stop_task(&fixture.id("c", 0)).await, StopOutcome::Soft);
    assert_eq!(fixture.states(), [TaskState::Running, TaskState::Stopped]);
    assert_eq!(script.stops.load(SeqCst), 1);
    assert!(fixture.saw(&Happening::Topic("out".into())));
}

/// Two records, and written ones before, between and after them.
fn mixed(at: u64) -> Result<Option<SourceBatch>, ConnectorError> {
    let target = Arc::new(Target { topic: "out".into(), key_lead: Bytes::new(), value_lead: "<".into() });
    let mut batch = scripted_batch(at, at + 2, Boundary::Complete);
    for (after, text) in [(0, "w0"), (1, "w1"), (2, "w2")] {
        let start = batch.written.bytes.len();
        batch.written.bytes.extend_from_slice(text.as_bytes());
        let end = batch.written.bytes.len();
        batch.written.push(&target, after, Some(start..end), Some(start..end));
    }
    batch.progress = batch.records.last().and_then(|last| last.position.clone()).into_iter().collect();
    Ok((at == 0).then_some(batch))
}

#[tokio::test(start_paused = true)]
async fn written_records_go_out_among_the_others_where_they_say() {
    let fixture = Fixture::new(Some(scripted_source(mixed)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":2}"#)).await;
    assert_eq!(fixture.kafka.values("out"), ["<w0}", "v0", "<w1}", "v1", "<w2}"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_goes_on_after_the_last_committed_position() {
    let script = scripted_source(counting(50));
    let fixture = Fixture::new(Some(Arc::clone(&script)));
    let (first, second) = (fixture.runtime(), fixture.runtime());
    first.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the first has written", || fixture.kafka.values("out").len() == 50).await;
    second.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the second is told where it stands", || script.committed.lock().iter().filter(|n| **n == 50).count() >= 2)
        .await;
    assert_eq!(fixture.kafka.values("out"), numbers(50));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_commit_neither_loses_nor_doubles() {
    for fault in [Commits::ApplyAndLoseTheAnswer, Commits::LoseTheRequest, Commits::Refuse] {
        let script = scripted_source(counting(30));
        let fixture = Fixture::new(Some(Arc::clone(&script)));
        fixture.kafka.fault(fault);
        let runtime = fixture.runtime();
        runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
        until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":30}"#)).await;
        until("a new instance has taken over", || script.starts.load(SeqCst) == 2).await;
        assert_eq!(fixture.kafka.values("out"), numbers(30), "{fault:?}");
        assert!(matches!(fixture.states()[1], TaskState::Restarting { .. }), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_aborts_the_open_transaction_and_restarts() {
    let polls = AtomicUsize::new(0);
    let script = scripted_source(move |at| match polls.fetch_add(1, SeqCst) {
        0 => Ok(Some(scripted_batch(0, 5, Boundary::Inside))),
        1 => Err(transient()),
        _ => Ok((at < 10).then(|| scripted_batch(at, at + 5, Boundary::Complete))),
    });
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":10}"#)).await;
    assert_eq!(fixture.kafka.values("out"), numbers(10));
    assert_eq!(fixture.states().last(), Some(&TaskState::Running));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_transaction_becomes_visible_as_a_whole() {
    let fixture_seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let fixture_of: Arc<Mutex<Option<crate::testing::FakeKafka>>> = Arc::default();
    let (seen, of) = (Arc::clone(&fixture_seen), Arc::clone(&fixture_of));
    let script = scripted_source(move |at| {
        let visible = of.lock().as_ref().map_or(0, |k| k.values("out").len());
        seen.lock().push(visible);
        let boundary = if at == 20 { Boundary::Complete } else { Boundary::Inside };
        Ok((at < 30).then(|| scripted_batch(at, at + 10, boundary)))
    });
    let fixture = Fixture::new(Some(script));
    *fixture_of.lock() = Some(fixture.kafka.clone());
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("all is visible", || fixture.kafka.values("out").len() == 30).await;
    assert!(fixture_seen.lock().iter().all(|n| *n == 0 || *n == 30), "{fixture_seen:?}");
    assert_eq!(fixture.kafka.commits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rolled_back_upstream_transaction_is_never_seen() {
    let script = scripted_source(|at| {
        Ok(match at {
            0 => Some(scripted_batch(0, 10, Boundary::Complete)),
            10 => Some(scripted_batch(10, 20, Boundary::Inside)),
            20 => Some(scripted_batch(20, 21, Boundary::Abort)),
            21 => Some(scripted_batch(30, 40, Boundary::Complete)),
            _ => None,
        })
    });
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the rest is visible", || fixture.kafka.values("out").len() == 20).await;
    let expected: Vec<String> = (0..10).chain(30..40).map(|n| format!("v{n}")).collect();
    assert_eq!(fixture.kafka.values("out"), expected);
}

#[tokio::test(start_paused = true)]
async fn positions_without_records_are_committed_alone() {
    let script = scripted_source(|at| {
        let mut batch = scripted_batch(at, at + 1, Boundary::Complete);
        let progress = batch.records.drain(..).filter_map(|r| r.position).collect();
        Ok((at == 0).then(|| SourceBatch { progress, ..SourceBatch::default() }))
    });
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the position is stored", || stored(&fixture).as_deref() == Some(r#"{"n":1}"#)).await;
    assert!(fixture.kafka.values("out").is_empty());
}

fn one_bad(at: u64) -> Result<Option<SourceBatch>, ConnectorError> {
    let mut batch = scripted_batch(at, at + 3, Boundary::Complete);
    batch.records[1].record.value = Datum { schema: None, value: Value::String("bad".into()) };
    Ok((at == 0).then_some(batch))
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_fails_the_task_and_nothing_of_its_batch_is_committed() {
    let fixture = Fixture::new(Some(scripted_source(one_bad)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    let trace = fixture.failure().await;
    assert!(
        trace.starts_with(
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\tat "
        )
    );
    assert!(
        trace.contains("\nCaused by: org.apache.kafka.connect.errors.DataException: VALUE_CONVERTER: the text is bad"),
        "{trace}"
    );
    assert!(fixture.kafka.values("out").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tolerated_record_is_skipped_and_its_position_moves() {
    let fixture = Fixture::new(Some(scripted_source(one_bad)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("errors.tolerance", "all")])).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":3}"#)).await;
    assert_eq!(fixture.kafka.values("out"), ["v0", "v2"]);
    assert_eq!(runtime.metrics()[0].0.skipped.value(), 1);
}

fn unread(after: usize, position: u64) -> Rejected {
    let next = scripted_batch(position - 1, position, Boundary::Complete).records.remove(0).position;
    let error = RecordError { stage: Stage::TaskPoll, reason: "FILE-1: line 2".to_owned(), source: None };
    let value = Some(Bytes::from_static(b"raw"));
    Rejected { after, topic: "out".into(), value, timestamp_ms: Some(5), error, position: next }
}

/// Records 0, 1, then what cannot be read as 2, then 3.
fn one_unread(at: u64) -> Result<Option<SourceBatch>, ConnectorError> {
    let mut batch = scripted_batch(0, 4, Boundary::Complete);
    batch.records.remove(2);
    batch.rejected.push(unread(2, 3));
    Ok((at == 0).then_some(batch))
}

fn header(record: &elasticflow_kafka::ports::InRecord, name: &str) -> Option<String> {
    let found = record.headers.iter().find(|(n, _)| **n == format!("__connect.errors.{name}"))?;
    found.1.as_ref().map(|v| String::from_utf8(v.to_vec()).unwrap())
}

const DEAD: [(&str, &str); 3] = [
    ("errors.tolerance", "all"),
    ("errors.deadletterqueue.topic.name", "dead"),
    ("errors.deadletterqueue.context.headers.enable", "true"),
];

#[tokio::test(start_paused = true)]
async fn what_a_source_cannot_read_is_a_dead_letter_in_the_transaction_of_its_position() {
    let fixture = Fixture::new(Some(scripted_source(one_unread)));
    fixture.kafka.fault(Commits::Refuse);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &DEAD)).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":4}"#)).await;
    assert_eq!(fixture.kafka.values("out"), ["v0", "v1", "v3"]);
    let dead = fixture.kafka.records("dead");
    assert_eq!(dead.len(), 1, "the refused transaction has taken its dead letter along");
    assert_eq!(fixture.kafka.values("dead"), ["raw"]);
    let expected = [
        ("topic", Some("out")),
        ("partition", None),
        ("offset", None),
        ("source.partition", Some(r#"{"p":"x"}"#)),
        ("source.offset", Some(r#"{"n":3}"#)),
        ("stage", Some("TASK_POLL")),
        ("class.name", Some("test.Source")),
        ("exception.message", Some("FILE-1: line 2")),
    ];
    for (name, text) in expected {
        assert_eq!(header(&dead[0], name).as_deref(), text, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_source_cannot_read_fails_the_task_when_nothing_is_tolerated() {
    let fixture = Fixture::new(Some(scripted_source(one_unread)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("DataException: TASK_POLL: FILE-1: line 2"), "{trace}");
    assert!(fixture.kafka.values("out").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_ends_at_a_bad_record_is_tolerated_and_the_next_one_goes_on() {
    let polls = AtomicUsize::new(0);
    let script = scripted_source(move |at| match polls.fetch_add(1, SeqCst) {
        0 => Ok(Some(scripted_batch(0, 2, Boundary::Complete))),
        1 => Err(ConnectorError { class: ErrorClass::Record, ..transient() }),
        _ => Ok((at < 4).then(|| scripted_batch(at, 4, Boundary::Complete))),
    });
    let fixture = Fixture::new(Some(Arc::clone(&script)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &DEAD)).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":4}"#)).await;
    assert_eq!(script.starts.load(SeqCst), 1, "the instance lives on");
    assert_eq!(fixture.kafka.values("out"), numbers(4));
    let dead = fixture.kafka.records("dead");
    assert_eq!(header(&dead[0], "exception.message").as_deref(), Some("TEST-0001: gone"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_a_converter_or_kafka_refuses_becomes_a_dead_letter_too() {
    let fixture = Fixture::new(Some(scripted_source(one_bad)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &DEAD)).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":3}"#)).await;
    let dead = fixture.kafka.records("dead");
    assert_eq!(dead.len(), 1);
    assert_eq!(header(&dead[0], "stage").as_deref(), Some("VALUE_CONVERTER"));
    assert_eq!(header(&dead[0], "source.offset").as_deref(), Some(r#"{"n":2}"#));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_kafka_refuses_is_tolerated_like_a_bad_one() {
    let script = scripted_source(|at| {
        Ok(match at {
            0 => Some(scripted_batch(7, 8, Boundary::Complete)),
            8 => Some(scripted_batch(8, 12, Boundary::Complete)),
            _ => None,
        })
    });
    let fixture = Fixture::new(Some(script));
    fixture.kafka.refuse_values_above(2);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("errors.tolerance", "all")])).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":12}"#)).await;
    assert_eq!(fixture.kafka.values("out"), ["v7", "v8", "v9"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_this_task_alone() {
    let script = scripted_source(|_| panic!("boom"));
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("the task panicked: boom"), "{trace}");
    assert_eq!(runtime.stop_task(&fixture.id("c", 0)).await, StopOutcome::NotRunning);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_owner_that_is_not_assigned_any_more_is_silent() {
    struct Never;
    #[async_trait::async_trait]
    impl crate::Assignment for Never {
        async fn current(&self, _: &elasticflow_api::position::TaskId, _: u64) -> bool {
            false
        }
    }
    let mut fixture = Fixture::new(Some(scripted_source(counting(10))));
    fixture.options.assignment = Arc::new(Never);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("it has given up", || fixture.states().last() == Some(&TaskState::Fenced)).await;
    assert_eq!(fixture.states().len(), 1);
    assert!(fixture.kafka.values("out").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fenced_owner_that_is_still_assigned_gets_a_new_instance() {
    let go = Arc::new(AtomicUsize::new(0));
    let may = Arc::clone(&go);
    let script = scripted_source(move |at| {
        Ok((at < 10 || at < 20 && may.load(SeqCst) > 0).then(|| scripted_batch(at, at + 10, Boundary::Complete)))
    });
    let fixture = Fixture::new(Some(Arc::clone(&script)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("it has written", || fixture.kafka.values("out").len() == 10).await;
    fixture.kafka.take_over("g-c-0");
    go.store(1, SeqCst);
    until("the new instance goes on", || stored(&fixture).as_deref() == Some(r#"{"n":20}"#)).await;
    assert_eq!(fixture.kafka.values("out"), numbers(20));
    assert_eq!(fixture.states(), [TaskState::Running]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_stops_polling_and_a_resume_goes_on() {
    let fixture = Fixture::new(Some(scripted_source(counting(20))));
    let runtime = fixture.runtime();
    runtime.start_task(crate::TaskSpec { paused: true, ..fixture.spec(TaskKind::Source, &[]) }).unwrap();
    until("it is paused", || fixture.states().last() == Some(&TaskState::Paused)).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(fixture.kafka.values("out").is_empty());
    runtime.resume(&fixture.id("c", 0)).unwrap();
    until("all is committed", || stored(&fixture).as_deref() == Some(r#"{"n":20}"#)).await;
    assert_eq!(fixture.states(), [TaskState::Paused, TaskState::Running]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_data_is_reported_after_its_commit() {
    let script = scripted_source(|at| {
        Ok(Some(SourceBatch { end_of_data: true, ..scripted_batch(at, at + 5, Boundary::Complete) }))
    });
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the end is reported", || fixture.saw(&Happening::EndOfData)).await;
    assert_eq!(fixture.kafka.values("out"), numbers(5));
}

#[tokio::test(start_paused = true)]
async fn at_least_once_tasks_store_offsets_at_the_flush_interval_and_at_a_stop() {
    let mut fixture = Fixture::new(Some(scripted_source(counting(20))));
    fixture.options.exactly_once_sources = false;
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("records are visible", || fixture.kafka.values("out").len() == 20).await;
    assert_eq!(stored(&fixture), None);
    runtime.stop_task(&fixture.id("c", 0)).await;
    assert_eq!(stored(&fixture).as_deref(), Some(r#"{"n":20}"#));
    assert_eq!(fixture.kafka.commits(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_own_offsets_topic_is_read_over_the_workers_and_both_are_written() {
    let fixture = Fixture::new(Some(scripted_source(counting(20))));
    fixture.kafka.write("offsets", &[(r#"["c",{"p":"x"}]"#, r#"{"n":0}"#)]);
    fixture.kafka.create("own", 1);
    fixture.kafka.write("own", &[(r#"["c", {"p":"x"}]"#, r#"{"n":10}"#)]);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("offsets.storage.topic", "own")])).unwrap();
    until("all is committed", || {
        stored(&fixture).as_deref() == Some(r#"{"n":20}"#)
            || fixture.kafka.table("own").values().any(|v| v == r#"{"n":20}"#)
    })
    .await;
    assert_eq!(fixture.kafka.values("out").len(), 10);
    assert_eq!(fixture.kafka.table("own").len(), 1, "the key bytes that were there are used again");
}

#[tokio::test(start_paused = true)]
async fn a_source_may_not_write_to_its_own_offsets_topic() {
    let script = scripted_source(|at| {
        let mut batch = scripted_batch(at, at + 1, Boundary::Complete);
        batch.records[0].record.topic = "offsets".into();
        Ok(Some(batch))
    });
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    assert!(fixture.failure().await.contains("may not produce to their own offsets topics"));
}
