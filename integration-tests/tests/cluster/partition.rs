//! Workers that the network cuts off from Kafka while their processes run on.
use crate::{RATE, RECORDS, SESSION, SLACK, assert_clean, kafka, loaded};
use elasticflow_integration_tests::proxy::{Mood, Proxy};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::cluster::Group;
use elasticflow_integration_tests::worker::Worker;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether a worker takes itself for the leader.
async fn leads(worker: &Worker) -> bool {
    let known = worker.rest().expect("GET", "/flow/v1/workers", None).await.unwrap();
    let id = format!("127.0.0.1:{}", worker.options.port);
    known.as_array().unwrap().iter().any(|info| info["leader"] == true && info["id"] == id.as_str())
}

/// The worker that leads, or one that does not.
async fn find(group: &Group, leading: bool) -> usize {
    let began = Instant::now();
    loop {
        for (index, worker) in group.workers.iter().enumerate() {
            if leads(worker).await == leading {
                return index;
            }
        }
        assert!(began.elapsed() < SESSION + SLACK, "{}", group.logs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Tasks that a worker shows as its own and running.
async fn own_tasks(rest: &Rest, port: u16) -> usize {
    let all = rest.expect("GET", "/connectors?expand=status", None).await.unwrap();
    let id = format!("127.0.0.1:{port}");
    let tasks = all.as_object().unwrap().values().filter_map(|known| known["status"]["tasks"].as_array()).flatten();
    tasks.filter(|task| task["state"] == "RUNNING" && task["worker_id"] == id.as_str()).count()
}

/// A worker that is cut off stops its own tasks by its own clock, the others run them, and nothing is lost or doubled when
/// the network is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_and_then_another_worker_are_cut_off_from_kafka_and_nothing_is_lost_or_doubled() {
    let Some(kafka) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut group = Group::new(dir.path(), &kafka, (RECORDS * 3 / 4, RATE), 11).unwrap();
    let mut proxies = Vec::new();
    for _ in 0..3 {
        let proxy = Proxy::before_broker(&kafka).await.unwrap();
        group.join_through(proxy.address()).await.unwrap();
        proxies.push((group.workers.last().unwrap().options.port, proxy));
    }
    let (mut group, expected) = loaded(group, 6).await;
    for leading in [true, false] {
        let index = find(&group, leading).await;
        let cut_off = group.workers.remove(index);
        let port = cut_off.options.port;
        let (_, proxy) = proxies.iter().find(|(of, _)| *of == port).unwrap();
        let had = own_tasks(&group.any(), port).await;
        assert!(had > 0, "it has something to lose");
        proxy.be(Mood::Silent);
        let (took, _) = group.await_all_running(SESSION + SLACK).await.unwrap();
        println!("all tasks run again {took:?} after a worker with {had} of them was cut off, leading: {leading}");
        await_silence(&cut_off).await;
        proxy.be(Mood::Fair);
        group.workers.push(cut_off);
        group.await_all_running(SESSION + SLACK).await.unwrap();
    }
    assert_clean(&group.reports(&expected).await.unwrap());
}

/// Cut off, a worker runs nothing any more, and says so.
async fn await_silence(worker: &Worker) {
    let began = Instant::now();
    while own_tasks(&worker.rest(), worker.options.port).await > 0 {
        assert!(began.elapsed() < SESSION + SLACK, "it still runs tasks\n{}", worker.log_tail());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
