//! Error budgets over several tasks, restarts and kills.
use crate::testing::{Fixture, Hook, SinkScript, SinkType, until};
use crate::{Runtime, TaskKind, TaskSpec, TaskState};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const KINDS: [SinkType; 3] = [SinkType::Idempotent, SinkType::Transactional, SinkType::TwoPhase];
const TASKS: u32 = 4;
const RECORDS: usize = 200;
/// One that cannot be decoded, one that the sink skips, one for which it refuses the batch.
const THREE: [(usize, &str); 3] = [(20, "bad"), (90, "reject"), (170, "poison")];

/// Records in four partitions; those with the given numbers are bad.
fn fixture(script: &Arc<SinkScript>, bad: &[(usize, &str)]) -> Fixture {
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 4);
    fixture.kafka.create("dead", 1);
    let value = |n: usize| match bad.iter().find(|(at, _)| *at == n) {
        Some((_, text)) => (*text).to_owned(),
        None => format!("v{n:03}"),
    };
    let all: Vec<_> = (0..RECORDS).map(|n| (format!("k{n}"), value(n))).collect();
    fixture.kafka.write("in", &all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
    fixture
}

fn start(fixture: &Fixture, runtime: &Runtime, budget: &str) {
    start_with(fixture, runtime, &[("flow.errors.budget.records", budget)]);
}

