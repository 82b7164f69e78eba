//! The ledger sink: exact across its own kills, and a proof of the generator's transactions on the way.
use elasticflow_integration_tests::chaos::{self, Kills};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const RECORDS: u64 = 15_000;
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// Points of a unit: before it is decided, decided, and visible but not forgotten.
const POINTS: [(&str, u32); 4] =
    [("sink.prepare.after", 2), ("sink.decide.sent", 2), ("sink.decide.after", 1), ("sink.commit.after", 1)];

fn report(path: &Path) -> Value {
    let text = std::fs::read(path.join("ledger").join("report-0.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

async fn await_report(worker: &Worker, path: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let told = report(path);
        if wanted(&told) {
            return told;
        }
        let status = worker.rest().expect("GET", "/connectors/ledger/status", None).await;
        assert!(began.elapsed() < SETTLE_MAX, "{told} {status:?}\n{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_exact_across_its_own_kills() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: the ledger needs EF_KAFKA") };
    let (dir, topic) = (tempfile::tempdir().unwrap(), format!("stamped-{}", run_number()));
    create_topic(cluster(&bootstrap).unwrap().as_ref(), &topic, 1).await.unwrap();
    let mut options = WorkerOptions::new(dir.path(), &bootstrap, &topic).unwrap();
    let path = dir.path().join("ledgers");
    let ledger = json!({
        "connector.class": "elasticflow.connectors.LedgerSinkConnector", "tasks.max": "1", "topics": topic,
        "ledger.path": path.display().to_string(), "ledger.expected": RECORDS.to_string(), "commit.interval.ms": "300",
        "consumer.override.auto.offset.reset": "earliest",
    });
    let refused = Worker::start(options.clone()).await.unwrap();
    let (code, _) = refused.rest().call("PUT", "/connectors/ledger/config", Some(&ledger)).await.unwrap();
    assert!(code >= 400, "a connector for tests has to be allowed: {code}");
    assert!(refused.stop().await.unwrap());

    options.properties.insert("plugins.test.enabled".to_owned(), "true".to_owned());
    let worker = Worker::start(options).await.unwrap();
    worker.rest().create("ledger", &ledger).await.unwrap();
    // So slow that it has not ended before the last kill, however long the successors wait for their partitions.
    let mut source = json!({
        "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "stamp": "true",
        "fields": "id:seq, account:int(1,50), note:text(3,12)", "iterations": RECORDS.to_string(), "max.interval": "0",
        "flow.rate.records": "100", "exactly.once.support": "required",
    });
    worker.rest().create("source", &source).await.unwrap();
    let worker = chaos::kill_at_each(worker, "ledger", &POINTS).await.unwrap();
    let kills = Kills { count: 2, within_ms: 700, seed: 11 };
    let (worker, _) = kills.run(worker, "ledger", |_| {}).await.unwrap();
    source["flow.rate.records"] = json!("5000");
    worker.rest().expect("PUT", "/connectors/source/config", Some(&source)).await.unwrap();
    let told = await_report(&worker, &path, |told| told["seen"] == RECORDS).await;
    assert_eq!(told["verdict"], "ok", "{told}");
    assert_eq!((&told["records"], &told["duplicates"]), (&json!(RECORDS), &json!(0)), "{told}");
    let staged = std::fs::read_dir(path.join("ledger").join("staged")).unwrap();
    assert_eq!(staged.count(), 0, "nothing is left in doubt");
    assert!(worker.stop().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_records_become_dead_letters_and_a_share_of_them_ends_the_generator() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: poisoned records need EF_KAFKA") };
    let (dir, topic) = (tempfile::tempdir().unwrap(), format!("poisoned-{}", run_number()));
    create_topic(cluster(&bootstrap).unwrap().as_ref(), &topic, 1).await.unwrap();
    let worker = Worker::start(WorkerOptions::new(dir.path(), &bootstrap, &topic).unwrap()).await.unwrap();
    let mut source = json!({
        "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "fields": "id:seq, note:text(3,12)",
        "random.seed": "5", "iterations": "1000", "max.interval": "0", "batch.records": "50", "poison.ratio": "0.1",
        "exactly.once.support": "required", "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        "flow.errors.budget.ratio": "0.02", "flow.errors.budget.min.records": "200",
    });
    worker.rest().create("source", &source).await.unwrap();
    let began = Instant::now();
    loop {
        let status = worker.rest().expect("GET", "/connectors/source/status", None).await.unwrap();
        let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default();
        if status["tasks"][0]["state"] == "FAILED" && trace.contains("FLOW-0050 ERROR_BUDGET") {
            break;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{status}\n{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    source["flow.errors.budget.ratio"] = json!("0.5");
    worker.rest().expect("PUT", "/connectors/source/config", Some(&source)).await.unwrap();
    let path = "/flow/v1/connectors/source/errors/budget";
    let began = Instant::now();
    loop {
        let used = worker.rest().expect("GET", path, None).await.unwrap();
        // Written with the transactions of bad records: what follows the last one may not be in it yet.
        if used["read"].as_u64().is_some_and(|read| (900..=1000).contains(&read)) {
            let bad = used["bad"].as_u64().unwrap_or_default();
            assert!((60..160).contains(&bad), "{used}");
            break;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{used}\n{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(worker.stop().await.unwrap());
}
