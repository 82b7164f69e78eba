use super::*;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_kafka::RdKafka;
use elasticflow_store::InternalTopic;
use std::sync::Arc;
use std::time::Duration;

/// Time stands still: nothing is written.
struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> Boxed<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Statuses of the worker `w:1`, with a Kafka that is never there.
fn statuses() -> Statuses {
    let kafka = RdKafka::new(&BTreeMap::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())])).unwrap();
    let topic =
        InternalTopic { name: "statuses".to_owned(), partitions: 1, replication: None, configs: BTreeMap::new() };
    Statuses::new(StatusTopic::open(kafka, topic, Arc::new(Still)).0, "w:1")
}

fn row(state: &str, worker: &str) -> Option<StatusRow> {
    let worker_id = worker.to_owned();
    Some(StatusRow { state: state.to_owned(), trace: None, worker_id, generation: 3, version: None, activity: None })
}

fn task(state: &str, worker: &str) -> StatusRecord {
    StatusRecord::Task { name: "c".to_owned(), index: 0, row: row(state, worker) }
}

fn shown(statuses: &Statuses) -> RunState {
    statuses.of("c").unwrap().tasks[&0].state
}

#[tokio::test]
async fn what_a_dead_process_of_the_same_address_ran_is_unassigned() {
    for state in ["RUNNING", "PAUSED", "RESTARTING"] {
        let mut statuses = statuses();
        statuses.read(task(state, "w:1"), false);
        assert_eq!(shown(&statuses), RunState::Unassigned, "{state}");
        let connector = StatusRecord::Connector { name: "c".to_owned(), row: row(state, "w:1") };
        statuses.read(connector, false);
        assert_eq!(statuses.of("c").unwrap().connector.as_ref().unwrap().state, RunState::Unassigned, "{state}");
    }
}

#[tokio::test]
async fn what_had_failed_there_and_what_runs_elsewhere_stays_as_it_is() {
    for (state, worker, expected) in [
        ("FAILED", "w:1", RunState::Failed),
        ("RUNNING", "w:2", RunState::Running),
        ("PAUSED", "w:2", RunState::Paused),
    ] {
        let mut statuses = statuses();
        statuses.read(task(state, worker), false);
        assert_eq!(shown(&statuses), expected, "{state} on {worker}");
    }
}

#[tokio::test]
async fn once_the_task_runs_here_old_news_of_it_changes_nothing() {
    let mut statuses = statuses();
    statuses.read(task("RUNNING", "w:1"), false);
    let running = Shown { state: RunState::Running, trace: None, version: String::new() };
    statuses.set_task("c", 0, running);
    statuses.read(task("UNASSIGNED", "w:1"), true);
    assert_eq!(shown(&statuses), RunState::Running);
}

#[tokio::test]
async fn what_others_say_of_a_task_that_was_lost_unnoticed_is_taken() {
    let mut statuses = statuses();
    statuses.read(task("RUNNING", "w:2"), true);
    assert_eq!(shown(&statuses), RunState::Running);
}

#[tokio::test]
async fn what_a_task_does_is_shown_while_it_runs_and_forgotten_with_its_end() {
    let mut statuses = statuses();
    let is = |state| Shown { state, trace: None, version: String::new() };
    let activity = |statuses: &Statuses| statuses.of("c").unwrap().tasks[&0].activity.clone();
    assert!(!statuses.set_activity("c", 0, "too early"));
    statuses.set_task("c", 0, is(RunState::Running));
    assert!(statuses.set_activity("c", 0, "reading t"));
    assert!(!statuses.set_activity("c", 0, "reading t"), "it was said");
    statuses.set_task("c", 0, is(RunState::Paused));
    assert_eq!(activity(&statuses).as_deref(), Some("reading t"));
    statuses.set_task("c", 0, is(RunState::Failed));
    assert_eq!(activity(&statuses), None);
    assert!(!statuses.set_activity("c", 0, "too late"));
    statuses.set_task("c", 0, is(RunState::Running));
    assert_eq!(activity(&statuses), None);
}

fn deleted() -> StatusRecord {
    StatusRecord::Connector { name: "c".to_owned(), row: None }
}

#[tokio::test]
async fn the_status_of_a_successor_outlives_late_news_of_the_deletion() {
    let mut statuses = statuses();
    statuses.read(task("RUNNING", "w:2"), false);
    // The status topic is ahead: deleted, made again, runs elsewhere.
    statuses.read(deleted(), false);
    statuses.read(task("RUNNING", "w:3"), false);
    statuses.forget("c", false);
    assert_eq!(shown(&statuses), RunState::Running);
    // The config topic is ahead.
    statuses.forget("c", false);
    assert!(statuses.of("c").is_none());
    statuses.read(deleted(), false);
    statuses.read(task("RUNNING", "w:2"), false);
    statuses.forget("c", false);
    assert!(statuses.of("c").is_none());
}
