//! Batches that appear at once: whoever looks sees nothing or everything, however often the worker dies.
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::chaos;
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::one_sink::SETTLE_MAX;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables, runs};
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RECORDS: i64 = 6_000;
pub(crate) const SINK: &str = "whole";
pub(crate) const SOURCE: &str = "run";

/// Steps of a staged batch, with the hit at which the worker ends there.
const POINTS: [(&str, u32); 5] = [
    ("sink.batch.staged", 2),
    ("sink.put.after", 2),
    ("sink.batch.publish.before", 1),
    ("sink.batch.publish.after", 1),
    ("sink.batch.published", 1),
];

/// Where the batch goes.
#[derive(Clone)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Tables(Tables),
    Files { root: PathBuf, topic: String, is_replace: bool },
    Search(Search, String),
}

impl Target {
    /// What a reader finds; nothing while there is no table, folder or index.
    pub(crate) async fn count(&self) -> i64 {
        let count = "SELECT COUNT(*) FROM whole";
        match self {
            Self::Sqlite(path) => {
                let Ok(db) = rusqlite::Connection::open(path) else { return 0 };
                let timeout = db.busy_timeout(Duration::from_secs(20));
                timeout.and_then(|()| db.query_row(count, [], |row| row.get(0))).unwrap_or(0)
            }
            Self::Tables(tables) => {
                let row = tables.numbers(count).await.unwrap().unwrap_or_default();
                row.first().copied().unwrap_or(0)
            }
            Self::Files { root, topic, is_replace } => {
                let place = root.join("topics").join(topic);
                // A reader opens the directory once and stays in it.
                let place = if *is_replace { place.join("current").canonicalize() } else { Ok(place) };
                place.map_or(0, |place| lines(&place))
            }
            Self::Search(search, index) => {
                let answer = search.call("GET", &format!("/{index}/_count"), None).await;
                answer.ok().and_then(|answer| answer["count"].as_i64()).unwrap_or(0)
            }
        }
    }

    pub(crate) fn keys(&self) -> Value {
        let table = json!({
            "auto.create": "true", "table.name.format": "whole", "insert.mode": "insert", "pk.mode": "none",
        });
        let own = match self {
            Self::Sqlite(path) => {
                json!({"connector.class": "elasticflow.connectors.SqliteSinkConnector", "connection.url": path})
            }
            Self::Tables(tables) => {
                let (user, password) = tables.account();
                json!({
                    "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection.url": tables.url(),
                    "connection.user": user, "connection.password": password,
                })
            }
            Self::Files { root, .. } => {
                return json!({
                    "connector.class": "elasticflow.connectors.FileSinkConnector", "output.path": root, "format": "json",
                    "flush.size": "1000", "commit.interval.ms": "300",
                });
            }
            Self::Search(search, _) => {
                return json!({"connector.class": "elasticsearch", "connection.url": search.url()});
            }
        };
        merged(table, own)
    }
}

pub(crate) fn lines(of: &Path) -> i64 {
    let Ok(entries) = std::fs::read_dir(of) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_link = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let count = |path: PathBuf| {
        if path.is_dir() {
            if is_link(&path) { 0 } else { lines(&path) }
        } else {
            i64::try_from(std::fs::read_to_string(path).unwrap().lines().count()).unwrap()
        }
    };
    paths.map(count).sum()
}

pub(crate) fn merged(mut config: Value, more: Value) -> Value {
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more);
    }
    config
}

/// Looks every 20 ms and keeps every number that it has seen.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    seen: tokio::task::JoinHandle<BTreeSet<i64>>,
}

impl Watch {
    pub(crate) fn start(target: Target) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let seen = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            while !ended.load(Ordering::Acquire) {
                seen.insert(target.count().await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            seen
        });
        Self { stop, seen }
    }

    pub(crate) async fn stop(self) -> BTreeSet<i64> {
        self.stop.store(true, Ordering::Release);
        self.seen.await.unwrap()
    }
}

pub(crate) fn with_schemas(mut config: Value) -> Value {
    for side in ["key", "value"] {
        config[format!("{side}.converter")] = "org.apache.kafka.connect.json.JsonConverter".into();
        config[format!("{side}.converter.schemas.enable")] = "true".into();
    }
    config
}

pub(crate) async fn published(worker: &Worker) -> usize {
    let answer = worker.rest().expect("GET", "/flow/v1/batches", None).await.unwrap();
    let batches = answer["batches"].as_array().cloned().unwrap_or_default();
    batches.iter().filter(|batch| batch["published"][SINK].is_number()).count()
}

