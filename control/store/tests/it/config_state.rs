//! What a reader of the config topic must hold to be true.
use crate::record;
use elasticflow_store::config::{ConfigRecord, ConfigState, Folded, TargetState};

const CONNECTOR: &str = r#"{"properties":{"connector.class":"X","name":"c"}}"#;

fn folded(rows: &[(&str, Option<&str>)]) -> ConfigState {
    let mut state = ConfigState::default();
    for (n, (key, value)) in (0i64..).zip(rows) {
        state.fold(&record(n, key, *value));
    }
    state
}

fn task(n: u32) -> String {
    format!(r#"{{"properties":{{"n":"{n}"}}}}"#)
}

fn task_values(state: &ConfigState, name: &str) -> Vec<String> {
    let tasks = &state.connector(name).unwrap().tasks;
    tasks.iter().map(|t| t.value("n").unwrap().to_owned()).collect()
}

#[test]
fn task_rows_have_no_effect_before_their_commit() {
    let (t0, t1) = (task(0), task(1));
    let rows = [
        ("connector-c", Some(CONNECTOR)),
        ("task-c-0", Some(t0.as_str())),
        ("commit-c", Some(r#"{"tasks":1}"#)),
        ("task-c-0", Some(t1.as_str())),
    ];
    assert_eq!(task_values(&folded(&rows), "c"), ["0"]);
}

#[test]
fn a_commit_whose_rows_are_missing_leaves_no_tasks_until_a_good_one() {
    let (t0, t1) = (task(0), task(1));
    let torn =
        [("connector-c", Some(CONNECTOR)), ("task-c-1", Some(t1.as_str())), ("commit-c", Some(r#"{"tasks":2}"#))];
    let state = folded(&torn);
    assert!(state.connector("c").unwrap().inconsistent);
    assert!(task_values(&state, "c").is_empty());

    let mut mended = torn.to_vec();
    mended.extend([
        ("task-c-0", Some(t0.as_str())),
        ("task-c-1", Some(t1.as_str())),
        ("commit-c", Some(r#"{"tasks":2}"#)),
    ]);
    let state = folded(&mended);
    assert!(!state.connector("c").unwrap().inconsistent);
    assert_eq!(task_values(&state, "c"), ["0", "1"]);
}

#[test]
fn tasks_of_a_deleted_connector_are_not_given_to_a_later_one_of_that_name() {
    let t0 = task(0);
    let after_compaction = [
        // The connector row and its tombstone are compacted away, the others stay.
        ("task-c-0", Some(t0.as_str())),
        ("commit-c", Some(r#"{"tasks":1}"#)),
        ("connector-c", Some(CONNECTOR)),
    ];
    let state = folded(&after_compaction);
    assert!(task_values(&state, "c").is_empty());
    assert_eq!(state.connector("c").unwrap().tasks_revision, None);

    let whole = [
        ("connector-c", Some(CONNECTOR)),
        ("task-c-0", Some(t0.as_str())),
        ("commit-c", Some(r#"{"tasks":1}"#)),
        ("connector-c", None),
        ("connector-c", Some(CONNECTOR)),
    ];
    assert!(task_values(&folded(&whole), "c").is_empty());
}

#[test]
fn a_target_state_before_the_connector_row_counts() {
    let rows =
        [("target-state-c", Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#)), ("connector-c", Some(CONNECTOR))];
    assert_eq!(folded(&rows).connector("c").unwrap().target, TargetState::Stopped);
}

#[test]
fn rows_of_older_and_newer_workers_are_read() {
    let rows = [
        ("connector-c", Some(r#"{"properties":{"name":"c"},"added-in-9.0":[1,2]}"#)),
        ("target-state-c", Some(r#"{"state":"PAUSED"}"#)),
        ("added-in-9.0", Some("{}")),
    ];
    let state = folded(&rows);
    let connector = state.connector("c").unwrap();
    assert_eq!(connector.target, TargetState::Paused);
    assert_eq!(connector.problem, None);
}

#[test]
fn a_row_that_cannot_be_decoded_is_a_problem_of_its_connector_until_a_good_one_comes() {
    let mut state = folded(&[("connector-c", Some(CONNECTOR))]);
    let told = state.fold(&record(1, "task-c-0", Some("{\"properties\":{\"password\":\"hunter2\"")));
    let Folded::Problem(problem) = told else { panic!("{told:?}") };
    assert_eq!(problem.key, "task-c-0");
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    assert_eq!(state.connector("c").unwrap().problem, Some(problem));

    state.fold(&record(2, "task-c-0", Some(&task(0))));
    assert_eq!(state.connector("c").unwrap().problem, None);
}

#[test]
fn names_with_dashes_keep_them() {
    let t0 = task(7);
    let rows = [
        ("connector-a-b-1", Some(CONNECTOR)),
        ("task-a-b-1-0", Some(t0.as_str())),
        ("commit-a-b-1", Some(r#"{"tasks":1}"#)),
    ];
    assert_eq!(task_values(&folded(&rows), "a-b-1"), ["7"]);
}

#[test]
fn a_commit_asks_for_a_fencing_round_until_the_fencing_row() {
    let t0 = task(0);
    let mut state = folded(&[
        ("connector-c", Some(CONNECTOR)),
        ("task-c-0", Some(t0.as_str())),
        ("commit-c", Some(r#"{"tasks":1}"#)),
    ]);
    assert!(state.fencing("c").pending);
    assert_eq!(state.fencing("c").recorded, None);
    state.fold(&record(9, "tasks-fencing-c", Some(r#"{"task-count":1}"#)));
    assert!(!state.fencing("c").pending);
    assert_eq!(state.fencing("c").recorded, Some(1));
}

#[test]
fn the_version_epoch_outlives_the_connector() {
    let epoch = ConfigRecord::VersionEpoch { name: "c".to_owned(), epoch: 4 };
    let (key, value) = elasticflow_store::config::encode(&epoch).unwrap();
    let state = folded(&[("connector-c", Some(CONNECTOR)), (&key, value.as_deref()), ("connector-c", None)]);
    assert_eq!(state.version_epoch("c"), 4);
}
