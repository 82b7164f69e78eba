//! A system at the other end that answers every other request, then none, then all: breakers of three tasks on three
//! workers, one incident over the death of the leader, and every record in its place. Needs EF_ELASTICSEARCH too.
use crate::kafka;
use crate::limited::{because, found, kill_leader, none, state, three, until};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::hook::{Hook, Message, signature};
use elasticflow_integration_tests::proxy::{Mood, Proxy};
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECRET: &str = "not-to-be-printed";
const RECORDS: u64 = 9_000;
const RATE: u64 = 300;

fn sink(address: &str, index: &str) -> Value {
    json!({"connector.class": "elasticflow.connectors.ElasticsearchSinkConnector", "tasks.max": "3", "topics": index,
        "connection.url": format!("http://{address}"), "batch.size": "10", "flow.breaker.min.calls": "10",
        "flow.breaker.open.ms": "1000", "flow.breaker.open.max.ms": "2000",
        // The partitions of a killed worker are the others' soon.
        "consumer.override.session.timeout.ms": "6000"})
}

fn source(topic: &str, records: u64) -> Value {
    json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "fields": "id:seq,n:int(1,100)",
        "schema.keyfield": "id", "iterations": records.to_string(), "batch.records": "50",
        "flow.rate.records": RATE.to_string()})
}

/// Identities of messages about an incident that says so.
fn told(heard: &[Message], wanted: &str) -> BTreeSet<String> {
    let says = |message: &&Message| {
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        body["alert"]["kind"] == "breaker_open" && body["alert"]["state"] == wanted
    };
    heard.iter().filter(says).map(|message| message.id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn breakers_open_and_close_once_over_the_death_of_the_leader_and_lose_nothing() {
    let Some(address) = kafka() else { return };
    let Ok(url) = setting("EF_ELASTICSEARCH") else { return println!("skipped: breakers need EF_ELASTICSEARCH") };
    let (search, index) = (Search::new(&url), format!("ef-breakers-{}", run_number()));
    let server = Proxy::before(url.trim_start_matches("http://").trim_end_matches('/')).await.unwrap();
    let (dir, hook) = (tempfile::tempdir().unwrap(), Hook::listen().await.unwrap());
    let clients = cluster(&address).unwrap();
    create_topic(&clients, &index, 3).await.unwrap();
    let mut group = none(dir.path(), &address, 15);
    group.set("flow.hook.url", &hook.url);
    group.set("flow.hook.secret", SECRET);
    let mut group = three(group).await;
    group.any().create("numbers", &source(&index, RECORDS)).await.unwrap();
    group.any().create("index", &sink(server.address(), &index)).await.unwrap();
    let documents = async |least: u64| {
        search.refresh(&index).await.ok()?;
        (search.count(&index).await.ok()? >= least).then_some(())
    };
    found("documents arrive", async || documents(RATE).await).await;

    server.be(Mood::Half);
    let mut any = || group.any();
    let open = |a: &Value| state(a).starts_with("breaker_") && because(a, "BREAKER");
    until(&mut any, "index", "left alone by the share of its failures", open).await;
    server.be(Mood::Refusing);
    found("the incident is told", async || (!told(&hook.heard(), "open").is_empty()).then_some(())).await;
    kill_leader(&mut group).await;
    let mut any = || group.any();
    until(&mut any, "index", "left alone after the leader's death", open).await;

    server.be(Mood::Fair);
    until(&mut any, "index", "at work again", |a| !state(a).starts_with("breaker_")).await;
    found("the end of it is told", async || (!told(&hook.heard(), "resolved").is_empty()).then_some(())).await;
    found("every document is there", async || documents(RECORDS).await).await;
    assert_eq!(search.count(&index).await.unwrap(), RECORDS);
    let heard = hook.heard();
    let (opened, resolved) = (told(&heard, "open"), told(&heard, "resolved"));
    assert!(opened.len() == 1 && resolved.len() == 1, "one beginning {opened:?}, one end {resolved:?}");
    for message in &heard {
        assert_eq!(message.signature, signature(SECRET.as_bytes(), &message.body));
    }
    let alerts = group.any().expect("GET", "/flow/v1/alerts", None).await.unwrap();
    let of_breaker = |alert: &&Value| alert["kind"] == "breaker_open";
    assert_eq!(alerts["alerts"].as_array().unwrap().iter().filter(of_breaker).count(), 1, "{alerts}");
    println!("{} connections in all", server.connections());
    for name in ["index", "numbers"] {
        group.any().expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
    search.call("DELETE", &format!("/{index}"), None).await.unwrap();
}
