//! Limits of a connector as its users meet them: over REST, on a worker of its own.
use crate::ground::{Ground, SOON, errors_of, until};
use elasticflow_api::position::TopicPartition;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::Kafka;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CLASS: &str = "elasticflow.connectors.DatagenSourceConnector";

fn generator(rate: &str) -> Value {
    json!({"connector.class": CLASS, "name": "numbers", "tasks.max": "4", "kafka.topic": "numbers", "fields": "id:seq",
        "flow.rate.records": rate})
}

async fn sent(ground: &Ground) -> u64 {
    let client = [("bootstrap.servers".to_owned(), ground.broker.bootstrap())].into();
    let kafka = RdKafka::new(&client).unwrap();
    let metrics = kafka.admin().topics().await.unwrap();
    let partitions = metrics.get("numbers").copied().unwrap_or(0);
    let all: Vec<_> = (0..partitions).map(|partition| TopicPartition { topic: "numbers".into(), partition }).collect();
    let ends = kafka.admin().end_offsets(&all).await.unwrap();
    ends.values().map(|end| u64::try_from(end.0).unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_holds_over_all_tasks_and_is_changed_while_they_run() {
    let ground = Ground::new("limits").await;
    let rest = ground.worker.rest();
    rest.create("numbers", &generator("200")).await.unwrap();
    rest.await_running("numbers", SOON).await.unwrap();
    until("it sends", async || (sent(&ground).await > 0).then_some(())).await;
    let (before, began) = (sent(&ground).await, Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Offsets count the marks of transactions as well: at most one for each record of a poll.
    let (count, seconds) = (sent(&ground).await - before, began.elapsed().as_secs_f64());
    println!(
        "set 200/s over 4 tasks: {:.0} offsets a second, marks of transactions among them",
        count as f64 / seconds
    );
    assert!((count as f64) < 200.0 * seconds * 2.2 + 100.0, "{count} in {seconds} s");

    rest.expect("PUT", "/connectors/numbers/config", Some(&generator("20000"))).await.unwrap();
    let before = sent(&ground).await;
    until("the higher rate is there", async || (sent(&ground).await > before + 20_000).then_some(())).await;
    let log = std::fs::read_to_string(ground.dir.path().join("worker.log")).unwrap();
    assert_eq!(log.matches("the source starts").count(), 4, "no task was started again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_would_do_nothing_is_refused_with_the_nearest_name() {
    let ground = Ground::new("limits-refused").await;
    let rest = ground.worker.rest();
    let mut config = generator("5");
    config["flow.rate.byte"] = "1000".into();
    let (status, answer) = rest.call("PUT", "/connectors/numbers/config", Some(&config)).await.unwrap();
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("did you mean flow.rate.bytes?"), "{answer}");
    let path = format!("/connector-plugins/{CLASS}/config/validate");
    let answer = rest.expect("PUT", &path, Some(&config)).await.unwrap();
    let errors = errors_of(&answer);
    assert!(errors.len() == 1 && errors[0].starts_with("flow.rate.byte:"), "{errors:?}");
}

fn plain(more: &[(&str, &str)]) -> Value {
    let mut config =
        json!({"connector.class": CLASS, "kafka.topic": "numbers", "fields": "id:seq", "max.interval": "0"});
    for (key, value) in more {
        config[key] = json!(value);
    }
    config
}

async fn flow(ground: &Ground, name: &str) -> Value {
    ground.worker.rest().expect("GET", &format!("/flow/v1/connectors/{name}"), None).await.unwrap()
}

/// Whether it is limited by a rate of this many records a second.
fn goes_at(answer: &Value, rate: f64) -> bool {
    let measured = answer["measured"]["records_per_second"].as_f64().unwrap_or(0.0);
    let limited = answer["flow"]["state"] == "limited" && answer["flow"]["reasons"][0]["code"] == "RATE";
    limited && (measured / rate - 1.0).abs() < 0.3
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_defaults_reach_tasks_and_a_connectors_own_keys_go_before_them() {
    let defaults = [
        ("flow.default.rate.records", "200"),
        ("flow.default.priority", "8"),
        ("flow.default.weight", "3"),
        ("flow.storage.topic", "of-its-own"),
    ];
    let ground = Ground::with("defaults", &defaults).await;
    let rest = ground.worker.rest();
    rest.create("plain", &plain(&[])).await.unwrap();
    rest.create("own", &plain(&[("flow.rate.records", "700"), ("flow.priority", "2")])).await.unwrap();
    let seen =
        until("the default rate", async || Some(flow(&ground, "plain").await).filter(|a| goes_at(a, 200.0))).await;
    assert_eq!((&seen["priority"], &seen["weight"]), (&json!(8), &json!(3.0)));
    let seen = until("its own rate", async || Some(flow(&ground, "own").await).filter(|a| goes_at(a, 700.0))).await;
    assert_eq!((&seen["priority"], &seen["weight"]), (&json!(2), &json!(3.0)));
    let client = [("bootstrap.servers".to_owned(), ground.broker.bootstrap())].into();
    let topics = RdKafka::new(&client).unwrap().admin().topics().await.unwrap();
    assert!(topics.contains_key("of-its-own") && !topics.contains_key("defaults-flow"), "{topics:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_flow_control_static_rates_hold_and_nothing_else_is_promised() {
    let ground = Ground::with("without", &[("flow.enable", "false"), ("flow.default.rate.records", "200")]).await;
    let rest = ground.worker.rest();
    rest.create("numbers", &plain(&[])).await.unwrap();
    rest.await_running("numbers", SOON).await.unwrap();
    until("it sends", async || (sent(&ground).await > 0).then_some(())).await;
    let (before, began) = (sent(&ground).await, Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Offsets count the marks of transactions as well: at most one for each record of a poll.
    let (count, seconds) = (sent(&ground).await - before, began.elapsed().as_secs_f64());
    assert!((count as f64) < 200.0 * seconds * 2.2 + 100.0, "{count} in {seconds} s");
    let (status, answer) =
        rest.call("POST", "/flow/v1/connectors/numbers/breaker", Some(&json!({"action": "open"}))).await.unwrap();
    assert!(status == 400 && answer["message"].as_str().unwrap().contains("flow.enable=false"), "{status} {answer}");
}
