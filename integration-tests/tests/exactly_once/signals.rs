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

    read_again(kafka.as_ref(), &name).await;
    worker.stop().await.unwrap();
    database.run(&[&format!("DROP DATABASE {name}")]).await.unwrap();
}

/// Reads the twenty rows of the table, each once.
async fn read_again(kafka: &dyn Kafka, name: &str) {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_over_rest_reaches_the_task_from_any_worker() {
    let (Ok(bootstrap), Ok(_)) = (setting("EF_KAFKA"), setting("EF_MYSQL")) else {
        println!("skipped: EF_KAFKA or EF_MYSQL is not set; `scripts/services up kafka mysql` starts them");
        return;
    };
    let database = Database::of("EF_MYSQL").unwrap();
    let name = format!("ef_asked_{}", std::process::id());
    let rows: Vec<String> = (0..20).map(|id| format!("({id})")).collect();
    let (create, table) = (format!("CREATE DATABASE {name}"), format!("CREATE TABLE {name}.t (id INT PRIMARY KEY)"));
    let fill = format!("INSERT INTO {name}.t VALUES {}", rows.join(","));
    database.run(&[&create, &table, &fill]).await.unwrap();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let options = dirs.each_ref().map(|dir| WorkerOptions::new(dir.path(), &bootstrap, &name).unwrap());
    let first = format!("127.0.0.1:{}", options[0].port);
    let [one, two] = options;
    let workers = [Worker::start(one).await.unwrap(), Worker::start(two).await.unwrap()];
    workers[0].rest().create(&name, &source(&database, &name)).await.unwrap();
    streams(&workers[0], &name).await;

    let (_, status) = workers[0].rest().call("GET", &format!("/connectors/{name}/status"), None).await.unwrap();
    let other = usize::from(status["tasks"][0]["worker_id"] == first.as_str());
    let (rest, path) = (workers[other].rest(), format!("/flow/v1/connectors/{name}/signals"));
    let call = async |signal: Value| rest.call("POST", &path, Some(&signal)).await.unwrap();
    assert_eq!(call(json!({"type": "explode"})).await.0, 400);
    assert_eq!(
        rest.call("POST", "/flow/v1/connectors/nobody/signals", Some(&json!({"type": "log"}))).await.unwrap().0,
        404
    );
    let data = json!({"data-collections": [format!("{name}.t")]});
    let (status, receipt) = call(json!({"id": "again", "type": "execute-snapshot", "data": data})).await;
    assert_eq!((status, &receipt["id"]), (202, &json!("again")), "{receipt}");
    let kafka = elasticflow_integration_tests::follow::cluster(&bootstrap).unwrap();
    read_again(kafka.as_ref(), &name).await;
    let began = Instant::now();
    loop {
        let (_, status) = rest.call("GET", &format!("/connectors/{name}/status"), None).await.unwrap();
        let words = status["tasks"][0]["activity"].as_str().unwrap_or_default().to_owned();
        if words.contains("execute-snapshot again, is followed") {
            break;
        }
        assert!(began.elapsed() < SOON, "the signal is not told: {words}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    rest.expect("PUT", &format!("/connectors/{name}/pause"), None).await.unwrap();
    let began = Instant::now();
    loop {
        let (status, refusal) = call(json!({"type": "log", "data": {"message": "m"}})).await;
        if status == 409 {
            assert!(refusal["message"].as_str().unwrap().contains("PAUSED"), "{refusal}");
            break;
        }
        assert!(began.elapsed() < SOON, "a paused connector takes signals: {refusal}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for worker in workers {
        worker.stop().await.unwrap();
    }
    database.run(&[&format!("DROP DATABASE {name}")]).await.unwrap();
}
