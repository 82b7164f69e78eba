//! How exact rates are: set against measured, by one task and by four, of a stream and of a batch read, before and after a
//! change while tasks run. The table is printed; what is checked is that no rate is passed.
use crate::ground::{Ground, SOON, until};
use elasticflow_integration_tests::rest::http_client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Over how long a rate is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// What is not looked at before: the others of its tasks begin, and what was let go before a change is on its way.
const SETTLE: Duration = Duration::from_secs(2);
/// What may be passed: a bucket that was full, and what is on its way.
const MARGIN: f64 = 1.2;
const ROWS: u64 = 100_000;

/// A connector with one limit: name, tasks, key, value, and the value that it is changed to.
struct Case(&'static str, u32, &'static str, u64, u64);

const CASES: [Case; 7] = [
    Case("records-1", 1, "flow.rate.records", 100, 1_000),
    Case("records-4", 4, "flow.rate.records", 100, 1_000),
    Case("more-records-1", 1, "flow.rate.records", 3_000, 300),
    Case("more-records-4", 4, "flow.rate.records", 3_000, 300),
    Case("bytes-1", 1, "flow.rate.bytes", 200_000, 20_000),
    Case("bytes-4", 4, "flow.rate.bytes", 200_000, 20_000),
    Case("snapshot-1", 1, "flow.rate.snapshot.records", 500, 2_000),
];

fn config(case: &Case, value: u64, database: &str) -> Value {
    let Case(name, tasks, key, ..) = case;
    let mut config = match *key {
        "flow.rate.snapshot.records" => json!({"connector.class": "elasticflow.connectors.SqliteBatchSourceConnector",
            "connection.url": format!("jdbc:sqlite:{database}"), "table.whitelist": "rows", "mode": "incrementing",
            "incrementing.column.name": "id", "topic.prefix": "rates-",
            // A batch read does not count for this one.
            "flow.rate.records": "7"}),
        _ => json!({"connector.class": "elasticflow.connectors.DatagenSourceConnector", "kafka.topic": *name,
            "fields": "id:seq,text:text(40,60)"}),
    };
    config["tasks.max"] = tasks.to_string().into();
    config[*key] = value.to_string().into();
    config
}

/// Records and bytes that each connector has sent so far.
async fn sent(ground: &Ground) -> BTreeMap<String, (f64, f64)> {
    let url = format!("http://127.0.0.1:{}/metrics", ground.worker.options.port);
    let text = http_client().get(url).send().await.unwrap().text().await.unwrap();
    let mut sent = BTreeMap::<String, (f64, f64)>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((family, rest)) = line.split_once("{connector=\"") else { continue };
        let Some((name, rest)) = rest.split_once('"') else { continue };
        let value = rest.rsplit_once(' ').unwrap().1.parse().unwrap_or(0.0);
        let of = sent.entry(name.to_owned()).or_default();
        match family {
            "kafka_connect_source_task_source_record_write_total" => of.0 += value,
            "elasticflow_task_bytes_total" => of.1 += value,
            _ => {}
        }
    }
    sent
}

/// Measures every connector at once; what is set, what was measured.
async fn measure(ground: &Ground, when: &str, set: impl Fn(&Case) -> u64) {
    let (before, began) = (sent(ground).await, Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (after, seconds) = (sent(ground).await, began.elapsed().as_secs_f64());
    for case in &CASES {
        let Case(name, tasks, key, ..) = case;
        let (before, after) = (before[*name], after[*name]);
        let moved = if key.ends_with("bytes") { after.1 - before.1 } else { after.0 - before.0 };
        let (set, measured) = (set(case) as f64, moved / seconds);
        println!(
            "{when:<14} {key:<27} {tasks} task(s)  set {set:>8}  measured {measured:>9.0}  {:>4.0} %",
            measured / set * 100.0
        );
        assert!(measured <= set * MARGIN + 25.0, "{name}: {measured}/s, set are {set}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rate_is_passed_whatever_it_counts_and_however_many_tasks_share_it() {
    let ground = Ground::new("rates").await;
    let file = ground.dir.path().join("rows.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    let make = format!(
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO rows SELECT i, 'row ' || i FROM n;"
    );
    database.execute_batch(&make).unwrap();
    let (rest, file) = (ground.worker.rest(), file.to_str().unwrap());
    for case in &CASES {
        rest.create(case.0, &config(case, case.3, file)).await.unwrap();
    }
    for case in &CASES {
        rest.await_running(case.0, SOON).await.unwrap();
    }
    let all_send = async || {
        let sent = sent(&ground).await;
        CASES.iter().all(|case| sent.get(case.0).is_some_and(|sent| sent.0 > 0.0)).then_some(())
    };
    until("all of them send", all_send).await;
    tokio::time::sleep(SETTLE).await;
    measure(&ground, "at first", |case| case.3).await;
    for case in &CASES {
        rest.expect("PUT", &format!("/connectors/{}/config", case.0), Some(&config(case, case.4, file))).await.unwrap();
    }
    tokio::time::sleep(SETTLE).await;
    measure(&ground, "after a change", |case| case.4).await;
    let log = std::fs::read_to_string(ground.dir.path().join("worker.log")).unwrap();
    let tasks: u32 = CASES.iter().map(|case| case.1).sum();
    assert!(log.matches("the source starts").count() <= tasks as usize, "a change of a rate restarts no task");
}
