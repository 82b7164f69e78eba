use crate::{SESSION, SLACK, assert_clean, counts, group, kafka};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_killed_worker_run_on_the_others_and_nothing_is_lost_or_doubled() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 3, 6).await;
    for _ in 0..2 {
        let killed = group.kill_one().unwrap();
        let (took, places) = group.await_all_running(SESSION + SLACK).await.unwrap();
        println!("all tasks run again after {took:?}: {:?}", counts(&places));
        group.start(killed).await.unwrap();
    }
    assert_clean(&group.reports(&expected).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_that_is_started_again_goes_on_with_its_tasks_at_once() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 1, 2).await;
    let killed = group.kill_one().unwrap();
    group.start(killed).await.unwrap();
    let (took, _) = group.await_all_running(SESSION / 2).await.unwrap();
    println!("all tasks run again {took:?} after the worker answered");
    assert_clean(&group.reports(&expected).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_past_its_session_writes_nothing_and_takes_part_again() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 2, 4).await;
    let frozen = group.workers.remove(0);
    frozen.freeze().unwrap();
    let (took, _) = group.await_all_running(SESSION + SLACK).await.unwrap();
    println!("all tasks run again after {took:?}");
    frozen.thaw().unwrap();
    group.workers.push(frozen);
    group.await_all_running(SESSION + SLACK).await.unwrap();
    assert_clean(&group.reports(&expected).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_default_settings_the_worker_that_is_left_runs_everything_soon_after_the_other_one_was_killed() {
    const AT_MOST: Duration = Duration::from_secs(60);
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, _) = group(dir.path(), &kafka, 2, 4).await;
    group.kill_one().unwrap();
    let (took, places) = group.await_all_running(AT_MOST).await.unwrap();
    // On a machine that does nothing else: less than 12 s, the session and two seconds.
    println!("all tasks run again {took:?} after kill -9 of one of two workers");
    assert_eq!(counts(&places).len(), 1);
}
