//! A destination that fails for a while: the breaker, the place in the group, restarts.
use crate::testing::{Fixture, Hook, SinkScript, SinkType, until};
use crate::{BreakerState, Forced, TaskKind, TaskState};
use elasticflow_api::{ConnectorError, ErrorClass};
use elasticflow_config::flow::FlowState;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::Instant;

const KINDS: [(SinkType, &str); 3] =
    [(SinkType::Idempotent, "flush"), (SinkType::Transactional, "put"), (SinkType::TwoPhase, "prepare")];

fn transient() -> ConnectorError {
    let class = ErrorClass::Transient { retry_after: None };
    ConnectorError { class, code: "TEST-0001", message: "gone".to_owned(), source: None }
}

/// A sink whose call fails while it is broken, and when that call was made.
struct Broken {
    script: Arc<SinkScript>,
    calls: Arc<Mutex<Vec<Instant>>>,
    broken: Arc<AtomicBool>,
}

fn broken(kind: SinkType, step: &'static str) -> Broken {
    let (calls, broken) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::new(AtomicBool::new(true)));
    let (seen, is_broken) = (Arc::clone(&calls), Arc::clone(&broken));
    let script = SinkScript::new(kind, move |op| {
        if op != step {
            return Hook::Go;
        }
        seen.lock().push(Instant::now());
        if is_broken.load(SeqCst) { Hook::Fail(transient()) } else { Hook::Go }
    });
    Broken { script, calls, broken }
}

fn fixture(script: &Arc<SinkScript>) -> Fixture {
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 2);
    let all: Vec<_> = (0..40).map(|n| (format!("k{n}"), format!("v{n:03}"))).collect();
    fixture.kafka.write("in", &all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
    fixture
}

const KEYS: [(&str, &str); 2] = [("topics", "in"), ("commit.interval.ms", "50")];

fn consumed(fixture: &Fixture) -> i64 {
    (0..2).filter_map(|p| fixture.kafka.group_offset("connect-c", "in", p)).sum()
}