fn start_with(fixture: &Fixture, runtime: &Runtime, own: &[(&str, &str)]) {
    let mut keys = vec![
        ("topics", "in"),
        ("commit.interval.ms", "50"),
        ("batch.max.records", "20"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
    ];
    keys.extend_from_slice(own);
    for task in 0..TASKS {
        let spec = fixture.spec(TaskKind::Sink, &keys);
        runtime.start_task(TaskSpec { id: fixture.id("c", task), tasks: TASKS, ..spec }).unwrap();
    }
}

fn failed(runtime: &Runtime) -> Vec<String> {
    let trace = |state: TaskState| match state {
        TaskState::Failed { trace } => Some(trace),
        _ => None,
    };
    runtime.tasks().into_iter().filter_map(|(_, state)| trace(state)).collect()
}

async fn all_failed(runtime: &Runtime) {
    until("every task has failed", || failed(runtime).len() == TASKS as usize).await;
    for trace in failed(runtime) {
        assert!(trace.contains("FLOW-0050 ERROR_BUDGET"), "{trace}");
    }
}

fn consumed(fixture: &Fixture) -> i64 {
    (0..4).filter_map(|p| fixture.kafka.group_offset("connect-c", "in", p)).sum()
}

/// Keys of the dead letters, and how many are not there twice.
fn letters(fixture: &Fixture) -> (usize, usize) {
    let key = |record: elasticflow_kafka::ports::InRecord| String::from_utf8(record.key.unwrap().to_vec()).unwrap();
    let keys: Vec<String> = fixture.kafka.records("dead").into_iter().map(key).collect();
    (keys.len(), keys.iter().collect::<BTreeSet<_>>().len())
}

#[tokio::test(start_paused = true)]
async fn a_budget_below_the_bad_records_stops_every_task_at_exactly_its_count() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, &THREE);
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "2");
        all_failed(&runtime).await;
        assert_eq!(letters(&fixture), (2, 2), "{kind:?}: as many letters as the budget, none doubled");
        assert!(consumed(&fixture) < RECORDS as i64, "{kind:?}: the third is not skipped");
        runtime.shut_down().await;
        // Not raised: nothing more is skipped, however often it is started.
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "2");
        all_failed(&runtime).await;
        assert_eq!(letters(&fixture), (2, 2), "{kind:?}");
        runtime.shut_down().await;
        // Raised: the record that was not skipped is met again.
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "3");
        until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
        until("all is visible", || script.values().len() == RECORDS - 3).await;
        assert_eq!((letters(&fixture), failed(&runtime).len()), ((3, 3), 0), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_above_the_bad_records_lets_all_of_them_go() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, &THREE);
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "5");
        until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
        until("all is visible", || script.values().len() == RECORDS - 3).await;
        assert_eq!((letters(&fixture), failed(&runtime).len()), ((3, 3), 0), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_before_the_record_above_the_budget_is_kept_and_nothing_behind_it() {
    for (kind, text) in KINDS.into_iter().flat_map(|kind| ["bad", "reject", "poison"].map(|text| (kind, text))) {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = Fixture::with(script.registry());
        fixture.kafka.create("in", 1);
        fixture.kafka.create("dead", 1);
        fixture.kafka.write("in", &[("a", "1"), ("b", text), ("c", "2"), ("d", text), ("e", "3")]);
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "1");
        all_failed(&runtime).await;
        assert_eq!(fixture.kafka.group_offset("connect-c", "in", 0), Some(3), "{kind:?} {text}");
        assert_eq!(letters(&fixture), (1, 1), "{kind:?} {text}");
        runtime.shut_down().await;
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "2");
        until("all is consumed", || fixture.kafka.group_offset("connect-c", "in", 0) == Some(5)).await;
        until("all is visible", || script.values().len() == 3).await;
        assert_eq!(letters(&fixture), (2, 2), "{kind:?} {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn kills_neither_create_nor_double_what_a_budget_allows() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let bad: Vec<_> = (0..40).map(|n| (n * 5, "bad")).collect();
        let fixture = fixture(&script, &bad);
        for kill in 1..12 {
            let runtime = fixture.runtime();
            start(&fixture, &runtime, "10");
            tokio::time::sleep(Duration::from_millis(kill * 7)).await;
            drop(runtime);
        }
        let runtime = fixture.runtime();
        start(&fixture, &runtime, "10");
        all_failed(&runtime).await;
        let (all, different) = letters(&fixture);
        assert!(different <= 10, "{kind:?}: {different}");
        if kind == SinkType::TwoPhase {
            assert_eq!(all, different, "written in the transaction of their offsets");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_begins_the_count_anew() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script, &THREE);
    let runtime = fixture.runtime();
    start(&fixture, &runtime, "2");
    all_failed(&runtime).await;
    runtime.shut_down().await;
    let mark = elasticflow_protocol::BudgetRow::Reset { at_ms: 1 }.key("c");
    fixture.kafka.write("g-budgets", &[(mark.as_str(), "{}")]);
    let runtime = fixture.runtime();
    start(&fixture, &runtime, "2");
    until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
    assert_eq!((letters(&fixture), failed(&runtime).len()), ((3, 3), 0));
}

/// Each tenth record, of every way to be bad.
fn tenths() -> Vec<(usize, &'static str)> {
    (0..20).map(|n| (n * 10 + 3, ["bad", "reject", "poison"][n % 3])).collect()
}

/// Read and bad, by what the topic of shares says.
fn shares(fixture: &Fixture) -> (u64, u64) {
    let mut rows = std::collections::BTreeMap::new();
    for record in fixture.kafka.records("g-budget-shares") {
        let key = elasticflow_protocol::ShareKey::decode(&record.key.unwrap()).unwrap();
        rows.insert(key.part, elasticflow_protocol::stored_tally(&record.value.unwrap()).unwrap().sum());
    }
    rows.values().fold((0, 0), |(read, bad), sum| (read + sum.read, bad + sum.bad))
}

#[tokio::test(start_paused = true)]
async fn a_share_stops_every_task_and_a_larger_one_lets_all_of_them_end() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, &tenths());
        let least = ("flow.errors.budget.min.records", "40");
        for run in 0..3 {
            let runtime = fixture.runtime();
            start_with(&fixture, &runtime, &[("flow.errors.budget.ratio", "0.05"), least]);
            all_failed(&runtime).await;
            assert!(letters(&fixture).1 < 20 && consumed(&fixture) < RECORDS as i64, "{kind:?} {run}");
            runtime.shut_down().await;
        }
        let runtime = fixture.runtime();
        start_with(&fixture, &runtime, &[("flow.errors.budget.ratio", "0.15"), least]);
        until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
        until("all is visible", || script.values().len() == RECORDS - 20).await;
        assert_eq!((letters(&fixture).1, failed(&runtime).len()), (20, 0), "{kind:?}");
        until("all is counted", || shares(&fixture) == (RECORDS as u64, 20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn kills_do_not_make_a_share_larger() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, &tenths());
        let own = [("flow.errors.budget.ratio", "1")];
        for kill in 1..12 {
            let runtime = fixture.runtime();
            start_with(&fixture, &runtime, &own);
            tokio::time::sleep(Duration::from_millis(kill * 7)).await;
            drop(runtime);
        }
        let runtime = fixture.runtime();
        start_with(&fixture, &runtime, &own);
        until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
        until("the bad ones are counted once", || shares(&fixture).1 == 20).await;
        assert!(shares(&fixture).0 <= RECORDS as u64, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_pauses_waits_for_a_resume_and_goes_on_without_a_restart() {
    for kind in KINDS {
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = fixture(&script, &THREE);
        let runtime = fixture.runtime();
        start_with(&fixture, &runtime, &[("flow.errors.budget.records", "2"), ("flow.errors.budget.action", "pause")]);
        let held = || runtime.tasks().iter().filter(|(_, state)| matches!(state, TaskState::Held { .. })).count();
        until("every task waits", || held() == TASKS as usize).await;
        assert_eq!(letters(&fixture), (2, 2), "{kind:?}");
        let mark = elasticflow_protocol::BudgetRow::Reset { at_ms: 1 }.key("c");
        fixture.kafka.write("g-budgets", &[(mark.as_str(), "{}")]);
        for task in 0..TASKS {
            runtime.pause(&fixture.id("c", task)).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            runtime.resume(&fixture.id("c", task)).unwrap();
        }
        until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
        until("no task waits any more", || held() == 0).await;
        assert_eq!((letters(&fixture).1, failed(&runtime).len()), (3, 0), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_resume_goes_on_when_pause_and_resume_come_at_the_same_moment() {
    let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
    let fixture = fixture(&script, &THREE);
    let runtime = fixture.runtime();
    start_with(&fixture, &runtime, &[("flow.errors.budget.records", "2"), ("flow.errors.budget.action", "pause")]);
    let held = || runtime.tasks().iter().filter(|(_, state)| matches!(state, TaskState::Held { .. })).count();
    until("every task waits", || held() == TASKS as usize).await;
    let mark = elasticflow_protocol::BudgetRow::Reset { at_ms: 1 }.key("c");
    fixture.kafka.write("g-budgets", &[(mark.as_str(), "{}")]);
    for task in 0..TASKS {
        // Nothing runs between the two.
        runtime.pause(&fixture.id("c", task)).unwrap();
        runtime.resume(&fixture.id("c", task)).unwrap();
    }
    until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
    until("no task waits any more", || held() == 0).await;
    assert_eq!((letters(&fixture).1, failed(&runtime).len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_an_hour_begins_anew_with_the_next_one() {
    let hour = Arc::new(std::sync::atomic::AtomicI64::new(0));
    for (window, goes_on) in [("1d", false), ("1h", true), ("run", false)] {
        let script = SinkScript::new(SinkType::TwoPhase, |_| Hook::Go);
        let mut fixture = fixture(&script, &THREE);
        fixture.options.clock = crate::testing::clock_at(&hour);
        let own = [("flow.errors.budget.records", "2"), ("flow.errors.budget.window", window)];
        let runtime = fixture.runtime();
        start_with(&fixture, &runtime, &own);
        all_failed(&runtime).await;
        runtime.shut_down().await;
        hour.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let runtime = fixture.runtime();
        start_with(&fixture, &runtime, &own);
        if goes_on {
            until("all is consumed", || consumed(&fixture) == RECORDS as i64).await;
        } else {
            all_failed(&runtime).await;
        }
    }
}
