//! The sink loop on the in-memory Kafka: each kind, each crash.
use crate::testing::{Commits, Fixture, Hook, SinkScript, SinkType, until};
use crate::{Happening, StopOutcome, TaskKind, TaskSpec, TaskState};
use elasticflow_api::position::{CommitEpoch, OwnerEpoch, TaskIndex, UnitId};
use elasticflow_api::{ConnectorError, ErrorClass};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const KINDS: [SinkType; 3] = [SinkType::Idempotent, SinkType::Transactional, SinkType::TwoPhase];

/// Two partitions with twenty records each.
fn fixture(script: &Arc<SinkScript>) -> Fixture {
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 2);
    fixture.kafka.write("in", &records(0, 40).iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
    fixture
}

fn records(from: usize, to: usize) -> Vec<(String, String)> {
    (from..to).map(|n| (format!("k{n}"), format!("v{n:03}"))).collect()
}

fn expected(to: usize) -> Vec<String> {
    records(0, to).into_iter().map(|(_, v)| v).collect()
}

fn spec(fixture: &Fixture, keys: &[(&str, &str)]) -> TaskSpec {
    let keys: Vec<_> = [("topics", "in"), ("commit.interval.ms", "50")].iter().chain(keys).copied().collect();
    fixture.spec(TaskKind::Sink, &keys)
}

fn consumed(fixture: &Fixture) -> i64 {
    (0..2).filter_map(|p| fixture.kafka.group_offset("connect-c", "in", p)).sum()
}

fn transient() -> ConnectorError {
    let class = ErrorClass::Transient { retry_after: None };
    ConnectorError { class, code: "TEST-0001", message: "gone".to_owned(), source: None }
}

