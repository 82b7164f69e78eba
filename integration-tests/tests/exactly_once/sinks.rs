//! Kafka to a destination: the worker is ended at every step of the sink loop, frozen, and killed at random.
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::scenes::sinks::{Scene, Target};
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables, runs};
use std::time::Duration;

/// How often each step is tried; a longer proof sets `EF_ROUNDS`.
fn rounds() -> u32 {
    std::env::var("EF_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

/// Steps of every sink under load, with the first hit at which the worker ends there.
const EVERY: [(&str, u32); 7] = [
    ("sink.start.after", 1),
    ("sink.open.after", 1),
    ("sink.poll.after", 2),
    ("sink.put.before", 2),
    ("sink.put.after", 2),
    ("sink.offsets.after", 2),
    ("sink.dead_letter.after", 1),
];

/// Steps of a two-phase sink: the take-over before and with partitions, then units.
const TWO_PHASE: [(&str, u32); 15] = [
    ("sink.start.after", 1),
    ("sink.open.after", 1),
    ("sink.poll.after", 2),
    ("sink.put.before", 2),
    ("sink.put.after", 2),
    ("sink.take_over.init", 1),
    ("sink.take_over.read", 1),
    ("sink.take_over.claim", 2),
    ("sink.take_over.adopt", 1),
    ("sink.take_over.abort", 2),
    ("sink.prepare.before", 1),
    ("sink.prepare.after", 2),
    ("sink.decide.before", 1),
    ("sink.decide.sent", 2),
    ("sink.decide.after", 1),
];
const LATE: [(&str, u32); 1] = [("sink.commit.after", 2)];

/// Steps once per process stay at their hit; the others move on with every round.
fn at_round(points: &[(&'static str, u32)], round: u32) -> Vec<(&'static str, u32)> {
    let once = ["sink.start.after", "sink.open.after", "sink.take_over.init"];
    let hit = |(name, hit): &(&'static str, u32)| match name {
        name if once.contains(name) => (*name, 1),
        name if name.starts_with("sink.take_over.") => (*name, 1 + (hit + round) % 2),
        name => (*name, hit + round),
    };
    points.iter().map(hit).collect()
}

/// How long the group waits for a member that was killed; the development broker allows so little.
const SESSION: Duration = Duration::from_secs(2);

async fn killed_at(target: impl Fn(&std::path::Path) -> Target, points: &[(&'static str, u32)]) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::start_with(dir.path(), &broker.bootstrap(), target(dir.path()), SESSION).await.unwrap();
    for round in 0..rounds() {
        scene = scene.at_points(&at_round(points, round)).await.unwrap();
    }
    scene.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_hold_every_record_once_after_an_end_at_every_step() {
    let points: Vec<_> = TWO_PHASE.iter().chain(&LATE).copied().collect();
    killed_at(|dir| Target::Files(dir.join("out")), &points).await;
}

/// A schema of MySQL, or why there is none.
async fn branched(name: &str) -> Option<Tables> {
    if !runs(System::Mysql) {
        println!("skipped: it needs {}", System::Mysql.variable());
        return None;
    }
    Some(Tables::create(System::Mysql, &format!("{name}_{}", run_number())).await.unwrap())
}

/// A branch that is left over would hold its table for ever.
async fn dropped(tables: &Tables) {
    let dropped = tokio::time::timeout(Duration::from_secs(30), tables.drop_all()).await;
    dropped.expect("no branch holds the table").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_hold_every_record_once_after_an_end_at_every_step() {
    let Some(tables) = branched("branches").await else { return };
    let points: Vec<_> = TWO_PHASE.iter().chain(&LATE).copied().collect();
    killed_at(|_| Target::Branches(tables.clone()), &points).await;
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_whole_after_a_zombie_and_kills_at_random() {
    let Some(tables) = branched("zombie").await else { return };
    let broker = Broker::start(Config::default()).await.unwrap();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = Target::Branches(tables.clone());
    let scene = Scene::start_with(dir.path(), &broker.bootstrap(), target, SESSION).await.unwrap();
    let scene = scene.under_kills(&Kills { count: 10, within_ms: 1_500, seed: 6 }).await.unwrap();
    let scene = scene.with_a_zombie(other.path(), 2 * SESSION, 2 * SESSION).await.unwrap();
    scene.finish().await.unwrap();
    dropped(&tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_holds_every_record_once_after_an_end_at_every_step() {
    killed_at(|dir| Target::Sqlite(dir.join("out.db")), &EVERY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_holds_every_record_once_after_an_end_at_every_step() {
    let Ok(url) = setting("EF_ELASTICSEARCH") else {
        println!("skipped: an_index_holds_every_record_once_after_an_end_at_every_step needs EF_ELASTICSEARCH");
        return;
    };
    let points: Vec<_> = EVERY.iter().copied().chain([("sink.flush.after", 2)]).collect();
    killed_at(|_| Target::Elasticsearch(Search::new(&url)), &points).await;
}

/// Partitions are asked back, and given back.
const REVOKED: [(&str, u32); 2] = [("sink.revoke.before", 1), ("sink.revoke.after", 1)];

async fn killed_while_revoked(target: impl Fn(&std::path::Path) -> Target, points: &[(&'static str, u32)]) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::start_with(dir.path(), &broker.bootstrap(), target(dir.path()), SESSION).await.unwrap();
    for _ in 0..rounds() {
        scene = scene.at_points_with_a_visitor(points).await.unwrap();
    }
    scene.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_whole_after_ends_in_rebalances() {
    killed_while_revoked(|dir| Target::Files(dir.join("out")), &REVOKED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_whole_after_ends_in_rebalances() {
    killed_while_revoked(|dir| Target::Sqlite(dir.join("out.db")), &REVOKED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_whole_after_ends_in_rebalances() {
    let Ok(url) = setting("EF_ELASTICSEARCH") else { return println!("skipped: it needs EF_ELASTICSEARCH") };
    killed_while_revoked(|_| Target::Elasticsearch(Search::new(&url)), &REVOKED).await;
}

async fn a_database_is_whole(system: System) {
    if !runs(system) {
        return println!("skipped: it needs {}", system.variable());
    }
    let tables = Tables::create(system, &format!("revoked_{}", run_number())).await.unwrap();
    let points = [REVOKED[0], REVOKED[1], ("sink.dead_letter.after", 1)];
    killed_while_revoked(|_| Target::Sql(tables.clone()), &points).await;
    tables.drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_is_whole_after_ends_in_rebalances_and_at_dead_letters() {
    a_database_is_whole(System::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_whole_after_ends_in_rebalances_and_at_dead_letters() {
    a_database_is_whole(System::Postgresql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_at_random_leave_files_and_tables_whole() {
    let broker = Broker::start(Config::default()).await.unwrap();
    for seed in [3, 4] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let target = if seed == 3 { Target::Files(out) } else { Target::Sqlite(out) };
        let scene = Scene::start_with(dir.path(), &broker.bootstrap(), target, SESSION).await.unwrap();
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
        let frozen = Duration::from_secs(8);
        let scene = scene.with_a_zombie(other.path(), frozen, Duration::from_secs(5)).await.unwrap();
        scene.finish().await.unwrap();
    }
}