pub(crate) async fn until_published(worker: &Worker, count: usize) {
    let began = Instant::now();
    while published(worker).await < count {
        assert!(began.elapsed() < SETTLE_MAX, "{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn source(topic: &str, kind: &str) -> Value {
    with_schemas(json!({
        "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "fields": "id:seq, note:text(3,12)",
        "schema.keyfield": "id", "random.seed": "42", "clock": "logical", "iterations": RECORDS.to_string(),
        "max.interval": "0", "flow.rate.records": "2000", "batch.records": "100",
        "exactly.once.support": "required", "flow.batch.mode": "run", "flow.batch.kind": kind,
    }))
}

/// One batch under kills, then a second run that takes its place or joins it.
async fn proven(target: impl FnOnce(&str) -> Target, kind: &str, points: &[(&str, u32)]) -> String {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let group = format!("batches-{}", run_number());
    create_topic(cluster(&broker.bootstrap()).unwrap().as_ref(), &group, 3).await.unwrap();
    let target = target(&group);
    let options = WorkerOptions::new(dir.path(), &broker.bootstrap(), &group).unwrap();
    let worker = Worker::start(options).await.unwrap();
    let sink = json!({
        "tasks.max": "1", "topics": group, "batch.max.records": "500", "flow.batch.publish": "atomic",
    });
    worker.rest().create(SINK, &with_schemas(merged(sink, target.keys()))).await.unwrap();
    worker.rest().create(SOURCE, &source(&group, kind)).await.unwrap();
    let watch = Watch::start(target.clone());
    let worker = chaos::kill_at_each(worker, SINK, points).await.unwrap();
    until_published(&worker, 1).await;
    let mut seen = watch.stop().await;
    seen.insert(target.count().await);
    assert_eq!(seen, BTreeSet::from([0, RECORDS]), "a reader sees nothing or everything");

    let watch = Watch::start(target.clone());
    let rest = worker.rest();
    let path = |verb: &str| format!("/connectors/{SOURCE}/{verb}");
    rest.expect("PUT", &path("stop"), None).await.unwrap();
    let began = Instant::now();
    while rest.call("DELETE", &path("offsets"), None).await.unwrap().0 != 200 {
        assert!(began.elapsed() < SETTLE_MAX, "{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    rest.expect("PUT", &path("resume"), None).await.unwrap();
    until_published(&worker, 2).await;
    let after = if kind == "replace" { RECORDS } else { 2 * RECORDS };
    let mut seen = watch.stop().await;
    seen.insert(target.count().await);
    assert_eq!(seen, BTreeSet::from([RECORDS, after]));
    assert!(worker.stop().await.unwrap());
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_the_place_of_a_table_at_once_under_kills() {
    let dir = tempfile::tempdir().unwrap();
    proven(|_| Target::Sqlite(dir.path().join("out.db")), "replace", &POINTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_files_takes_its_place_at_once_under_kills() {
    let dir = tempfile::tempdir().unwrap();
    let points: Vec<_> = POINTS.into_iter().chain([("sink.decide.after", 1)]).collect();
    let (later, first) = (&points[2..5], &points[..2]);
    let points: Vec<_> = first.iter().chain(&points[5..]).chain(later).copied().collect();
    let files = |topic: &str| Target::Files { root: dir.path().join("out"), topic: topic.to_owned(), is_replace: true };
    proven(files, "replace", &points).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_files_joins_others_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let files =
        |topic: &str| Target::Files { root: dir.path().join("out"), topic: topic.to_owned(), is_replace: false };
    proven(files, "append", &POINTS[3..4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_the_place_of_an_index_at_once_under_kills() {
    let Ok(url) = setting("EF_ELASTICSEARCH") else {
        return println!("skipped: a batch into an index needs EF_ELASTICSEARCH");
    };
    let search = Search::new(&url);
    let index = proven(|topic| Target::Search(Search::new(&url), topic.to_owned()), "replace", &POINTS).await;
    let left = search.call("GET", &format!("/{index}__flow_*/_settings"), None).await.unwrap();
    assert_eq!(left.as_object().unwrap().len(), 2, "the last batch has an index, and the one before it: {left}");
    search.call("DELETE", &format!("/{index}__flow_*"), None).await.ok();
}

async fn in_tables(system: System, kind: &str, points: &[(&str, u32)]) {
    if !runs(system) {
        return println!("skipped: a batch into tables needs {}", system.variable());
    }
    let tables = Tables::create(system, &format!("batch_{}", run_number())).await.unwrap();
    proven(|_| Target::Tables(tables.clone()), kind, points).await;
    tables.drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_the_place_of_a_mysql_table_at_once_under_kills() {
    in_tables(System::Mysql, "replace", &POINTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_joins_a_postgresql_table_at_once_under_kills() {
    in_tables(System::Postgresql, "append", &POINTS[2..]).await;
}