#[tokio::test(start_paused = true)]
async fn every_kind_delivers_each_record_once_and_moves_the_groups_offsets() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script);
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[])).unwrap();
        until("offsets are at the end", || consumed(&fixture) == 40).await;
        assert_eq!(script.values(), expected(40), "{kind:?}");
        assert_eq!(script.destination.lock().replays, 0, "{kind:?}");
        assert!(fixture.saw(&Happening::Topic("in".into())));
        assert_eq!(runtime.stop_task(&fixture.id("c", 0)).await, StopOutcome::Soft, "{kind:?}");
        assert_eq!(fixture.states(), [TaskState::Running, TaskState::Stopped], "{kind:?}");
        assert_eq!(script.calls("close"), 1);
        assert_eq!(script.calls("stop"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_sink_is_flushed_as_soon_as_nothing_more_waits() {
    let script = SinkScript::new(SinkType::Idempotent, |_| Hook::Go);
    let fixture = fixture(&script);
    let runtime = fixture.runtime();
    let keys = [("topics", "in"), ("batch.max.records", "7")];
    runtime.start_task(fixture.spec(TaskKind::Sink, &keys)).unwrap();
    until("offsets are at the end", || consumed(&fixture) == 40).await;
    assert_eq!(script.values(), expected(40));
    assert!(script.calls("put") >= 6, "no put is larger than asked for");
    let flushed = script.calls("flush");
    fixture.kafka.write("in", &[("k40", "v040")]);
    until("one record alone is durable", || script.values().len() == 41).await;
    assert_eq!(script.calls("flush"), flushed + 1);
}

/// Every call of every kind, before and after its work.
fn steps(kind: SinkType) -> Vec<&'static str> {
    let own: &[&str] = match kind {
        SinkType::Idempotent => &["flush", "flush.after"],
        SinkType::Transactional => &[],
        SinkType::TwoPhase => &["prepare", "prepare.after", "commit", "commit.after"],
    };
    ["open", "put", "put.after"].iter().chain(own).copied().collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_in_any_call_loses_nothing_and_doubles_nothing() {
    for (kind, step) in KINDS.into_iter().flat_map(|k| steps(k).into_iter().map(move |s| (k, s))) {
        let hits = AtomicUsize::new(0);
        let script =
            SinkScript::new(
                kind,
                move |op| {
                    if op == step && hits.fetch_add(1, SeqCst) == 0 { Hook::Hang } else { Hook::Go }
                },
            );
        let fixture = fixture(&script);
        let dead = fixture.runtime();
        dead.start_task(spec(&fixture, &[])).unwrap();
        until("the worker hangs", || script.calls(step) == 1).await;
        drop(dead);
        let alive = fixture.runtime();
        alive.start_task(spec(&fixture, &[])).unwrap();
        until(&format!("offsets are at the end: {kind:?} {step}"), || consumed(&fixture) == 40).await;
        until(&format!("all is visible: {kind:?} {step}"), || script.values().len() == 40).await;
        assert_eq!(script.values(), expected(40), "{kind:?} {step}");
        if kind != SinkType::Idempotent {
            assert_eq!(script.destination.lock().replays, 0, "{kind:?} {step}");
        }
        assert!(script.destination.lock().prepared.is_empty(), "{kind:?} {step}: left over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_of_any_call_is_answered_with_a_new_instance() {
    for (kind, step) in KINDS.into_iter().flat_map(|k| steps(k).into_iter().map(move |s| (k, s))) {
        let hits = AtomicUsize::new(0);
        let script = SinkScript::new(kind, move |op| {
            if op == step && hits.fetch_add(1, SeqCst) == 0 { Hook::Fail(transient()) } else { Hook::Go }
        });
        let fixture = fixture(&script);
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[])).unwrap();
        until(&format!("offsets are at the end: {kind:?} {step}"), || consumed(&fixture) == 40).await;
        until(&format!("all is visible: {kind:?} {step}"), || script.values().len() == 40).await;
        assert_eq!(script.values(), expected(40), "{kind:?} {step}");
        assert!(script.destination.lock().prepared.is_empty(), "{kind:?} {step}: left over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_decision_neither_loses_nor_doubles() {
    for fault in [Commits::ApplyAndLoseTheAnswer, Commits::LoseTheRequest, Commits::Refuse] {
        let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
        let fixture = fixture(&script);
        let kafka = fixture.kafka.clone();
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[("commit.interval.ms", "50")])).unwrap();
        until("the sink is prepared", || script.calls("put") > 0).await;
        kafka.fault(fault);
        until("offsets are at the end", || consumed(&fixture) == 40).await;
        until("all is visible", || script.values().len() == 40).await;
        assert_eq!(script.values(), expected(40), "{fault:?}");
        assert_eq!(script.destination.lock().replays, 0, "{fault:?}");
        until("nothing is left over", || script.destination.lock().prepared.is_empty()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_came_between_two_generations_is_decided_in_the_next_one() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script);
    fixture.kafka.refuse_offsets(20);
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[("commit.interval.ms", "50")])).unwrap();
    until("offsets are at the end", || consumed(&fixture) == 40).await;
    until("all is visible", || script.values().len() == 40).await;
    assert_eq!(script.values(), expected(40));
    assert_eq!((script.calls("abort"), fixture.kafka.members_ever()), (0, 1), "neither removed nor restarted");
}

#[tokio::test(start_paused = true)]
async fn claims_rise_with_every_owner_and_stay() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script);
    for owner in 1..=3 {
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[])).unwrap();
        let claim = format!(r#"{{"v":1,"owner":{owner},"#);
        until("the claim is written", || {
            fixture.kafka.table("decisions").get("claim-c-0").is_some_and(|v| v.starts_with(&claim))
        })
        .await;
        until("offsets are at the end", || consumed(&fixture) == 40).await;
        runtime.shut_down().await;
    }
    assert!(!fixture.kafka.table("decisions").keys().any(|k| k.starts_with("unit-")), "a soft stop forgets its units");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_owner_has_decided_is_committed_before_the_group_gives_partitions() {
    let hits = AtomicUsize::new(0);
    let script = SinkScript::new(SinkType::TwoPhase, move |op| {
        if op == "commit" && hits.fetch_add(1, SeqCst) == 0 { Hook::Hang } else { Hook::Go }
    });
    let fixture = fixture(&script);
    let dead = fixture.runtime();
    dead.start_task(spec(&fixture, &[])).unwrap();
    until("a unit is decided", || script.calls("commit") == 1).await;
    drop(dead);
    assert!(script.values().is_empty());
    // Nothing is assigned to this one.
    fixture.kafka.create("other", 1);
    let alive = fixture.runtime();
    alive.start_task(fixture.spec(TaskKind::Sink, &[("topics", "other")])).unwrap();
    until("the unit is visible", || script.values().len() as i64 == consumed(&fixture)).await;
    assert!(!script.values().is_empty() && script.destination.lock().prepared.is_empty());
    let claim = fixture.kafka.table("decisions")["claim-c-0"].clone();
    assert!(claim.contains(r#""owner":2"#) && claim.contains(r#""topic":"in""#), "claims are for ever: {claim}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_a_fenced_owner_prepares_late_is_removed_by_its_successor() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script);
    for _ in 0..2 {
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[])).unwrap();
        until("offsets are at the end", || consumed(&fixture) == 40).await;
        runtime.shut_down().await;
    }
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[])).unwrap();
    until("it has looked", || script.calls("in_doubt") >= 5).await;
    let unit = |owner| UnitId {
        connector: "g/c".into(),
        task: TaskIndex(0),
        owner: OwnerEpoch(owner),
        commit: CommitEpoch(9),
    };
    script.destination.lock().prepared.extend([(unit(1), Vec::new()), (unit(7), Vec::new())]);
    until("the late one is removed", || script.destination.lock().prepared.len() == 1).await;
    assert_eq!(script.destination.lock().prepared[0].0, unit(7), "a newer owner decides for itself");
}