#[tokio::test(start_paused = true)]
async fn no_call_is_made_but_single_trials_and_the_place_in_the_group_is_kept() {
    for (kind, step) in KINDS {
        let sink = broken(kind, step);
        let fixture = fixture(&sink.script);
        let runtime = fixture.runtime();
        runtime.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
        until("it has tried nine times", || sink.calls.lock().len() == 9).await;
        let breaker = runtime.breaker(&fixture.id("c", 0)).unwrap();
        until("it is open again", || breaker.report().state == BreakerState::Open).await;
        let report = runtime.limit(&fixture.id("c", 0)).unwrap().report();
        assert_eq!(report.state, FlowState::BreakerOpen, "{kind:?}");
        let calls = sink.calls.lock().clone();
        for (pair, wanted) in calls[4..].windows(2).zip([5.0, 10.0, 20.0, 40.0]) {
            let gap = pair[1].duration_since(pair[0]).as_secs_f64();
            assert!((wanted * 0.8..wanted * 1.25 + 0.2).contains(&gap), "{kind:?}: {gap} s instead of {wanted}");
        }
        sink.broken.store(false, SeqCst);
        until("all is delivered", || consumed(&fixture) == 40 && sink.script.values().len() == 40).await;
        fixture.kafka.write("in", &[("k40", "v040"), ("k41", "v041"), ("k42", "v042")]);
        until("it is closed", || breaker.report().state == BreakerState::Closed).await;
        assert_eq!(breaker.report().opened, 1, "one incident");
        until("the rest is delivered", || sink.script.values().len() == 43).await;
        if kind != SinkType::Idempotent {
            assert_eq!(sink.script.destination.lock().replays, 0, "{kind:?}");
        }
        assert_eq!(fixture.kafka.members_ever(), 1, "{kind:?}: it never left its group");
        assert_eq!(fixture.states().last(), Some(&TaskState::Running));
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_move_to_others_and_back_while_a_sink_waits() {
    for (kind, step) in KINDS {
        let sink = broken(kind, step);
        let fixture = fixture(&sink.script);
        let first = fixture.runtime();
        first.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
        until("the breaker is open", || sink.calls.lock().len() == 6).await;
        // Another member joins while the first one has no instance: it gets its half, and goes again.
        let second = fixture.runtime();
        let joined = crate::TaskSpec { id: fixture.id("c", 1), ..fixture.spec(TaskKind::Sink, &KEYS) };
        second.start_task(joined).unwrap();
        until("both have partitions", || sink.script.calls("open") >= 7).await;
        sink.broken.store(false, SeqCst);
        until("all is delivered", || consumed(&fixture) == 40 && sink.script.values().len() == 40).await;
        second.stop_task(&fixture.id("c", 1)).await;
        fixture.kafka.write("in", &[("k40", "v040"), ("k41", "v041"), ("k42", "v042"), ("k43", "v043")]);
        until("the rest is delivered by the first", || sink.script.values().len() == 44).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_a_person_opens_stops_a_running_sink_and_closing_it_lets_it_go_on() {
    let sink = broken(SinkType::Transactional, "none");
    let fixture = fixture(&sink.script);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
    until("all is delivered", || consumed(&fixture) == 40).await;
    let breaker = runtime.breaker(&fixture.id("c", 0)).unwrap();
    breaker.force(Forced::Open);
    fixture.kafka.write("in", &[("k40", "v040")]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(sink.script.values().len(), 40);
    breaker.force(Forced::Auto);
    until("it goes on", || sink.script.values().len() == 41).await;
    assert_eq!(sink.script.calls("start"), 1, "by the same instance");
}

#[tokio::test(start_paused = true)]
async fn restarts_are_counted_where_there_is_no_breaker_and_the_last_error_lists_them() {
    let sink = broken(SinkType::Transactional, "put");
    let fixture = fixture(&sink.script);
    let runtime = fixture.runtime();
    let keys: Vec<_> = KEYS.into_iter().chain([("flow.breaker.enable", "false"), ("flow.restart.max", "3")]).collect();
    runtime.start_task(fixture.spec(TaskKind::Sink, &keys)).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("FLOW-0031 RESTARTS_EXHAUSTED") && trace.contains("the last 3 restarts"), "{trace}");
    assert_eq!(sink.calls.lock().len(), 4, "the first try and three restarts");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_stays_open_for_too_long_fails_the_task_where_that_is_asked_for() {
    let sink = broken(SinkType::Transactional, "put");
    let fixture = fixture(&sink.script);
    let runtime = fixture.runtime();
    let keys: Vec<_> = KEYS.into_iter().chain([("flow.breaker.fail.after.ms", "60000")]).collect();
    runtime.start_task(fixture.spec(TaskKind::Sink, &keys)).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("FLOW-0030 BREAKER"), "{trace}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_is_told_with_what_it_waits_for_until_the_task_fails_or_runs() {
    let script = SinkScript::new(SinkType::Idempotent, |op| if op == "start" { Hook::Hang } else { Hook::Go });
    let fixture = fixture(&script);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
    let trace = "starting: the destination has not answered yet".to_owned();
    until("it is told", || fixture.states() == [TaskState::Starting { trace: trace.clone() }]).await;
    let is_over = || matches!(fixture.states().last(), Some(TaskState::Restarting { .. }));
    until("the limit of a start is reached", is_over).await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_in_doubt_from_its_decision_until_it_is_committed() {
    let sink = broken(SinkType::TwoPhase, "commit");
    let fixture = fixture(&sink.script);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
    let in_doubt = || runtime.metrics().iter().find_map(|(metrics, _)| metrics.units_in_doubt.value());
    until("its commit has failed", || sink.calls.lock().len() > 1).await;
    assert_eq!(in_doubt(), Some(1));
    sink.broken.store(false, SeqCst);
    until("all is delivered", || sink.script.values().len() == 40 && in_doubt() == Some(0)).await;
}
