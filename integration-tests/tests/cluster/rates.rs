//! A rate of four tasks on three workers, beside tasks that hang and tasks that panic, changed while they run, and over
//! the death of the leader.
use crate::kafka;
use crate::limited::{Counter, found, kill_leader, none, tasks, three};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::proxy::Proxy;
use elasticflow_integration_tests::scenes::run_number;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FIRST: u64 = 400;
const THEN: u64 = 1_200;
/// Over how long a rate is measured, and how near it must come.
const WINDOW: Duration = Duration::from_secs(5);
const NEAR: f64 = 0.1;
/// What may go at once: full buckets, also those of tasks that begin anew on another worker.
const AT_ONCE: u64 = 2 * THEN;

/// Measures until a window has a rate. A machine that is busy with other things may give less for a while.
async fn settles(counter: &Counter, rate: u64, when: &str) {
    let window = async || {
        let (before, began) = (counter.now(), Instant::now());
        tokio::time::sleep(WINDOW).await;
        let measured = (counter.now() - before) as f64 / began.elapsed().as_secs_f64();
        println!("{when}: set {rate}/s, measured {measured:.0}/s");
        ((measured / rate as f64 - 1.0).abs() <= NEAR).then_some(())
    };
    found(&format!("{when} within a tenth of the rate"), window).await;
}

fn source(topic: &str, rate: u64) -> Value {
    json!({"connector.class": "datagen", "tasks.max": "4", "kafka.topic": topic, "fields": "id:seq, note:text(60,60)",
        "schema.keyfield": "id", "batch.records": "100", "flow.rate.records": rate.to_string()})
}

/// A sink into a server that takes every connection and answers nothing, and a source of such a server.
fn hanging(topic: &str, silent: &Proxy) -> [(&'static str, Value); 2] {
    let (host, port) = silent.address().split_once(':').unwrap();
    let sink = json!({"connector.class": "elasticflow.connectors.ElasticsearchSinkConnector", "topics": topic,
        "tasks.max": "3", "connection.url": format!("http://{host}:{port}"), "read.timeout.ms": "600000",
        "flow.lag.control": "off"});
    let source = json!({"connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": host,
        "database.port": port, "database.user": "u", "database.password": "p", "database.server.id": "77",
        "topic.prefix": "silent", "schema.history.internal.kafka.topic": format!("{topic}-history")});
    [("hung-sink", sink), ("hung-source", source)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_holds_beside_hung_tasks_through_a_change_and_the_death_of_the_leader() {
    let Some(address) = kafka() else { return };
    let (dir, silent) = (tempfile::tempdir().unwrap(), Proxy::before_nothing().await.unwrap());
    let mut group = none(dir.path(), &address, 13);
    // The first put on each worker panics.
    group.arm("sink.put.before=panic");
    let mut group = three(group).await;
    let (clients, topic) = (cluster(&address).unwrap(), format!("rates-{}", run_number()));
    create_topic(&clients, &topic, 3).await.unwrap();
    let counter = Counter::of(&clients, &topic).await.unwrap();
    group.any().create("measured", &source(&topic, FIRST)).await.unwrap();
    let began = Instant::now();
    let panics = json!({"connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "3",
        "topics": topic, "output.path": dir.path().join("out").display().to_string(), "format": "json",
        "flow.lag.control": "off"});
    std::fs::create_dir_all(dir.path().join("out")).unwrap();
    group.any().create("panics", &panics).await.unwrap();
    let rest = group.any();
    let dead = async || {
        let tasks = tasks(&rest, "panics").await;
        let has_panicked = |(state, trace): &(String, String)| state == "FAILED" && trace.contains("the task panicked");
        tasks.iter().any(has_panicked).then_some(())
    };
    found("a task that panics is FAILED", dead).await;
    let posting = hanging(&topic, &silent).map(|(name, config)| {
        let rest = group.any();
        // It may be answered late, or not at all before it is deleted.
        tokio::spawn(async move { drop(rest.create(name, &config).await) })
    });

    settles(&counter, FIRST, "beside hung tasks").await;
    group.any().expect("PUT", "/connectors/measured/config", Some(&source(&topic, THEN))).await.unwrap();
    let (changed, before) = (began.elapsed(), counter.now());
    settles(&counter, THEN, "after a change").await;
    kill_leader(&mut group).await;
    settles(&counter, THEN, "after the death of the leader").await;
    let allowed = |rate: u64, time: Duration| (rate as f64 * time.as_secs_f64() * (1.0 + NEAR)) as u64 + AT_ONCE;
    let (all, now) = (began.elapsed(), counter.now());
    assert!(before <= allowed(FIRST, changed), "{before} records in {changed:?}");
    assert!(now - before <= allowed(THEN, all.checked_sub(changed).unwrap()), "{} records", now - before);

    for posting in posting {
        posting.abort();
    }
    for name in ["hung-sink", "hung-source", "panics", "measured"] {
        let rest = group.any();
        let gone = async || {
            drop(rest.call("DELETE", &format!("/connectors/{name}"), None).await);
            let (status, _) = rest.call("GET", &format!("/connectors/{name}/status"), None).await.ok()?;
            (status == 404).then_some(())
        };
        found(&format!("{name} is deleted"), gone).await;
    }
}