#[tokio::test(start_paused = true)]
async fn partitions_move_between_tasks_without_loss_or_doubling() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script);
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[])).unwrap();
        until("the first has put", || script.calls("put") > 0).await;
        let second = TaskSpec { id: fixture.id("c", 1), ..spec(&fixture, &[]) };
        runtime.start_task(second).unwrap();
        until("a partition was given up", || script.calls("close") > 0).await;
        let more = records(40, 80);
        fixture.kafka.write("in", &more.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
        until("offsets are at the end", || consumed(&fixture) == 80).await;
        assert_eq!(script.values(), expected(80), "{kind:?}");
        assert_eq!(script.destination.lock().replays, 0, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_lasts_as_long_as_its_sink_says_where_nothing_is_configured() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script);
    let runtime = fixture.runtime();
    let began = tokio::time::Instant::now();
    runtime.start_task(fixture.spec(TaskKind::Sink, &[("topics", "in")])).unwrap();
    until("offsets are at the end", || consumed(&fixture) == 40).await;
    let waited = began.elapsed();
    assert!((2..20).contains(&waited.as_secs()), "{waited:?} of virtual time");
}

#[tokio::test(start_paused = true)]
async fn lost_partitions_are_read_again_by_a_new_instance() {
    for kind in [SinkType::Idempotent, SinkType::TwoPhase] {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script);
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[("commit.interval.ms", "60000")])).unwrap();
        until("records are put", || script.calls("put") > 0).await;
        fixture.kafka.expire("connect-c");
        until("offsets are at the end", || consumed(&fixture) == 40).await;
        assert_eq!(script.values(), expected(40), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_and_rejected_records_go_to_the_dead_letter_topic_before_offsets_move() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script);
        fixture.kafka.write("in", &[("x", "bad"), ("y", "reject")]);
        let runtime = fixture.runtime();
        let keys = [
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "dead"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
        ];
        runtime.start_task(spec(&fixture, &keys)).unwrap();
        until("offsets are at the end", || consumed(&fixture) == 42).await;
        assert_eq!(script.values(), expected(40), "{kind:?}");
        let dead = fixture.kafka.records("dead");
        assert_eq!(dead.len(), 2, "{kind:?}");
        let bad = dead.iter().find(|r| r.value.as_deref() == Some(b"bad")).unwrap();
        assert_eq!(bad.timestamp_ms, Some(1_700_000_000_000));
        let header = |name: &str| bad.headers.iter().find(|(n, _)| &**n == name).and_then(|(_, v)| v.clone()).unwrap();
        assert_eq!(&header("__connect.errors.stage")[..], b"VALUE_CONVERTER");
        assert_eq!(&header("__connect.errors.class.name")[..], b"test.Plain");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_fails_the_task_without_tolerance() {
    let script = SinkScript::new(SinkType::Idempotent, |_| Hook::Go);
    let fixture = fixture(&script);
    fixture.kafka.write("in", &[("x", "bad")]);
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[])).unwrap();
    assert!(fixture.failure().await.contains("Tolerance exceeded in error handler"));
    assert!(consumed(&fixture) < 41);
}

