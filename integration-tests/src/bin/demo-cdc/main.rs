//! The main job on real servers: a MySQL table streams through Kafka into an Elasticsearch index while the worker is killed
//! with -9 three times; then index and table are compared row by row.
//!
//! `make demo-cdc` starts the servers and this program; `--exit` ends it after the verification.
mod load;
mod verify;
mod watch;

use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use load::Load;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use watch::Watch;

/// Rows of the snapshot.
const SNAPSHOT_ROWS: u64 = 10_000;
/// Kills in the middle of the load.
const KILLS: u32 = 3;
/// Load between two kills.
const BETWEEN_KILLS: Duration = Duration::from_secs(4);
/// Load without kills, for the latency figures.
const STEADY: Duration = Duration::from_secs(8);
/// A step that has not ended by then has failed.
const STEP_MAX: Duration = Duration::from_secs(90);
/// A task must run again this soon after a kill.
const RUNNING_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Where a demo runs.
pub(crate) struct Scene {
    pub(crate) database: Database,
    pub(crate) search: Search,
    pub(crate) schema: String,
    pub(crate) index: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let exits = std::env::args().any(|arg| arg == "--exit");
    let outcome = tokio::select! {
        outcome = run(exits) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(exits: bool) -> Result<()> {
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let schema = format!("demo_cdc_{run}");
    let scene = Scene {
        database: Database::of("EF_MYSQL")?,
        search: Search::new(&setting("EF_ELASTICSEARCH")?),
        index: format!("demo{run}.{schema}.customers"),
        schema,
    };
    let outcome = play(&scene, run, exits).await;
    tidy(&scene).await;
    outcome
}

async fn play(scene: &Scene, run: u64, exits: bool) -> Result<()> {
    let bootstrap = setting("EF_KAFKA")?;
    say(&format!("MySQL {}:{}  ->  Kafka {bootstrap}  ->  Elasticsearch", scene.database.host, scene.database.port));
    load::create(scene, SNAPSHOT_ROWS).await?;
    say(&format!("table {}.customers holds {SNAPSHOT_ROWS} rows", scene.schema));
    let dir = Path::new(".demo").join(format!("cdc-{run}"));
    let mut worker = Worker::start(WorkerOptions::new(&dir, &bootstrap, &format!("demo-cdc-{run}"))?).await?;
    say(&format!("worker {} is ready on http://127.0.0.1:{}", worker.pid(), worker.options.port));
    for (name, config) in [("customers-source", source(scene, run, &bootstrap)), ("customers-index", sink(scene))] {
        say(&format!("\nPOST /connectors {}", serde_json::to_string_pretty(&json!({"name": name, "config": config}))?));
        worker.rest().create(name, &config).await?;
    }
    await_snapshot(scene, &worker).await?;
    let watch = Watch::start(scene);
    let load = Load::start(scene, SNAPSHOT_ROWS).await?;
    worker = kill_in_the_middle(worker).await?;
    say("the killed sink's partitions come back when its group session ends, at most 10 s after the kill");
    watch::await_caught_up(scene, STEP_MAX).await?;
    let steady_from = Instant::now();
    say(&format!("\nsteady load for {} s", STEADY.as_secs()));
    tokio::time::sleep(STEADY).await;
    let commits = load.stop().await?;
    say(&format!(
        "load ends: {} inserts, {} updates, {} deletes committed",
        commits.inserts, commits.updates, commits.deletes
    ));
    verify::await_equal(scene, &worker).await?;
    let seen = watch.stop().await;
    say(&watch::latency("commit to searchable, kills included", &commits, &seen, None));
    say(&watch::latency("commit to searchable, steady load   ", &commits, &seen, Some(steady_from)));
    if !exits {
        go_on(scene, &worker).await?;
    }
    worker.stop().await?;
    Ok(())
}

async fn await_snapshot(scene: &Scene, worker: &Worker) -> Result<()> {
    let began = Instant::now();
    for name in ["customers-source", "customers-index"] {
        worker.rest().await_running(name, STEP_MAX).await?;
    }
    loop {
        scene.search.refresh(&scene.index).await?;
        let count = scene.search.count(&scene.index).await?;
        say(&format!("snapshot: {count} of {SNAPSHOT_ROWS} documents"));
        if count >= SNAPSHOT_ROWS {
            return Ok(());
        }
        if began.elapsed() > STEP_MAX {
            bail!("the snapshot has not arrived:\n{}", worker.log_tail());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn kill_in_the_middle(mut worker: Worker) -> Result<Worker> {
    for kill in 1..=KILLS {
        tokio::time::sleep(BETWEEN_KILLS).await;
        let pid = worker.pid();
        let options = worker.kill()?;
        let killed = Instant::now();
        worker = Worker::start(options).await.context("the worker does not start again")?;
        for name in ["customers-source", "customers-index"] {
            worker.rest().await_running(name, RUNNING_AGAIN_MAX).await?;
        }
        say(&format!(
            "kill -9 {pid} ({kill} of {KILLS}): all tasks RUNNING again after {:.1} s",
            killed.elapsed().as_secs_f64()
        ));
    }
    Ok(worker)
}

/// Load and comparison, round after round, until Ctrl-C.
async fn go_on(scene: &Scene, worker: &Worker) -> Result<()> {
    say("\nit goes on: more changes every few seconds, each round compared; Ctrl-C ends it");
    loop {
        let load = Load::start(scene, SNAPSHOT_ROWS).await?;
        tokio::time::sleep(BETWEEN_KILLS).await;
        load.stop().await?;
        verify::await_equal(scene, worker).await?;
    }
}

/// Takes the demo's database and index away; a failure here is not the demo's.
async fn tidy(scene: &Scene) {
    let drop_schema = format!("DROP DATABASE IF EXISTS {}", scene.schema);
    drop(scene.database.run(&[&drop_schema]).await);
    drop(scene.search.call("DELETE", &format!("/{}", scene.index), None).await);
}

fn source(scene: &Scene, run: u64, bootstrap: &str) -> Value {
    let Database { host, port, user, password } = &scene.database;
    json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.hostname": host, "database.port": port.to_string(),
        "database.user": user, "database.password": password,
        "database.server.id": (run % 1_000_000 + 10_000).to_string(),
        "topic.prefix": format!("demo{run}"),
        "database.include.list": scene.schema,
        "table.include.list": format!("{}.customers", scene.schema),
        "decimal.handling.mode": "string",
        "include.schema.changes": "false",
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
        "schema.history.internal.kafka.topic": format!("demo{run}-history"),
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": "1",
        "exactly.once.support": "required",
    })
}

fn sink(scene: &Scene) -> Value {
    json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "connection.url": scene.search.url(),
        "topics": scene.index,
        "behavior.on.null.values": "DELETE",
    })
}

/// A line on standard output; a closed output is no failure.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}
