//! Versions that batches have replaced: as many stay beside what readers see as `flow.batch.keep` says.
use crate::batches::{SOURCE, Target, merged, source, with_schemas};
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::one_sink::SETTLE_MAX;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables, runs};
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const RECORDS: i64 = 200;
const RUNS: usize = 4;

/// A sink, and how many replaced versions it is to keep.
struct Keeper {
    name: String,
    target: Target,
    keep: usize,
}

impl Keeper {
    /// Versions beside the one that readers see, and records of each.
    async fn versions(&self) -> Vec<i64> {
        match &self.target {
            Target::Sqlite(path) => of_file(path),
            Target::Tables(tables) => of_tables(tables).await,
            Target::Files { root, topic, .. } => of_folder(root.join("topics").join(topic)),
            Target::Search(search, index) => of_indices(search, index).await,
        }
    }
}

fn of_file(path: &PathBuf) -> Vec<i64> {
    let db = rusqlite::Connection::open(path).unwrap();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let mut names =
        db.prepare("SELECT name FROM sqlite_master WHERE name LIKE 'whole\\_\\_flow\\_%' ESCAPE '\\'").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count = |name: &String| db.query_row(&format!("SELECT COUNT(*) FROM {name}"), [], |row| row.get(0)).unwrap();
    names.iter().map(count).collect()
}

async fn of_tables(tables: &Tables) -> Vec<i64> {
    let mut versions = Vec::new();
    for name in tables.names("whole\\_\\_flow\\_%").await.unwrap() {
        versions.push(tables.numbers(&format!("SELECT COUNT(*) FROM {name}")).await.unwrap().unwrap()[0]);
    }
    versions
}

fn of_folder(place: PathBuf) -> Vec<i64> {
    let current = place.join("current").canonicalize().unwrap();
    let all = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
    let runs = all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("run="));
    let kept = runs.filter(|path| path.canonicalize().unwrap() != current);
    kept.map(|path| crate::batches::lines(&path)).collect()
}

async fn of_indices(search: &Search, index: &str) -> Vec<i64> {
    let under = search.call("GET", &format!("/_alias/{index}__flow_replaced"), None).await.unwrap();
    let mut versions = Vec::new();
    for name in under.as_object().into_iter().flat_map(|all| all.keys()) {
        versions.push(i64::try_from(search.count(name).await.unwrap()).unwrap());
    }
    versions
}

async fn keepers(dir: &std::path::Path, topic: &str) -> Vec<Keeper> {
    let file = |name: &str, keep| (Target::Sqlite(dir.join(format!("{name}.db"))), keep);
    let folder =
        |name: &str, keep| (Target::Files { root: dir.join(name), topic: topic.to_owned(), is_replace: true }, keep);
    let mut all = vec![file("two", 2), file("none", 0), folder("one", 1), folder("ten", 10), folder("zero", 0)];
    for (system, keep) in [(System::Mysql, 2), (System::Postgresql, 1)] {
        if runs(system) {
            let tables = Tables::create(system, &format!("kept_{}", run_number())).await.unwrap();
            all.push((Target::Tables(tables), keep));
        } else {
            println!("skipped: replaced versions of tables need {}", system.variable());
        }
    }
    if let Ok(url) = setting("EF_ELASTICSEARCH") {
        all.push((Target::Search(Search::new(&url), topic.to_owned()), 2));
    } else {
        println!("skipped: replaced versions of an index need EF_ELASTICSEARCH");
    }
    let named = all.into_iter().enumerate();
    named.map(|(at, (target, keep))| Keeper { name: format!("keeper-{at}"), target, keep }).collect()
}

async fn until_published_by_all(worker: &Worker, sinks: usize, runs: usize) {
    let began = Instant::now();
    loop {
        let answer = worker.rest().expect("GET", "/flow/v1/batches", None).await.unwrap();
        let batches = answer["batches"].as_array().cloned().unwrap_or_default();
        let by = |batch: &Value| batch["published"].as_object().map_or(0, |sinks| sinks.len());
        if batches.iter().filter(|batch| by(batch) == sinks).count() == runs {
            return;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{answer}\n{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn run_again(worker: &Worker) {
    let path = |verb: &str| format!("/connectors/{SOURCE}/{verb}");
    worker.rest().expect("PUT", &path("stop"), None).await.unwrap();
    let began = Instant::now();
    while worker.rest().call("DELETE", &path("offsets"), None).await.unwrap().0 != 200 {
        assert!(began.elapsed() < SETTLE_MAX, "{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    worker.rest().expect("PUT", &path("resume"), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sink_keeps_as_many_replaced_versions_as_it_is_told() {
    let (broker, dir) = (Broker::start(Config::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let topic = format!("kept-{}", run_number());
    create_topic(cluster(&broker.bootstrap()).unwrap().as_ref(), &topic, 2).await.unwrap();
    let worker = Worker::start(WorkerOptions::new(dir.path(), &broker.bootstrap(), &topic).unwrap()).await.unwrap();
    let keepers = keepers(dir.path(), &topic).await;
    for Keeper { name, target, keep } in &keepers {
        let keys = json!({
            "tasks.max": "1", "topics": topic, "flow.batch.publish": "atomic", "flow.batch.keep": keep.to_string(),
        });
        worker.rest().create(name, &with_schemas(merged(keys, target.keys()))).await.unwrap();
    }
    let few = json!({"iterations": RECORDS.to_string()});
    worker.rest().create(SOURCE, &merged(source(&topic, "replace"), few)).await.unwrap();
    for run in 1..=RUNS {
        until_published_by_all(&worker, keepers.len(), run).await;
        if run < RUNS {
            run_again(&worker).await;
        }
    }
    for keeper in &keepers {
        let expected = vec![RECORDS; keeper.keep.min(RUNS - 1)];
        assert_eq!(keeper.versions().await, expected, "{} keeps {}", keeper.name, keeper.keep);
        assert_eq!(keeper.target.count().await, RECORDS, "{}", keeper.name);
    }
    assert!(worker.stop().await.unwrap());
    for keeper in keepers {
        match keeper.target {
            Target::Tables(tables) => tables.drop_all().await.unwrap(),
            Target::Search(search, index) => {
                search.call("DELETE", &format!("/{index}__flow_*"), None).await.ok();
            }
            Target::Sqlite(_) | Target::Files { .. } => {}
        }
    }
}
