//! An error budget as a share, its window, and a pause in place of a failure.
use anyhow::Result;
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::servers::setting;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const NAME: &str = "share";

fn sink(out: &Path, own: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "elasticflow.connectors.FileSinkConnector", "output.path": out.display().to_string(),
        "format": "json", "commit.interval.ms": "300",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
    });
    own.iter().for_each(|(key, value)| config[*key] = json!(value));
    config
}

/// So many records, of which each fourth is no JSON.
async fn send(scene: &Scene, count: usize) {
    let value = |n: usize| if n % 4 == 3 { "{" } else { r#"{"n":1}"# };
    let records: Vec<_> = (0..count).map(|n| ("k", value(n))).collect();
    scene.send(&records).await.unwrap();
}

async fn get(scene: &Scene, path: &str) -> Result<Value> {
    scene.worker.rest().expect("GET", path, None).await
}

async fn letters(scene: &Scene) -> usize {
    let answer = get(scene, &format!("/flow/v1/connectors/{NAME}/errors?limit=100")).await.unwrap();
    answer["errors"].as_array().map_or(0, Vec::len)
}

async fn budget(scene: &Scene) -> Value {
    get(scene, &format!("/flow/v1/connectors/{NAME}/errors/budget")).await.unwrap()
}

async fn await_letters(scene: &Scene, count: usize) {
    let began = Instant::now();
    loop {
        let found = letters(scene).await;
        if found == count {
            return;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{found} letters {:?}\n{}", scene.task().await, scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until the budget has paused the connector, as a whole.
async fn await_pause(scene: &Scene) {
    let is_used_up = |state: &str, trace: &str| state == "PAUSED" && trace.contains("FLOW-0050 ERROR_BUDGET");
    scene.await_task(is_used_up).await.unwrap();
    let began = Instant::now();
    loop {
        let status = get(scene, &format!("/connectors/{NAME}/status")).await.unwrap();
        if status["connector"]["state"] == "PAUSED" {
            return;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{status}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn change(scene: &Scene, own: &[(&str, &str)]) {
    let path = format!("/connectors/{NAME}/config");
    let mut config = get(scene, &path).await.unwrap();
    own.iter().for_each(|(key, value)| config[*key] = json!(value));
    scene.worker.rest().expect("PUT", &path, Some(&config)).await.unwrap();
}

async fn resume(scene: &Scene) {
    scene.worker.rest().expect("PUT", &format!("/connectors/{NAME}/resume"), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_bad_records_pauses_the_connector_and_a_resume_lets_it_go_on() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: a budget as a share needs EF_KAFKA") };
    let dir = tempfile::tempdir().unwrap();
    let own = [
        ("flow.errors.budget.ratio", "0.1"),
        ("flow.errors.budget.min.records", "22"),
        ("flow.errors.budget.action", "pause"),
    ];
    let scene = Scene::start(dir.path(), &bootstrap, NAME, sink(&dir.path().join("out"), &own)).await.unwrap();
    send(&scene, 40).await;
    await_pause(&scene).await;
    let (used, found) = (budget(&scene).await, letters(&scene).await);
    assert!((4..=5).contains(&found), "one in ten of at most forty, or of the first 22: {found} {used}");
    assert_eq!((used["ratio"].as_f64(), used["bad"].as_u64()), (Some(0.1), Some(found as u64 + 1)), "{used}");

    // Begun anew, what is left is too little to judge.
    scene.worker.rest().expect("POST", &format!("/flow/v1/connectors/{NAME}/errors/budget/reset"), None).await.unwrap();
    resume(&scene).await;
    await_letters(&scene, 10).await;

    // Judged at once, and then not before there are more than will come.
    change(&scene, &[("flow.errors.budget.min.records", "1")]).await;
    send(&scene, 8).await;
    await_pause(&scene).await;
    change(&scene, &[("flow.errors.budget.min.records", "100000")]).await;
    resume(&scene).await;
    await_letters(&scene, 12).await;

    // A larger share lets all of them go, however soon it is judged.
    change(&scene, &[("flow.errors.budget.min.records", "1"), ("flow.errors.budget.ratio", "0.9")]).await;
    send(&scene, 8).await;
    await_letters(&scene, 14).await;
    assert!(scene.worker.stop().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up_for_good_is_not_used_up_for_this_hour() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: the window of a budget needs EF_KAFKA") };
    let dir = tempfile::tempdir().unwrap();
    let own = [("flow.errors.budget.records", "3")];
    let scene = Scene::start(dir.path(), &bootstrap, NAME, sink(&dir.path().join("out"), &own)).await.unwrap();
    send(&scene, 20).await;
    let is_used_up = |state: &str, trace: &str| state == "FAILED" && trace.contains("FLOW-0050 ERROR_BUDGET");
    scene.await_task(is_used_up).await.unwrap();
    assert_eq!((letters(&scene).await, budget(&scene).await["window"].clone()), (3, json!("run")));
    change(&scene, &[("flow.errors.budget.window", "1d")]).await;
    await_letters(&scene, 5).await;
    assert_eq!(budget(&scene).await["window"], json!("1d"));
    assert!(scene.worker.stop().await.unwrap());
}
