//! Signals in a topic of Kafka, and what the status tells meanwhile; needs EF_KAFKA and EF_MYSQL.
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use elasticflow_kafka::ports::{Kafka, OutRecord};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest wait for anything.
const SOON: Duration = Duration::from_secs(90);

fn source(database: &Database, name: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1",
        "database.hostname": database.host, "database.port": database.port.to_string(),
        "database.user": database.user, "database.password": database.password, "database.server.id": "61299",
        "topic.prefix": name, "database.include.list": name, "snapshot.mode": "no_data", "include.schema.changes": "false",
        "signal.enabled.channels": "kafka", "signal.kafka.topic": format!("{name}-told"),
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1",
    })
}

/// Waits until the status of the task tells that it streams.
async fn streams(worker: &Worker, name: &str) {
    let began = Instant::now();
    loop {
        let (_, status) = worker.rest().call("GET", &format!("/connectors/{name}/status"), None).await.unwrap();
        if status["tasks"][0]["activity"].as_str().is_some_and(|words| words.starts_with("streaming: ")) {
            return;
        }
        assert!(began.elapsed() < SOON, "it does not stream: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_kafka_has_a_table_read_again() {
    let (Ok(bootstrap), Ok(_)) = (setting("EF_KAFKA"), setting("EF_MYSQL")) else {
        println!("skipped: EF_KAFKA or EF_MYSQL is not set; `scripts/services up kafka mysql` starts them");
        return;
    };
    let database = Database::of("EF_MYSQL").unwrap();
    let name = format!("ef_told_{}", std::process::id());
    let rows: Vec<String> = (0..20).map(|id| format!("({id})")).collect();
    let (create, table) = (format!("CREATE DATABASE {name}"), format!("CREATE TABLE {name}.t (id INT PRIMARY KEY)"));
    let fill = format!("INSERT INTO {name}.t VALUES {}", rows.join(","));
    database.run(&[&create, &table, &fill]).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(WorkerOptions::new(dir.path(), &bootstrap, &name).unwrap()).await.unwrap();
    worker.rest().create(&name, &source(&database, &name)).await.unwrap();
    streams(&worker, &name).await;

    let kafka = elasticflow_integration_tests::follow::cluster(&bootstrap).unwrap();
    let mut producer = kafka.producer(&[].into()).unwrap();
    let value = format!(r#"{{"type":"execute-snapshot","data":{{"data-collections":["{name}.t"]}}}}"#);
    let record = OutRecord {
        topic: &format!("{name}-told"),
        partition: Some(0),
        key: Some(name.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
        timestamp_ms: None,
    };
    assert!(producer.send(record).is_ok());
    producer.drain().await.unwrap();

    let (topic, began) = (format!("{name}.{name}.t"), Instant::now());
    while !kafka.admin().topics().await.unwrap().contains_key(&topic) {
        assert!(began.elapsed() < SOON, "{topic} does not appear");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = kafka.log(&topic).await.unwrap();
    let mut read = BTreeSet::new();
    while read.len() < 20 {
        let record = tokio::time::timeout(SOON, log.next()).await.expect("rows are missing").unwrap();
        let value: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        assert_eq!(value["op"], "r");
        assert!(read.insert(value["after"]["id"].as_u64().unwrap()), "a row is read twice");
    }
    worker.stop().await.unwrap();
    database.run(&[&format!("DROP DATABASE {name}")]).await.unwrap();
}
