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
    let counter = Counter::of(&clients, &topic).await.unwrap();
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

    let rest = group.any();
    let told = async || {
        let alerts = rest.expect("GET", "/flow/v1/alerts", None).await.ok()?;
        let is_it = |alert: &Value| alert["kind"] == "quota_used_up" && alert["subject"] == "bounded";
        alerts["alerts"].as_array()?.iter().find(|alert| is_it(alert))?["id"].as_str().map(str::to_owned)
    };
    let alert = found("an incident is told", told).await;
    rest.expect("POST", &format!("/flow/v1/alerts/{alert}/ack"), None).await.unwrap();
    let noted = async || {
        let alerts = rest.expect("GET", "/flow/v1/alerts", None).await.ok()?;
        alerts["alerts"].as_array()?.iter().find(|alert| alert["acknowledged"]["by"].is_string()).map(drop)
    };
    found("it is acknowledged", noted).await;
    assert_eq!(rest.call("POST", "/flow/v1/alerts/nope/ack", None).await.unwrap().0, 404);

    kill_leader(&mut group).await;
    // Whichever window it is by then.
    let mut any = || group.any();
    let answer = until(&mut any, "bounded", "held again under the new leader", held).await;
    let (count, resets) = (counter.now(), answer["quota"]["resets"].as_str().unwrap().to_owned());
    assert!(count <= most(), "{count} records");

    found("it goes on", async || (counter.now() > count + QUOTA / 2).then_some(())).await;
    let rest = group.any();
    let another = async || {
        let answer = rest.expect("GET", "/flow/v1/connectors/bounded", None).await.ok()?;
        let begun = answer["quota"]["resets"].as_str()?.to_owned();
        (begun > resets).then_some(begun)
    };
    found("it does so in another window", another).await;
    assert!(counter.now() <= most(), "{} records", counter.now());
    group.any().expect("DELETE", "/connectors/bounded", None).await.unwrap();
}
