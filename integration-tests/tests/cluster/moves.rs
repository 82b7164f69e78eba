use crate::{SESSION, SLACK, assert_clean, counts, group, kafka};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_joins_gets_its_share_and_nothing_is_lost_or_doubled() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 1, 6).await;
    group.join().await.unwrap();
    let deadline = std::time::Instant::now() + SESSION + SLACK;
    loop {
        let (_, places) = group.await_all_running(SESSION + SLACK).await.unwrap();
        let counts = counts(&places);
        if counts.len() == 2 && counts.values().all(|count| *count == 3) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{counts:?}\n{}", group.logs());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_clean(&group.reports(&expected).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_restarted_one_after_the_other_lose_nothing_and_double_nothing() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut group, expected) = group(dir.path(), &kafka, 2, 4).await;
    group.roll(SESSION + SLACK).await.unwrap();
    assert_clean(&group.reports(&expected).await.unwrap());
}
