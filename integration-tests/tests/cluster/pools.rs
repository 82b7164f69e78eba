//! Pools of workers: tasks stay in theirs, and wait where nobody serves it.
use crate::kafka;
use elasticflow_integration_tests::rest::{Rest, http_client};
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A session, a take-over, and a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn options(dir: &Path, bootstrap: &str, group: &str, (pool, capacity): (&str, u32)) -> WorkerOptions {
    let number = run_number();
    let mut options = WorkerOptions::new(&dir.join(format!("{pool}-{number}")), bootstrap, group).unwrap();
    for (key, value) in [("worker.pool", pool), ("worker.capacity", &capacity.to_string())] {
        options.properties.insert(key.to_owned(), value.to_owned());
    }
    options
}

fn generator(topic: &str, pool: &str, (tasks, priority): (u32, u8)) -> Value {
    json!({
        "connector.class": "datagen", "tasks.max": tasks.to_string(), "kafka.topic": topic,
        "fields": "id:seq", "iterations": "1000000", "max.interval": "100",
        "flow.pool": pool, "flow.priority": priority.to_string(),
    })
}

/// States and workers of a connector's tasks.
async fn tasks(rest: &Rest, name: &str) -> Vec<(String, u16)> {
    let status = rest.call("GET", &format!("/connectors/{name}/status"), None).await.unwrap().1;
    let port = |task: &Value| task["worker_id"].as_str()?.rsplit_once(':')?.1.parse().ok();
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|t| (t["state"].as_str().unwrap_or_default().to_owned(), port(t).unwrap_or(0))).collect()
}

