//! Rates of sinks, in the time of the test.
use crate::testing::{Fixture, Hook, SinkScript, SinkType, until};
use crate::{Control, StopOutcome, TaskKind, TaskSpec, TaskState};
use elasticflow_config::flow::{FlowState, ReasonCode};
use std::sync::Arc;
use std::time::Duration;

const KINDS: [SinkType; 3] = [SinkType::Idempotent, SinkType::Transactional, SinkType::TwoPhase];
const FIVE: Duration = Duration::from_secs(5);

fn fixture(script: &Arc<SinkScript>, records: usize) -> Fixture {
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 2);
    let all: Vec<_> = (0..records).map(|n| (format!("k{n}"), format!("v{n:05}"))).collect();
    fixture.kafka.write("in", &all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
    fixture
}

fn spec(fixture: &Fixture, keys: &[(&str, &str)]) -> TaskSpec {
    let keys: Vec<_> = [("topics", "in"), ("commit.interval.ms", "50")].iter().chain(keys).copied().collect();
    fixture.spec(TaskKind::Sink, &keys)
}

fn consumed(fixture: &Fixture) -> i64 {
    (0..2).filter_map(|p| fixture.kafka.group_offset("connect-c", "in", p)).sum()
}

fn assert_near(measured: u64, wanted: f64, what: &str) {
    let off = (measured as f64 / wanted - 1.0).abs();
    assert!(off < 0.10, "{what}: {measured} instead of {wanted}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_of_every_kind_takes_what_its_rate_allows_and_loses_nothing() {
    for (kind, keys) in KINDS.into_iter().flat_map(|kind| {
        // Keys and values are 8 to 11 bytes.
        [(kind, [("flow.rate.records", "200")]), (kind, [("flow.rate.bytes", "2000")])]
    }) {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, 4_000);
        let runtime = fixture.runtime();
        runtime.start_task(spec(&fixture, &keys)).unwrap();
        until("it runs", || fixture.states().last() == Some(&TaskState::Running)).await;
        let limit = runtime.limit(&fixture.id("c", 0)).unwrap();
        let count = || if keys[0].0 == "flow.rate.bytes" { limit.report().bytes } else { limit.report().records };
        let rate: f64 = keys[0].1.parse().unwrap();
        let mut windows = Vec::new();
        for _ in 0..3 {
            let before = count();
            tokio::time::sleep(FIVE).await;
            windows.push((count() - before) / 5);
            assert_near(count() - before, rate * 5.0, keys[0].0);
        }
        println!("{kind:?} {}={rate}: {windows:?} a second", keys[0].0);
        assert_eq!(limit.report().state, FlowState::Limited);
        until("all is consumed", || consumed(&fixture) == 4_000).await;
        assert_eq!(script.values().len(), 4_000);
        assert_eq!(script.destination.lock().replays, 0);
    }
}

/// How long a record of an important topic takes to its destination, at a sink that is behind with another topic.
async fn wait_beside_a_backlog(kind: SinkType, ranks: &[(&str, u8)]) -> Duration {
    let script = SinkScript::new(kind, |_| Hook::Go);
    let fixture = fixture(&script, 4_000);
    fixture.kafka.create("hi", 1);
    let runtime = fixture.runtime();
    let keys = [("flow.rate.records", "1000"), ("topics", "hi,in")];
    runtime.start_task(spec(&fixture, &keys)).unwrap();
    let limit = runtime.limit(&fixture.id("c", 0)).unwrap();
    limit.set_precedence(Arc::new(ranks.iter().map(|(topic, rank)| ((*topic).to_owned(), *rank)).collect()));
    until("it has begun", || consumed(&fixture) > 500).await;
    let began = tokio::time::Instant::now();
    fixture.kafka.write("hi", &[("k", "important")]);
    until("it is there", || script.values().iter().any(|value| value == "important")).await;
    let took = began.elapsed();
    until("all is consumed", || consumed(&fixture) == 4_000).await;
    assert_eq!(script.values().len(), 4_001, "{kind:?}");
    took
}

#[tokio::test(start_paused = true)]
async fn what_is_important_does_not_wait_for_a_backlog_of_what_is_not() {
    for kind in KINDS {
        let took = wait_beside_a_backlog(kind, &[("hi", 9), ("in", 1)]).await;
        assert!(took < Duration::from_millis(200), "{kind:?}: {took:?}");
        let took = wait_beside_a_backlog(kind, &[("hi", 1), ("in", 9)]).await;
        assert!(took > Duration::from_secs(2), "{kind:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_sink_gives_partitions_up_and_takes_them_over_as_ever() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, 2_000);
        let (first, second) = (fixture.runtime(), fixture.runtime());
        // So slow that what was consumed waits for seconds.
        first.start_task(spec(&fixture, &[("flow.rate.records", "50")])).unwrap();
        until("it has begun", || consumed(&fixture) > 100).await;
        let joined = TaskSpec { id: fixture.id("c", 1), ..spec(&fixture, &[]) };
        second.start_task(joined).unwrap();
        until("the other one has its half", || consumed(&fixture) > 1_000).await;
        assert_eq!(fixture.states().last(), Some(&TaskState::Running));
        first.limit(&fixture.id("c", 0)).unwrap().set_rates(&elasticflow_config::flow::RateSettings::free());
        until("all is consumed", || consumed(&fixture) == 2_000).await;
        until("all is visible", || script.values().len() == 2_000).await;
        if kind != SinkType::Idempotent {
            assert_eq!(script.destination.lock().replays, 0, "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_sink_that_is_paused_gives_partitions_up() {
    let script = SinkScript::new(SinkType::Idempotent, |_| Hook::Go);
    let fixture = fixture(&script, 4_000);
    let (first, second) = (fixture.runtime(), fixture.runtime());
    // It waits nearly always, and never long.
    first.start_task(spec(&fixture, &[("flow.rate.records", "100")])).unwrap();
    let limit = first.limit(&fixture.id("c", 0)).unwrap();
    limit.set_precedence(Arc::new([("in".to_owned(), 9), ("other".to_owned(), 1)].into()));
    until("it has begun", || consumed(&fixture) > 100).await;
    first.pause(&fixture.id("c", 0)).unwrap();
    let before = consumed(&fixture);
    second.start_task(TaskSpec { id: fixture.id("c", 1), ..spec(&fixture, &[]) }).unwrap();
    until("the other one has its half", || consumed(&fixture) > before + 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_held_sink_puts_nothing_and_can_be_paused_resumed_and_stopped() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, 2_000);
        let runtime = fixture.runtime();
        let id = fixture.id("c", 0);
        runtime.start_task(spec(&fixture, &[("flow.rate.records", "100")])).unwrap();
        until("it has begun", || consumed(&fixture) > 100).await;
        let limit = runtime.limit(&id).unwrap();
        limit.set_control(Control { held: Some(ReasonCode::Quota), ..Control::default() });
        tokio::time::sleep(FIVE).await;
        let (put, rows) = (script.calls("put"), script.values().len());
        runtime.pause(&id).unwrap();
        tokio::time::sleep(FIVE).await;
        runtime.resume(&id).unwrap();
        tokio::time::sleep(FIVE * 100).await;
        assert_eq!((script.calls("put"), script.values().len()), (put, rows), "{kind:?}");
        assert_eq!(limit.report().reason, Some(ReasonCode::Quota));
        limit.set_control(Control::default());
        until("it goes on", || script.values().len() > rows + 100).await;
        limit.set_control(Control { held: Some(ReasonCode::Quota), ..Control::default() });
        assert_eq!(runtime.stop_task(&id).await, StopOutcome::Soft, "{kind:?}");
    }
}
