//! A quota of a minute: used to its last record, gone on with over the death of the leader, and open again on the wall of
//! the window.
use crate::kafka;
use crate::limited::{Counter, because, found, kill_leader, none, state, three, until};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::run_number;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const QUOTA: u64 = 300;

fn source(topic: &str) -> Value {
    json!({"connector.class": "datagen", "tasks.max": "2", "kafka.topic": topic, "fields": "id:seq, note:text(20,20)",
        "schema.keyfield": "id", "max.interval": "0", "batch.records": "50", "flow.lag.control": "off",
        "flow.quota.records": QUOTA.to_string(), "flow.quota.window": "1m"})
}

/// Minutes since 1970.
fn minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60
}

fn used(answer: &Value) -> u64 {
    answer["quota"]["records"]["used"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_over_the_death_of_the_leader_and_ends_on_the_wall_of_its_window() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, topic) = (cluster(&address).unwrap(), format!("quota-{}", run_number()));
    create_topic(&clients, &topic, 1).await.unwrap();
    let counter = Counter::of(&clients, &topic).await;
    let mut group = three(none(dir.path(), &address, 16)).await;
    let began = minute();
    let most = || QUOTA * (minute() - began + 1);
    group.any().create("bounded", &source(&topic)).await.unwrap();
    let held = |a: &Value| state(a) == "held" && because(a, "QUOTA") && used(a) == QUOTA;
    let mut any = || group.any();
    let answer = until(&mut any, "bounded", "held by its quota", held).await;
    let reason = &answer["flow"]["reasons"][0];
    assert!(
        reason["text"].as_str().unwrap().starts_with("300 of 300 records of the window of 1m are used"),
        "{reason}"
    );
    assert!(answer["quota"]["resets"].is_string(), "{answer}");
    assert!(counter.now() <= most(), "{} records", counter.now());

    kill_leader(&mut group).await;
    // Whichever window it is by then.
    let mut any = || group.any();
    until(&mut any, "bounded", "held again under the new leader", held).await;
    let (count, then) = (counter.now(), minute());
    assert!(count <= most(), "{count} records");
    let alerts = group.any().expect("GET", "/flow/v1/alerts", None).await.unwrap();
    let told = |alert: &Value| alert["kind"] == "quota_used_up" && alert["subject"] == "bounded";
    assert!(alerts["alerts"].as_array().unwrap().iter().any(told), "{alerts}");

    found("it goes on", async || (counter.now() > count + QUOTA / 2).then_some(())).await;
    assert!(minute() > then, "it went on before its window had ended");
    assert!(counter.now() <= most(), "{} records", counter.now());
    group.any().expect("DELETE", "/connectors/bounded", None).await.unwrap();
}
