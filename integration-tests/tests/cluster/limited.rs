//! What scenes of limits share: three workers, what flow control says, the death of its leader.
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::cluster::Group;
use elasticflow_integration_tests::scenes::limits;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use limits::Counter;

/// A machine that does other things too gets this long for each step.
pub(crate) const SOON: Duration = Duration::from_secs(90);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Three workers of a group.
pub(crate) async fn three(mut group: Group) -> Group {
    for _ in 0..3 {
        group.join().await.unwrap();
    }
    group
}

/// A group without workers yet.
pub(crate) fn none(dir: &Path, address: &str, seed: u64) -> Group {
    Group::new(dir, address, (1, 1), seed).unwrap()
}

/// Looks until something is there.
pub(crate) async fn found<T, F: AsyncFnMut() -> Option<T>>(what: &str, mut look: F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            println!("{what} after {:.1} s", began.elapsed().as_secs_f64());
            return found;
        }
        assert!(began.elapsed() < SOON, "{what}: not within {} s", SOON.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until what flow control says of a connector satisfies a condition.
pub(crate) async fn until(
    rest: &mut impl FnMut() -> Rest,
    name: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let began = Instant::now();
    let mut last = Value::Null;
    while began.elapsed() < SOON {
        if let Ok((200, answer)) = rest().call("GET", &format!("/flow/v1/connectors/{name}"), None).await {
            if holds(&answer) {
                println!("{name}: {what} after {:.1} s", began.elapsed().as_secs_f64());
                return answer;
            }
            last = answer;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("{name}: not {what} within {} s: {last:#}", SOON.as_secs());
}

pub(crate) fn state(answer: &Value) -> &str {
    answer["flow"]["state"].as_str().unwrap_or_default()
}

/// Whether one of the reasons has a code.
pub(crate) fn because(answer: &Value, code: &str) -> bool {
    answer["flow"]["reasons"].as_array().is_some_and(|reasons| reasons.iter().any(|reason| reason["code"] == code))
}

pub(crate) fn rate(answer: &Value) -> f64 {
    answer["measured"]["records_per_second"].as_f64().unwrap_or(0.0)
}

/// Kills the worker that leads flow control, and waits until another one has taken over.
pub(crate) async fn kill_leader(group: &mut Group) {
    let (_, took) = limits::kill_leader(&mut group.workers).await.unwrap();
    println!("another worker leads after {:.1} s", took.as_secs_f64());
}

/// States and traces of the tasks of a connector.
pub(crate) async fn tasks(rest: &Rest, name: &str) -> Vec<(String, String)> {
    let (_, status) = rest.call("GET", &format!("/connectors/{name}/status"), None).await.unwrap_or((0, Value::Null));
    let text = |task: &Value, field: &str| task[field].as_str().unwrap_or_default().to_owned();
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|task| (text(task, "state"), text(task, "trace"))).collect()
}
