use crate::{assert_clean, source_points};
use elasticflow_devkafka::{Broker, Config};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::datagen::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_nothing_and_double_nothing() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (scene, expected) = Scene::start(dir.path(), &broker.bootstrap(), 30_000, 1_500).await.unwrap();
    let kills = Kills { count: 20, within_ms: 700, seed: 7 };
    assert_clean(&scene.under_kills(expected, &kills, |_| {}).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_every_named_point_loses_nothing_and_doubles_nothing() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (scene, expected) = Scene::start(dir.path(), &broker.bootstrap(), 60_000, 2_000).await.unwrap();
    assert_clean(&scene.at_points(expected, &source_points()).await.unwrap());
}
