//! Bulk reads of tables as batches: each read of all tables is one, and whoever looks at the destination sees whole ones.
use crate::batches::{SINK, SOURCE, Target, Watch, merged, published, until_published, with_schemas};
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
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

const ROWS: i64 = 2_000;
const FEWER: i64 = 1_500;

/// Steps of a run, with the hit at which the worker ends there: amid the rows, before and after the run is said to be over.
const POINTS: [(&str, u32); 4] = [
    ("source.send.some", 5),
    ("source.batch.end.before", 1),
    ("sink.batch.publish.after", 1),
    ("source.batch.end.after", 1),
];

/// `INSERT` of rows with ids from 1.
fn insert(table: &str, count: i64) -> String {
    let rows: Vec<String> = (1..=count).map(|id| format!("({id},'row {id}')")).collect();
    format!("INSERT INTO {table} VALUES {}", rows.join(","))
}

async fn until<F: Future<Output = bool>>(what: &str, worker: &Worker, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < SETTLE_MAX, "{what}\n{}", worker.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A source of a table `origin` and a sink of its topic.
struct Scene {
    worker: Worker,
    target: Target,
    source: Value,
}

impl Scene {
    async fn start(dir: &Path, broker: &Broker, prefix: &str, target: Target, own: Value) -> Self {
        let topic = format!("{prefix}origin");
        create_topic(cluster(&broker.bootstrap()).unwrap().as_ref(), &topic, 3).await.unwrap();
        let worker = Worker::start(WorkerOptions::new(dir, &broker.bootstrap(), &topic).unwrap()).await.unwrap();
        let sink = json!({"tasks.max": "1", "topics": topic, "flow.batch.publish": "atomic"});
        let source = json!({
            "tasks.max": "1", "mode": "bulk", "topic.prefix": prefix, "poll.interval.ms": "3600000", "batch.max.rows": "100",
            "table.whitelist": "origin", "flow.rate.records": "1500",
            "exactly.once.support": "required", "flow.batch.mode": "run", "flow.batch.kind": "replace",
        });
        let source = with_schemas(merged(source, own));
        worker.rest().create(SINK, &with_schemas(merged(sink, target.keys()))).await.unwrap();
        worker.rest().create(SOURCE, &source).await.unwrap();
        Self { worker, target, source }
    }

    async fn batches(&self) -> Vec<Value> {
        let answer = self.worker.rest().expect("GET", "/flow/v1/batches", None).await.unwrap();
        answer["batches"].as_array().cloned().unwrap_or_default()
    }

    async fn put(&self, verb: &str) {
        self.worker.rest().expect("PUT", &format!("/connectors/{SOURCE}/{verb}"), None).await.unwrap();
    }

    async fn rate(&self, records: &str) {
        let config = merged(self.source.clone(), json!({"flow.rate.records": records}));
        let path = format!("/connectors/{SOURCE}/config");
        self.worker.rest().expect("PUT", &path, Some(&config)).await.unwrap();
    }

    /// A stopped source with nothing of the past.
    async fn stop_and_forget(&self) {
        self.put("stop").await;
        let path = format!("/connectors/{SOURCE}/offsets");
        until("the offsets are deleted", &self.worker, || async {
            self.worker.rest().call("DELETE", &path, None).await.unwrap().0 == 200
        })
        .await;
    }

    /// Every batch that is complete is published.
    async fn until_all_published(&self) {
        until("all complete batches are published", &self.worker, || async {
            let batches = self.batches().await;
            let complete = batches.iter().filter(|batch| batch["state"] == "ended").count();
            published(&self.worker).await == complete
        })
        .await;
    }

    /// What a reader sees while the rows have changed and are read anew.
    async fn changed(&self) -> BTreeSet<i64> {
        let watch = Watch::start(self.target.clone());
        self.put("resume").await;
        until("the rows of the second read are there", &self.worker, || async { self.target.count().await == FEWER })
            .await;
        // The watch may end before it has looked once more.
        let mut seen = watch.stop().await;
        seen.insert(self.target.count().await);
        seen
    }
}

/// A run under kills, then one of fewer rows; `fewer` removes the others.
async fn proven(scene: &mut Option<Scene>, points: &[(&str, u32)], fewer: impl Future<Output = ()>) {
    let Some(Scene { worker, target, source }) = scene.take() else { return };
    let watch = Watch::start(target.clone());
    let worker = chaos::kill_at_each(worker, SINK, points).await.unwrap();
    until_published(&worker, 1).await;
    let now = Scene { worker, target, source };
    now.stop_and_forget().await;
    now.until_all_published().await;
    let mut seen = watch.stop().await;
    seen.insert(now.target.count().await);
    assert_eq!(seen, BTreeSet::from([0, ROWS]), "a reader sees nothing or everything");
    fewer.await;
    assert_eq!(now.changed().await, BTreeSet::from([ROWS, FEWER]));
    *scene = Some(now);
}

/// A run that is given up leaves nothing, and one that is begun anew is the next attempt at its batch.
async fn given_up(scene: &Scene, staged: impl AsyncFn() -> usize) {
    scene.until_all_published().await;
    let watch = Watch::start(scene.target.clone());
    let open = || async {
        let batches = scene.batches().await;
        batches.into_iter().find(|batch| batch["state"] == "open")
    };
    let is_under_way = || async { open().await.is_some() && staged().await == 1 };
    scene.rate("150").await;
    // A rate takes effect without a restart, and a task that starts begins a run.
    let restart = format!("/connectors/{SOURCE}/restart?includeTasks=true");
    scene.worker.rest().expect("POST", &restart, None).await.unwrap();
    until("a run is under way", &scene.worker, is_under_way).await;
    let id = open().await.unwrap()["id"].as_str().unwrap().to_owned();
    scene.put("stop").await;
    let path = format!("/flow/v1/batches/{id}/abort");
    until("the batch is given up", &scene.worker, || async {
        scene.worker.rest().call("POST", &path, None).await.unwrap().0 < 300
    })
    .await;
    until("nothing of it is left", &scene.worker, || async { staged().await == 0 }).await;

    scene.stop_and_forget().await;
    scene.put("resume").await;
    until("the next run is under way", &scene.worker, is_under_way).await;
    let next = open().await.unwrap()["id"].as_str().unwrap().to_owned();
    assert_ne!(next, id);
    scene.stop_and_forget().await;
    scene.rate("1500").await;
    scene.put("resume").await;
    let of_next = |batch: &Value| batch["id"] == next.as_str() && batch["published"][SINK].is_number();
    until("the second attempt is published", &scene.worker, || async { scene.batches().await.iter().any(of_next) })
        .await;
    let batches = scene.batches().await;
    let state = |id: &str| {
        let batch = batches.iter().find(|batch| batch["id"] == id).unwrap();
        (batch["state"].as_str().unwrap().to_owned(), batch["attempt"].as_i64().unwrap(), batch["records"].as_i64())
    };
    assert_eq!(state(&next), ("ended".to_owned(), 2, Some(FEWER)));
    assert_eq!(state(&id).0, "aborted");
    assert_eq!(watch.stop().await, BTreeSet::from([FEWER]), "what was there stays until a whole run takes its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_reads_of_sqlite_are_batches_under_kills() {
    let (broker, dir) = (Broker::start(Config::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let from = dir.path().join("from.db");
    let db = rusqlite::Connection::open(&from).unwrap();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let create = "CREATE TABLE origin (id INTEGER PRIMARY KEY, note TEXT);";
    db.execute_batch(&format!("{create} {}", insert("origin", ROWS))).unwrap();
    let own = json!({"connector.class": "elasticflow.connectors.SqliteBatchSourceConnector", "connection.url": from, "flow.batch.markers": "true"});
    let target = Target::Sqlite(dir.path().join("to.db"));
    let prefix = format!("bulk-{}-", run_number());
    let mut scene = Some(Scene::start(dir.path(), &broker, &prefix, target, own).await);
    let fewer = async { db.execute_batch(&format!("DELETE FROM origin WHERE id > {FEWER}")).unwrap() };
    proven(&mut scene, &POINTS, fewer).await;
    assert!(scene.unwrap().worker.stop().await.unwrap());
}

async fn origin(system: System) -> (Tables, Value) {
    let tables = Tables::create(system, &format!("bulk_{}", run_number())).await.unwrap();
    tables.run("CREATE TABLE origin (id INT PRIMARY KEY, note VARCHAR(40))").await.unwrap();
    tables.run(&insert("origin", ROWS)).await.unwrap();
    let (user, password) = tables.account();
    let own = json!({
        "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", "connection.url": tables.url(),
        "connection.user": user, "connection.password": password, "key.columns": "pk",
    });
    (tables, own)
}

fn all_run(systems: &[System]) -> bool {
    let missing = systems.iter().find(|system| !runs(**system));
    missing.inspect(|system| println!("skipped: bulk reads as batches need {}", system.variable())).is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_reads_of_postgresql_take_the_place_of_a_mysql_table_under_kills_or_leave_nothing() {
    if !all_run(&[System::Postgresql, System::Mysql]) {
        return;
    }
    let (broker, dir) = (Broker::start(Config::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let (from, own) = origin(System::Postgresql).await;
    let to = Tables::create(System::Mysql, &format!("bulk_{}", run_number())).await.unwrap();
    let prefix = format!("bulk-{}-", run_number());
    let mut scene = Some(Scene::start(dir.path(), &broker, &prefix, Target::Tables(to.clone()), own).await);
    let fewer = async { from.run(&format!("DELETE FROM origin WHERE id > {FEWER}")).await.unwrap() };
    proven(&mut scene, &POINTS[..3], fewer).await;
    let staged = async || to.names("%\\_\\_stage\\_%").await.unwrap().len();
    let scene = scene.unwrap();
    given_up(&scene, staged).await;
    assert!(scene.worker.stop().await.unwrap());
    from.drop_all().await.unwrap();
    to.drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_reads_of_mysql_take_the_place_of_an_index_under_kills() {
    let Ok(url) = setting("EF_ELASTICSEARCH") else {
        return println!("skipped: bulk reads into an index need EF_ELASTICSEARCH");
    };
    if !all_run(&[System::Mysql]) {
        return;
    }
    let (broker, dir) = (Broker::start(Config::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let (from, own) = origin(System::Mysql).await;
    let prefix = format!("bulk-{}-", run_number());
    let index = format!("{prefix}origin");
    let target = Target::Search(Search::new(&url), index.clone());
    let mut scene = Some(Scene::start(dir.path(), &broker, &prefix, target, own).await);
    let fewer = async { from.run(&format!("DELETE FROM origin WHERE id > {FEWER}")).await.unwrap() };
    proven(&mut scene, &POINTS[1..2], fewer).await;
    assert!(scene.unwrap().worker.stop().await.unwrap());
    from.drop_all().await.unwrap();
    Search::new(&url).call("DELETE", &format!("/{index}__flow_*"), None).await.ok();
}
