//! An error budget over four tasks: it ends them at exactly its count, and everything is there after a mend.
use crate::indexed::{into_index, numbers};
use anyhow::Result;
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};

const NAME: &str = "budget";
const PARTITIONS: i32 = 4;
/// What each partition has in its middle: no JSON, no number, no number, nothing bad.
const MIDDLE: [&str; PARTITIONS as usize] =
    ["{", r#"{"id":1,"n":"secret"}"#, r#"{"id":2,"n":"secret"}"#, r#"{"id":3,"n":1}"#];

async fn get(scene: &Scene, what: &str) -> Result<Value> {
    scene.worker.rest().expect("GET", &format!("/flow/v1/connectors/{NAME}/{what}"), None).await
}

async fn post(scene: &Scene, what: &str, body: &Value) -> Result<Value> {
    scene.worker.rest().expect("POST", &format!("/flow/v1/connectors/{NAME}/{what}"), Some(body)).await
}

/// The letters, one of each record: an index does not hold letters and offsets together, so that the next owner of a
/// partition may repeat one. The budget counts records.
async fn letters(scene: &Scene) -> Vec<Value> {
    let mut found = get(scene, "errors").await.unwrap()["errors"].as_array().unwrap().clone();
    let mut seen = HashSet::new();
    found.retain(|letter| seen.insert((letter["partition"].as_i64(), letter["offset"].as_i64())));
    found
}

async fn await_letters(scene: &Scene, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let found = letters(scene).await;
        if found.len() == count {
            return found;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{found:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn tasks(scene: &Scene) -> Vec<(String, String)> {
    let status = scene.worker.rest().expect("GET", &format!("/connectors/{NAME}/status"), None).await.unwrap();
    let text = |task: &Value, field: &str| task[field].as_str().unwrap_or_default().to_owned();
    status["tasks"].as_array().unwrap().iter().map(|task| (text(task, "state"), text(task, "trace"))).collect()
}

async fn all_failed(scene: &Scene) {
    let began = Instant::now();
    loop {
        let tasks = tasks(scene).await;
        if tasks.len() == PARTITIONS as usize && tasks.iter().all(|(state, _)| state == "FAILED") {
            assert!(tasks.iter().all(|(_, trace)| trace.contains("FLOW-0050 ERROR_BUDGET")), "{tasks:?}");
            return;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{tasks:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn await_documents(scene: &Scene, search: &Search, count: usize) {
    let began = Instant::now();
    loop {
        search.refresh(&scene.topic).await.unwrap();
        let documents = search.all(&scene.topic, "id").await.unwrap();
        if documents.len() == count {
            return;
        }
        let (letters, tasks) = (letters(scene).await, tasks(scene).await);
        assert!(began.elapsed() < SETTLE_MAX, "{documents:?} {letters:?} {tasks:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_tasks_stop_at_exactly_their_common_budget_and_a_larger_one_lets_them_end() {
    let (Ok(bootstrap), Ok(url)) = (setting("EF_KAFKA"), setting("EF_ELASTICSEARCH")) else {
        return println!("skipped: the error budget of an index needs EF_KAFKA and EF_ELASTICSEARCH");
    };
    let (dir, search) = (tempfile::tempdir().unwrap(), Search::new(&url));
    let mut own = into_index(&url);
    own["tasks.max"] = json!("4");
    own["flow.errors.budget.records"] = json!("2");
    let scene = Scene::start_wide((dir.path(), &bootstrap), NAME, PARTITIONS, own).await.unwrap();
    search.call("PUT", &format!("/{}", scene.topic), Some(&numbers())).await.unwrap();
    for (partition, middle) in (0..PARTITIONS).zip(MIDDLE) {
        let key = |n: i32| format!("{}", partition * 10 + n);
        let good = |n: i32| format!(r#"{{"id":{},"n":1}}"#, partition * 10 + n);
        let records = [(key(1), good(1)), (key(2), middle.to_owned()), (key(3), good(3))];
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        scene.send_to(partition, &records).await.unwrap();
    }

    all_failed(&scene).await;
    let found = letters(&scene).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(get(&scene, "errors/budget").await.unwrap(), json!({"records": 2, "used": 3, "window": "run"}));

    let path = format!("/connectors/{NAME}/config");
    let mut config = scene.worker.rest().expect("GET", &path, None).await.unwrap();
    config["flow.errors.budget.records"] = json!("5");
    scene.worker.rest().expect("PUT", &path, Some(&config)).await.unwrap();
    await_documents(&scene, &search, 9).await;
    // A letter is written once the destination has the records around it.
    let found = await_letters(&scene, 3).await;
    for letter in &found {
        let is_unread = letter["partition"] == json!(0);
        let expected =
            if is_unread { (json!("VALUE_CONVERTER"), Value::Null) } else { (json!("TASK_PUT"), json!("n")) };
        assert_eq!((letter["stage"].clone(), letter["field"].clone()), expected, "{letter}");
        let reason = letter["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && !reason.contains("secret"), "{reason}");
        let id = letter["partition"].as_i64().unwrap() * 10 + 2;
        let mended = json!({"ids": [letter["id"]], "patch": {"id": id, "n": 1}});
        assert_eq!(post(&scene, "errors/replay", &mended).await.unwrap()["done"], json!([letter["id"]]));
    }
    await_documents(&scene, &search, 12).await;
    assert_eq!(letters(&scene).await.len(), 3);
    assert_eq!(get(&scene, "errors/budget").await.unwrap()["used"], json!(3));
    assert_eq!(post(&scene, "errors/budget/reset", &Value::Null).await.unwrap()["used"], json!(0));
    search.call("DELETE", &format!("/{}", scene.topic), None).await.unwrap();
    assert!(scene.worker.stop().await.unwrap());
}
