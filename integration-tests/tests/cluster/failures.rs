use crate::{RATE, SESSION, SLACK, assert_clean, counts, group, kafka, loaded};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::cluster::Group;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Kills where nobody asks for more, as `make worker-kills` does.
const KILLS: u64 = 2;
/// Seconds that one kill, the take-over and the return of the worker take.
const ROUND: u64 = 20;
/// From one kill to the next, unless what the first has disturbed takes longer.
const KILL_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is seen of tasks that nobody has touched: anything but RUNNING where they were.
struct Watch {
    seen: Arc<Mutex<BTreeSet<String>>>,
    looking: JoinHandle<()>,
}

impl Watch {
    fn begin(rest: Rest, untouched: BTreeMap<String, String>) -> Self {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let into = Arc::clone(&seen);
        let looking = tokio::spawn(async move {
            loop {
                for (task, worker) in &untouched {
                    let (connector, index) = task.rsplit_once('-').unwrap();
                    let path = format!("/connectors/{connector}/tasks/{index}/status");
                    let Ok((200, status)) = rest.call("GET", &path, None).await else { continue };
                    if status["state"] != "RUNNING" || status["worker_id"] != worker.as_str() {
                        into.lock().unwrap().insert(format!("{task} of {worker}: {status}"));
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { seen, looking }
    }

    async fn end(self) -> BTreeSet<String> {
        self.looking.abort();
        drop(self.looking.await);
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Where each task runs once every worker has its share.
async fn shared_out(group: &mut Group) -> BTreeMap<String, String> {
    let began = Instant::now();
    loop {
        let (_, places) = group.await_all_running(SESSION + SLACK).await.unwrap();
        let counts = counts(&places);
        let (least, most) = (counts.values().min().copied(), counts.values().max().copied());
        if counts.len() == group.workers.len() && most <= least.map(|least| least + 1) {
            return places;
        }
        assert!(began.elapsed() < SESSION + SLACK, "{counts:?}\n{}", group.logs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One of three workers is killed each ten seconds, and started again once the others have its tasks. Those of the others
/// are not touched.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_killed_worker_run_on_the_others_and_nothing_is_lost_or_doubled() {
    let Some(kafka) = kafka() else { return };
    let asked: Option<u64> = std::env::var("EF_WORKER_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills = asked.unwrap_or(KILLS);
    let dir = tempfile::tempdir().unwrap();
    let mut group = Group::new(dir.path(), &kafka, (kills * ROUND * RATE, RATE), 7).unwrap();
    for _ in 0..3 {
        group.join().await.unwrap();
    }
    let (mut group, expected) = loaded(group, 6).await;
    let mut times = Vec::new();
    for kill in 1..=kills {
        // Who is to be left alone is clear once the worker that came back has its share: the long form waits for that.
        let before = if asked.is_some() { shared_out(&mut group).await } else { BTreeMap::new() };
        let began = Instant::now();
        let killed = group.kill_one().unwrap();
        let gone = format!("127.0.0.1:{}", killed.port);
        let untouched: BTreeMap<String, String> = before.into_iter().filter(|(_, worker)| *worker != gone).collect();
        let watch = Watch::begin(group.any(), untouched.clone());
        let (took, places) = group.await_all_running(SESSION + SLACK).await.unwrap();
        assert_eq!(watch.end().await, BTreeSet::new());
        assert!(untouched.iter().all(|(task, worker)| places.get(task) == Some(worker)), "{untouched:?} {places:?}");
        println!("kill {kill}: all tasks run again after {took:?}: {:?}", counts(&places));
        times.push(took);
        group.start(killed).await.unwrap();
        tokio::time::sleep(KILL_EVERY.saturating_sub(began.elapsed())).await;
    }
    times.sort();
    // On a machine that does nothing else: less than 12 s, the session and two seconds.
    println!("{kills} kills: half of them over after {:?}, the last after {:?}", times[times.len() / 2], times.last());
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