/// Asks until it holds; what was seen last is in the text.
async fn until<T: std::fmt::Debug, F: Future<Output = T>>(
    what: &str,
    (holds, logs): (impl Fn(&T) -> bool, impl Fn() -> String),
    mut look: impl FnMut() -> F,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        let seen = look().await;
        if holds(&seen) {
            return (seen, began.elapsed());
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {seen:?}\n{}", logs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn all_run_on(tasks: &[(String, u16)], count: usize, ports: &[u16]) -> bool {
    tasks.len() == count && tasks.iter().all(|(state, port)| state == "RUNNING" && ports.contains(port))
}

/// Code and text of the reason why a connector is queued, as a worker tells it.
async fn queued(rest: &Rest, name: &str) -> Option<(String, String)> {
    let flow = rest.call("GET", &format!("/flow/v1/connectors/{name}"), None).await.unwrap().1;
    let reason = flow.pointer("/flow/reasons/0").filter(|_| flow.pointer("/flow/state") == Some(&json!("queued")))?;
    Some((reason["code"].as_str()?.to_owned(), reason["text"].as_str()?.to_owned()))
}

async fn usage(rest: &Rest, pool: &str) -> (Value, Value, usize) {
    let pool = rest.call("GET", &format!("/flow/v1/pools/{pool}"), None).await.unwrap().1;
    let queued = pool["queued"].as_array().map_or(0, Vec::len);
    (pool["units"]["used"].clone(), pool["units"]["total"].clone(), queued)
}

/// Workers whose metrics have a line.
async fn telling(workers: &[Worker], line: &str) -> usize {
    let mut count = 0;
    for worker in workers {
        let url = format!("http://127.0.0.1:{}/metrics", worker.options.port);
        let page = http_client().get(url).send().await.unwrap().text().await.unwrap();
        count += page.lines().filter(|known| *known == line).count();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_run_in_their_pool_alone_and_wait_with_the_reason_while_nobody_serves_it() {
    let Some(bootstrap) = kafka() else { return };
    let (dir, group) = (tempfile::tempdir().unwrap(), format!("pools-{}", run_number()));
    let mut workers = Vec::new();
    for pool in ["default", "default", "fast"] {
        workers.push(Worker::start(options(dir.path(), &bootstrap, &group, (pool, 4))).await.unwrap());
    }
    let ports: Vec<u16> = workers.iter().map(|worker| worker.options.port).collect();
    let logs = || -> String { ports.iter().map(|port| port.to_string()).collect::<Vec<_>>().join(" ") };
    let rest = workers[0].rest();
    rest.create("hog", &generator(&format!("{group}-hog"), "default", (12, 5))).await.unwrap();
    rest.create("quick", &generator(&format!("{group}-quick"), "fast", (2, 5))).await.unwrap();

    // The hog takes all of its pool and not a unit of the other one.
    let running = |tasks: &Vec<(String, u16)>| tasks.iter().filter(|(state, _)| state == "RUNNING").count();
    let unassigned = |tasks: &Vec<(String, u16)>| tasks.iter().filter(|(state, _)| state == "UNASSIGNED").count();
    until("8 of 12 run", (|seen: &Vec<_>| (running(seen), unassigned(seen)) == (8, 4), logs), || tasks(&rest, "hog"))
        .await;
    until("both run", (|seen: &Vec<_>| all_run_on(seen, 2, &ports[2..]), logs), || tasks(&rest, "quick")).await;
    let (code, text) = queued(&workers[1].rest(), "hog").await.expect("another worker says it too");
    println!("{code}: {text}");
    assert!(
        code == "CAPACITY" && text.contains("4 of 12 tasks wait") && text.contains("pool default"),
        "{code} {text}"
    );
    assert_eq!(usage(&rest, "default").await, (json!(8), json!(8), 4));
    assert_eq!(queued(&rest, "quick").await, None);

    // The only worker of a pool dies: its tasks wait, although the others hold its slots.
    let killed = workers.remove(2).kill().unwrap();
    let waits =
        |seen: &Option<(String, String)>| seen.as_ref().is_some_and(|(_, text)| text.contains("no worker serves"));
    let (seen, took) = until("the reason", (waits, logs), || queued(&rest, "quick")).await;
    println!("after {took:?}: {seen:?}");
    until("none runs", (|seen: &Vec<_>| unassigned(seen) == 2, logs), || tasks(&rest, "quick")).await;
    assert_eq!(usage(&rest, "fast").await, (json!(0), json!(0), 2));

    workers.push(Worker::start(killed).await.unwrap());
    let (_, took) =
        until("both run again", (|seen: &Vec<_>| all_run_on(seen, 2, &ports[2..]), logs), || tasks(&rest, "quick"))
            .await;
    println!("run again {took:?} after the worker answered");

    // An important connector takes the place of less important tasks after a while, and the rules of a pool let it borrow.
    rest.create("vip", &generator(&format!("{group}-vip"), "default", (1, 9))).await.unwrap();
    until("it runs", (|seen: &Vec<_>| all_run_on(seen, 1, &ports[..2]), logs), || tasks(&rest, "vip")).await;
    let (code, _) = queued(&rest, "hog").await.unwrap();
    let pool = rest.expect("GET", "/flow/v1/pools/default", None).await.unwrap();
    let reasons: Vec<&Value> = pool["queued"].as_array().unwrap().iter().map(|task| &task["reason"]).collect();
    println!("the hog is queued: {code}; {reasons:?}");
    assert!(reasons.contains(&&json!("PREEMPTED")) && reasons.len() == 5, "{pool}");
    rest.expect("PUT", "/flow/v1/pools/default", Some(&json!({"borrow": ["fast"]}))).await.unwrap();
    until("10 run", (|seen: &Vec<_>| running(seen) == 9, logs), || tasks(&rest, "hog")).await;
    assert_eq!(usage(&rest, "fast").await, (json!(4), json!(4), 0));

    // A rule that comes later stops nothing, and says what is beyond it.
    let rules = json!({"borrow": ["fast"], "max_tasks": 4});
    let ruled = rest.expect("PUT", "/flow/v1/pools/default", Some(&rules)).await.unwrap();
    assert_eq!((&ruled["placed"], &ruled["over"]["tasks"]), (&json!(10), &json!(6)), "{ruled}");
    let over = "elasticflow_pool_over_tasks{pool=\"default\"} 6";
    assert_eq!(telling(&workers, over).await, 1, "the leader tells it, and nobody else");
    assert_eq!(running(&tasks(&rest, "hog").await), 9);
    let (_, text) = queued(&rest, "hog").await.unwrap();
    assert!(text.contains("no more than 4 tasks of the pool have a place"), "{text}");

    let (status, answer) = rest.call("PUT", "/flow/v1/pools/default", Some(&json!({"share": 1}))).await.unwrap();
    assert_eq!(status, 400, "{answer}");
}
