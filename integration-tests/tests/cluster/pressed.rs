//! A worker that uses more memory than it may: its less important source reads smaller batches first, and goes on.
use crate::kafka;
use crate::limited::{because, none, rate, state, until};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::run_number;
use serde_json::{Value, json};

fn source(topic: &str, priority: &str) -> Value {
    json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "fields": "id:seq",
        "max.interval": "5", "batch.records": "50", "flow.priority": priority, "flow.task.memory.bytes": "1048576"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_short_of_memory_shrinks_the_batches_of_its_least_important_source_and_says_so() {
    let Some(address) = kafka() else { return };
    let (dir, run) = (tempfile::tempdir().unwrap(), run_number());
    let clients = cluster(&address).unwrap();
    let mut group = none(dir.path(), &address, 34);
    // Less than any worker uses, and room for what the tasks reserve.
    group.set("worker.memory.bytes", "8388608");
    group.join().await.unwrap();
    let rest = group.any();
    for (name, priority) in [("important", "9"), ("other", "1")] {
        let topic = format!("pressed-{run}-{name}");
        create_topic(&clients, &topic, 1).await.unwrap();
        rest.create(name, &source(&topic, priority)).await.unwrap();
    }
    let mut any = || rest.clone();
    let pressed = |a: &Value| state(a) == "limited" && because(a, "MEMORY_PRESSURE") && rate(a) > 0.0;
    let answer = until(&mut any, "other", "reading smaller batches", pressed).await;
    let reason = &answer["flow"]["reasons"][0];
    assert!(reason["text"].as_str().unwrap().contains("MB of the 8 MB that the worker may use"), "{reason}");
    assert!(reason["action"].as_str().unwrap().contains("add a worker"), "{reason}");
    // After four halvings of the other one, five seconds each.
    until(&mut any, "important", "reading smaller batches too", pressed).await;
    until(&mut any, "other", "going on all the same", |a| rate(a) > 100.0).await;
    for name in ["important", "other"] {
        rest.expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}
