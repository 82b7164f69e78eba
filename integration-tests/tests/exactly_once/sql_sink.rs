//! SQL sinks on real servers under kills: every record once, the last one of every key.
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::sql_sink::Scene;
use elasticflow_integration_tests::tables::{System, runs};

const RECORDS: u32 = 24_000;

fn is_possible(test: &str, system: System) -> bool {
    let runs = runs(system);
    if !runs {
        println!("skipped: {test} needs {}", system.variable());
    }
    runs
}

async fn random_kills(test: &str, system: System) {
    if !is_possible(test, system) {
        return;
    }
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::start(dir.path(), &broker.bootstrap(), system, RECORDS, 2_000).await.unwrap();
    let kills = Kills { count: 10, within_ms: 900, seed: 5 };
    let found = scene.under_kills(&kills).await.unwrap();
    assert!(found.is_exact(i64::from(RECORDS)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_a_mysql_sink_lose_nothing_and_double_nothing() {
    random_kills("ten_kills_of_a_mysql_sink_lose_nothing_and_double_nothing", System::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_a_postgresql_sink_lose_nothing_and_double_nothing() {
    random_kills("ten_kills_of_a_postgresql_sink_lose_nothing_and_double_nothing", System::Postgresql).await;
}