const DEAD: [(&str, &str); 3] = [
    ("errors.tolerance", "all"),
    ("errors.deadletterqueue.topic.name", "dead"),
    ("errors.deadletterqueue.context.headers.enable", "true"),
];

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_as_a_whole_is_halved_down_to_its_bad_rows() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script);
        let bad = [("a", "poison1"), ("b", "bad"), ("c", "v040"), ("d", "poison2"), ("e", "reject"), ("f", "poison3")];
        fixture.kafka.write("in", &bad);
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &DEAD)).unwrap();
        until("offsets are at the end", || consumed(&fixture) == 46).await;
        assert_eq!(script.values(), expected(41), "{kind:?}");
        assert_eq!(script.destination.lock().replays, 0, "{kind:?}");
        let mut dead = fixture.kafka.values("dead");
        dead.sort();
        assert_eq!(dead, ["bad", "poison1", "poison2", "poison3", "reject"], "{kind:?}");
        assert!(script.calls("put") <= 60, "{kind:?}: {} calls for 46 records", script.calls("put"));
        assert_eq!(script.calls("start"), 1, "{kind:?}: the instance lives on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_without_tolerance_stops_at_the_bad_row() {
    let script = SinkScript::new(SinkType::Transactional, |_| Hook::Go);
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 1);
    fixture.kafka.write("in", &[("a", "v000"), ("b", "v001"), ("c", "poison"), ("d", "v003")]);
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[])).unwrap();
    let trace = fixture.failure().await;
    let caused = "Caused by: org.apache.kafka.connect.errors.DataException: TASK_PUT: TEST-0002: a row is refused (the record of in-0 at offset 2)";
    assert!(trace.lines().skip(2).eq([caused]), "{trace}");
    assert_eq!(script.values(), expected(2));
}

#[tokio::test(start_paused = true)]
async fn more_bad_rows_in_a_batch_than_are_searched_fail_the_task() {
    let script = SinkScript::new(SinkType::Transactional, |_| Hook::Go);
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 1);
    fixture.kafka.write("in", &[("a", "poison"), ("b", "poison"), ("c", "poison")]);
    let runtime = fixture.runtime();
    let keys = [DEAD[0], DEAD[1], ("errors.batch.isolate.max", "2")];
    runtime.start_task(spec(&fixture, &keys)).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("errors.batch.isolate.max=2"), "{trace}");
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_the_topic_never_reached_is_definite() {
    let script = SinkScript::new(SinkType::Transactional, |_| Hook::Go);
    let fixture = fixture(&script);
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[])).unwrap();
    until("offsets are at the end", || consumed(&fixture) == 40).await;
    runtime.shut_down().await;
    fixture.kafka.delete("in");
    fixture.kafka.create("in", 2);
    let again = fixture.runtime();
    again.start_task(spec(&fixture, &[])).unwrap();
    assert!(fixture.failure().await.contains("it was re-created"));
}

#[tokio::test(start_paused = true)]
async fn expired_group_offsets_are_definite_for_a_two_phase_sink() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script);
    for _ in 0..2 {
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &[])).unwrap();
        until("offsets are at the end", || consumed(&fixture) == 40).await;
        until("it is opened", || script.calls("open") > 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        runtime.shut_down().await;
    }
    fixture.kafka.forget_group("connect-c");
    let again = fixture.runtime();
    again.start_task(spec(&fixture, &[])).unwrap();
    assert!(fixture.failure().await.contains("it has expired"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_commits_and_keeps_the_partitions() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script);
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[("commit.interval.ms", "60000")])).unwrap();
    until("records are put", || script.calls("put") > 0).await;
    runtime.pause(&fixture.id("c", 0)).unwrap();
    until("it is paused", || fixture.states().last() == Some(&TaskState::Paused)).await;
    let seen = script.values().len();
    assert!(seen > 0, "what was put is committed");
    let more = records(40, 50);
    fixture.kafka.write("in", &more.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(script.values().len(), seen);
    runtime.resume(&fixture.id("c", 0)).unwrap();
    until("the rest is put", || script.calls("put") > 1).await;
    runtime.shut_down().await;
    assert_eq!(script.values(), expected(50));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_hangs_ends_hard_after_the_graceful_time() {
    let script = SinkScript::new(SinkType::Idempotent, |op| if op == "put" { Hook::Hang } else { Hook::Go });
    let fixture = fixture(&script);
    let runtime = fixture.runtime();
    runtime.start_task(spec(&fixture, &[])).unwrap();
    until("it hangs", || script.calls("put") == 1).await;
    assert_eq!(runtime.stop_task(&fixture.id("c", 0)).await, StopOutcome::Hard);
    assert_eq!(fixture.states().last(), Some(&TaskState::Stopped));
}
