use crate::{RATE, SESSION, SLACK, assert_clean, counts, group, kafka};
use elasticflow_integration_tests::scenes::cluster::CALM_MAX;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_joins_gets_its_share_and_nothing_is_lost_or_doubled() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 1, 6).await;
    group.join().await.unwrap();
    let deadline = Instant::now() + SESSION + SLACK;
    loop {
        let (_, places) = group.await_all_running(SESSION + SLACK).await.unwrap();
        let counts = counts(&places);
        if counts.len() == 2 && counts.values().all(|count| *count == 3) {
            break;
        }
        assert!(Instant::now() < deadline, "{counts:?}\n{}", group.logs());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_clean(&group.reports(&expected).await.unwrap());
}

/// Three workers are ended and started again, one after the other, below four generators and a sink that reads them all.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_restarted_one_after_the_other_lose_nothing_and_double_nothing() {
    const GENERATORS: usize = 4;
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 3, GENERATORS).await;
    group.collect().await.unwrap();
    group.await_all_running(CALM_MAX).await.unwrap();
    let (meter, began) = (group.meter(), Instant::now());
    group.roll(SESSION + SLACK).await.unwrap();
    let took = began.elapsed();
    group.await_progress(SESSION + SLACK).await.unwrap();
    let seconds = meter.end();
    println!(
        "restarted in {took:?}; of {} records a second were written in each second: {seconds:?}",
        u64::try_from(GENERATORS).unwrap() * RATE
    );
    let shown = group.collected(&expected).await.unwrap();
    assert_clean(&shown);
    assert_clean(&group.reports(&expected).await.unwrap());
}
