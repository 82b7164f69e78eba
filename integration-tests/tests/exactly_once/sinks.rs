//! Kafka to a destination: the worker is ended at every step of the sink loop, frozen, and killed at random.
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::scenes::sinks::{SESSION, Scene, Target};
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables, runs};
use std::path::Path;
use std::time::Duration;

/// How often the worker is ended at each step; `make chaos` does it more often.
const ROUNDS: u32 = 3;

async fn killed_at_every_step(target: impl Fn(&Path) -> Target) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::start(dir.path(), &broker.bootstrap(), target(dir.path())).await.unwrap();
    for round in 0..ROUNDS {
        scene = scene.at_every_step(round).await.unwrap();
    }
    scene.finish().await.unwrap();
}

async fn killed_while_revoked(target: impl Fn(&Path) -> Target) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::start(dir.path(), &broker.bootstrap(), target(dir.path())).await.unwrap();
    for _ in 0..ROUNDS {
        scene = scene.at_revocations().await.unwrap();
    }
    scene.finish().await.unwrap();
}

/// A schema of a database, or a word about why there is none.
async fn schema(system: System, name: &str) -> Option<Tables> {
    if !runs(system) {
        println!("skipped: it needs {}", system.variable());
        return None;
    }
    Some(Tables::create(system, &format!("{name}_{}", run_number())).await.unwrap())
}

/// A branch that is left over would hold its table for ever.
async fn dropped(tables: &Tables) {
    let dropped = tokio::time::timeout(Duration::from_secs(30), tables.drop_all()).await;
    dropped.expect("no branch holds the table").unwrap();
}

fn index() -> Option<Target> {
    let Ok(url) = setting("EF_ELASTICSEARCH") else {
        println!("skipped: it needs EF_ELASTICSEARCH");
        return None;
    };
    Some(Target::Elasticsearch(Search::new(&url)))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_hold_every_record_once_after_an_end_at_every_step() {
    killed_at_every_step(|dir| Target::Files(dir.join("out"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_hold_every_record_once_after_an_end_at_every_step() {
    let Some(tables) = schema(System::Mysql, "branches").await else { return };
    killed_at_every_step(|_| Target::Branches(tables.clone())).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_holds_every_record_once_after_an_end_at_every_step() {
    killed_at_every_step(|dir| Target::Sqlite(dir.join("out.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_holds_every_record_once_after_an_end_at_every_step() {
    let Some(tables) = schema(System::Mysql, "steps").await else { return };
    killed_at_every_step(|_| Target::Sql(tables.clone())).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_holds_every_record_once_after_an_end_at_every_step() {
    let Some(tables) = schema(System::Postgresql, "steps").await else { return };
    killed_at_every_step(|_| Target::Sql(tables.clone())).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_holds_every_record_once_after_an_end_at_every_step() {
    let Some(index) = index() else { return };
    killed_at_every_step(|_| index.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_whole_after_ends_in_rebalances() {
    killed_while_revoked(|dir| Target::Files(dir.join("out"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_whole_after_ends_in_rebalances() {
    let Some(tables) = schema(System::Mysql, "revoked_xa").await else { return };
    killed_while_revoked(|_| Target::Branches(tables.clone())).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_whole_after_ends_in_rebalances() {
    killed_while_revoked(|dir| Target::Sqlite(dir.join("out.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_whole_after_ends_in_rebalances() {
    let Some(index) = index() else { return };
    killed_while_revoked(|_| index.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_is_whole_after_ends_in_rebalances() {
    let Some(tables) = schema(System::Mysql, "revoked").await else { return };
    killed_while_revoked(|_| Target::Sql(tables.clone())).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_whole_after_ends_in_rebalances() {
    let Some(tables) = schema(System::Postgresql, "revoked").await else { return };
    killed_while_revoked(|_| Target::Sql(tables.clone())).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_whole_after_a_zombie_and_kills_at_random() {
    let Some(tables) = schema(System::Mysql, "zombie").await else { return };
    let broker = Broker::start(Config::default()).await.unwrap();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = Target::Branches(tables.clone());
    let scene = Scene::start(dir.path(), &broker.bootstrap(), target).await.unwrap();
    let scene = scene.under_kills(&Kills { count: 10, within_ms: 1_500, seed: 6 }).await.unwrap();
    let scene = scene.with_a_zombie(other.path(), 2 * SESSION, 2 * SESSION).await.unwrap();
    scene.finish().await.unwrap();
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_at_random_leave_files_and_tables_whole() {
    let broker = Broker::start(Config::default()).await.unwrap();
    for seed in [3, 4] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let target = if seed == 3 { Target::Files(out) } else { Target::Sqlite(out) };
        let scene = Scene::start(dir.path(), &broker.bootstrap(), target).await.unwrap();
        let kills = Kills { count: 10, within_ms: 1_500, seed };
        scene.under_kills(&kills).await.unwrap().finish().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_owner_that_wakes_beside_its_successor_writes_nothing_twice() {
    let broker = Broker::start(Config::default()).await.unwrap();
    for is_file in [true, false] {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let out = dir.path().join("out");
        let target = if is_file { Target::Files(out) } else { Target::Sqlite(out) };
        let scene = Scene::start(dir.path(), &broker.bootstrap(), target).await.unwrap();
        let scene = scene.with_a_zombie(other.path(), 2 * SESSION, 2 * SESSION).await.unwrap();
        scene.finish().await.unwrap();
    }
}
